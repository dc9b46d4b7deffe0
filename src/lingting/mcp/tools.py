"""The tools: what they do, with a client of whoever asks."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel

from lingting.errors import AudioEmpty, BodyTooLarge, OptionInvalid
from lingting.mcp.shapes import (
    MAX_AUDIO_BYTES,
    MAX_HIT_CHARS,
    MAX_NAME_CHARS,
    MAX_PAGE_CHARS,
    FoundAnswer,
    HitAnswer,
    JobAnswer,
    JobProblem,
    JobState,
    ListRecordings,
    ReadTranscript,
    RecordingAnswer,
    RecordingsPage,
    SearchAnswer,
    SearchTranscripts,
    SegmentAnswer,
    TranscribeAnswer,
    TranscribeData,
    TranscribeFile,
    TranscriptPage,
)
from lingting.store.hits import SearchFilters

if TYPE_CHECKING:
    from lingting.answers import SegmentPage
    from lingting.client import Client
    from lingting.mcp.files import Files
    from lingting.store.records import Job, Recording

T = TypeVar("T")
_FIRST_LOOK_S, _LAST_LOOK_S = 0.25, 4.0


class Asker(Protocol):
    """Whoever calls a tool."""

    @property
    def files(self) -> Files | None:
        """What they may name of this machine; None: nothing, they are elsewhere."""

    async def ask(self, work: Callable[[Client], T]) -> T:
        """Do it in a thread with a client of theirs."""


Run = Callable[[Asker, Any], Awaitable[BaseModel]]


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    title: str
    description: str
    given: type[BaseModel]
    answer: type[BaseModel]
    run: Run
    is_read_only: bool = True
    is_open_world: bool = False
    """It may lead to addresses elsewhere."""


def tools(*, with_files: bool) -> tuple[Tool, ...]:
    """``with_files``: recordings are given by path, and not inside the message."""
    return (
        Tool(
            "transcribe", "Transcribe a recording",
            "Turn speech into text. Give exactly one recording: "
            + ("path, recording_id or url." if with_files else "recording_id, url or audio_base64.")
            + " Answers with the text when it is ready within wait_s, else with a job to ask for.",
            TranscribeFile if with_files else TranscribeData, TranscribeAnswer, transcribe,
            is_read_only=False, is_open_world=True,
        ),
        Tool(
            "list_recordings", "List recordings",
            "Recordings that you may see, the newest first, each with how its transcript begins.",
            ListRecordings, RecordingsPage, list_recordings,
        ),
        Tool(
            "read_transcript", "Read a transcript",
            "A page of a transcript: segments in order, with times in seconds of the recording "
            "and speakers. Go on with start=next.",
            ReadTranscript, TranscriptPage, read_transcript,
        ),
        Tool(
            "search", "Search transcripts",
            "Find what was said in any recording that you may see: segments with their times.",
            SearchTranscripts, SearchAnswer, search,
        ),
        Tool(
            "job", "State of a job",
            "How far a transcription is, and why it failed if it did.",
            JobState, JobAnswer, job,
        ),
    )  # fmt: skip


async def transcribe(asker: Asker, given: TranscribeFile | TranscribeData) -> TranscribeAnswer:
    made = await asker.ask(_submission(asker, given))
    until_s, look_s = time.monotonic() + given.wait_s, _FIRST_LOOK_S
    while not made.is_finished and (left_s := until_s - time.monotonic()) > 0:
        await asyncio.sleep(min(look_s, left_s))
        look_s = min(look_s * 1.5, _LAST_LOOK_S)
        made = await asker.ask(lambda client, id=made.id: client.job(id))  # type: ignore[misc]
    page = None
    if made.state == "done" and made.revision is not None:
        wanted = ReadTranscript(recording_id=made.recording_id, revision=made.revision)
        page = await read_transcript(asker, wanted)
    return TranscribeAnswer(job=_job(made), transcript=page)


def _submission(asker: Asker, given: TranscribeFile | TranscribeData) -> Callable[[Client], Job]:
    """Raises OptionInvalid unless there is exactly one recording."""
    path = getattr(given, "path", None)
    data = getattr(given, "audio_base64", None)
    wanted = [one for one in (path, data, given.recording_id, given.url) if one is not None]
    if len(wanted) != 1:
        raise OptionInvalid(f"{len(wanted)} recordings are named.", "Name exactly one.")
    options: dict[str, Any] = {
        name: value
        for name in ("language", "model", "hotwords", "glossary")
        if (value := getattr(given, name))
    }
    if given.recording_id is not None:
        id = given.recording_id
        return lambda client: client.transcribe_again(id, options)
    if given.url is not None:
        url = given.url
        return lambda client: client.submit_url(url, name=given.name, options=options)
    if path is not None:
        if asker.files is None:
            raise OptionInvalid("Files of this machine cannot be named here.")
        file = asker.files.checked(path)
        return lambda client: client.submit(file, name=given.name, options=options)
    return lambda client: client.submit(
        io.BytesIO(_decoded(data or "")), name=given.name, options=options
    )


def _decoded(data: str) -> bytes:
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise OptionInvalid("audio_base64 is no base64.") from exc
    if not raw:
        raise AudioEmpty("audio_base64 holds nothing.")
    if len(raw) > MAX_AUDIO_BYTES:
        raise BodyTooLarge(f"The audio has {len(raw)} bytes; allowed are {MAX_AUDIO_BYTES}.")
    return raw


async def list_recordings(asker: Asker, given: ListRecordings) -> RecordingsPage:
    page = await asker.ask(
        lambda client: client.recordings(limit=given.limit, after=given.after, tag=given.tag)
    )
    return RecordingsPage(items=list(map(_recording, page.items)), next=page.next)


async def read_transcript(asker: Asker, given: ReadTranscript) -> TranscriptPage:
    found = await asker.ask(
        lambda client: client.segments(
            given.recording_id, start=given.start, limit=given.limit, revision=given.revision
        )
    )
    segments = list(_fitting(found, given.start))
    behind = given.start + len(segments)
    return TranscriptPage(
        recording_id=given.recording_id,
        revision=found.revision,
        total=found.total,
        segments=segments,
        next=behind if segments and behind < found.total else None,
    )


def _fitting(page: SegmentPage, start: int) -> Iterable[SegmentAnswer]:
    """As many as a page may hold, and one at least."""
    chars = 0
    for position, one in enumerate(page.items, start):
        chars += len(one.text)
        if chars > MAX_PAGE_CHARS and position > start:
            return
        yield SegmentAnswer(
            position=position, start_s=one.start_s, end_s=one.end_s, speaker=one.speaker,
            text=one.text,
        )  # fmt: skip


async def search(asker: Asker, given: SearchTranscripts) -> SearchAnswer:
    filters = SearchFilters(
        **{
            name: getattr(given, name)
            for name in SearchFilters.__dataclass_fields__
            if hasattr(given, name)
        }
    )
    page = await asker.ask(
        lambda client: client.search(
            given.query, match=given.match, filters=filters, limit=given.limit, hits=given.hits,
            after=given.after,
        )
    )  # fmt: skip
    items = [
        FoundAnswer(
            recording_id=one.recording.id,
            name=one.recording.name[:MAX_NAME_CHARS],
            created_at=one.recording.created_at.isoformat(),
            count=one.count,
            hits=[
                HitAnswer(
                    position=hit.position, start_s=hit.start_s, end_s=hit.end_s,
                    speaker=hit.speaker, text=hit.text[:MAX_HIT_CHARS],
                )
                for hit in one.hits
            ],
        )
        for one in page.items
    ]  # fmt: skip
    return SearchAnswer(
        items=items, named=[_recording(one) for one in page.named], next=page.next,
        count=page.count, is_complete=page.is_complete,
    )  # fmt: skip


async def job(asker: Asker, given: JobState) -> JobAnswer:
    return _job(await asker.ask(lambda client: client.job(given.job_id)))


def _job(found: Job) -> JobAnswer:
    error = found.error
    return JobAnswer(
        id=found.id,
        recording_id=found.recording_id,
        state=found.state,
        done_s=found.done_s,
        total_s=found.total_s,
        eta_s=found.eta_s,
        error=None if error is None else JobProblem(code=error.code, message=error.message),
        revision=found.revision,
    )


def _recording(found: Recording) -> RecordingAnswer:
    return RecordingAnswer(
        id=found.id,
        name=found.name[:MAX_NAME_CHARS],
        created_at=found.created_at.isoformat(),
        duration_s=found.duration_s,
        language=found.language,
        segments=found.segments,
        excerpt=found.excerpt,
        tags=list(found.tags),
    )
