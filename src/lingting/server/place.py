"""The run folder: who serves this data folder, and the key for programs of the same user."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lingting.config import Settings
from lingting.errors import BindingRefused, ServiceRunning, SignInNeeded
from lingting.server.access import Access
from lingting.server.principal import SCOPES
from lingting.server.serving import address_of

KEY_FILE = "key"
STATE_FILE = "serve.json"
_LOCK_FILE = "serve.lock"
_LOOK_S = 0.5
"""Whoever only looks, see ``is_running``, lets go of the lock sooner."""


def make_run_folder(settings: Settings) -> Path:
    """The folder, which only this user may enter. Raises BindingRefused for another's."""
    folder = settings.run_folder
    try:
        settings.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise BindingRefused(
                "The folder for sockets belongs to somebody else.", "Set LINGTING_DATA_DIR."
            )
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
    except OSError as exc:
        raise BindingRefused(
            f"The folder for sockets cannot be made: {exc.strerror}.", "Set LINGTING_DATA_DIR."
        ) from exc
    return folder


@contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """One service for a data folder. Raises ServiceRunning, which says who it is."""
    lock = FileLock(make_run_folder(settings) / _LOCK_FILE, timeout=_LOOK_S)
    try:
        lock.acquire()
    except Timeout as exc:
        state = read_state(settings) or {}
        raise ServiceRunning(
            f"A service runs already: process {state.get('pid', '?')} "
            f"at {state.get('url', 'an unknown address')}."
        ) from exc
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (settings.run_folder / STATE_FILE).unlink()
        lock.release()


def is_running(settings: Settings) -> bool:
    """Somebody holds the lock; the kernel lets go of a dead process's."""
    path = settings.run_folder / _LOCK_FILE
    if not path.exists():
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def write_state(settings: Settings, state: Mapping[str, Any]) -> None:
    """For ``lingting status``; a full disk does not disturb the service."""
    with contextlib.suppress(OSError):
        replace_file(settings.run_folder / STATE_FILE, json.dumps(state))


def read_state(settings: Settings) -> dict[str, Any] | None:
    """What the last service wrote about itself; None without one."""
    try:
        found = json.loads((settings.run_folder / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def address(settings: Settings) -> str:
    """Where the service of this data folder listens; where it would, when none runs."""
    url = (read_state(settings) or {}).get("url") if is_running(settings) else None
    return url if isinstance(url, str) else address_of(settings)


def setup_link(url: str, token: str) -> str:
    """What a person opens to set a password."""
    return f"{url}/setup?token={token}"


def make_local_key(settings: Settings, access: Access) -> None:
    """A key that this user's programs find by themselves; one that is there and valid stays."""
    path = make_run_folder(settings) / KEY_FILE
    given = local_key(settings)
    if given is not None:
        with contextlib.suppress(SignInNeeded):
            access.of_key(given)
            return
    _, secret = access.new_key("this machine", scopes=SCOPES, is_local=True)
    replace_file(path, secret + "\n")


def local_key(settings: Settings) -> str | None:
    """The key of the service of this user on this machine, when it left one."""
    try:
        return (settings.run_folder / KEY_FILE).read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def replace_file(path: Path, text: str) -> None:
    """Whole or not at all, readable by this user only."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
