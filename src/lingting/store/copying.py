"""All rows of one database into another, of either kind, without their being held in memory.

A backup of a Postgres database is an SQLite file with the same rows, so a backup is one format, and
a history moves from one kind of database to the other by a backup and a restore.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import JSON, Connection, MetaData, Table, delete, func, insert, select, text

from lingting.store.indexing import copy_terms
from lingting.store.schema import Base

_BATCH = 2_000


def copy_rows(source: Connection, target: Connection) -> int:
    """Put every row of ``source`` into the empty tables of ``target``; how many.

    Both have the newest schema. The source is read in its transaction, whose isolation makes the
    rows those of one moment.
    """
    copied = 0
    for table in _tables():
        rows = source.execution_options(yield_per=_BATCH).execute(select(table))
        for part in rows.partitions(_BATCH):
            target.execute(insert(table), [dict(row._mapping) for row in part])
            copied += len(part)
    _set_sequences(target)
    copy_terms(target)
    return copied


def clear(target: Connection) -> None:
    """Take every row away."""
    for table in reversed(list(_tables())):
        target.execute(delete(table))


def _tables() -> Iterator[Table]:
    """Each behind those it points at. A value that is not there stays not there, and is no JSON."""
    metadata = MetaData()
    for original in Base.metadata.sorted_tables:
        table = original.to_metadata(metadata)
        for column in table.columns:
            if isinstance(column.type, JSON):
                column.type = JSON(none_as_null=bool(column.nullable))
        yield table


def _set_sequences(target: Connection) -> None:
    """The next row that Postgres numbers comes behind those that were copied."""
    if target.dialect.name == "sqlite":
        return
    for table in _tables():
        named = text("select pg_get_serial_sequence(:table, 'id')")
        if "id" not in table.columns or not target.scalar(named, {"table": table.name}):
            continue
        last = target.scalar(select(func.max(table.c.id)))
        if last is not None:
            target.execute(
                text("select setval(pg_get_serial_sequence(:table, 'id'), :last)"),
                {"table": table.name, "last": last},
            )
