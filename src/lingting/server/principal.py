"""Who a request comes from, and what they may do: roles, scopes, whose things they see.

Routes ask the ``Principal`` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from lingting.errors import NotAllowed, OptionInvalid
from lingting.store.records import Actor, Limits, Role, SharedWith, Sight

if TYPE_CHECKING:
    from lingting.store.people import User

SCOPES = ("read", "write", "search", "audit", "admin")
"""``read`` recordings, their text and jobs, and search them; ``write``: submit, correct, delete;
``search`` only; ``audit``: read the trail; ``admin``: everything, and everybody's."""
_IMPLIED = {"search": ("read",)}
ROLE_SCOPES: Mapping[Role, frozenset[str]] = {
    "service": frozenset({"read", "write", "search"}),
    "member": frozenset({"read", "write", "search"}),
    "manager": frozenset({"read", "write", "search", "audit"}),
    "admin": frozenset(SCOPES),
}
"""The most that a role may do; scopes of a user and of a key can only make it less."""
ADMINISTRATOR = "admin"
_USER = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_RESERVED = frozenset({"me", "retention", "nobody"})
"""Names that mean something else in addresses and in the trail."""
NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever a request comes from."""

    user: str
    """Their name: the ``owner`` of what they submit."""
    scopes: frozenset[str]
    by: str
    """What they showed: ``key:<id>`` or ``session:<id>``; fit for logs."""
    role: Role = "service"
    department: str | None = None
    """Theirs: the ``department`` of what they submit."""
    is_shared: bool = False
    """The members of their department read one another's."""
    limits: Limits = NO_LIMITS
    key_requests_per_minute: float | None = None
    """Of this key alone."""
    is_local: bool = False
    """By the key that the service leaves for its own user."""
    is_changing: bool = False
    """They are about to change something, see ``changing``."""

    @property
    def actor(self) -> Actor:
        """The same for the audit trail."""
        return Actor(self.user, self.by)

    @property
    def is_admin(self) -> bool:
        return "admin" in self.scopes

    @property
    def sees(self) -> Sight | None:
        """Whose things they see, or may change if they are ``changing``; None: everybody's."""
        return None if self.is_admin else Sight(self.user, self._departments())

    def _departments(self) -> frozenset[str]:
        is_theirs = self.is_manager or (
            self.role == "member" and self.is_shared and not self.is_changing
        )
        return frozenset([self.department] if is_theirs and self.department is not None else [])

    @property
    def shown(self) -> SharedWith:
        """What others share with them is found by this; it is not among what they see."""
        return SharedWith(self.user, self.department, is_person=self.role != "service")

    def changing(self) -> Self:
        """The same for a change: what others only let them read is not among what they see."""
        return replace(self, is_changing=True)

    def reading(self) -> Self:
        """The same for looking only."""
        return replace(self, is_changing=False)

    def require(self, scope: str) -> None:
        """Raises NotAllowed without it; ``admin`` may do everything."""
        if not self.has_scope(scope):
            raise NotAllowed(f"This needs the scope {scope}.")

    def has_scope(self, scope: str) -> bool:
        """``admin`` has all of them, and who may read may search."""
        return scope in expanded(self.scopes)

    @property
    def oversees(self) -> frozenset[str] | None:
        """The departments whose people they look after; None: everybody."""
        if self.is_admin:
            return None
        return frozenset([self.department] if self.is_manager and self.department else [])

    @property
    def is_manager(self) -> bool:
        """Of their department, or of more."""
        return self.role in ("manager", "admin")

    def require_manager(self) -> None:
        """Raises NotAllowed for whoever looks after nobody."""
        if not self.is_manager:
            raise NotAllowed("This is for managers and administrators.")

    def may_see(self, owner: str | None, department: str | None) -> bool:
        sight = self.sees
        return sight is None or sight.has(owner, department)


def allowed_scopes(user: User) -> frozenset[str]:
    """What a user may do: of their scopes those that their role has."""
    return expanded(user.scopes) & ROLE_SCOPES[user.role]


def expanded(scopes: Iterable[str]) -> frozenset[str]:
    """With those that they bring along."""
    there = frozenset(scopes)
    if "admin" in there:
        return frozenset(SCOPES)
    return there | {one for one, bringers in _IMPLIED.items() if not there.isdisjoint(bringers)}


def scopes_of(role: Role) -> tuple[str, ...]:
    """All of a role, without those that others bring along."""
    return tuple(one for one in SCOPES if one in ROLE_SCOPES[role] and one not in _IMPLIED)


def role_of_nobody(name: str) -> Role:
    """Of a name that is no user: a program's. The administrator may be added later."""
    return "admin" if name == ADMINISTRATOR else "service"


def is_administrator(user: User) -> bool:
    is_here = user.password_hash is not None and user.disabled_at is None
    return is_here and "admin" in allowed_scopes(user)


def checked_scopes(given: Iterable[str]) -> tuple[str, ...]:
    """In our order. Raises OptionInvalid for none, and for others than ours."""
    asked = set(given)
    wanted = tuple(one for one in SCOPES if one in asked)
    if unknown := asked - set(SCOPES) or (not wanted and {"none"}):
        raise OptionInvalid(f"{len(unknown)} scopes are not known; there are {', '.join(SCOPES)}.")
    return wanted


def is_user_name(given: str) -> bool:
    return _USER.fullmatch(given) is not None and given not in _RESERVED


def check_user_name(user: str) -> None:
    """Raises OptionInvalid."""
    if not is_user_name(user):
        raise OptionInvalid(
            "A user's name has 1 to 40 characters of a-z, 0-9, dot, hyphen and underscore."
        )
