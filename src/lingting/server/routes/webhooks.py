"""Webhooks: who is told what, what became of each message, and sending it again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from lingting.errors import NotAllowed, OptionInvalid, WebhookNotFound
from lingting.server.asking import Reader, TheService, Writer
from lingting.server.principal import Principal
from lingting.server.sender import check_url, webhooks_of
from lingting.server.service import Service
from lingting.server.views import DeliveryPage, Limit, Replayed, WebhookList, WebhookSecret
from lingting.store.records import Delivery, DeliveryState, Reach, Webhook

router = APIRouter(tags=["webhooks"])

_LARGEST_ID = 2**53
DeliveryId = Annotated[int, Path(ge=1, le=_LARGEST_ID)]


class NewWebhook(BaseModel):
    """Where to, and what about."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=2048)
    events: list[str] = Field(min_length=1, max_length=50)
    reach: Reach = "own"
    department: str | None = Field(default=None, max_length=60)
    includes_text: bool = Field(default=False, description="Transcript text, and not ids alone.")
    note: str = Field(default="", max_length=200)


class WebhookChange(BaseModel):
    """What is left out stays."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(default=None, max_length=2048)
    events: list[str] | None = Field(default=None, min_length=1, max_length=50)
    includes_text: bool | None = None
    note: str | None = Field(default=None, max_length=200)
    is_active: bool | None = None


@router.get("/webhooks")
def list_webhooks(service: TheService, who: Reader) -> WebhookList:
    """One's own, and those of a department one manages; an administrator sees all."""
    hooks = webhooks_of(service)
    if who.is_admin:
        return WebhookList(hooks.listed())
    return WebhookList(hooks.listed(owner=who.user, department=_managed(who)))


@router.post("/webhooks", status_code=201)
def add_webhook(service: TheService, who: Writer, body: NewWebhook) -> WebhookSecret:
    """A new one; its secret is in this answer and in no other."""
    _check_reach(who, body.reach, body.department)
    check_url(body.url, service.settings)
    made, secret = webhooks_of(service).add(
        body.url,
        body.events,
        owner=who.user,
        reach=body.reach,
        department=body.department,
        includes_text=body.includes_text,
        note=body.note,
        actor=who.actor,
    )
    return WebhookSecret(made, secret)


@router.get("/webhooks/{id}")
def show_webhook(service: TheService, who: Reader, id: str) -> Webhook:
    """One of those that the list shows."""
    return _of(service, who, id)


@router.patch("/webhooks/{id}")
def change_webhook(service: TheService, who: Writer, id: str, body: WebhookChange) -> Webhook:
    """Address, events, text, note; `is_active` false disables it and true enables it again."""
    _of(service, who, id)
    if body.url is not None:
        check_url(body.url, service.settings)
    return webhooks_of(service).change(
        id,
        url=body.url,
        events=body.events,
        includes_text=body.includes_text,
        note=body.note,
        is_active=body.is_active,
        actor=who.actor,
    )


@router.delete("/webhooks/{id}")
def delete_webhook(service: TheService, who: Writer, id: str) -> Webhook:
    """With its deliveries; the answer is what it was."""
    _of(service, who, id)
    return webhooks_of(service).delete(id, actor=who.actor)


@router.post("/webhooks/{id}/rotate")
def rotate_webhook(service: TheService, who: Writer, id: str) -> WebhookSecret:
    """Another secret, shown once. For a day messages carry a signature of the old one as well."""
    _of(service, who, id)
    return WebhookSecret(*webhooks_of(service).rotate(id, actor=who.actor))


@router.post("/webhooks/{id}/test", status_code=202)
def test_webhook(service: TheService, who: Writer, id: str) -> Delivery:
    """Send the message `webhook.test`; the delivery tells what became of it."""
    _of(service, who, id)
    return webhooks_of(service).test(id)


@router.get("/webhooks/{id}/deliveries")
def list_deliveries(
    service: TheService,
    who: Reader,
    id: str,
    limit: Limit = 50,
    before: Annotated[int | None, Query(ge=1, le=_LARGEST_ID)] = None,
    state: DeliveryState | None = None,
) -> DeliveryPage:
    """A page, the newest first, each with its attempts; kept for 30 days."""
    _of(service, who, id)
    found = webhooks_of(service).deliveries(id, state=state, limit=limit, before=before)
    return DeliveryPage(found, found[-1].id if len(found) == limit else None)


@router.get("/webhooks/{id}/deliveries/{delivery}")
def show_delivery(service: TheService, who: Reader, id: str, delivery: DeliveryId) -> Delivery:
    """One of them."""
    _of(service, who, id)
    return webhooks_of(service).delivery(id, delivery)


@router.post("/webhooks/{id}/deliveries/{delivery}/replay", status_code=202)
def replay_one(service: TheService, who: Writer, id: str, delivery: DeliveryId) -> Replayed:
    """Send one again, under the id its message had."""
    _of(service, who, id)
    return Replayed(webhooks_of(service).replay(id, delivery, actor=who.actor))


@router.post("/webhooks/{id}/replay", status_code=202)
def replay_failed(service: TheService, who: Writer, id: str) -> Replayed:
    """Send again all that failed."""
    _of(service, who, id)
    return Replayed(webhooks_of(service).replay(id, actor=who.actor))


def _of(service: Service, who: Principal, id: str) -> Webhook:
    """Raises WebhookNotFound, for somebody else's too."""
    missing = WebhookNotFound("There is no webhook with this id.")
    found = webhooks_of(service).get(id)
    if who.is_admin or found.owner == who.user:
        return found
    if found.department is not None and found.department == _managed(who):
        return found
    raise missing


def _managed(who: Principal) -> str | None:
    """The department whose webhooks they keep."""
    return who.department if who.role == "manager" else None


def _check_reach(who: Principal, reach: Reach, department: str | None) -> None:
    """Nobody hears of more than they see. Raises NotAllowed, OptionInvalid."""
    if (reach == "department") != (department is not None):
        raise OptionInvalid("Name the department with the reach department, and with no other.")
    if reach == "all":
        who.require("admin")
    if reach == "department" and not who.is_admin and department != _managed(who):
        raise NotAllowed("This needs to be the manager of the department, or an administrator.")
