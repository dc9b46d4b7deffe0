"""What a service answers, where it is not a value of the store: the same to routes and clients.

Lists are any sequence in the service; a client makes tuples of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lingting.store.records import AuditEntry, Limits, Note, Recording, Role, Share
from lingting.transcript import Damage, Segment

# Recordings ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecordingPage:
    items: Sequence[Recording]
    next: str | None
    """Give it as ``after`` for the next page; None behind the last."""
    count: int | None = None
    """How many pass the filters, where that was asked."""
    is_count_capped: bool = False
    """There are more than ``count``."""


@dataclass(frozen=True, slots=True)
class Problem:
    code: str
    message: str
    next_step: str
    incident: str | None = None


@dataclass(frozen=True, slots=True)
class BulkItem:
    """What became of one recording."""

    id: str
    is_done: bool
    error: Problem | None = None


@dataclass(frozen=True, slots=True)
class BulkResult:
    items: Sequence[BulkItem]
    done: int
    refused: int


@dataclass(frozen=True, slots=True)
class ShareList:
    items: Sequence[Share]


@dataclass(frozen=True, slots=True)
class NotePage:
    items: Sequence[Note]
    next: str | None
    """Give it as ``after`` for the next page; None behind the last."""


@dataclass(frozen=True, slots=True)
class SegmentPage:
    revision: int
    total: int
    """Segments of the whole transcript."""
    items: Sequence[Segment]
    next: int | None
    """Give it as ``start`` for the next page; None behind the last."""


# Speech ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    start_s: float
    end_s: float
    score: float
    """Mean probability of speech, 0 to 1."""


@dataclass(frozen=True, slots=True)
class SpeechClip:
    """What a recogniser would be given."""

    start_s: float
    end_s: float
    speech_s: float


@dataclass(frozen=True, slots=True)
class Speech:
    """Where somebody speaks; times are seconds in the recording."""

    duration_s: float
    speech_s: float
    speech_share: float
    took_s: float
    spans: Sequence[SpeechSpan]
    clips: Sequence[SpeechClip]
    peaks: Sequence[Sequence[int]]
    """At most 1,000 pairs of extremes over equal parts of the duration; 127 is full scale."""
    damage: Damage
    parameters: Mapping[str, Any]
    """All, with the values in force."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that finding speech can be told."""

    name: str
    group: str
    """detector: it shapes the spans; packing: the clips."""
    kind: str
    """integer, number, boolean, or pairs of milliseconds."""
    default: Any
    lowest: float | None
    highest: float | None
    step: float | None
    unit: str | None
    about: Mapping[str, str]
    """What it does, by language."""


@dataclass(frozen=True, slots=True)
class ClipLimits:
    max_s: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class ParameterList:
    parameters: Sequence[Parameter]
    clip: ClipLimits
    """Of a clip that is not kept."""


# People and keys -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class User:
    """A user without what only signing in needs."""

    name: str
    department: str | None
    role: Role
    scopes: Sequence[str]
    created_at: datetime
    disabled_at: datetime | None
    has_password: bool
    has_single_sign_on: bool = False
    limits: Mapping[str, float | None] = field(default_factory=dict)
    """Those that are not everybody's."""


@dataclass(frozen=True, slots=True)
class Me:
    """Who is asking, and how much of what is limited they have taken."""

    user: str
    by: str
    role: Role
    scopes: Sequence[str]
    department: str | None
    limits: Limits
    used: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret, which is shown once and never kept."""

    id: str
    name: str
    user: str
    scopes: Sequence[str]
    created_at: datetime
    role: Role = "service"
    """The most that it reaches: its user's when it was made."""
    limits: Mapping[str, float | None] = field(default_factory=dict)
    is_local: bool = False
    """Made by the service for the programs of its own user on this machine."""
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    """To the hour."""


@dataclass(frozen=True, slots=True)
class MadeKey:
    key: Key
    secret: str
    """Shown this once; nobody can find it out again."""


# The service -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    value: Any
    """As it is in force; a secret is only told to be there."""
    is_changeable: bool
    is_set_here: bool
    """Set by the API, and so before what the program was started with."""
    applies: str = "start"
    """at_once: a change works within two seconds. restart: when ``processes`` start again. start:
    only the environment or lingting.toml change it."""
    processes: Sequence[str] = ()
    """web, worker or engine: those that go by it."""
    allowed: str = ""
    is_pending: bool = False
    """It was changed, and one of the processes has not started since."""
    stored: Any = None
    """What was set by the API."""
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """Rules in order; the first that fits a recording decides. And what they would do now."""

    rules: Sequence[Mapping[str, Any]]
    due_to_delete: int
    due_to_purge: int
    held: int
    """Recordings whose time is over and that stay for a legal hold."""


