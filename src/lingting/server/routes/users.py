"""Users: who they are and what they may do. Managers look after their department's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from lingting.answers import Me, User
from lingting.errors import NotAllowed, UserNotFound
from lingting.server.accounts import Accounts
from lingting.server.asking import Administrator, Anybody, Overseer, TheService
from lingting.server.principal import SCOPES, Principal
from lingting.server.service import Service
from lingting.store.records import Role

router = APIRouter(tags=["users"])


@dataclass(frozen=True, slots=True)
class UserList:
    items: Sequence[User]


@dataclass(frozen=True, slots=True)
class Link:
    """By which a user sets a password, once."""

    user: str
    path: str
    """Behind the address of the service; it holds a secret and is shown this once."""


class NewUser(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"name": "wang", "role": "member", "department": "sales"}},
    )

    name: str = Field(max_length=40)
    role: Role | None = None
    scopes: list[str] | None = Field(default=None, max_length=len(SCOPES))
    department: str | None = Field(default=None, max_length=60)


class ChangedUser(BaseModel):
    """What is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"role": "manager"}})

    role: Role | None = None
    scopes: list[str] | None = Field(default=None, max_length=len(SCOPES))
    department: str | None = Field(default=None, max_length=60, description="null: in none.")
    limits: dict[str, float | None] | None = Field(
        default=None, description="All that are not everybody's; null: no limit."
    )


@router.get("/users")
def list_users(service: TheService, who: Overseer) -> UserList:
    """By name, disabled ones too. A manager is told those of the department."""
    return UserList([one for one in Accounts(service.store).users() if _oversees(who, one)])


@router.get("/users/me")
def show_me(service: TheService, who: Anybody) -> Me:
    """Who is asking, by what key or session, and what they may do."""
    from lingting.store import limits

    with service.store.database.read() as session:
        used = limits.usage(session, who.user)
    scopes = [one for one in SCOPES if one in who.scopes]
    return Me(who.user, who.by, who.role, scopes, who.department, who.limits, used)


@router.post("/users", status_code=201)
def add_user(service: TheService, who: Administrator, body: NewUser) -> User:
    """A user without a password; a link lets them set one."""
    accounts = Accounts(service.store)
    accounts.add_user(
        body.name,
        role=body.role,
        scopes=body.scopes,
        department=body.department,
        actor=who.actor,
    )
    return accounts.user(body.name)


@router.get("/users/{name}")
def show_user(service: TheService, who: Overseer, name: str) -> User:
    """One user; of another department they are not there for a manager."""
    return user_of(service, who, name)


@router.patch("/users/{name}")
def change_user(service: TheService, who: Administrator, name: str, body: ChangedUser) -> User:
    """Role, scopes, department, limits; works within two seconds."""
    return Accounts(service.store).change_user(
        name,
        role=body.role,
        scopes=body.scopes,
        department=body.department if "department" in body.model_fields_set else ...,
        limits=body.limits,
        actor=who.actor,
    )


@router.post("/users/{name}/disable")
def disable_user(service: TheService, who: Administrator, name: str) -> User:
    """Sessions and keys end; what the user gave stays."""
    accounts = Accounts(service.store)
    accounts.user(name)
    accounts.disable_user(name, actor=who.actor)
    return accounts.user(name)


@router.post("/users/{name}/enable")
def enable_user(service: TheService, who: Administrator, name: str) -> User:
    """Takes a disabling back."""
    accounts = Accounts(service.store)
    accounts.user(name)
    accounts.enable_user(name, actor=who.actor)
    return accounts.user(name)


@router.post("/users/{name}/link", status_code=201)
def link_user(service: TheService, who: Administrator, name: str) -> Link:
    """A link by which the user sets a password: good once, for 24 hours."""
    Accounts(service.store).user(name)
    token = service.access.new_link(name, actor=who.actor)
    return Link(name, f"/setup?token={token}")


@router.delete("/users/{name}/sessions")
def end_sessions(service: TheService, who: Anybody, name: str) -> dict[str, int]:
    """Sign somebody out everywhere: oneself, or anybody for an administrator."""
    if name != who.user:
        who.require("admin")
    elif "write" not in who.scopes and not who.is_admin:
        raise NotAllowed("This needs the scope write.")
    return {"ended": Accounts(service.store).end_sessions(name, actor=who.actor)}


def user_of(service: Service, who: Principal, name: str) -> User:
    """Raises UserNotFound, for one that they do not look after too."""
    found = Accounts(service.store).user(name)
    if not _oversees(who, found):
        raise UserNotFound("There is no such user.")
    return found


def _oversees(who: Principal, user: User) -> bool:
    departments = who.oversees
    return departments is None or user.name == who.user or user.department in departments
