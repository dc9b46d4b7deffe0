"""One SQL database: SQLite in WAL mode, or Postgres by URL; every write is one transaction.

SQLite lets many read while one writes. A write takes its turn at once (``BEGIN IMMEDIATE``), so it
can never fail half-way because somebody else wrote in between; it waits for others up to the busy
time-out and then says so with ``StoreBusy``.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Result, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from lingting.errors import ExtraMissing, OptionInvalid, StoreBusy, StoreUnreachable

BUSY_TIMEOUT_S = 30.0
_FORGET_TIMEOUT_MS = 500
IDLE_TIMEOUT_S = 10
"""Of a Postgres transaction in which nothing happens."""
_FILE = "lingting.db"
_WRITES = "lingting_writes"
_LAST_ACTS = "lingting_last_acts"


class LastAct(IntEnum):
    """What a transaction does when everything else is done, in this order.

    Each takes a lock that all who do the same take; so it comes last and is held for an insert.
    """

    EVENTS = 1
    AUDIT = 2


class Database:
    """Connections to the one database of a store."""

    def __init__(self, engine: Engine, file: Path | None) -> None:
        self._readers = engine
        self._writer = engine.execution_options(**{_WRITES: True})
        self._turn = threading.Lock()
        self.file = file
        """The SQLite file; None for a server."""
        self.url: str | None = (
            None if file is not None else engine.url.render_as_string(hide_password=False)
        )
        """Of a server, with its password; None for a file."""

    @property
    def is_sqlite(self) -> bool:
        return self.file is not None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database; nothing is written."""
        with mapped_errors(), self._readers.connect() as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            with connection.begin(), Session(connection) as session:
                yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are all there when the block ends, or none of them.

        Raises StoreBusy when others write for longer than the time-out.
        """
        with self.connect_to_write() as connection, Session(connection) as session:
            yield session
            session.flush()
            for _, act in sorted(session.info.pop(_LAST_ACTS, {}).items()):
                act(session)
            session.flush()

    @contextmanager
    def connect_to_write(self) -> Iterator[Connection]:
        """The same as a bare connection, in a transaction."""
        with self._own_turn(), mapped_errors(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        """Threads of one process write to SQLite one after another."""
        if not self.is_sqlite:
            yield
            return
        if not self._turn.acquire(timeout=BUSY_TIMEOUT_S):
            raise StoreBusy("Another thread writes to the history for too long.")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def alone(self, key: int, timeout_s: float) -> Iterator[None]:
        """Of all who use the same server, one at a time holds ``key``; it needs no transaction.

        For SQLite a lock file does the same. Raises StoreBusy after the time-out.
        """
        if self.is_sqlite:
            yield
            return
        with mapped_errors(), self._readers.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            until_s = time.monotonic() + timeout_s
            take = text("select pg_try_advisory_lock(:key)")
            while not connection.scalar(take, {"key": key}):
                if time.monotonic() > until_s:
                    raise StoreBusy("A backup or a purge is under way.", retry_after_s=30.0)
                time.sleep(0.05)
            try:
                yield
            finally:
                connection.execute(text("select pg_advisory_unlock(:key)"), {"key": key})

    def forget_removed(self) -> bool:
        """Take what was deleted out of SQLite's log too; Postgres needs its own VACUUM.

        False when somebody reads an older state for longer than a moment: then it is for later.
        """
        if not self.is_sqlite:
            return True
        with mapped_errors(), self._readers.connect() as connection:
            driver = connection.connection.cursor()
            # Writers wait meanwhile, so a long reader must not make this one wait for long.
            driver.execute(f"pragma busy_timeout = {_FORGET_TIMEOUT_MS}")
            try:
                (is_busy, *_) = driver.execute("pragma wal_checkpoint(truncate)").fetchone()
            finally:
                driver.execute(f"pragma busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
                driver.close()
        return not is_busy

    def compact(self) -> None:
        """Write SQLite's file anew, without what was removed; others wait with their writes.

        ``secure_delete`` is not enough: rows that moved when their neighbours went have left copies
        in the unused middle of pages. Takes seconds for a gigabyte, and as much room beside it.
        """
        if not self.is_sqlite:
            return
        with self._own_turn(), mapped_errors(), self._readers.connect() as connection:
            driver = connection.connection.cursor()
            try:
                driver.execute("vacuum")
            finally:
                driver.close()

    @property
    def size_bytes(self) -> int:
        """Of the file; 0 for a server."""
        return 0 if self.file is None else self.file.stat().st_size

    def close(self) -> None:
        self._readers.dispose()


def at_the_end(session: Session, kind: LastAct, act: Callable[[Session], None]) -> None:
    """Do it, once, as one of the last acts of a transaction that ``Database.write`` began."""
    session.info.setdefault(_LAST_ACTS, {})[kind] = act


def lock(session: Session, name: str) -> None:
    """Until the transaction ends, nobody else is past a lock of this name.

    For Postgres; SQLite has one writer at a time anyway.
    """
    if session.get_bind().dialect.name != "sqlite":
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": key})


def affected(found: Result[Any]) -> int:
    """How many rows a statement changed or removed."""
    return int(getattr(found, "rowcount", 0))


def open_database(url: str | None, folder: Path) -> Database:
    """The database at ``url``, or the SQLite file in ``folder``; connects when it is first used.

    Raises OptionInvalid for a URL that is neither, ExtraMissing without the driver of Postgres.
    """
    if url is None:
        return _open_sqlite(folder / _FILE)
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise OptionInvalid("A history in memory would be lost; name a file.")
        return _open_sqlite(Path(parsed.database).expanduser().absolute())
    return _open_postgres(parsed)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except ArgumentError as exc:
        raise OptionInvalid("LINGTING_DATABASE_URL is no database URL.") from exc
    if backend == "postgres":
        parsed, backend = parsed.set(drivername="postgresql"), "postgresql"
    if backend not in {"postgresql", "sqlite"}:
        raise OptionInvalid(
            "LINGTING_DATABASE_URL names another kind of database; allowed are postgresql, sqlite."
        )
    return parsed


def _open_sqlite(file: Path) -> Database:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(file)),
        connect_args={"timeout": BUSY_TIMEOUT_S},
        json_serializer=_to_json,
        hide_parameters=True,  # they are transcripts, and exceptions are shown with --verbose
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, see below
        cursor = connection.cursor()
        for pragma in (
            "journal_mode = wal",
            "synchronous = full",  # what was kept survives a power cut, not only a crash
            "foreign_keys = on",
            "secure_delete = on",  # a purge leaves nothing in free pages
            "cache_size = -16384",
        ):
            cursor.execute(f"pragma {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("begin immediate" if writes else "begin")

    return Database(engine, file)


def _open_postgres(url: URL) -> Database:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    try:
        engine = create_engine(
            url, pool_pre_ping=True, pool_size=5, max_overflow=10, json_serializer=_to_json,
            hide_parameters=True,
            connect_args={"connect_timeout": 10},
        )  # fmt: skip
    except (ModuleNotFoundError, NoSuchModuleError) as exc:
        raise ExtraMissing(
            "The driver of Postgres is missing.", "Run `pip install lingting[postgres]`."
        ) from exc

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        # A frozen process must not hold its locks against all others.
        with connection.cursor() as cursor:
            cursor.execute(f"set idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_S}s'")
        connection.commit()

    return Database(engine, None)


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@contextmanager
def mapped_errors() -> Iterator[None]:
    """What the database says, as our errors. Its own sentence may quote rows and is left out."""
    try:
        yield
    except PoolTimeout as exc:
        raise StoreBusy("Too many ask the history at once.") from exc
    except OperationalError as exc:
        told = str(exc.orig).lower()
        if "locked" in told or "deadlock" in told or "timeout" in told:
            raise StoreBusy("Others write to the history for too long.") from exc
        if "full" in told or "no space" in told:
            raise StoreUnreachable("The disk is full.", "Free some space, then try again.") from exc
        raise StoreUnreachable("The database cannot be opened or used.") from exc
    except DBAPIError as exc:
        raise StoreUnreachable(
            f"The database refused ({type(exc.orig).__name__}).", "Run `lingting db check`."
        ) from exc
