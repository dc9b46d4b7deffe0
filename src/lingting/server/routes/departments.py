"""Departments: whose recordings belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from lingting.server.accounts import Accounts
from lingting.server.asking import Administrator, Anybody, TheService
from lingting.store.records import Department

router = APIRouter(tags=["departments"])


@dataclass(frozen=True, slots=True)
class DepartmentList:
    items: Sequence[Department]


class NewDepartment(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"name": "sales"}})

    name: str = Field(max_length=60)
    is_shared: bool = False


class ChangedDepartment(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"is_shared": True}})

    is_shared: bool


@router.get("/departments")
def list_departments(service: TheService, who: Anybody) -> DepartmentList:
    """One's own; for administrators all of them."""
    found = Accounts(service.store).departments()
    return DepartmentList([one for one in found if who.is_admin or one.name == who.department])


@router.post("/departments", status_code=201)
def add_department(service: TheService, who: Administrator, body: NewDepartment) -> Department:
    """A name of 1 to 60 characters."""
    accounts = Accounts(service.store)
    name = accounts.add_department(body.name, actor=who.actor)
    return accounts.share_department(name, body.is_shared, actor=who.actor)


@router.patch("/departments/{name}")
def change_department(
    service: TheService, who: Administrator, name: str, body: ChangedDepartment
) -> Department:
    """Whether its members read one another's recordings; works within two seconds."""
    return Accounts(service.store).share_department(name, body.is_shared, actor=who.actor)
