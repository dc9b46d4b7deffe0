"""The index of the search; ``migrating.upgrade_to`` fills it with what was kept before."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    op.create_table(
        "search_entries",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True,
            autoincrement=False,
        ),
        sa.Column("segment_id", sa.BigInteger, nullable=False),
        sa.Column("confidence", sa.Double),
        sa.Column("sounds", sa.LargeBinary),
    )  # fmt: skip
    if op.get_bind().dialect.name == "sqlite":
        # Terms are made by us, and places in the text compared by us: neither the text nor where a
        # term stands is in the index, which makes it a third as large.
        op.execute(
            "create virtual table search_index using fts5"
            "(terms, content='', columnsize=0, detail='none', tokenize='ascii')"
        )
    else:
        op.execute("create table search_index (id bigint primary key, terms tsvector not null)")
        op.execute("create index search_index_terms on search_index using gin (terms)")
    if op.get_bind().scalar(sa.text("select count(*) from transcripts")):
        settings = sa.table(
            "settings", sa.column("name", sa.String), sa.column("value", sa.JSON),
            sa.column("changed_at", sa.DateTime(timezone=True)),
        )  # fmt: skip
        now = datetime.now(UTC)
        if op.get_bind().dialect.name == "sqlite":
            now = now.replace(tzinfo=None)
        op.bulk_insert(settings, [{"name": "search.stale", "value": True, "changed_at": now}])
