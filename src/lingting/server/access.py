"""Who is asking, and what they may do: keys, sessions, the administrator and one-time links.

Everything is kept as settings of the store, so a backup holds it and ``lingting key`` works while
the service runs: ``user.<name>``, ``key.<id>``, ``session.<id>``, ``link.<id>``. Of a secret only
its SHA-256 is kept (256 random bits need no slow hash), of a password its argon2 hash.

A request without a key or a session is nobody, from this machine too: any program and any web page
that somebody opens can reach the loopback address. Accounts and roles grow out of ``Principal``;
routes ask it and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lingting.errors import (
    KeyNotFound,
    LinkSpent,
    NotAllowed,
    OptionInvalid,
    SignInNeeded,
    SignInRefused,
    TooManyTries,
)

if TYPE_CHECKING:
    from lingting.store import Store

SCOPES = ("read", "write", "admin")
"""``read`` one's own recordings; ``write``: submit, correct, delete; ``admin``: everybody's."""
ADMINISTRATOR = "admin"
SESSION_S = 7 * 24 * 3600.0
LINK_S = 24 * 3600.0
REMEMBERED_S = 2.0
"""How long a revoked key may still work: what was read of the store is remembered so long."""
_REMEMBERED = 10_000
_KEY = re.compile(r"lk_([0-9a-z]{10})_([A-Za-z0-9_-]{43})")
_TICKET = re.compile(r"([0-9a-z]{10})\.([A-Za-z0-9_-]{43})")
_USER = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_ID_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_SHORTEST_PASSWORD = 10
_LONGEST_PASSWORD_BYTES = 1024
_FREE_TRIES = 5
_LONGEST_WAIT_S = 900.0
_MAX_KEY_NAME = 60


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever a request comes from."""

    user: str
    """Their name: the ``owner`` of what they submit."""
    scopes: frozenset[str]
    by: str
    """What they showed: ``key:<id>`` or ``session:<id>``; fit for logs."""

    @property
    def is_admin(self) -> bool:
        return "admin" in self.scopes

    @property
    def sees(self) -> str | None:
        """The owner whose things they see; None for everybody's."""
        return None if self.is_admin else self.user

    def require(self, scope: str) -> None:
        """Raises NotAllowed without it; ``admin`` may do everything."""
        if scope not in self.scopes and not self.is_admin:
            raise NotAllowed(f"This needs the scope {scope}.")

    def may_see(self, owner: str | None) -> bool:
        return self.is_admin or owner == self.user


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret, which is shown once and never kept."""

    id: str
    name: str
    user: str
    scopes: tuple[str, ...]
    created_at: datetime
    is_local: bool = False
    """Made by the service for the programs of its own user on this machine."""


class Access:
    """Reads and changes what the store knows about users and keys. For many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Lock()
        self._remembered: dict[str, tuple[float, Any]] = {}
        self._failures: dict[str, tuple[int, float]] = {}
        self._hashing = threading.Lock()

    # Who is asking -----------------------------------------------------------------------------

    def of_key(self, given: str) -> Principal:
        """Raises SignInNeeded for a key that is not, or no longer, one of ours."""
        matched = _KEY.fullmatch(given.strip())
        if matched is not None:
            name = f"key.{matched[1]}"
            row = self._row(name)
            if row is not None and _is_same(row["sha256"], matched[2]):
                return Principal(row["user"], frozenset(row["scopes"]), f"key:{matched[1]}")
        raise SignInNeeded("The key is not valid.")

    def remembered(self, given: str) -> Principal | None:
        """The same for a key that was seen within two seconds; never asks the database."""
        matched = _KEY.fullmatch(given.strip())
        if matched is None:
            return None
        with self._turn:
            found = self._remembered.get(f"key.{matched[1]}")
        if found is None or time.monotonic() - found[0] >= REMEMBERED_S:
            return None
        row = found[1]
        if not _is_same(row["sha256"], matched[2]):
            return None
        return Principal(row["user"], frozenset(row["scopes"]), f"key:{matched[1]}")

    def of_session(self, given: str) -> Principal:
        """Raises SignInNeeded when it has ended."""
        matched = _TICKET.fullmatch(given)
        if matched is not None:
            row = self._row(f"session.{matched[1]}")
            if row is not None and _is_same(row["sha256"], matched[2]) and not _is_over(row):
                user = self._row(f"user.{row['user']}")
                if user is not None and user.get("password_id") == row.get("password_id"):
                    by = f"session:{matched[1]}"
                    return Principal(row["user"], frozenset(user["scopes"]), by)
        raise SignInNeeded("The session has ended.")

    def _row(self, name: str) -> Any:
        """A setting, read at most every two seconds; what is not there is not remembered."""
        now_s = time.monotonic()
        with self._turn:
            found = self._remembered.get(name)
            if found is not None and now_s - found[0] < REMEMBERED_S:
                return found[1]
        value = self._store.setting(name)
        with self._turn:
            if value is None:
                self._remembered.pop(name, None)
            else:
                if len(self._remembered) >= _REMEMBERED:
                    self._remembered.clear()
                self._remembered[name] = (now_s, value)
        return value

    def _forget(self, name: str) -> None:
        with self._turn:
            self._remembered.pop(name, None)

    # Keys --------------------------------------------------------------------------------------

    def new_key(
        self,
        name: str,
        *,
        user: str = ADMINISTRATOR,
        scopes: Iterable[str] = ("read", "write"),
        is_local: bool = False,
    ) -> tuple[Key, str]:
        """A key and what it looks like; nobody can find that out again."""
        wanted = tuple(one for one in SCOPES if one in set(scopes))
        if unknown := set(scopes) - set(SCOPES) or (not wanted and {"none"}):
            raise OptionInvalid(
                f"{len(unknown)} scopes are not known; there are {', '.join(SCOPES)}."
            )
        label = " ".join(name.split())
        if not 0 < len(label) <= _MAX_KEY_NAME or not label.isprintable():
            raise OptionInvalid(f"A key's name has 1 to {_MAX_KEY_NAME} characters.")
        _check_user(user)
        id, secret = _new_id(), secrets.token_urlsafe(32)
        row = {
            "name": label, "user": user, "scopes": list(wanted), "sha256": _digest(secret),
            "created_at": _now().isoformat(), "is_local": is_local,
        }  # fmt: skip
        self._store.set_setting(f"key.{id}", row)
        return _key(id, row), f"lk_{id}_{secret}"

    def keys(self) -> list[Key]:
        """All of them, the newest first."""
        rows = self._store.settings_of("key.")
        found = [_key(name.removeprefix("key."), row) for name, row in rows.items()]
        return sorted(found, key=lambda key: key.created_at, reverse=True)

    def revoke(self, id: str) -> None:
        """It works no longer, within two seconds everywhere. Raises KeyNotFound."""

        def change(row: Any) -> None:
            if row is None:
                raise KeyNotFound("No key has this id.")

        self._store.change_setting(f"key.{id}", change)
        self._forget(f"key.{id}")

    # People ------------------------------------------------------------------------------------

    def ensure_administrator(self) -> bool:
        """The first start makes one. True when there is a password to sign in with."""

        def change(row: Any) -> Any:
            return row or {
                "scopes": list(SCOPES), "hash": None, "password_id": None,
                "created_at": _now().isoformat(),
            }  # fmt: skip

        row = self._store.change_setting(f"user.{ADMINISTRATOR}", change)
        return row["hash"] is not None

    def has_administrator(self) -> bool:
        """Somebody can sign in with a password and may do everything."""
        row = self._store.setting(f"user.{ADMINISTRATOR}")
        return row is not None and row["hash"] is not None

    def new_link(self, user: str = ADMINISTRATOR) -> str:
        """The secret of a link that lets its holder set a password, once, within 24 hours.

        An older link of the same user stops working.
        """
        if self._store.setting(f"user.{user}") is None:
            raise OptionInvalid("There is no such user.", "Give another name.")
        for name, row in self._store.settings_of("link.").items():
            if row["user"] == user or _is_over(row):
                self._store.change_setting(name, lambda _: None)
        id, secret = _new_id(), secrets.token_urlsafe(32)
        until = _now() + timedelta(seconds=LINK_S)
        row = {"user": user, "sha256": _digest(secret), "until": until.isoformat()}
        self._store.set_setting(f"link.{id}", row)
        return f"{id}.{secret}"

    def check_link(self, given: str) -> str:
        """The user it is for; it stays usable. Raises LinkSpent."""
        id, secret = _ticket(given)
        return str(_valid_link(self._store.setting(f"link.{id}"), secret)["user"])

    def set_password(self, link: str, password: str) -> str:
        """Use a link up; its user, whose sessions end. Raises LinkSpent, OptionInvalid."""
        _check_password(password)
        id, secret = _ticket(link)
        _valid_link(self._store.setting(f"link.{id}"), secret)
        with self._hashing:  # 64 MiB each
            hashed = _hasher().hash(password)
        user = ""

        def spend(row: Any) -> None:
            nonlocal user
            user = _valid_link(row, secret)["user"]

        self._store.change_setting(f"link.{id}", spend)
        password_id = _new_id()
        self._store.change_setting(
            f"user.{user}", lambda row: {**row, "hash": hashed, "password_id": password_id}
        )
        self._forget(f"user.{user}")
        with self._turn:
            self._failures.pop(user, None)
        return user

    def sign_in(self, user: str, password: str) -> str:
        """The cookie of a new session. Raises SignInRefused, and TooManyTries after some."""
        self._check_tries(user)
        row = self._store.setting(f"user.{user}") if _USER.fullmatch(user) else None
        is_right = self._is_password(row, password)
        if row is None or not is_right:
            self._note_failure(user)
            raise SignInRefused("User or password is wrong.")
        with self._turn:
            self._failures.pop(user, None)
        for name, session in self._store.settings_of("session.").items():
            if _is_over(session):
                self._store.change_setting(name, lambda _: None)
        id, secret = _new_id(), secrets.token_urlsafe(32)
        until = _now() + timedelta(seconds=SESSION_S)
        self._store.set_setting(
            f"session.{id}",
            {
                "user": user, "sha256": _digest(secret), "until": until.isoformat(),
                "password_id": row["password_id"],
            },
        )  # fmt: skip
        return f"{id}.{secret}"

    def sign_out(self, session: str) -> None:
        """The session ends; one that has ended already is no error."""
        matched = _TICKET.fullmatch(session)
        if matched is not None:
            self._store.change_setting(f"session.{matched[1]}", lambda _: None)
            self._forget(f"session.{matched[1]}")

    def _is_password(self, row: Any, password: str) -> bool:
        """As slow for a user that does not exist as for one that does."""
        import argon2

        hashed = (row or {}).get("hash") or _NOBODY
        if len(password.encode("utf-8", "replace")) > _LONGEST_PASSWORD_BYTES:
            return False
        with self._hashing:
            try:
                return _hasher().verify(hashed, password) and hashed is not _NOBODY
            except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
                return False

    def _check_tries(self, user: str) -> None:
        with self._turn:
            failures, until_s = self._failures.get(user, (0, 0.0))
        wait_s = until_s - time.monotonic()
        if failures >= _FREE_TRIES and wait_s > 0:
            raise TooManyTries("Too many sign-ins failed in a row.", retry_after_s=wait_s)

    def _note_failure(self, user: str) -> None:
        with self._turn:
            if len(self._failures) >= _REMEMBERED:
                self._failures.clear()
            failures = self._failures.get(user, (0, 0.0))[0] + 1
            wait_s = min(2.0 ** (failures - _FREE_TRIES), _LONGEST_WAIT_S)
            self._failures[user] = (failures, time.monotonic() + wait_s)


