"""Who is next: owners take turns by the audio that was taken up for them.

Every owner has a running sum of seconds; the one with the least is served next, and of equals the
one with less under way. Who comes back after a while begins where the others are: a pause is no
saving, or one person's hundred recordings would hold up everybody's next morning.
"""

from __future__ import annotations

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from lingting.store.database import lock
from lingting.store.records import PRIORITIES
from lingting.store.schema import JobRow, JobShareRow

# The first owner of each run of equal ones, by the index, however many jobs each has.
_OWNERS = text(
    """
    with recursive found(owner) as (
        select (select min(owner) from jobs where state = :state and priority = :priority)
        union all
        select (
            select min(owner) from jobs
            where state = :state and priority = :priority and owner > found.owner
        ) from found where found.owner is not null
    )
    select owner from found where owner is not null
    """
)


def owners(session: Session, state: str, priority: int) -> list[str]:
    """Everybody who has jobs in this state and class."""
    return list(session.scalars(_OWNERS, {"state": state, "priority": priority}))


def welcome(session: Session, owner: str) -> None:
    """Before a job is added: who has nothing under way begins where the others are."""
    own = select(JobRow.id).where(JobRow.state.in_(("queued", "running")), JobRow.owner == owner)
    if session.scalar(own.limit(1)) is not None:
        return
    active = {
        one for state in ("queued", "running") for priority in range(len(PRIORITIES))
        for one in owners(session, state, priority)
    }  # fmt: skip
    floor = session.scalar(
        select(func.min(JobShareRow.taken_s)).where(JobShareRow.owner.in_(active))
    )
    row = session.get(JobShareRow, owner)
    if row is None:  # of two first jobs of an owner, the second finds what the first adds
        lock(session, f"share:{owner}")
        row = session.get(JobShareRow, owner)
    if row is None:
        session.add(JobShareRow(owner=owner, taken_s=floor or 0.0))
    elif floor is not None:
        row.taken_s = max(row.taken_s, floor)
    session.flush()
