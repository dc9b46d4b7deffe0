"""Passwords: what is one, and its argon2 hash, the only thing that is kept."""

from __future__ import annotations

import threading
from typing import Any

from lingting.errors import OptionInvalid

_SHORTEST_PASSWORD = 10
_LONGEST_PASSWORD_BYTES = 1024
_HASHING = threading.Lock()
"""One at a time: each takes 64 MiB."""
_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5bm9ib2R5bm9ibw$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""A hash that no password has."""


def hash_of(password: str) -> str:
    """Raises OptionInvalid for one that is too short or too long."""
    if len(password) < _SHORTEST_PASSWORD:
        raise OptionInvalid(
            f"The password has {len(password)} characters; it needs {_SHORTEST_PASSWORD} or more."
        )
    if len(password.encode("utf-8", "replace")) > _LONGEST_PASSWORD_BYTES:
        raise OptionInvalid(f"The password is longer than {_LONGEST_PASSWORD_BYTES} bytes.")
    with _HASHING:
        return str(_hasher().hash(password))


def is_right(password: str, hashed: str | None) -> bool:
    """As slow without a hash, when nobody has that name, as with one."""
    import argon2

    if len(password.encode("utf-8", "replace")) > _LONGEST_PASSWORD_BYTES:
        return False
    with _HASHING:
        try:
            return _hasher().verify(hashed or _NOBODY, password) and bool(hashed)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


def _hasher() -> Any:
    """RFC 9106's second recommended option: 64 MiB, three passes."""
    import argon2

    return argon2.PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=4)
