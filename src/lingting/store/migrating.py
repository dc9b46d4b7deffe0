"""A new database gets the schema at once, an older one when its owner asks for it.

Each change of the schema is one transaction, so that a database is never between two schemas.
Alembic makes the changes and is loaded only then: every command that opens a store would wait.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.orm import Session

from lingting.errors import StoreSchema, StoreUnreachable
from lingting.store.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6C696E67_74696E67
"""Two processes that start together do not both migrate (Postgres; SQLite has one writer)."""


def known() -> list[str]:
    """The schemas up to that of this version, which is the last: a file each, named for it."""
    return sorted(step.name[1:5] for step in (_MIGRATIONS / "versions").glob("m[0-9]*.py"))


def newest() -> str:
    """The schema of this version of Lingting."""
    return known()[-1]


def current(connection: Connection) -> str | None:
    """The schema that is there; None for an empty database.

    Raises StoreSchema for a database that somebody else's tables live in.
    """
    tables = set(inspect(connection).get_table_names())
    found: str | None = None
    if "alembic_version" in tables:
        found = connection.scalar(text("select version_num from alembic_version"))
    if found is None and tables - {"alembic_version"}:
        raise StoreSchema(
            "The database holds tables that are not Lingting's.", "Name an empty database."
        )
    return found


def prepare(database: Database) -> None:
    """Make the tables of an empty database; raise StoreSchema for another schema than ours."""
    if database.file is not None:
        try:
            database.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise StoreUnreachable(
                f"The folder of the history cannot be made: {exc.strerror}."
            ) from exc
    with database.read() as session:
        found = current(session.connection())
    if found is None:
        upgrade_to(database, "head")
        return
    check(found)


def check(found: str) -> None:
    """Raises StoreSchema when the schema is older or newer than ours."""
    check_known(found)
    if found != newest():
        raise StoreSchema(f"The database has schema {found}; this version needs {newest()}.")


def check_known(found: str | None) -> None:
    """Raises StoreSchema for a schema that no version up to this one has had."""
    if found not in known():
        raise StoreSchema(
            f"The database has a schema this version does not know; it knows up to {newest()}.",
            "Install the newer version of Lingting that made it.",
        )


def upgrade_to(database: Database, target: str) -> tuple[str | None, str | None]:
    """The schema before and after. All steps are one transaction."""
    from alembic import command

    with database.connect_to_write() as connection:
        if not database.is_sqlite:
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        before = current(connection)
        if before is not None:
            check_known(before)
        command.upgrade(_config(connection), target)
        after = current(connection)
        if after == newest():
            _fill_search(connection)
        return before, after


def _fill_search(connection: Connection) -> None:
    """An index that a step made is filled by today's code, which knows the newest schema only."""
    from lingting.store import indexing

    with Session(connection) as session:
        is_whole = indexing.is_whole(session)
    if not is_whole:
        indexing.fill_all(connection)


def copy_before_upgrade(database: Database) -> Path | None:
    """A copy of an SQLite file beside it; None for a server, whose owner has a way of his own."""
    if database.file is None:
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    copy = database.file.with_name(f"{database.file.stem}-before-upgrade-{stamp}.db")
    snapshot(database.file, copy)
    return copy


def snapshot(source: Path, target: Path) -> None:
    """One consistent state of an SQLite database while others write to it."""
    with _opened(source) as reader, _opened(target) as writer:
        reader.backup(writer)
        writer.execute("pragma journal_mode = delete")  # one file, no log beside it


class _opened:
    """An SQLite file of the standard library's driver, closed at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._connection = sqlite3.connect(self._path, timeout=30)
        except sqlite3.Error as exc:
            raise StoreUnreachable("The database cannot be copied.") from exc
        return self._connection

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        self._connection.close()
        if isinstance(exc, sqlite3.Error):
            raise StoreUnreachable("The database cannot be copied.") from exc


def _config(connection: Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade() -> tuple[str | None, str | None, Path | None]:
    """Bring the configured store to the newest schema: schema before and after, copy made first.

    Nothing is copied when nothing is to be done.
    """
    from lingting.store.opening import parts

    database, _, _ = parts(None, None)
    try:
        with database.read() as session:
            found = current(session.connection())
        if found == newest():
            return found, found, None
        copy = copy_before_upgrade(database) if found is not None else None
        return *upgrade_to(database, "head"), copy
    finally:
        database.close()
