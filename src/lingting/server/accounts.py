"""Users and departments: who they are. What they show when they come is ``access``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from lingting.answers import User
from lingting.errors import DepartmentNotFound, OptionInvalid, UserNotFound
from lingting.server.principal import (
    ROLE_SCOPES,
    allowed_scopes,
    check_user_name,
    checked_scopes,
    is_administrator,
    scopes_of,
)
from lingting.store.records import ROLES, Actor, Department, Role

if TYPE_CHECKING:
    from lingting.store import Store
    from lingting.store.people import User as StoredUser

_MAX_DEPARTMENT = 60


class Accounts:
    """Reads and changes users and departments. For many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def users(self) -> list[User]:
        """All of them by name, disabled ones too."""
        from lingting.store import people

        with self._store.database.read() as session:
            return [_user(row) for row in people.users(session)]

    def user(self, name: str) -> User:
        """Raises UserNotFound."""
        from lingting.store import people

        with self._store.database.read() as session:
            found = people.user(session, name)
        if found is None:
            raise UserNotFound("There is no such user.")
        return _user(found)

    def change_user(
        self,
        name: str,
        *,
        role: str | None = None,
        scopes: Iterable[str] | None = None,
        department: str | EllipsisType | None = ...,
        limits: Mapping[str, Any] | None = None,
        actor: Actor | None = None,
    ) -> User:
        """What is left out stays; another role brings all of its scopes. Works within two seconds.

        ``limits`` take the place of all that were set for them. Keys that were made before reach no
        further than they did. Raises UserNotFound, DepartmentNotFound, OptionInvalid.
        """
        from lingting.store import audit, people
        from lingting.store.limits import parse_limits

        own = None if limits is None else parse_limits(limits)
        with self._store.database.write() as session:
            people.lock_users(session)
            found = people.user(session, name, is_locked=True)
            if found is None:
                raise UserNotFound("There is no such user.")
            values: dict[str, Any] = {}
            if role is not None or scopes is not None:
                checked, wanted = role_and_scopes(role or found.role, scopes)
                self._check_last(session, found, stays="admin" in wanted)
                values |= {"role": checked, "scopes": list(wanted)}
            if department is not ... and department != found.department:
                if department is not None and not people.has_department(session, department):
                    raise DepartmentNotFound("There is no such department.")
                values["department"] = department
                audit.note(
                    session, actor, "user.moved", "department", department or "", user=name
                )  # fmt: skip
            if own is not None:
                values["limits"] = own or None
            if values:
                people.change_user(session, name, **values)
                now = people.user(session, name, is_locked=True)
                assert now is not None
                audit.note(
                    session, actor, "user.changed", "user", name, role=now.role,
                    scopes=",".join(now.scopes), limits=len(now.limits),
                )  # fmt: skip
                found = now
            return _user(found)

    def end_sessions(self, name: str, *, actor: Actor | None = None) -> int:
        """Sign a user out everywhere, within two seconds; how many sessions. UserNotFound."""
        from lingting.store import audit, people

        with self._store.database.write() as session:
            if people.user(session, name) is None:
                raise UserNotFound("There is no such user.")
            ended = people.end_sessions(session, name)
            audit.note(session, actor, "sessions.ended", "user", name, sessions=ended)
            return ended

    def _check_last(self, session: Any, found: StoredUser, *, stays: bool) -> None:
        """Somebody can always sign in as an administrator. Raises OptionInvalid."""
        from lingting.store import people

        others = [one for one in people.users(session) if one.name != found.name]
        was = "admin" in allowed_scopes(found)
        if was and not stays and not any(map(is_administrator, others)):
            raise OptionInvalid(
                "Nobody else could sign in as an administrator.",
                "Add another one, who sets a password first.",
            )

    def add_user(
        self,
        name: str,
        *,
        role: str | None = None,
        scopes: Iterable[str] | None = None,
        department: str | None = None,
        actor: Actor | None = None,
    ) -> None:
        """A user who can set a password by ``Access.new_link``.

        Without ``scopes`` they have all of their role; without a ``role`` they are a member, or an
        administrator where the scopes say so. Raises OptionInvalid.
        """
        from lingting.store import audit, people

        check_user_name(name)
        checked, wanted = role_and_scopes(role, scopes)
        with self._store.database.write() as session:
            if department is not None and not people.has_department(session, department):
                raise OptionInvalid("There is no such department.", "See `lingting department`.")
            if not people.add_user(
                session, name, role=checked, scopes=wanted, department=department, now=_now()
            ):
                raise OptionInvalid("A user has this name already.", "See `lingting user list`.")
            audit.note(
                session, actor, "user.added", "user", name, role=checked, scopes=",".join(wanted)
            )

    def disable_user(self, name: str, *, actor: Actor | None = None) -> None:
        """Their sessions and keys work no longer, within two seconds everywhere.

        The last administrator with a password cannot be. Raises OptionInvalid.
        """
        from lingting.store import audit, people

        with self._store.database.write() as session:
            people.lock_users(session)
            found = people.user(session, name, is_locked=True)
            if found is None:
                raise OptionInvalid("There is no such user.", "See `lingting user list`.")
            if found.disabled_at is not None:
                return
            self._check_last(session, found, stays=False)
            people.set_disabled(session, name, _now())
            audit.note(session, actor, "user.disabled", "user", name)

    def enable_user(self, name: str, *, actor: Actor | None = None) -> None:
        """Takes a disabling back, with the password as it was. Raises OptionInvalid."""
        from lingting.store import audit, people

        with self._store.database.write() as session:
            found = people.user(session, name, is_locked=True)
            if found is None:
                raise OptionInvalid("There is no such user.", "See `lingting user list`.")
            if found.disabled_at is not None:
                people.set_disabled(session, name, None)
                audit.note(session, actor, "user.enabled", "user", name)

    def departments(self) -> list[Department]:
        """All of them by name."""
        from lingting.store import people

        with self._store.database.read() as session:
            return people.departments(session)

    def share_department(
        self, name: str, is_shared: bool, *, actor: Actor | None = None
    ) -> Department:
        """Whether its members read one another's recordings. Raises DepartmentNotFound."""
        from lingting.store import audit, people

        with self._store.database.write() as session:
            if not people.set_shared(session, name, is_shared):
                raise DepartmentNotFound("There is no such department.")
            action = "department.shared" if is_shared else "department.unshared"
            audit.note(session, actor, action, "department", name)
            session.flush()
            return next(one for one in people.departments(session) if one.name == name)

    def add_department(self, name: str, *, actor: Actor | None = None) -> str:
        """Its name as it is kept. Raises OptionInvalid."""
        from lingting.store import audit, people

        label = " ".join(name.split())
        if not 0 < len(label) <= _MAX_DEPARTMENT or not label.isprintable():
            raise OptionInvalid(f"A department's name has 1 to {_MAX_DEPARTMENT} characters.")
        with self._store.database.write() as session:
            if not people.add_department(session, label, now=_now()):
                raise OptionInvalid("The department is there already.")
            audit.note(session, actor, "department.added", "department", label)
        return label


def role_and_scopes(role: str | None, scopes: Iterable[str] | None) -> tuple[Role, tuple[str, ...]]:
    """What is left out follows from the other. Raises OptionInvalid for what does not fit."""
    wanted = None if scopes is None else checked_scopes(scopes)
    if role is None:
        role = "admin" if wanted is not None and "admin" in wanted else "member"
    checked = checked_role(role)
    allowed = ROLE_SCOPES[checked]
    if wanted is None:
        return checked, scopes_of(checked)
    if beyond := [one for one in wanted if one not in allowed]:
        raise OptionInvalid(
            f"A {checked} may not have the scope {beyond[0]}.",
            "Leave it out, or give another role.",
        )
    return checked, wanted


def checked_role(given: str) -> Role:
    """Raises OptionInvalid."""
    for role in ROLES:
        if given == role:
            return role
    raise OptionInvalid(f"role is {given[:40]}; there are {', '.join(ROLES)}.")


def _user(row: StoredUser) -> User:
    return User(
        row.name,
        row.department,
        row.role,
        row.scopes,
        row.created_at,
        row.disabled_at,
        row.password_hash is not None,
        row.subject is not None,
        row.limits,
    )


def _now() -> datetime:
    return datetime.now(UTC)
