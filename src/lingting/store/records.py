"""What the store hands out: frozen values, no rows. Times of day are UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from lingting.transcript import Failure

Origin = Literal["machine", "human"]
JobState = Literal["queued", "running", "paused", "done", "failed", "cancelled"]
Priority = Literal["high", "normal", "low"]
AudioState = Literal["pending", "removed", "shared"]
Role = Literal["service", "member", "manager", "admin"]
"""Who sees more stands behind: ``ROLES.index`` compares them."""
ROLES: tuple[Role, ...] = ("service", "member", "manager", "admin")


@dataclass(frozen=True, slots=True)
class Sight:
    """Whose things somebody sees: their own, and those of departments. None is everybody's."""

    user: str
    departments: frozenset[str] = frozenset()

    def has(self, owner: str | None, department: str | None) -> bool:
        """Whether a thing of this owner and department is among them."""
        return owner == self.user or department in self.departments


@dataclass(frozen=True, slots=True)
class SharedWith:
    """What others share with somebody, in the place of what they see otherwise."""

    user: str
    department: str | None = None
    is_person: bool = True
    """False: a program, which takes no part in what a department or everyone is shown."""

    def has(self, owner: str | None, department: str | None) -> bool:
        """Owner and department tell nothing about that."""
        del owner, department
        return False


@dataclass(frozen=True, slots=True)
class Limits:
    """None: as much as they like."""

    requests_per_minute: float | None = None
    audio_s_per_day: float | None = None
    """Seconds of audio that are recognised in a day of UTC."""
    stored_bytes: float | None = None
    """Of audio that is kept, deleted recordings too until they are purged."""

    def with_own(self, given: Mapping[str, float | None]) -> Limits:
        """The same, with what is named in its place."""
        return replace(self, **{name: one for name, one in given.items() if hasattr(self, name)})


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in the blob store. ``digest`` is their SHA-256, 64 hexadecimal digits."""

    digest: str
    size_bytes: int
    is_new: bool = False
    """False when the same bytes were there before."""


@dataclass(frozen=True, slots=True)
class RecordingJob:
    """The newest job of a recording, as its history shows it."""

    id: str
    state: JobState
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    done_s: float
    total_s: float | None
    error: Failure | None
    batch_id: str | None


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of the history, with what is shown about its current transcript."""

    id: str
    name: str
    digest: str
    size_bytes: int
    duration_s: float | None
    """None while its audio was not read."""
    sample_rate_hz: int | None
    channels: int | None
    created_at: datetime
    deleted_at: datetime | None
    owner: str | None
    department: str | None
    language: str | None
    revision: int
    """The current one; 0 while there is no transcript."""
    segments: int
    excerpt: str
    """How the transcript begins, at most 120 characters."""
    tags: tuple[str, ...] = ()
    held_by: str | None = None
    held_at: datetime | None = None
    """Set while a legal hold keeps it from being deleted or purged."""
    speakers: int = 0
    """How many different ones the current transcript names."""
    is_shared: bool = False
    """Somebody else may read it by a share that is in force."""
    job: RecordingJob | None = None
    """The newest; None where there never was one."""


ShareKind = Literal["user", "department", "everyone"]


@dataclass(frozen=True, slots=True)
class Share:
    """Who else may read a recording, and never change it."""

    id: str
    recording_id: str
    to_kind: ShareKind
    to_name: str | None
    """Of the user or the department; None: everyone who is signed in."""
    made_by: str | None
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a recording that was to be kept."""

    recording: Recording
    is_new: bool
    """False when the same audio was there under the same name."""
    is_new_revision: bool
    """False when that recording also had this very transcript."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of a transcript, by whom and when. Numbers begin with 1 and have no holes."""

    number: int
    origin: Origin
    author: str | None
    created_at: datetime
    restored_from: int | None
    segments: int
    model: str | None
    is_current: bool


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote about a recording, about a moment of it or a stretch."""

    id: str
    recording_id: str
    at_s: float | None
    """None: about the whole recording."""
    end_s: float | None
    """None: about the moment ``at_s``, or about the whole."""
    text: str
    author: str | None
    """Who wrote it first; None: nobody was named."""
    revision: int
    """Grows by one with each change."""
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class NotePlace:
    """Where a page of notes ended; the next one begins behind it."""

    at_s: float | None
    created_at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page of the history ended; the next one begins behind it."""

    created_at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever did something, for the audit trail."""

    name: str
    """Of a user of the service, or of this machine."""
    by: str
    """How we know: ``key:<id>``, ``session:<id>``, ``link:<id>``, ``password``, ``retention``;
    ``local`` for somebody who used the program or the library on the store itself."""


@dataclass(frozen=True, slots=True)
class Department:
    name: str
    created_at: datetime
    is_shared: bool = False
    """Its members read one another's recordings."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that was done. Holds ids and counts, nothing that was said and no file names."""

    id: int
    at: datetime
    actor: str
    by: str
    action: str
    object_kind: str
    object_id: str
    details: Mapping[str, Any]
    previous: str
    """SHA-256 of the entry before; "" for the first."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a recording was purged; holds nothing of what it said or was called."""

    id: int
    recording_id: str
    digest: str
    purged_at: datetime
    author: str | None
    revisions: int
    segments: int
    audio: AudioState
    """``shared``: other recordings have the same audio, so it stays. ``pending``: the text is gone
    and the audio is not yet, because a backup was reading it, its store was down or the program was
    ended; the next retention run or ``check`` finishes it."""


