"""Values that were set in a store, as JSON under a name. Each function runs in one session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from lingting.store import changes
from lingting.store.database import lock
from lingting.store.schema import SettingRow


def get(session: Session, name: str) -> Any:
    """None when it never was set."""
    row = session.get(SettingRow, name)
    return None if row is None else row.value


def put(session: Session, name: str, value: Any) -> None:
    """Of two who set one that was not there, the second finds it."""
    lock(session, f"setting:{name}")
    session.merge(SettingRow(name=name, value=value, changed_at=changes.now()))


def change(session: Session, name: str, change: Callable[[Any], Any]) -> Any:
    """See ``Store.change_setting``."""
    lock(session, f"setting:{name}")
    row = session.get(SettingRow, name)
    value = change(None if row is None else row.value)
    if value is not None:
        put(session, name, value)
    elif row is not None:
        session.delete(row)
    return value
