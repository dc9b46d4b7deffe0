"""Roles, departments of jobs, limits, lock-outs and identity providers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"

_ALL = "owner is null and department is null"


def upgrade() -> None:
    for table in ("jobs", "batches", "job_events"):
        op.add_column(table, sa.Column("department", sa.Text))
    op.create_index("jobs_of_department", "jobs", ["department", "created_at", "id"])
    op.create_index("batches_of_department", "batches", ["department", "created_at", "id"])
    op.create_index(
        "recordings_by_department", "recordings",
        ["department", "deleted_at", "created_at", "id"],
    )  # fmt: skip
    op.execute(
        "update jobs set department ="
        " (select department from recordings where recordings.id = jobs.recording_id)"
    )
    op.add_column(
        "departments",
        sa.Column("is_shared", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    _add_to_people()
    op.create_table(
        "usage",
        sa.Column("user", sa.Text, primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("audio_s", sa.Double, nullable=False),
    )
    op.drop_index("glossaries_for_all", table_name="glossaries")
    for name, columns, where in (
        ("glossaries_for_all", ["name"], _ALL),
        ("glossaries_of_department", ["department", "name"], "owner is null"),
    ):
        op.create_index(
            name, "glossaries", columns, unique=True,
            sqlite_where=sa.text(where), postgresql_where=sa.text(where),
        )  # fmt: skip


def _add_to_people() -> None:
    for table in ("users", "keys"):
        role = sa.Column("role", sa.String(16), nullable=False, server_default="member")
        op.add_column(table, role)
        op.add_column(table, sa.Column("limits", sa.JSON))
        _name_administrators(table)
    op.add_column("users", sa.Column("subject", sa.Text))
    op.add_column("users", sa.Column("failures", sa.Integer, nullable=False, server_default="0"))
    op.add_column("users", sa.Column("locked_until", sa.DateTime(timezone=True)))
    op.create_index("users_subject", "users", ["subject"], unique=True)


def _name_administrators(table: str) -> None:
    """Whoever had the scope has the role; everybody else sees their own, as before."""
    key = "name" if table == "users" else "id"
    rows = sa.table(
        table, sa.column(key, sa.String), sa.column("scopes", sa.JSON), sa.column("role", sa.String)
    )
    for name, scopes in op.get_bind().execute(sa.select(rows.c[key], rows.c.scopes)).all():
        if "admin" in scopes:
            op.execute(rows.update().where(rows.c[key] == name).values(role="admin"))
    if table == "keys":
        op.execute("update keys set role = 'admin' where is_local")