_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5bm9ib2R5bm9ibw$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""A hash that no password has."""


def _hasher() -> Any:
    """RFC 9106's second recommended option: 64 MiB, three passes."""
    import argon2

    return argon2.PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=4)


def _valid_link(row: Any, secret: str) -> Mapping[str, Any]:
    if row is None or not _is_same(row["sha256"], secret) or _is_over(row):
        raise LinkSpent("The link was used, is older than 24 hours, or never existed.")
    found: Mapping[str, Any] = row
    return found


def _ticket(given: str) -> tuple[str, str]:
    matched = _TICKET.fullmatch(given.strip())
    if matched is None:
        raise LinkSpent("The link was used, is older than 24 hours, or never existed.")
    return matched[1], matched[2]


def _key(id: str, row: Mapping[str, Any]) -> Key:
    return Key(
        id=id,
        name=row["name"],
        user=row["user"],
        scopes=tuple(row["scopes"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        is_local=row.get("is_local", False),
    )


def _check_user(user: str) -> None:
    if not _USER.fullmatch(user):
        raise OptionInvalid(
            "A user's name has 1 to 40 characters of a-z, 0-9, dot, hyphen and underscore."
        )


def _check_password(password: str) -> None:
    if len(password) < _SHORTEST_PASSWORD:
        raise OptionInvalid(
            f"The password has {len(password)} characters; it needs {_SHORTEST_PASSWORD} or more."
        )
    if len(password.encode("utf-8", "replace")) > _LONGEST_PASSWORD_BYTES:
        raise OptionInvalid(f"The password is longer than {_LONGEST_PASSWORD_BYTES} bytes.")


def _is_same(kept: str, secret: str) -> bool:
    """Takes as long whatever was given."""
    return hmac.compare_digest(kept, _digest(secret))


def _is_over(row: Mapping[str, Any]) -> bool:
    return datetime.fromisoformat(row["until"]) <= _now()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _new_id() -> str:
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(10))


def _now() -> datetime:
    return datetime.now(UTC)
