"""Users, departments, keys, sessions and one-time links. Each function runs in one transaction.

What a secret looks like and who may do what is ``server.access``; here are rows. Of secrets only
digests are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from lingting.store.database import lock
from lingting.store.schema import DepartmentRow, KeyRow, LinkRow, SessionRow, UserRow


@dataclass(frozen=True, slots=True)
class User:
    name: str
    department: str | None
    scopes: tuple[str, ...]
    password_hash: str | None
    password_id: str | None
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredKey:
    id: str
    name: str
    user: str
    scopes: tuple[str, ...]
    sha256: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    is_local: bool
    is_user_disabled: bool
    """A name that is no user of the service is not disabled either."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A session or a one-time link."""

    user: str
    sha256: str
    until: datetime
    password_id: str | None = None


@dataclass(frozen=True, slots=True)
class Department:
    name: str
    created_at: datetime


# Users -----------------------------------------------------------------------------------------


def user(session: Session, name: str, *, is_locked: bool = False) -> User | None:
    """``is_locked``: nobody else changes it until the transaction ends."""
    row = session.get(UserRow, name, with_for_update=is_locked, populate_existing=is_locked)
    return None if row is None else _user(row)


def users(session: Session) -> list[User]:
    return [_user(row) for row in session.scalars(select(UserRow).order_by(UserRow.name))]


def add_user(
    session: Session,
    name: str,
    *,
    scopes: Sequence[str],
    department: str | None,
    now: datetime,
) -> bool:
    """A user without a password; False when the name is taken."""
    lock(session, "users")  # of two who add the same name, the second finds it
    if session.get(UserRow, name) is not None:
        return False
    session.add(
        UserRow(name=name, scopes=list(scopes), department=department, created_at=now)
    )  # fmt: skip
    session.flush()
    return True


def set_password(session: Session, name: str, password_hash: str, password_id: str) -> None:
    """Sessions that were begun with another one have ended."""
    session.execute(
        update(UserRow)
        .where(UserRow.name == name)
        .values(password_hash=password_hash, password_id=password_id)
    )
    session.execute(delete(SessionRow).where(SessionRow.user == name))


def set_disabled(session: Session, name: str, at: datetime | None) -> None:
    """None: enabled again."""
    session.execute(update(UserRow).where(UserRow.name == name).values(disabled_at=at))


def lock_users(session: Session) -> None:
    """Whoever counts administrators is the only one who does until the transaction ends."""
    lock(session, "users")


def _user(row: UserRow) -> User:
    return User(
        name=row.name,
        department=row.department,
        scopes=tuple(row.scopes),
        password_hash=row.password_hash,
        password_id=row.password_id,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
    )


# Departments -----------------------------------------------------------------------------------


def departments(session: Session) -> list[Department]:
    rows = session.scalars(select(DepartmentRow).order_by(DepartmentRow.name))
    return [Department(row.name, row.created_at) for row in rows]


def has_department(session: Session, name: str) -> bool:
    return session.get(DepartmentRow, name) is not None


def add_department(session: Session, name: str, *, now: datetime) -> bool:
    """False when it is there."""
    lock(session, "departments")
    if has_department(session, name):
        return False
    session.add(DepartmentRow(name=name, created_at=now))
    session.flush()
    return True


# Keys ------------------------------------------------------------------------------------------


def key(session: Session, id: str) -> StoredKey | None:
    """None also for one that was revoked."""
    found = session.execute(_KEYS.where(KeyRow.id == id)).one_or_none()
    return None if found is None else _key(*found)


def keys(session: Session) -> list[StoredKey]:
    """Those that were not revoked, the newest first."""
    query = _KEYS.order_by(KeyRow.created_at.desc(), KeyRow.id)
    return [_key(*found) for found in session.execute(query)]


def add_key(
    session: Session,
    id: str,
    *,
    name: str,
    user: str,
    scopes: Sequence[str],
    sha256: str,
    now: datetime,
    expires_at: datetime | None,
    is_local: bool,
) -> None:
    session.add(
        KeyRow(
            id=id,
            name=name,
            user=user,
            scopes=list(scopes),
            sha256=sha256,
            created_at=now,
            expires_at=expires_at,
            is_local=is_local,
        )
    )
    session.flush()


def revoke_key(session: Session, id: str, *, now: datetime) -> bool:
    """False when no key that works has this id."""
    row = session.get(KeyRow, id, with_for_update=True)
    if row is None or row.revoked_at is not None:
        return False
    row.revoked_at = now
    return True


def note_key_used(session: Session, id: str, *, now: datetime) -> None:
    session.execute(update(KeyRow).where(KeyRow.id == id).values(last_used_at=now))


_KEYS = (
    select(KeyRow, UserRow.disabled_at)
    .outerjoin(UserRow, UserRow.name == KeyRow.user)
    .where(KeyRow.revoked_at.is_(None))
)


def _key(row: KeyRow, disabled_at: datetime | None) -> StoredKey:
    return StoredKey(
        id=row.id,
        name=row.name,
        user=row.user,
        scopes=tuple(row.scopes),
        sha256=row.sha256,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        is_local=row.is_local,
        is_user_disabled=disabled_at is not None,
    )


# Sessions and links ----------------------------------------------------------------------------


def session_of(session: Session, id: str) -> Ticket | None:
    row = session.get(SessionRow, id)
    return None if row is None else Ticket(row.user, row.sha256, row.until, row.password_id)


def add_session(session: Session, id: str, ticket: Ticket, *, now: datetime) -> None:
    """Those that are over go."""
    session.execute(delete(SessionRow).where(SessionRow.until <= now))
    session.add(
        SessionRow(
            id=id,
            user=ticket.user,
            sha256=ticket.sha256,
            until=ticket.until,
            password_id=ticket.password_id,
        )
    )
    session.flush()


def end_session(session: Session, id: str) -> None:
    """One that has ended already is no error."""
    session.execute(delete(SessionRow).where(SessionRow.id == id))


def link(session: Session, id: str, *, is_locked: bool = False) -> Ticket | None:
    """``is_locked``: of two who spend it, the second waits and finds nothing."""
    row = session.get(LinkRow, id, with_for_update=is_locked, populate_existing=is_locked)
    return None if row is None else Ticket(row.user, row.sha256, row.until)


def add_link(session: Session, id: str, ticket: Ticket, *, now: datetime) -> None:
    """Older ones of the same user go, and those that are over."""
    session.execute(delete(LinkRow).where(or_(LinkRow.user == ticket.user, LinkRow.until <= now)))
    session.add(LinkRow(id=id, user=ticket.user, sha256=ticket.sha256, until=ticket.until))
    session.flush()


def remove_link(session: Session, id: str) -> None:
    session.execute(delete(LinkRow).where(LinkRow.id == id))