@dataclass(frozen=True, slots=True)
class Checkup:
    """What ``check`` found. Empty lists everywhere in a healthy store."""

    recordings: int
    blobs: int
    orphan_blobs: tuple[str, ...] = ()
    """Audio no row knows: left by a crash between blob and row, taken up when it is kept again."""
    missing_blobs: tuple[str, ...] = ()
    damaged_blobs: tuple[str, ...] = ()
    row_faults: tuple[str, ...] = ()
    """Sentences of the database's own check, and of ours."""
    finished_purges: int = 0
    removed_leftovers: int = 0
    """Half-written files of processes that are gone."""

    @property
    def is_healthy(self) -> bool:
        """Nothing was lost; orphans are no loss."""
        return not (self.missing_blobs or self.damaged_blobs or self.row_faults)


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt to transcribe a recording."""

    id: str
    recording_id: str
    batch_id: str | None
    owner: str | None
    department: str | None
    """The recording's."""
    name: str
    """The recording's."""
    state: JobState
    priority: Priority
    options: Mapping[str, Any]
    """The JSON form of ``jobs.JobOptions``."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    done_s: float
    """Seconds of the recording whose text is known."""
    total_s: float | None
    """None until the recording was opened, or where its container does not tell."""
    attempts: int
    """How often a worker took it up."""
    error: Failure | None
    revision: int | None
    """Of the recording's transcript: what this job wrote."""
    eta_s: float | None
    """Seconds until it is done, while it runs."""

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs that were given together; ``counts`` has the states that occur."""

    id: str
    name: str
    owner: str | None
    department: str | None
    priority: Priority
    created_at: datetime
    state: JobState
    """``done`` when nothing is left to do; then ``counts`` tells what became of each."""
    counts: Mapping[JobState, int]
    done_s: float
    total_s: float | None
    """Estimated from those that were opened while not all were; None before the first."""
    eta_s: float | None

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job or a batch; ids only grow."""

    id: int
    at: datetime
    kind: str
    job_id: str | None
    batch_id: str | None
    owner: str | None
    department: str | None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker as it was seen last."""

    id: str
    pid: int
    started_at: datetime
    seen_at: datetime
    beats: int
    is_live: bool
    """False when another worker took over what it had."""
    jobs: int
    speed: float | None
    """Seconds of audio in a second, lately."""
    late_writes: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a worker has taken up; every write names ``epoch``, which ends with the claim."""

    job_id: str
    epoch: int
    recording_id: str
    digest: str
    options: Mapping[str, Any]
    groups: int
    """How many groups of it are stored already."""
    priority: Priority = "normal"
    request_id: str | None = None
    traceparent: str | None = None
    """Of the request that asked for it."""


Reach = Literal["own", "department", "all"]
DeliveryState = Literal["pending", "done", "failed"]
UploadState = Literal["open", "done", "failed", "ended"]


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that is told what happens; its secret is shown when it is made and not again."""

    id: str
    owner: str
    reach: Reach
    """Whose events it hears: its owner's, those of ``department``, or everybody's."""
    department: str | None
    url: str
    note: str
    events: tuple[str, ...]
    includes_text: bool
    """Messages hold transcript text and not ids alone."""
    created_at: datetime
    changed_at: datetime
    failing_since: datetime | None
    """The first failure behind the last success."""
    disabled_at: datetime | None
    disabled_for: str | None
    """user, failures (for too long) or gone (it answered 410)."""
    old_secret_until: datetime | None
    """Until then the secret before the current one signs as well."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to deliver something."""

    at: datetime
    status: int | None
    """What the receiver answered; None when it did not."""
    error: str | None
    """Code of the error that kept it from answering."""
    took_ms: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something a webhook is told. Holds ids and counts."""

    id: int
    webhook_id: str
    message_id: str
    """What the receiver sees as ``webhook-id``: the same in every attempt."""
    kind: str
    at: datetime
    data: Mapping[str, Any]
    state: DeliveryState
    attempts: int
    next_at: datetime | None
    finished_at: datetime | None
    log: tuple[Attempt, ...]
    """The oldest first, at most thirty."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A resumable upload."""

    id: str
    owner: str
    department: str | None
    size_bytes: int
    received_bytes: int
    state: UploadState
    kind: Literal["whole", "partial", "final"]
    asked: Mapping[str, Any]
    """Name, options, batch and priority of the job it becomes; ``metadata`` as it was sent."""
    sha256: str | None
    key: str | None
    job_id: str | None
    error: Failure | None
    created_at: datetime
    changed_at: datetime
    expires_at: datetime

    @property
    def is_complete(self) -> bool:
        return self.received_bytes == self.size_bytes


@dataclass(frozen=True, slots=True)
class Glossary:
    """Names and terms to expect, under a name."""

    id: str
    name: str
    owner: str | None
    """None: it is for all."""
    department: str | None
    """Of one for all: only for those of this department."""
    count: int
    """How many words it has."""
    words: tuple[str, ...] | None
    """None in a list."""
    revision: int
    """Grows by one with each change."""
    created_at: datetime
    changed_at: datetime


MAX_NAME_CHARS = 1_000
"""Of a recording."""
MAX_WORDS = 1_000
MAX_WORD_CHARS = 10_000
"""Of the hotwords of a job, and of a glossary."""
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")
"""The first is served first; rows hold the place in here."""
ACTIVE: tuple[JobState, ...] = ("queued", "running", "paused")
FINISHED: frozenset[JobState] = frozenset({"done", "failed", "cancelled"})
