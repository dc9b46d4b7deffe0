"""Users, keys, sessions, links and departments, which were settings; the audit trail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"

Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "departments",
        sa.Column("name", sa.String(60), primary_key=True),
        sa.Column("created_at", Time, nullable=False),
    )
    users = op.create_table(
        "users",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("department", sa.String(60), sa.ForeignKey("departments.name")),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("password_id", sa.String(16)),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("disabled_at", Time),
    )
    keys = op.create_table(
        "keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("user", sa.String(40), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("expires_at", Time),
        sa.Column("revoked_at", Time),
        sa.Column("last_used_at", Time),
        sa.Column("is_local", sa.Boolean, nullable=False),
    )
    sessions = op.create_table(
        "sessions",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("user", sa.String(40), sa.ForeignKey("users.name"), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("until", Time, nullable=False),
        sa.Column("password_id", sa.String(16)),
    )
    op.create_index("sessions_of_user", "sessions", ["user"])
    links = op.create_table(
        "links",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("user", sa.String(40), sa.ForeignKey("users.name"), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("until", Time, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", Time, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("object_kind", sa.String(20), nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    op.create_index("audit_of_object", "audit", ["object_id", "id"])
    _move(users, keys, sessions, links)


def _move(users: sa.Table, keys: sa.Table, sessions: sa.Table, links: sa.Table) -> None:
    """What was kept as settings goes into the tables."""
    people = _taken("user")
    _add(
        users,
        [
            {
                "name": name, "scopes": row["scopes"], "password_hash": row["hash"],
                "password_id": row["password_id"], "created_at": _time(row["created_at"]),
            }
            for name, row in people.items()
        ],
    )  # fmt: skip
    _add(
        keys,
        [
            {
                "id": id, "name": row["name"], "user": row["user"], "scopes": row["scopes"],
                "sha256": row["sha256"], "created_at": _time(row["created_at"]),
                "is_local": row.get("is_local", False),
            }
            for id, row in _taken("key").items()
        ],
    )  # fmt: skip
    for kind, table in (("session", sessions), ("link", links)):
        fields = {"user", "sha256", "password_id"} & set(table.columns.keys())
        _add(
            table,
            [
                {"id": id, "until": _time(row["until"]), **{one: row[one] for one in fields}}
                for id, row in _taken(kind).items()
                if row["user"] in people
            ],
        )


def _taken(kind: str) -> dict[str, Any]:
    """Settings of a kind by what follows it in their names; they are settings no longer."""
    settings = sa.table("settings", sa.column("name", sa.String), sa.column("value", sa.JSON))
    ours = settings.c.name.startswith(f"{kind}.", autoescape=True)
    rows = op.get_bind().execute(sa.select(settings).where(ours)).all()
    op.execute(sa.delete(settings).where(ours))
    return {row.name.removeprefix(f"{kind}."): row.value for row in rows}


def _add(table: sa.Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        op.bulk_insert(table, rows)


def _time(written: str) -> datetime:
    """SQLite keeps UTC without saying so."""
    time = datetime.fromisoformat(written).astimezone(UTC)
    return time.replace(tzinfo=None) if op.get_bind().dialect.name == "sqlite" else time
