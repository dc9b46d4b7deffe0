"""The history: recordings by the page, what they can be narrowed by, and many changed at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from lingting.answers import BulkItem, BulkResult, Problem, RecordingPage
from lingting.errors import BodyInvalid, LingtingError
from lingting.server.asking import Reader, TheService, Writer
from lingting.server.principal import Principal
from lingting.server.problems import problem
from lingting.server.service import Service
from lingting.server.views import After, Limit, history_text, parse_history
from lingting.server.visible import recording_of
from lingting.store import Facets, History, HistoryFilters
from lingting.store.listed import ListState, Order

router = APIRouter(tags=["recordings"])

MAX_BULK = 500
Action = Literal["delete", "undo", "tag", "untag"]
Length = Annotated[float | None, Query(ge=0, allow_inf_nan=False)]
Name = Annotated[str | None, Query(max_length=200)]
Shared = Annotated[bool, Query(description="Only what others share with whoever asks.")]


@router.get("/recordings")
def list_recordings(
    service: TheService,
    who: Reader,
    limit: Limit = 50,
    after: After = None,
    order: Order = "newest",
    since: Annotated[AwareDatetime | None, Query(description="Kept then or later.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Kept before then.")] = None,
    language: Annotated[str | None, Query(max_length=32, description="As `zh`.")] = None,
    speaker: Name = None,
    tag: Annotated[str | None, Query(max_length=100)] = None,
    state: Annotated[
        list[ListState] | None,
        Query(max_length=10, description="Of the newest job; `none`: there never was one."),
    ] = None,
    owner: Name = None,
    department: Name = None,
    min_duration_s: Length = None,
    max_duration_s: Length = None,
    deleted: bool = False,
    shared: Shared = False,
    count: Annotated[bool, Query(description="Count what passes, up to 1,000.")] = False,
) -> RecordingPage:
    """A page of the history, the newest first; all filters that are given must hold."""
    filters = HistoryFilters(
        since=since, until=until, language=language, speaker=speaker, tag=tag,
        states=tuple(state or ()), owner=owner, department=department,
        min_duration_s=min_duration_s, max_duration_s=max_duration_s, is_deleted=deleted,
    )  # fmt: skip
    found = History(service.store.database).page(
        filters, order=order, limit=limit, after=parse_history(after),
        sight=who.shown if shared else who.sees, is_counted=count,
    )  # fmt: skip
    behind = None if found.next is None else history_text(found.next)
    return RecordingPage(found.items, behind, found.count, found.is_count_capped)


@router.get("/recordings/facets")
def list_facets(service: TheService, who: Reader, shared: Shared = False) -> Facets:
    """Languages, tags, speakers, owners and departments to choose from, the most frequent first."""
    sight = who.shown if shared else who.sees
    return History(service.store.database).facets(sight=sight)


class Bulk(BaseModel):
    """What to do with many recordings."""

    model_config = ConfigDict(extra="forbid")

    action: Action = Field(examples=["tag"])
    recordings: list[str] = Field(
        min_length=1, max_length=MAX_BULK, examples=[["k7mqx2abcdef", "p3wd8rabcdef"]]
    )
    tags: list[str] = Field(
        default=[], max_length=100, description="For tag and untag.", examples=[["lectures"]]
    )


@router.post("/recordings/bulk")
def change_many(service: TheService, who: Writer, body: Bulk) -> BulkResult:
    """Delete, bring back, tag or untag many, one after another, each as if it were asked alone.

    The answer says of each whether it is done; one that is refused keeps no other back.
    """
    if bool(body.tags) != (body.action in ("tag", "untag")):
        raise BodyInvalid("tags are for tag and untag, which need them.")
    act = _acts(service, who, body.tags)[body.action]
    items = [_one(service, who, id, act) for id in dict.fromkeys(body.recordings)]
    done = sum(one.is_done for one in items)
    return BulkResult(items, done, len(items) - done)


def _acts(
    service: Service, who: Principal, tags: list[str]
) -> dict[Action, Callable[[str], object]]:
    store, actor = service.store, who.actor
    return {
        "delete": lambda id: store.delete(id, actor=actor),
        "undo": lambda id: store.undo(id, actor=actor),
        "tag": lambda id: store.tag(id, add=tags, actor=actor),
        "untag": lambda id: store.tag(id, remove=tags, actor=actor),
    }


def _one(service: Service, who: Principal, id: str, act: Callable[[str], object]) -> BulkItem:
    try:
        recording_of(service, who, id)
        act(id)
    except LingtingError as error:
        return BulkItem(id, False, Problem(**problem(error)))
    return BulkItem(id, True)