@dataclass(frozen=True, slots=True)
class AuditPage:
    items: Sequence[AuditEntry]
    next: int | None
    """Give it as ``before`` for the next page; None behind the last."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What reading the whole trail showed."""

    is_whole: bool
    rows: int
    """How many are as they were written, from the first on."""
    anchor: str
    """The newest id and digest, to be kept elsewhere and given next time."""
    bad_id: int | None
    """The first row that is not as it was written, or is not there."""
    reason: str


@dataclass(frozen=True, slots=True)
class HostedState:
    """A model in one engine host."""

    engine: str
    """The host, as in ``engines``."""
    state: str
    """absent, loading, ready or failed."""
    is_default: bool
    device: str | None
    """Known from the first time it was loaded, as what follows."""
    compute: str | None
    batch_s: float | None
    """Seconds of audio that it likes to get at once."""
    rtfx: float | None
    """Seconds of audio recognised in a second, lately."""
    waiting_s: float
    error: str | None
    """The code of why it could not be loaded."""


@dataclass(frozen=True, slots=True)
class Pull:
    """A download, or an attempt at one."""

    state: str
    """running, done or failed."""
    phase: str | None
    """wait, download, unpack, copy or verify; bytes count from 0 in each."""
    done_bytes: int
    total_bytes: int | None
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    """The code of what went wrong."""


@dataclass(frozen=True, slots=True)
class ModelState:
    id: str
    task: str | None
    """None for a model that a host serves and the catalogue does not list."""
    languages: Sequence[str]
    licence: str | None
    size_bytes: int | None
    installed: str
    """On the machine of the web process: installed, missing, partial or changed."""
    hosts: Sequence[str]
    """What each engine host that has it says: ready, loading, absent or failed."""
    waiting_s: float
    """Seconds of audio that wait for it."""
    is_default: bool = False
    """A host takes it for what names no model."""
    on: Sequence[HostedState] = ()
    """The same hosts, one by one."""
    pull: Pull | None = None
    """The last download that this web process was told to make."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """An engine host and the memory of its process."""

    name: str
    """Host and port, or the word unix."""
    is_answering: bool
    is_draining: bool = False
    """It is stopping: what waits is done, nothing new is taken."""
    up_s: float | None = None
    pid: int | None = None
    resident_bytes: int | None = None
    device_bytes: int | None = None
    """What PyTorch holds on the GPU; null without one."""
    device_free_bytes: int | None = None
    device_total_bytes: int | None = None
    waiting_s: float | None = None
    """Seconds of audio that wait there."""
    requests: int | None = None


@dataclass(frozen=True, slots=True)
class ModelList:
    items: Sequence[ModelState]
    hosts: int
    """How many engine hosts are set up."""
    hosts_answering: int
    engines: Sequence[EngineState] = ()
    """Shown to administrators."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A file in the folder of backups, or one that is being made."""

    name: str
    created_at: datetime
    size_bytes: int
    state: str
    """making, verifying, done or failed."""
    verified: bool | None
    """Every byte was compared with its manifest, and matched or not; null: nobody looked."""
    verified_at: datetime | None
    recordings: int | None
    blobs: int | None
    lost_blobs: int | None
    """Pieces of audio that were missing or damaged in the store when it was made."""
    error: str | None
    """The code of what went wrong."""


@dataclass(frozen=True, slots=True)
class BackupList:
    items: Sequence[Backup]
    """The newest first."""
    folder_free_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """Of the web process."""

    cpus: int
    load_1m: float
    memory_bytes: int | None
    memory_available_bytes: int | None
    data_free_bytes: int
    data_size_bytes: int
    python: str
    system: str
    version: str
    up_s: float
    """Since the web process started."""


@dataclass(frozen=True, slots=True)
class Process:
    name: str
    """web, worker or engine."""
    id: str
    is_alive: bool
    pid: int | None
    resident_bytes: int | None
    """With what it started; null on another machine."""
    since: datetime | None
    can_restart: bool
    """`lingting serve` runs it, and starts it again when it is asked to end."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Columns of one length, the oldest first; null where nobody answered."""

    every_s: float
    at: Sequence[float]
    """Seconds since 1970."""
    load: Sequence[float | None]
    queue_jobs: Sequence[int | None]
    queue_audio_s: Sequence[float | None]
    rtfx: Sequence[float | None]
    """Seconds of audio transcribed in a second, all workers together."""
    memory_bytes: Sequence[int | None]
    """Of web, workers and engines that are on this machine."""
    requests: Sequence[int | None]
    """Answered since the sample before."""
    errors: Sequence[int | None]
    """Of those, with an error of the service."""


@dataclass(frozen=True, slots=True)
class System:
    machine: Machine
    processes: Sequence[Process]
    samples: Samples


@dataclass(frozen=True, slots=True)
class Cleared:
    engines: Sequence[str]
    """Hosts that were told to give back what they hold without using it."""
