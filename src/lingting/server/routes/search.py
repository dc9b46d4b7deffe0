"""Search: in all transcripts that one sees.

A POST although it changes nothing: what somebody searches is as private as what was said, and
addresses end in the logs of every proxy on the way.
"""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from lingting.search import Match
from lingting.server.asking import Searcher, TheService
from lingting.store import Search, SearchFilters, SearchPage, audit

router = APIRouter(tags=["search"])


class Wanted(BaseModel):
    """What to search, and where."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(
        max_length=2_000, examples=["退款 流程"],
        description="Words that are all to be in one segment; Chinese in one piece and whatever "
        "stands in quotes is a phrase. At most 200 characters.",
    )  # fmt: skip
    match: Match = Field(
        default="text",
        description="`sound`: Chinese by how it sounds, letters as pinyin where they can be.",
    )
    since: AwareDatetime | None = Field(default=None, description="Kept then or later.")
    until: AwareDatetime | None = Field(default=None, description="Kept before then.")
    language: str | None = Field(default=None, max_length=32, description="Of the segment: `zh`.")
    speaker: str | None = Field(default=None, max_length=200)
    tag: str | None = Field(default=None, max_length=100)
    owner: str | None = Field(default=None, max_length=200)
    department: str | None = Field(default=None, max_length=200)
    min_duration_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    max_duration_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    min_confidence: float | None = Field(default=None, ge=0, le=1)
    shared: bool = Field(default=False, description="Only in what others share with whoever asks.")
    limit: int = Field(default=20, ge=1, le=100, description="How many recordings at most.")
    hits: int = Field(default=3, ge=1, le=20, description="How many segments of each at most.")
    after: str | None = Field(
        default=None, max_length=200, description="`next` of the page before."
    )

    def filters(self) -> SearchFilters:
        names = SearchFilters.__dataclass_fields__
        return SearchFilters(**{name: getattr(self, name) for name in names})


@router.post("/search")
def search(service: TheService, who: Searcher, body: Wanted) -> SearchPage:
    """Recordings that hold it, the newest first, each with its best segments.

    `named`, on a first page: others whose name holds it, unless something is asked of segments.
    `places` are ranges of code points in `text`, and no markup. `is_complete` is false when the
    search stopped at its limit of work, or the index is being made; `next` goes on. Counts end at
    1,000.
    """
    database = service.store.database
    page = Search(database).find(
        body.query, match=body.match, filters=body.filters(),
        sight=who.shown if body.shared else who.sees,
        limit=body.limit, hits=body.hits, after=body.after,
    )  # fmt: skip
    with database.write() as session:
        audit.note(
            session, who.actor, "search", "history", "", match=body.match,
            recordings=len(page.items) + len(page.named),
            segments=sum(len(one.hits) for one in page.items),
        )  # fmt: skip
    return page
