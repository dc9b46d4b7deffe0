"""Who is asking: keys, sessions, the administrator and one-time links.

Everything is kept in tables of the store (``store.people``), so a backup holds it and ``lingting
key`` works while the service runs. Of a secret only its SHA-256 is kept (256 random bits need no
slow hash), of a password its argon2 hash. What changes anything, and who signs in or is refused, is
in the audit trail, written in the same transaction.

A request without a key or a session is nobody, from this machine too: any program and any web page
that somebody opens can reach the loopback address. What they may do, their ``Principal`` says.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lingting.answers import Key
from lingting.errors import (
    KeyNotFound,
    LinkSpent,
    OptionInvalid,
    SignInNeeded,
    SignInRefused,
    StoreBusy,
    StoreUnreachable,
)
from lingting.server import passwords
from lingting.server.principal import (
    ADMINISTRATOR,
    NO_LIMITS,
    ROLE_SCOPES,
    SCOPES,
    Principal,
    allowed_scopes,
    check_user_name,
    checked_scopes,
    expanded,
    is_administrator,
    is_user_name,
    role_of_nobody,
    scopes_of,
)
from lingting.server.tries import (
    FREE_KEYS_OF_ADDRESS,
    FREE_TRIES_OF_ADDRESS,
    Tries,
    check_lock,
    wait_of,
)
from lingting.store.records import ROLES, Actor, Limits

if TYPE_CHECKING:
    from lingting.server.oidc import Person
    from lingting.store import Store
    from lingting.store.people import StoredKey, Ticket, User

SESSION_S = 7 * 24 * 3600.0
LINK_S = 24 * 3600.0
REMEMBERED_S = 2.0
"""How long a revoked key may still work: what was read of the store is remembered so long."""
USE_NOTED_S = 3600.0
"""The last use of a key is noted no finer than this: reading must not become writing."""
_REMEMBERED = 10_000
_KEY = re.compile(r"lk_([0-9a-z]{10})_([A-Za-z0-9_-]{43})")
_TICKET = re.compile(r"([0-9a-z]{10})\.([A-Za-z0-9_-]{43})")
_ID_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_MAX_KEY_NAME = 60


class Access:
    """Reads and changes what the store knows about users and keys. For many threads."""

    def __init__(
        self, store: Store, *, defaults: Limits = NO_LIMITS, session_s: float = SESSION_S
    ) -> None:
        """``defaults``: limits of everybody, unless the store has others."""
        self._store = store
        self._defaults = defaults
        self._limits = defaults
        self._session_s = session_s
        self._turn = threading.Lock()
        self._remembered: dict[str, tuple[float, Any]] = {}
        self._used: dict[str, float] = {}
        self._strangers = Tries()
        """Names that no user has: they are as slow as those that one has."""
        self.addresses = Tries(free=FREE_TRIES_OF_ADDRESS)
        """Where wrong passwords come from."""
        self.guessers = Tries(free=FREE_KEYS_OF_ADDRESS)
        """Where keys come from that are none."""

    # Who is asking -----------------------------------------------------------------------------

    def of_key(self, given: str) -> Principal:
        """Raises SignInNeeded for a key that is not, or no longer, one of ours."""
        from lingting.store import people

        matched = _KEY.fullmatch(given.strip())
        if matched is not None:
            id = matched[1]
            row = self._known(f"key.{id}", lambda session: people.key(session, id))
            self._read_limits()
            if row is not None and _is_same(row.sha256, matched[2]) and _is_good(row):
                self._note_use(row)
                return self._principal(row)
        raise SignInNeeded("The key is not valid.")

    def remembered(self, given: str) -> Principal | None:
        """The same for a key that was seen within two seconds; never asks the database."""
        matched = _KEY.fullmatch(given.strip())
        if matched is None:
            return None
        with self._turn:
            found = self._remembered.get(f"key.{matched[1]}")
        if found is None or time.monotonic() - found[0] >= REMEMBERED_S:
            return None
        row = found[1]
        if not _is_same(row.sha256, matched[2]) or not _is_good(row):
            return None
        return self._principal(row)

    def of_session(self, given: str) -> Principal:
        """Raises SignInNeeded when it has ended."""
        from lingting.store import people

        matched = _TICKET.fullmatch(given)
        if matched is not None:
            id = matched[1]
            row = self._known(f"session.{id}", lambda session: people.session_of(session, id))
            if row is not None and _is_same(row.sha256, matched[2]) and row.until > _now():
                user = self._known(
                    f"user.{row.user}", lambda session: people.user(session, row.user)
                )
                if (
                    user is not None
                    and user.disabled_at is None
                    and user.password_id == row.password_id
                ):
                    self._read_limits()
                    return self._principal_of(user, f"session:{id}")
        raise SignInNeeded("The session has ended.")

    def _principal(self, row: StoredKey) -> Principal:
        """What the key was made for, as far as its user may still do it."""
        by, scopes = f"key:{row.id}", expanded(row.scopes)
        if row.is_local:
            return Principal(row.user, scopes, by, row.role, is_local=True)
        if row.owner is None:
            role = min(role_of_nobody(row.user), row.role, key=ROLES.index)
            who = Principal(row.user, ROLE_SCOPES[role], by, role, limits=self._limits)
        else:
            who = self._principal_of(row.owner, by)
            role = min(who.role, row.role, key=ROLES.index)
        limits = who.limits
        for name in ("audio_s_per_day", "stored_bytes"):
            own, least = row.limits.get(name), getattr(limits, name)
            if own is not None:
                limits = limits.with_own({name: own if least is None else min(own, least)})
        return replace(
            who,
            scopes=who.scopes & scopes & ROLE_SCOPES[role],
            role=role,
            limits=limits,
            key_requests_per_minute=row.limits.get("requests_per_minute"),
        )

    def _principal_of(self, user: User, by: str) -> Principal:
        return Principal(
            user.name, allowed_scopes(user), by, user.role, user.department, user.is_shared,
            self._limits.with_own(user.limits),
        )  # fmt: skip

    def _read_limits(self) -> None:
        """Those of everybody, as they are now."""
        from lingting.store import limits

        self._limits = self._defaults.with_own(self._known("limits", limits.set_here))

    def forget_limits(self) -> None:
        """They were changed a moment ago."""
        self._forget("limits")

    def _known(self, name: str, read: Callable[[Any], Any]) -> Any:
        """A row, read at most every two seconds; what is not there is not remembered."""
        now_s = time.monotonic()
        with self._turn:
            found = self._remembered.get(name)
            if found is not None and now_s - found[0] < REMEMBERED_S:
                return found[1]
        with self._store.database.read() as session:
            value = read(session)
        with self._turn:
            if value is None:
                self._remembered.pop(name, None)
            else:
                if len(self._remembered) >= _REMEMBERED:
                    self._remembered.clear()
                self._remembered[name] = (now_s, value)
        return value

    def _note_use(self, row: StoredKey) -> None:
        """Now and then. A store that cannot be written to now keeps nobody from reading."""
        from lingting.store import people

        now = _now()
        if row.last_used_at is not None and (
            now - row.last_used_at < timedelta(seconds=USE_NOTED_S)
        ):
            return
        with self._turn:  # of several threads, one; and after a failure not at once again
            if now.timestamp() - self._used.get(row.id, 0.0) < USE_NOTED_S:
                return
            if len(self._used) >= _REMEMBERED:
                self._used.clear()
            self._used[row.id] = now.timestamp()
        with (
            contextlib.suppress(StoreBusy, StoreUnreachable),
            self._store.database.write() as session,
        ):
            people.note_key_used(session, row.id, now=now)

    def _forget(self, name: str) -> None:
        with self._turn:
            self._remembered.pop(name, None)

    # Keys --------------------------------------------------------------------------------------

    def new_key(
        self,
        name: str,
        *,
        user: str = ADMINISTRATOR,
        scopes: Iterable[str] = ("read", "write"),
        is_local: bool = False,
        expires_at: datetime | None = None,
        limits: Mapping[str, float | None] | None = None,
        actor: Actor | None = None,
    ) -> tuple[Key, str]:
        """A key and what it looks like; nobody can find that out again.

        It may never do more than its user's role, and never reaches further than that role does
        now. Raises OptionInvalid for scopes beyond it.
        """
        from lingting.store import audit, people
        from lingting.store.limits import parse_limits

        wanted = checked_scopes(scopes)
        label = " ".join(name.split())
        if not 0 < len(label) <= _MAX_KEY_NAME or not label.isprintable():
            raise OptionInvalid(f"A key's name has 1 to {_MAX_KEY_NAME} characters.")
        check_user_name(user)
        own = parse_limits(limits or {})
        id, secret, now = _new_id(), secrets.token_urlsafe(32), _now()
        if expires_at is not None and expires_at <= now:
            raise OptionInvalid("The key would have ended already.")
        with self._store.database.write() as session:
            owner = people.user(session, user)
            if owner is not None and owner.disabled_at is not None and not is_local:
                raise OptionInvalid("The user is disabled.", "Enable them first.")
            role = role_of_nobody(user) if owner is None else owner.role
            allowed = ROLE_SCOPES[role] if owner is None else allowed_scopes(owner)
            if is_local:
                role = "admin"
            elif beyond := [one for one in wanted if one not in allowed]:
                raise OptionInvalid(
                    f"{user} is {role} and may not have the scope {beyond[0]}.",
                    "Leave it out, or give the user another role.",
                )
            people.add_key(
                session, id, name=label, user=user, role=role, scopes=wanted, limits=own or None,
                sha256=_digest(secret), now=now, expires_at=expires_at, is_local=is_local,
            )  # fmt: skip
            audit.note(session, actor, "key.made", "key", id, user=user, scopes=",".join(wanted))
        made = Key(id, label, user, wanted, now, role, own, is_local, expires_at)
        return made, f"lk_{id}_{secret}"

    def keys(self) -> list[Key]:
        """All of them that were not revoked, the newest first."""
        from lingting.store import people

        with self._store.database.read() as session:
            return [_key(row) for row in people.keys(session)]

    def revoke(self, id: str, *, actor: Actor | None = None) -> None:
        """It works no longer, within two seconds everywhere. Raises KeyNotFound."""
        from lingting.store import audit, people

        with self._store.database.write() as session:
            if not people.revoke_key(session, id, now=_now()):
                raise KeyNotFound("No key has this id.")
            audit.note(session, actor, "key.revoked", "key", id)
        self._forget(f"key.{id}")

    # People ------------------------------------------------------------------------------------

    def ensure_administrator(self) -> bool:
        """The first start makes one. True when somebody can sign in as one."""
        from lingting.store import audit, people

        with self._store.database.write() as session:
            if people.add_user(
                session, ADMINISTRATOR, role="admin", scopes=SCOPES, department=None, now=_now()
            ):
                audit.note(session, None, "user.added", "user", ADMINISTRATOR)
            return any(map(is_administrator, people.users(session)))

    def has_administrator(self) -> bool:
        """Somebody can sign in with a password and may do everything."""
        from lingting.store import people

        with self._store.database.read() as session:
            return any(map(is_administrator, people.users(session)))

    def new_link(self, user: str = ADMINISTRATOR, *, actor: Actor | None = None) -> str:
        """The secret of a link that lets its holder set a password, once, within 24 hours.

        An older link of the same user stops working.
        """
        from lingting.store import audit, people

        id, secret, now = _new_id(), secrets.token_urlsafe(32), _now()
        ticket = people.Ticket(user, _digest(secret), now + timedelta(seconds=LINK_S))
        with self._store.database.write() as session:
            found = people.user(session, user, is_locked=True)
            if found is None:
                raise OptionInvalid("There is no such user.", "Give another name.")
            if found.disabled_at is not None:
                raise OptionInvalid("The user is disabled.", "Enable them first.")
            people.add_link(session, id, ticket, now=now)
            audit.note(session, actor, "link.made", "user", user, link=id)
        return f"{id}.{secret}"

    def check_link(self, given: str) -> str:
        """The user it is for; it stays usable. Raises LinkSpent."""
        from lingting.store import people

        id, secret = _ticket(given)
        with self._store.database.read() as session:
            return _valid_link(people.link(session, id), secret).user

    def set_password(self, link: str, password: str) -> str:
        """Use a link up; its user, whose sessions end. Raises LinkSpent, OptionInvalid."""
        from lingting.store import audit, people

        id, secret = _ticket(link)
        name = self.check_link(link)
        hashed = passwords.hash_of(password)
        with self._store.database.write() as session:
            user = people.user(session, name, is_locked=True)  # first, as in new_link
            _valid_link(people.link(session, id, is_locked=True), secret)
            if user is None or user.disabled_at is not None:
                raise LinkSpent("The user of the link is disabled.", "Ask an administrator.")
            people.remove_link(session, id)
            people.set_password(session, name, hashed, _new_id())
            audit.note(session, Actor(name, f"link:{id}"), "password.set", "user", name)
        self._forget(f"user.{name}")
        return name

    def sign_in(self, user: str, password: str, *, address: str | None = None) -> str:
        """The cookie of a new session. Raises SignInRefused, and TooManyTries after some.

        A try is counted before the password is looked at, so that many at once gain nothing.
        ``address`` is where it comes from: whoever tries many names waits as well.
        """
        from lingting.store import audit, people

        self.addresses.check(address)
        row = self._begin_try(user)
        is_right = passwords.is_right(password, None if row is None else row.password_hash)
        if not is_right or row is None or row.disabled_at is not None:
            self.addresses.note_failure(address)
            # Of nobody's name nothing is written: people type passwords into the wrong field.
            name = "" if row is None else row.name
            with self._store.database.write() as session:
                audit.note(session, Actor(name, "password"), "sign_in.refused", "user", name)
            raise SignInRefused("User or password is wrong.")
        with self._store.database.write() as session:
            people.note_failure(session, user, 0, None)
            return self._begin_session(session, row, "password")

    def sign_in_by_provider(
        self, person: Person, *, decides_role: bool, decides_department: bool
    ) -> str:
        """The cookie of a new session for whom the identity provider vouches for.

        Who comes for the first time becomes a user. What the provider decides is what it says each
        time. Raises SignInRefused.
        """
        from lingting.store import audit, people

        with self._store.database.write() as session:
            people.lock_users(session)
            user = people.user_of_subject(session, person.subject)
            actor = Actor(person.name if user is None else user.name, "oidc")
            department = person.department
            if department is not None and not people.has_department(session, department):
                people.add_department(session, department, now=_now())
                audit.note(session, actor, "department.added", "department", department)
            if user is None:
                self._add_person(session, person)
            elif user.disabled_at is not None:
                raise SignInRefused("The user is disabled.", "Ask an administrator.")
            else:
                told: dict[str, Any] = {}
                if decides_role and user.role != person.role:
                    told |= {"role": person.role, "scopes": list(scopes_of(person.role))}
                if decides_department and user.department != department:
                    told["department"] = department
                self._follow(session, user, told, actor)
            user = people.user_of_subject(session, person.subject)
            assert user is not None
            ticket = self._begin_session(session, user, "oidc")
        self._forget(f"user.{user.name}")
        return ticket

    def _follow(self, session: Any, user: User, told: Mapping[str, Any], actor: Actor) -> None:
        """Role and department as the provider has them now."""
        from lingting.store import audit, people

        if "department" in told:
            department = told["department"] or ""
            audit.note(session, actor, "user.moved", "department", department, user=user.name)
        if told:
            people.change_user(session, user.name, **told)
            role = told.get("role", user.role)
            audit.note(session, actor, "user.changed", "user", user.name, role=role)

    def _add_person(self, session: Any, person: Person) -> None:
        """A name that somebody here has already is not theirs. Raises SignInRefused."""
        from lingting.store import audit, people

        if not is_user_name(person.name):
            raise SignInRefused("The provider gives you a name that cannot be used here.")
        is_new = people.add_user(
            session, person.name, role=person.role, scopes=scopes_of(person.role),
            department=person.department, now=_now(), subject=person.subject,
        )  # fmt: skip
        if not is_new:
            raise SignInRefused("Another user has your name here already.", "Ask an administrator.")
        actor = Actor(person.name, "oidc")
        audit.note(session, actor, "user.added", "user", person.name, role=person.role)

    def _begin_try(self, user: str) -> User | None:
        """Count it as a failure, until the password was right. Raises TooManyTries."""
        from lingting.store import people

        now = _now()
        row = None
        if is_user_name(user):
            with self._store.database.write() as session:
                row = people.user(session, user, is_locked=True)
                if row is not None:
                    check_lock(row, now)
                    failures = row.failures + 1
                    people.note_failure(session, user, failures, now + wait_of(failures))
        if row is None:
            self._strangers.check(user)
            self._strangers.note_failure(user)
        return row

    def _begin_session(self, session: Any, user: User, how: str) -> str:
        """A ticket that nobody has seen before, whatever the browser brought along."""
        from lingting.store import audit, people

        id, secret, now = _new_id(), secrets.token_urlsafe(32), _now()
        until = now + timedelta(seconds=self._session_s)
        ticket = people.Ticket(user.name, _digest(secret), until, user.password_id)
        people.add_session(session, id, ticket, now=now)
        audit.note(session, Actor(user.name, how), "sign_in", "user", user.name, session=id)
        return f"{id}.{secret}"

    def sign_out(self, session: str) -> None:
        """The session ends; one that has ended already, or is none, is no error."""
        from lingting.store import audit, people

        matched = _TICKET.fullmatch(session)
        if matched is not None:
            with self._store.database.write() as transaction:
                found = people.session_of(transaction, matched[1])
                if found is None or not _is_same(found.sha256, matched[2]):
                    return
                people.end_session(transaction, matched[1])
                actor = Actor(found.user, f"session:{matched[1]}")
                audit.note(transaction, actor, "sign_out", "user", found.user)
            self._forget(f"session.{matched[1]}")


def _valid_link(row: Ticket | None, secret: str) -> Ticket:
    if row is None or not _is_same(row.sha256, secret) or row.until <= _now():
        raise LinkSpent("The link was used, is older than 24 hours, or never existed.")
    return row


def _ticket(given: str) -> tuple[str, str]:
    matched = _TICKET.fullmatch(given.strip())
    if matched is None:
        raise LinkSpent("The link was used, is older than 24 hours, or never existed.")
    return matched[1], matched[2]


def _key(row: StoredKey) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        user=row.user,
        scopes=row.scopes,
        created_at=row.created_at,
        role=row.role,
        limits=row.limits,
        is_local=row.is_local,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )


def _is_good(row: StoredKey) -> bool:
    """This machine's own key also when its user is disabled: who reads it owns the database."""
    is_over = row.expires_at is not None and row.expires_at <= _now()
    is_disabled = row.owner is not None and row.owner.disabled_at is not None
    return not is_over and (row.is_local or not is_disabled)


def _is_same(kept: str, secret: str) -> bool:
    """Takes as long whatever was given."""
    return hmac.compare_digest(kept, _digest(secret))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _new_id() -> str:
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(10))


def _now() -> datetime:
    return datetime.now(UTC)
