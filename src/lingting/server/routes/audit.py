"""Who did what: the trail, and whether it is whole."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool

from lingting.answers import AuditPage, Verdict
from lingting.errors import NotAllowed
from lingting.server.asking import Auditor, TheService
from lingting.server.service import Service
from lingting.server.views import Limit

router = APIRouter(tags=["audit"])


@router.get("/audit")
def list_audit(
    service: TheService,
    who: Auditor,
    limit: Limit = 50,
    before: Annotated[int | None, Query(ge=1, le=1 << 62)] = None,
    action: Annotated[str | None, Query(max_length=40)] = None,
    object: Annotated[str | None, Query(max_length=100, description="Only about this id.")] = None,
) -> AuditPage:
    """What was done, the newest first. A manager is told what people of the department did."""
    from lingting.store import audit

    with service.store.database.read() as session:
        found = audit.entries(
            session, limit=limit, before=before, action=action, object_id=object,
            departments=who.oversees if not _sees_all(who) else None,
        )  # fmt: skip
    return AuditPage(found, found[-1].id if len(found) == limit else None)


@router.get("/audit/verify")
async def verify_audit(
    service: TheService,
    who: Auditor,
    anchor: Annotated[str | None, Query(max_length=100, description="An earlier one.")] = None,
) -> Verdict:
    """Read every row: the first that was changed, removed or moved is named."""
    if not _sees_all(who):
        raise NotAllowed("This is for administrators.")
    async with service.verifying:  # the others wait here, and not in the threads of the routes
        return await run_in_threadpool(_verified, service, anchor)


def _verified(service: Service, anchor: str | None) -> Verdict:
    from lingting.store import audit

    with service.store.database.read() as session:
        found = audit.verify(session, anchor)
    return Verdict(found.bad_id is None, found.rows, found.anchor, found.bad_id, found.reason)


def _sees_all(who: Auditor) -> bool:
    """An administrator, by a key with the scope `audit` too."""
    return who.is_admin or who.role == "admin"
