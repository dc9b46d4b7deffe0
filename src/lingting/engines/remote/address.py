"""Where a server is. ``http://10.0.0.5:8000/v1#fun-asr-nano``, ``unix:/run/lingting.sock``."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from lingting.errors import OptionInvalid

_SCHEMES = ("http://", "https://", "unix:")
_ENDPOINTS = ("/v1/audio/transcriptions", "/audio/transcriptions", "/v1")
_EXAMPLE = "Write it as http://host:8000 or https://host/prefix, with #model behind it if needed."


@dataclass(frozen=True, slots=True)
class Address:
    """``base`` is what ``/v1/…`` is appended to; ``socket`` a Unix socket to connect to."""

    base: str
    shown: str
    """Host and port, or the word unix: what an error and a transcript may say."""
    is_here: bool
    """On this machine: no proxy is asked."""
    socket: str | None = None


def is_address(name: str) -> bool:
    """Whether a model's name is the address of a server."""
    return name.lower().startswith(_SCHEMES)


def split_address(name: str) -> tuple[str, str | None]:
    """``http://host/v1#model`` → the address and the model; None without one."""
    address, _, model = name.partition("#")
    return address, model or None


def parse_address(address: str) -> Address:
    """Raises OptionInvalid; the sentence never repeats what may hold a password."""
    if address.lower().startswith("unix:"):
        path = address[len("unix:") :]
        path = path[2:] if path.startswith("//") else path
        if not path.startswith("/"):
            raise OptionInvalid("A Unix socket needs its absolute path, as in unix:/run/x.sock.")
        return Address("http://localhost", "unix", True, path)
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise OptionInvalid("The server's address cannot be read.", _EXAMPLE) from exc
    if parts.scheme not in ("http", "https") or not host:
        raise OptionInvalid("The server's address has no host or another scheme.", _EXAMPLE)
    if parts.username is not None or parts.password is not None:
        raise OptionInvalid(
            "The server's address holds a name or password.", "Give the key as LINGTING_REMOTE_KEY."
        )
    if parts.query or parts.fragment:
        raise OptionInvalid("The server's address has a query or a fragment.", _EXAMPLE)
    path = parts.path.rstrip("/")
    for ending in _ENDPOINTS:
        if path.endswith(ending):
            path = path[: -len(ending)]
            break
    bracketed = f"[{host}]" if ":" in host else host
    place = bracketed if port is None else f"{bracketed}:{port}"
    return Address(f"{parts.scheme}://{place}{path}", place, _is_loopback(host))


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
