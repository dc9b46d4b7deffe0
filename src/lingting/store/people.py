"""Users, departments, keys, sessions and one-time links. Each function runs in one transaction.

What a secret looks like and who may do what is ``server.access``; here are rows. Of secrets only
digests are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from lingting.store.database import affected, lock
from lingting.store.records import Department, Role
from lingting.store.schema import DepartmentRow, KeyRow, LinkRow, SessionRow, UserRow


@dataclass(frozen=True, slots=True)
class User:
    name: str
    department: str | None
    is_shared: bool
    """The members of the department read one another's."""
    role: Role
    scopes: tuple[str, ...]
    limits: Mapping[str, float | None]
    """Those that are not everybody's."""
    subject: str | None
    failures: int
    """Wrong passwords in a row."""
    locked_until: datetime | None
    password_hash: str | None
    password_id: str | None
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredKey:
    id: str
    name: str
    user: str
    role: Role
    """Its user's when it was made."""
    scopes: tuple[str, ...]
    limits: Mapping[str, float | None]
    owner: User | None
    """None for a name that is no user of the service."""
    sha256: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    is_local: bool


@dataclass(frozen=True, slots=True)
class Ticket:
    """A session or a one-time link."""

    user: str
    sha256: str
    until: datetime
    password_id: str | None = None


# Users -----------------------------------------------------------------------------------------


def user(session: Session, name: str, *, is_locked: bool = False) -> User | None:
    """``is_locked``: nobody else changes it until the transaction ends."""
    row = session.get(UserRow, name, with_for_update=is_locked, populate_existing=is_locked)
    return None if row is None else _user(row, _is_shared(session, row.department))


def users(session: Session) -> list[User]:
    return [_user(*found) for found in session.execute(_USERS.order_by(UserRow.name))]


def user_of_subject(session: Session, subject: str) -> User | None:
    """Whom an identity provider calls so."""
    found = session.execute(_USERS.where(UserRow.subject == subject)).one_or_none()
    return None if found is None else _user(*found)


def add_user(
    session: Session,
    name: str,
    *,
    role: Role,
    scopes: Sequence[str],
    department: str | None,
    now: datetime,
    subject: str | None = None,
) -> bool:
    """A user without a password; False when the name is taken."""
    lock(session, "users")  # of two who add the same name, the second finds it
    if session.get(UserRow, name) is not None:
        return False
    session.add(
        UserRow(
            name=name, role=role, scopes=list(scopes), department=department, subject=subject,
            created_at=now,
        )
    )  # fmt: skip
    session.flush()
    return True


def set_password(session: Session, name: str, password_hash: str, password_id: str) -> None:
    """Sessions that were begun with another one have ended."""
    session.execute(
        update(UserRow)
        .where(UserRow.name == name)
        .values(password_hash=password_hash, password_id=password_id, failures=0, locked_until=None)
    )
    session.execute(delete(SessionRow).where(SessionRow.user == name))


def set_disabled(session: Session, name: str, at: datetime | None) -> None:
    """None: enabled again."""
    session.execute(update(UserRow).where(UserRow.name == name).values(disabled_at=at))


def change_user(session: Session, name: str, **values: Any) -> None:
    """``role``, ``department``, ``scopes``, ``limits``, ``subject``; the others stay."""
    session.execute(update(UserRow).where(UserRow.name == name).values(**values))


def note_failure(session: Session, name: str, failures: int, until: datetime | None) -> None:
    """Wrong passwords in a row, and when the next one is looked at; 0 behind a right one."""
    session.execute(
        update(UserRow).where(UserRow.name == name).values(failures=failures, locked_until=until)
    )


def end_sessions(session: Session, name: str) -> int:
    """All of a user's; how many."""
    found = session.execute(delete(SessionRow).where(SessionRow.user == name))
    return affected(found)


def lock_users(session: Session) -> None:
    """Whoever counts administrators is the only one who does until the transaction ends."""
    lock(session, "users")


def _is_shared(session: Session, department: str | None) -> bool:
    found = None if department is None else session.get(DepartmentRow, department)
    return found is not None and found.is_shared


_USERS = select(UserRow, DepartmentRow.is_shared).outerjoin(
    DepartmentRow, DepartmentRow.name == UserRow.department
)


def _user(row: UserRow, is_shared: bool | None) -> User:
    return User(
        name=row.name,
        department=row.department,
        is_shared=bool(is_shared),
        role=cast(Role, row.role),
        scopes=tuple(row.scopes),
        limits=row.limits or {},
        subject=row.subject,
        failures=row.failures,
        locked_until=row.locked_until,
        password_hash=row.password_hash,
        password_id=row.password_id,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
    )


def department_of(session: Session, name: str | None) -> str | None:
    """Where a user belongs; None too for a name that is none."""
    if name is None:
        return None
    return session.scalar(select(UserRow.department).where(UserRow.name == name))


# Departments -----------------------------------------------------------------------------------


def departments(session: Session) -> list[Department]:
    rows = session.scalars(select(DepartmentRow).order_by(DepartmentRow.name))
    return [Department(row.name, row.created_at, row.is_shared) for row in rows]


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


def set_shared(session: Session, name: str, is_shared: bool) -> bool:
    """False when there is no such department."""
    row = session.get(DepartmentRow, name, with_for_update=True)
    if row is None:
        return False
    row.is_shared = is_shared
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
    role: Role,
    scopes: Sequence[str],
    limits: Mapping[str, float | None] | None,
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
            role=role,
            scopes=list(scopes),
            limits=dict(limits) if limits else None,
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
    select(KeyRow, UserRow, DepartmentRow.is_shared)
    .outerjoin(UserRow, UserRow.name == KeyRow.user)
    .outerjoin(DepartmentRow, DepartmentRow.name == UserRow.department)
    .where(KeyRow.revoked_at.is_(None))
)


def _key(row: KeyRow, owner: UserRow | None, is_shared: bool | None) -> StoredKey:
    return StoredKey(
        id=row.id,
        name=row.name,
        user=row.user,
        role=cast(Role, row.role),
        scopes=tuple(row.scopes),
        limits=row.limits or {},
        owner=None if owner is None else _user(owner, is_shared),
        sha256=row.sha256,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        is_local=row.is_local,
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
