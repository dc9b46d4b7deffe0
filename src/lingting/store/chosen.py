"""Settings of processes that administrators chose while the service runs.

They are kept in the store and go before what a process was started with; a process reads them when
it starts, if its database is there to be read. An engine host on a machine without the database
keeps its own.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from lingting.errors import LingtingError, OptionInvalid, OptionUnknown
from lingting.store import audit, settings
from lingting.store.records import Actor
from lingting.store.schema import SettingRow

if TYPE_CHECKING:
    from lingting.config import Settings

log = logging.getLogger("lingting.store")

PROCESSES: Final[Mapping[str, tuple[str, ...]]] = {
    "model": ("engine", "worker"),
    "device": ("engine",),
    "compute": ("engine",),
    "threads": ("engine",),
    "engine_batch_s": ("engine",),
    "engine_queue_s": ("engine",),
    "worker_slots": ("worker",),
    "readers": ("worker",),
    "max_duration_s": ("worker", "web"),
    "max_upload_bytes": ("web",),
}
"""What may be chosen, and the processes that work by it once they start again."""
_PREFIX = "chosen."
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,2})?")
_COMPUTE = ("auto", "int8", "float32", "bfloat16", "float16")


def parse(given: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they are kept; None takes back. Raises OptionUnknown, OptionInvalid."""
    return {name: None if value is None else _parsed(name, value) for name, value in given.items()}


def _parsed(name: str, value: Any) -> Any:
    from lingting.config import settings as read

    if name not in PROCESSES:
        raise OptionUnknown(f"{name[:40]} is none of {', '.join(PROCESSES)}.")
    try:
        found = getattr(read(**{name: value}), name)
    except OptionInvalid as exc:
        raise OptionInvalid(exc.sentence, "Change that setting.") from exc
    is_wrong = (name == "device" and not _DEVICE.fullmatch(found)) or (
        name == "compute" and found not in _COMPUTE
    )
    if is_wrong:
        allowed = "auto, cpu, mps, cuda or cuda:1" if name == "device" else ", ".join(_COMPUTE)
        raise OptionInvalid(f"{name} is none of {allowed}.", "Change that setting.")
    return found


def choose(session: Session, given: Mapping[str, Any], *, actor: Actor | None = None) -> None:
    """Keep what ``parse`` made; what is left out stays."""
    for name, value in given.items():
        settings.put(session, f"{_PREFIX}{name}", {"value": value})
    audit.note(session, actor, "setting.changed", "setting", "chosen", names=",".join(given))


def chosen(session: Session) -> dict[str, tuple[Any, datetime]]:
    """Values with the time of the choice, by name; None for one that was taken back."""
    query = select(SettingRow).where(SettingRow.name.startswith(_PREFIX, autoescape=True))
    rows = {row.name.removeprefix(_PREFIX): row for row in session.scalars(query)}
    return {
        name: (row.value.get("value"), row.changed_at)
        for name, row in rows.items()
        if name in PROCESSES and isinstance(row.value, dict)
    }


def in_force(process: str, given: Mapping[str, Any]) -> Settings:
    """The settings of a process that starts: ``given`` to it itself, chosen, then all others.

    A database that is away, of another version, or that holds something no longer allowed keeps no
    process from starting. May block.
    """
    from lingting.config import settings as read

    now = read(**given)
    try:
        found = _read(now)
        mine = {name: one for name, one in found.items() if process in PROCESSES[name]}
        return read(**{**mine, **given})
    except LingtingError as error:
        log.warning("chosen settings cannot be read", extra={"code": error.code})
        return now


def _read(now: Settings) -> dict[str, Any]:
    from lingting.store.opening import open_store

    if now.database_url is None and not (now.data_folder / "lingting.db").exists():
        return {}
    with open_store() as store, store.database.read() as session:
        return {name: one for name, (one, _) in chosen(session).items() if one is not None}
