"""Where a host listens: a Unix socket that only its owner can open, or a TCP port.

A socket file outlives a process that was killed. Whoever holds the lock beside it may replace it;
whoever does not hears that another host runs.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from lingting.errors import OptionInvalid

_LONGEST_PATH_BYTES = 107
_BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Place:
    """An address to listen on: the path of a socket, or a host and a port."""

    path: Path | None = None
    host: str = ""
    port: int = 0

    @property
    def is_here(self) -> bool:
        """Only this machine can reach it."""
        return self.path is not None or is_loopback(self.host)

    @property
    def address(self) -> str:
        """As a client is told it."""
        if self.path is not None:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def parse_place(text: str) -> Place:
    """``unix:/run/x.sock``, ``/run/x.sock``, ``host:port`` or ``http://host:port``."""
    if text.startswith("unix:") or text.startswith("/"):
        path = Path(text.removeprefix("unix:")).expanduser()
        if not path.is_absolute():
            raise OptionInvalid("A Unix socket needs its absolute path, as in unix:/run/x.sock.")
        if len(os.fsencode(path)) > _LONGEST_PATH_BYTES:
            raise OptionInvalid(
                f"The socket's path is longer than {_LONGEST_PATH_BYTES} bytes.", "Shorten it."
            )
        return Place(path)
    host, _, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65_535:
        raise OptionInvalid(
            "An address to listen on is unix:/path/to.sock or host:port.",
            "Write it as 127.0.0.1:7861.",
        )
    return Place(None, host.strip("[]"), int(port))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address; an empty one is every interface."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False


class Listener:
    """A bound socket, given back with :meth:`close`."""

    def __init__(self, place: Place, bound: socket.socket, lock: int | None = None) -> None:
        self.place = place
        self.socket = bound
        self._lock = lock
        self._inode = _inode(place.path)

    def close(self) -> None:
        """The socket's file goes too, unless it is another's by now. Twice is fine."""
        self.socket.close()
        path, lock, self._lock = self.place.path, self._lock, None
        if path is None or lock is None:
            return
        if _inode(path) == self._inode:
            path.unlink(missing_ok=True)
        os.close(lock)


def listen(place: Place, *, has_key: bool) -> Listener:
    """Raises OptionInvalid for an address that is taken, cannot be had, or lacks a key."""
    if place.path is not None:
        return _listen_unix(place, place.path)
    if not place.is_here and not has_key:
        raise OptionInvalid(
            "Whoever reaches this address could use the engine; it needs a key.",
            "Set LINGTING_REMOTE_KEY, or listen on 127.0.0.1.",
        )
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((place.host, place.port))
    except OSError as exc:
        bound.close()
        why = "is taken" if exc.errno == errno.EADDRINUSE else "cannot be had"
        raise OptionInvalid(f"The port {place.port} {why}.", "Choose another one.") from exc
    bound.listen(_BACKLOG)
    return Listener(Place(None, place.host, bound.getsockname()[1]), bound)


def _listen_unix(place: Place, path: Path) -> Listener:
    _make_private(path.parent)
    lock = _locked(path.with_name(path.name + ".lock"))
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        bound.bind(str(path))  # nobody else can reach into the folder, so no moment is too long
        path.chmod(0o600)
        bound.listen(_BACKLOG)
    except BaseException as exc:
        bound.close()
        os.close(lock)
        if isinstance(exc, OSError):
            raise OptionInvalid(f"The socket cannot be made: {exc.strerror}.") from exc
        raise
    return Listener(place, bound, lock)


def _make_private(folder: Path) -> None:
    """The folder, 0700 and ours. Raises OptionInvalid where somebody else prepared it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise OptionInvalid(
                "The socket's folder belongs to another user, or is a link.", "Choose another one."
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as exc:
        raise OptionInvalid(
            f"The socket's folder cannot be made: {exc.strerror}.", "Choose another one."
        ) from exc


def _locked(path: Path) -> int:
    """An open lock file; the system lets go of it when this process ends, however it ends."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise OptionInvalid(
            f"The lock beside the socket cannot be made: {exc.strerror}.", "Choose another place."
        ) from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        holder = os.read(lock, 20).decode("ascii", "replace").strip()
        os.close(lock)
        who = f" (process {holder})" if holder.isdecimal() else ""
        raise OptionInvalid(
            f"Another engine host{who} listens on this socket.",
            "Stop it, or use another one with --listen.",
        ) from exc
    os.truncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return lock


def _remove_stale(path: Path) -> None:
    """What a killed host left behind. A socket that answers, or another file, is not ours."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OptionInvalid("Where the socket should be is a file of another kind.", "Move it.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise OptionInvalid("Another program listens on this socket.", "Use another one.")


def _inode(path: Path | None) -> int | None:
    try:
        return None if path is None else path.lstat().st_ino
    except OSError:
        return None
