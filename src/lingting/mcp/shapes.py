"""What tools are given and what they answer with: the JSON schemas that a client sees.

Every answer is bounded; whoever wants more asks for the next page.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

MAX_PAGE_CHARS = 40_000
"""Of a page of a transcript; one segment is given whatever its length."""
MAX_HIT_CHARS = 500
MAX_NAME_CHARS = 200
MAX_AUDIO_BYTES = 2_900_000
"""Of audio inside a message, before base64."""
MAX_WAIT_S = 50.0

RecordingId = Annotated[str, Field(max_length=40, description="Id of a recording.")]


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Wanted(Given):
    recording_id: RecordingId | None = Field(
        default=None, description="A recording that is there already, to be transcribed again."
    )
    url: str | None = Field(
        default=None, max_length=2048,
        description="https address of a recording, of a host that the service's operator allows.",
    )  # fmt: skip
    name: str | None = Field(default=None, max_length=500, description="What to call it.")
    language: str | None = Field(
        default=None, max_length=40, description="zh, en, yue …; detected when it is left out."
    )
    model: str | None = Field(default=None, max_length=200, description="The service's own choice.")
    hotwords: list[Annotated[str, Field(max_length=200)]] = Field(
        default_factory=list, max_length=200, description="Names and terms to expect."
    )
    glossary: str | None = Field(default=None, max_length=200, description="Name of a word list.")
    wait_s: float = Field(
        default=30.0, ge=0, le=MAX_WAIT_S, allow_inf_nan=False,
        description="How long to wait for the text. After that the answer is a job: ask `job`.",
    )  # fmt: skip


class TranscribeFile(_Wanted):
    """One of path, recording_id and url."""

    path: str | None = Field(
        default=None, max_length=4096, description="A file on the machine of this program."
    )


class TranscribeData(_Wanted):
    """One of recording_id, url and audio_base64."""

    audio_base64: str | None = Field(
        default=None, max_length=MAX_AUDIO_BYTES * 4 // 3 + 4,
        description=f"A file of audio or video, at most {MAX_AUDIO_BYTES} bytes before base64. "
        "Give larger ones by url, or upload them at /api/v1/recordings.",
    )  # fmt: skip


class ListRecordings(Given):
    limit: int = Field(default=20, ge=1, le=50)
    after: str | None = Field(default=None, max_length=200, description="`next` of a page.")
    tag: str | None = Field(default=None, max_length=100)


class ReadTranscript(Given):
    recording_id: RecordingId
    start: int = Field(default=0, ge=0, description="Position of the first segment.")
    limit: int = Field(default=100, ge=1, le=200, description="How many segments at most.")
    revision: int | None = Field(
        default=None, ge=1, description="An earlier state; the current one when it is left out."
    )


class SearchTranscripts(Given):
    query: str = Field(
        min_length=1, max_length=200,
        description="Words that are all to be in one segment; Chinese in one piece and whatever "
        "stands in quotes is a phrase.",
    )  # fmt: skip
    match: Literal["text", "sound"] = Field(
        default="text", description="`sound`: Chinese by how it sounds, or pinyin in letters."
    )
    since: AwareDatetime | None = Field(default=None, description="Kept then or later.")
    until: AwareDatetime | None = Field(default=None, description="Kept before then.")
    language: str | None = Field(default=None, max_length=32)
    speaker: str | None = Field(default=None, max_length=200)
    tag: str | None = Field(default=None, max_length=100)
    min_duration_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    max_duration_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    limit: int = Field(default=10, ge=1, le=20, description="How many recordings at most.")
    hits: int = Field(default=3, ge=1, le=5, description="How many segments of each at most.")
    after: str | None = Field(default=None, max_length=200, description="`next` of a page.")


class JobState(Given):
    job_id: str = Field(max_length=40, description="Id of a job.")


# Answers ---------------------------------------------------------------------------------------


class JobProblem(BaseModel):
    code: str
    message: str


class JobAnswer(BaseModel):
    id: str
    recording_id: str
    state: str
    """queued, running, paused, done, failed or cancelled."""
    done_s: float
    total_s: float | None
    eta_s: float | None
    error: JobProblem | None
    revision: int | None


class SegmentAnswer(BaseModel):
    position: int
    start_s: float
    end_s: float
    speaker: str | None
    text: str


class TranscriptPage(BaseModel):
    recording_id: str
    revision: int
    total: int
    """Segments of the whole transcript."""
    segments: list[SegmentAnswer]
    next: int | None
    """Give it as `start` for the next page; null behind the last."""


class TranscribeAnswer(BaseModel):
    job: JobAnswer
    transcript: TranscriptPage | None
    """Its first page, when the job is done."""


class RecordingAnswer(BaseModel):
    id: str
    name: str
    created_at: str
    duration_s: float | None
    language: str | None
    segments: int
    """0 while there is no transcript."""
    excerpt: str
    tags: list[str]


class RecordingsPage(BaseModel):
    items: list[RecordingAnswer]
    next: str | None


class HitAnswer(BaseModel):
    position: int
    start_s: float
    end_s: float
    speaker: str | None
    text: str


class FoundAnswer(BaseModel):
    recording_id: str
    name: str
    created_at: str
    count: int
    """How many of its segments match."""
    hits: list[HitAnswer]


class SearchAnswer(BaseModel):
    items: list[FoundAnswer]
    named: list[RecordingAnswer]
    """Others whose name holds the query, on a first page."""
    next: str | None
    count: int | None
    """Segments that match, on a first page."""
    is_complete: bool
    """False when the search stopped at its limit of work; `next` goes on."""
