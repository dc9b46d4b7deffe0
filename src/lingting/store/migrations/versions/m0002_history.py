"""Tags, settings, receipts of purges, peaks; how a transcript begins is kept with its revision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"

Time = sa.DateTime(timezone=True)
_EXCERPT_CHARS = 120
_EXCERPT_SEGMENTS = 20


def upgrade() -> None:
    op.create_table(
        "tags",
        sa.Column("recording_id", sa.String(16), sa.ForeignKey("recordings.id"), primary_key=True),
        sa.Column("tag", sa.Text, primary_key=True),
    )
    op.create_index("tags_by_tag", "tags", ["tag"])
    op.create_table(
        "settings",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
        sa.Column("changed_at", Time, nullable=False),
    )
    op.create_table(
        "receipts",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True
        ),
        sa.Column("recording_id", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("purged_at", Time, nullable=False),
        sa.Column("author", sa.Text),
        sa.Column("revisions", sa.Integer, nullable=False),
        sa.Column("segments", sa.Integer, nullable=False),
        sa.Column("audio", sa.String(16), nullable=False),
    )  # fmt: skip
    op.add_column("blobs", sa.Column("peaks", sa.LargeBinary))
    op.add_column("revisions", sa.Column("excerpt", sa.Text, nullable=False, server_default=""))
    _fill_excerpts()


def _fill_excerpts() -> None:
    """The first segments of every revision, joined as ``joining.join`` did when this was written.

    A migration calls no code that may change: it must do tomorrow what it did today.
    """
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(
            "select rs.revision_id, s.text from revision_segments rs"
            " join segments s on s.id = rs.segment_id"
            " where rs.position < :limit order by rs.revision_id, rs.position"
        ),
        {"limit": _EXCERPT_SEGMENTS},
    )
    begins: dict[int, str] = {}
    for revision_id, text in rows:
        said = begins.get(revision_id, "")
        gap = " " if said and said[-1].isascii() and text[:1].isascii() else ""
        begins[revision_id] = f"{said}{gap}{text}"[:_EXCERPT_CHARS]
    if begins:
        connection.execute(
            sa.text("update revisions set excerpt = :excerpt where id = :id"),
            [{"id": key, "excerpt": text} for key, text in begins.items()],
        )
