"""A service from Python: thin over HTTP, with the service's own values and errors.

>>> from lingting import Client
>>> with Client() as client:                     # the service of this machine and this user
...     job = client.submit(Path("talk.mp3"), options={"language": "zh"})
...     done = client.wait(job.id)
...     print(client.transcript(done.recording_id).text)

Whatever the service refuses is raised as the error it is there, by its code.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx

from lingting.audio.source import open_path
from lingting.errors import (
    BusyError,
    FaultError,
    JobNotFound,
    LimitReached,
    LingtingError,
    OptionInvalid,
    RequestError,
    ServiceUnreachable,
    TooManyRequests,
    TooManyTries,
)
from lingting.store.hits import (
    FoundPlace,
    FoundRecording,
    FoundSegment,
    SearchFilters,
    SearchPage,
)
from lingting.store.records import (
    Attempt,
    Batch,
    Delivery,
    Event,
    Glossary,
    Job,
    Note,
    Receipt,
    Recording,
    Webhook,
)
from lingting.transcript import Failure, Segment, Transcript, segment_from

if TYPE_CHECKING:
    from lingting.administration import Administration
    from lingting.config import Settings

T = TypeVar("T")
Action = Literal["pause", "resume", "cancel", "retry"]
OnSent = Callable[[int], None]
"""Hears how many bytes of a file have been sent."""

_API = "/api/v1"
_SILENCE_S = 45.0
"""The service says something every 15 s."""
_UNREACHABLE_S = 60.0
_AGAIN_S = 1.0
_BUSY_TRIES = 8
_COPY_BYTES = 1 << 20
_RESUMED_S = 600.0
_TIMES = frozenset(
    {
        "created_at",
        "started_at",
        "finished_at",
        "deleted_at",
        "purged_at",
        "at",
        "changed_at",
        "failing_since",
        "disabled_at",
        "old_secret_until",
        "next_at",
        "held_at",
        "expires_at",
        "last_used_at",
    }
)


@dataclass(frozen=True, slots=True)
class RecordingPage:
    items: tuple[Recording, ...]
    next: str | None
    """Give it as ``after`` for the next page; None behind the last."""


@dataclass(frozen=True, slots=True)
class NotePage:
    items: tuple[Note, ...]
    next: str | None
    """Give it as ``after`` for the next page; None behind the last."""


@dataclass(frozen=True, slots=True)
class SegmentPage:
    revision: int
    total: int
    """Segments of the whole transcript."""
    items: tuple[Segment, ...]
    next: int | None
    """Give it as ``start`` for the next page; None behind the last."""


class Client:
    """One service. Not for several threads at once; use it in a ``with`` block."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """``url`` and ``key`` are by default LINGTING_SERVER and LINGTING_SERVER_KEY.

        Without a key, a service on this machine is asked with the key it leaves for its own user.
        Raises OptionInvalid for an address that is none.
        """
        self.url = _checked(url)
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {found}"} if (found := _key(self.url, key)) else {},
            timeout=httpx.Timeout(timeout_s, connect=10.0),
            trust_env=not _is_here(self.url),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; calling it twice is fine."""
        self._http.close()

    # Giving ------------------------------------------------------------------------------------

    def submit(
        self,
        audio: Path | IO[bytes],
        *,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
        batch_id: str | None = None,
        priority: str = "normal",
        idempotency_key: str | None = None,
        sha256: str | None = None,
        on_sent: OnSent | None = None,
        resumable: bool = False,
    ) -> Job:
        """Send one recording; it is durable there when this returns.

        ``options`` are those of ``JobOptions``. With ``sha256`` the service checks what arrived.
        ``resumable`` goes on behind a cut, for ten minutes without any progress; called again with
        the same file, name and options, also by another process, it goes on where it was.
        """
        if resumable:
            return self._submit_resumable(
                audio, name=name, options=options, batch_id=batch_id, priority=priority,
                idempotency_key=idempotency_key, sha256=sha256, on_sent=on_sent,
            )  # fmt: skip
        if isinstance(audio, Path):
            with open_path(str(audio)) as stream:
                return self.submit(
                    stream, name=name or audio.name, options=options, batch_id=batch_id,
                    priority=priority, idempotency_key=idempotency_key, sha256=sha256,
                    on_sent=on_sent,
                )  # fmt: skip
        form: dict[str, Any] = {
            "name": _text(name or "recording"),
            "batch": batch_id,
            "priority": priority,
            "sha256": sha256,
            **_fields(options or {}),
        }
        answer = self._json(
            "POST",
            "/recordings",
            data={name: one for name, one in form.items() if one is not None},
            files=[("file", ("file", _Counted(audio, on_sent), "application/octet-stream"))],
            headers=_keyed(idempotency_key),
        )
        return _job(answer["items"][0]["job"])

    def _submit_resumable(
        self,
        audio: Path | IO[bytes],
        *,
        name: str | None,
        options: Mapping[str, Any] | None,
        batch_id: str | None,
        priority: str,
        idempotency_key: str | None,
        sha256: str | None,
        on_sent: OnSent | None,
    ) -> Job:
        from lingting.resuming import send_resumable

        if not isinstance(audio, Path):
            raise OptionInvalid("A resumable upload is of a file.", "Give its path.")
        if idempotency_key is not None and (known := self.submitted(idempotency_key)) is not None:
            return known
        form: dict[str, Any] = {
            "name": _text(name or audio.name),
            "batch": batch_id,
            "priority": priority,
            "sha256": sha256 or digest_of(audio),
            **_fields(options or {}),
        }
        return _job(
            send_resumable(
                self._send,
                audio,
                {name: one for name, one in form.items() if one is not None},
                idempotency_key=idempotency_key,
                on_sent=on_sent,
                patience_s=_RESUMED_S,
            )
        )

    def submit_url(
        self,
        url: str,
        *,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
        batch_id: str | None = None,
        priority: str = "normal",
        idempotency_key: str | None = None,
        timeout_s: float = 700.0,
    ) -> Job:
        """Let the service fetch a recording, from a host that its operator allows."""
        body = {
            "url": url, "name": name, "options": dict(options or {}), "batch": batch_id,
            "priority": priority,
        }  # fmt: skip
        headers, timeout = _keyed(idempotency_key), httpx.Timeout(timeout_s, connect=10.0)
        path = "/recordings/from-url"
        return _job(self._json("POST", path, json=body, headers=headers, timeout=timeout))

    def submitted(self, idempotency_key: str) -> Job | None:
        """The job that ``submit`` with this key made before, so that nothing is sent again."""
        try:
            return _job(self._json("GET", "/jobs/submitted", headers=_keyed(idempotency_key)))
        except JobNotFound:
            return None

    def open_batch(
        self, name: str, *, priority: str = "normal", idempotency_key: str | None = None
    ) -> Batch:
        """A name for recordings that belong together."""
        body = {"name": _text(name), "priority": priority}
        return _batch(self._json("POST", "/batches", json=body, headers=_keyed(idempotency_key)))

    def transcribe_again(
        self, recording_id: str, options: Mapping[str, Any] | None = None, *,
        priority: str = "normal",
    ) -> Job:  # fmt: skip
        """Another transcript of a recording that is there."""
        body = {"options": dict(options or {}), "priority": priority}
        return _job(self._json("POST", f"/recordings/{_id(recording_id)}/jobs", json=body))

    # Jobs --------------------------------------------------------------------------------------

    def job(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        return _job(self._json("GET", f"/jobs/{_id(job_id)}"))

    def jobs(
        self,
        *,
        batch_id: str | None = None,
        recording_id: str | None = None,
        state: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[Job]:
        """A page, the newest first; go on with ``after=page[-1].id``."""
        asked = {
            "batch": batch_id, "recording": recording_id, "state": state, "limit": limit,
            "after": after,
        }  # fmt: skip
        return [_job(one) for one in self._json("GET", "/jobs", params=_given(asked))["items"]]

    def change(self, job_id: str, action: Action) -> Job:
        """Pause, resume, cancel or retry it."""
        return _job(self._json("POST", f"/jobs/{_id(job_id)}/{action}"))

    def batch(self, batch_id: str) -> Batch:
        """Raises BatchNotFound."""
        return _batch(self._json("GET", f"/batches/{_id(batch_id)}"))

    def batches(self, *, limit: int = 50, after: str | None = None) -> list[Batch]:
        """A page, the newest first; go on with ``after=page[-1].id``."""
        asked = _given({"limit": limit, "after": after})
        return [_batch(one) for one in self._json("GET", "/batches", params=asked)["items"]]

    def change_batch(self, batch_id: str, action: Action) -> Batch:
        """The same for all of its jobs."""
        return _batch(self._json("POST", f"/batches/{_id(batch_id)}/{action}"))

    def wait(self, job_id: str) -> Job:
        """The job when it has ended, however it did."""
        job = self.job(job_id)
        if not job.is_finished:
            for _ in self.events(job_id=job_id):
                job = when_there(lambda: self.job(job_id))
                if job.is_finished:
                    break
        return job

    def events(
        self,
        *,
        after: int | None = None,
        job_id: str | None = None,
        batch_id: str | None = None,
        patience_s: float = _UNREACHABLE_S,
    ) -> Iterator[Event | None]:
        """What happens, for ever; None for each connection, when nothing is missed from then on.

        A connection that breaks is made again, and what was missed meanwhile comes then. Raises
        ServiceUnreachable when that fails for ``patience_s``.
        """
        place = after
        away_since_s: float | None = None
        while True:
            try:
                for event in self._stream(place, job_id, batch_id):
                    away_since_s = None
                    if event is not None:
                        place = event.id
                    yield event
            except ServiceUnreachable:
                now_s = time.monotonic()
                away_since_s = now_s if away_since_s is None else away_since_s
                if now_s - away_since_s >= patience_s:
                    raise
            except BusyError as error:
                time.sleep(error.retry_after_s)
            time.sleep(_AGAIN_S)

    def _stream(
        self, after: int | None, job_id: str | None, batch_id: str | None
    ) -> Iterator[Event | None]:
        asked = _given({"job": job_id, "batch": batch_id})
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        timeout = httpx.Timeout(_SILENCE_S, connect=10.0)
        with (
            _mapped(),
            self._http.stream(
                "GET", f"{_API}/events", params=asked, headers=headers, timeout=timeout
            ) as answer,
        ):
            _check(answer)
            is_open = False
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    yield _event(json.loads(line[5:]))
                elif line.startswith(":") and not is_open:
                    is_open = True
                    yield None

    # History -----------------------------------------------------------------------------------

    def recordings(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        tag: str | None = None,
        is_deleted: bool = False,
    ) -> RecordingPage:
        """A page of the history, the newest first."""
        asked = _given({"limit": limit, "after": after, "tag": tag, "deleted": is_deleted or None})
        page = self._json("GET", "/recordings", params=asked)
        return RecordingPage(tuple(map(_recording, page["items"])), page["next"])

    def search(
        self,
        query: str,
        *,
        match: Literal["text", "sound"] = "text",
        filters: SearchFilters | None = None,
        limit: int = 20,
        hits: int = 3,
        after: str | None = None,
    ) -> SearchPage:
        """A page of recordings that hold it, the newest first, each with its best segments.

        Go on with ``after=page.next``. See ``docs/search.md`` for what a query may hold.
        """
        asked = _given(
            {
                **({} if filters is None else asdict(filters)),
                "query": query, "match": match, "limit": limit, "hits": hits, "after": after,
            }
        )  # fmt: skip
        body = {
            name: one.isoformat() if isinstance(one, datetime) else one
            for name, one in asked.items()
        }
        page = self._json("POST", "/search", json=body)
        return _made(SearchPage, {**page, "items": tuple(map(_found, page["items"]))})

    def recording(self, recording_id: str) -> Recording:
        """Raises RecordingNotFound."""
        return _recording(self._json("GET", f"/recordings/{_id(recording_id)}"))

    def transcript(self, recording_id: str, revision: int | None = None) -> Transcript:
        """Raises RevisionNotFound while there is none."""
        asked = _given({"revision": revision})
        found = self._json("GET", f"/transcripts/{_id(recording_id)}", params=asked)
        del found["revision"]
        return Transcript.from_dict(found)

    def segments(
        self, recording_id: str, *, start: int = 0, limit: int = 200, revision: int | None = None
    ) -> SegmentPage:
        """A page of a transcript. Raises RevisionNotFound while there is none."""
        asked = _given({"start": start, "limit": limit, "revision": revision})
        path = f"/transcripts/{_id(recording_id)}/segments"
        page = self._json("GET", path, params=asked)
        return _made(SegmentPage, {**page, "items": tuple(map(segment_from, page["items"]))})

    def export(
        self, recording_id: str, format: str, *, revision: int | None = None, words: bool = False
    ) -> bytes:
        """The transcript as a file: txt, srt, vtt, json, csv, md or docx."""
        asked = _given({"revision": revision, "words": words or None})
        path = f"/exports/{_id(recording_id)}/{_id(format)}"
        return self._send("GET", path, params=asked).content

    def export_many(
        self,
        file: IO[bytes],
        formats: Sequence[str] = ("txt",),
        *,
        batch_id: str | None = None,
        recordings: Sequence[str] = (),
        words: bool = False,
    ) -> None:
        """Write a ZIP: of the transcripts of a batch, or of the recordings named."""
        body = _given({"batch": batch_id, "recordings": list(recordings) or None})
        body |= {"formats": list(formats), "words": words}
        self._copy("POST", "/exports", file, json=body)

    def batch_table(self, file: IO[bytes], batch_id: str, form: Literal["csv", "json"]) -> None:
        """Write a table: a line for each recording of a batch, with its text."""
        self._copy("GET", f"/batches/{_id(batch_id)}/table/{form}", file)

    def correct(self, recording_id: str, transcript: Transcript, *, based_on: int) -> int:
        """A new revision by a person; its number. Raises RevisionConflict."""
        body = {"based_on": based_on, "transcript": transcript.as_dict()}
        answer = self._json("PUT", f"/transcripts/{_id(recording_id)}", json=body)
        return int(answer["revision"])

    def delete(self, recording_id: str) -> Recording:
        return _recording(self._json("DELETE", f"/recordings/{_id(recording_id)}"))

    def undo(self, recording_id: str) -> Recording:
        return _recording(self._json("POST", f"/recordings/{_id(recording_id)}/undo"))

    def purge(self, recording_id: str) -> Receipt:
        """Remove a deleted recording for good."""
        return _made(Receipt, self._json("POST", f"/recordings/{_id(recording_id)}/purge"))

    # Notes -------------------------------------------------------------------------------------

    def notes(self, recording_id: str, *, limit: int = 50, after: str | None = None) -> NotePage:
        """A page in order of time, those about the whole recording first."""
        path = f"/recordings/{_id(recording_id)}/notes"
        page = self._json("GET", path, params=_given({"limit": limit, "after": after}))
        return NotePage(tuple(map(_note, page["items"])), page["next"])

    def note(self, recording_id: str, note_id: str) -> Note:
        """Raises NoteNotFound."""
        return _note(self._json("GET", f"/recordings/{_id(recording_id)}/notes/{_id(note_id)}"))

    def add_note(
        self,
        recording_id: str,
        text: str,
        *,
        at_s: float | None = None,
        end_s: float | None = None,
    ) -> Note:
        """About a moment, or a stretch; None: about the whole recording."""
        body = {"text": _text(text), "at_s": at_s, "end_s": end_s}
        return _note(self._json("POST", f"/recordings/{_id(recording_id)}/notes", json=body))

    def change_note(self, note: Note) -> Note:
        """Its text and times, for ``replace(note, text=…)`` of one that was read.

        Raises RevisionConflict when somebody was quicker.
        """
        body = {
            "based_on": note.revision, "text": _text(note.text), "at_s": note.at_s,
            "end_s": note.end_s,
        }  # fmt: skip
        path = f"/recordings/{_id(note.recording_id)}/notes/{_id(note.id)}"
        return _note(self._json("PATCH", path, json=body))

    def delete_note(self, recording_id: str, note_id: str) -> Note:
        """For good; what it was. Raises NoteNotFound."""
        path = f"/recordings/{_id(recording_id)}/notes/{_id(note_id)}"
        return _note(self._json("DELETE", path))

    # Glossaries --------------------------------------------------------------------------------

    def glossaries(self) -> list[Glossary]:
        """One's own and those for all, by name, without their words."""
        return [_glossary(one) for one in self._json("GET", "/glossaries")["items"]]

    def glossary(self, name: str) -> Glossary:
        """By name or id, with its words. Raises GlossaryNotFound."""
        return _glossary(self._json("GET", f"/glossaries/{_part(name)}"))

    def save_glossary(
        self,
        name: str,
        words: Iterable[str],
        *,
        based_on: int = 0,
        for_all: bool = False,
        department: str | None = None,
    ) -> Glossary:
        """Make one, or replace the words of revision ``based_on``. Raises RevisionConflict.

        One's own, or for a department (its manager's), or for all (an administrator's).
        """
        body = _given({
            "words": list(map(_text, words)), "based_on": based_on, "for_all": for_all,
            "department": department,
        })  # fmt: skip
        return _glossary(self._json("PUT", f"/glossaries/{_part(name)}", json=body))

    def delete_glossary(
        self, name: str, *, for_all: bool = False, department: str | None = None
    ) -> Glossary:
        """What it was. Raises GlossaryNotFound."""
        asked = _given({"for_all": for_all or None, "department": department})
        return _glossary(self._json("DELETE", f"/glossaries/{_part(name)}", params=asked))

    # Webhooks ----------------------------------------------------------------------------------

    def webhooks(self) -> list[Webhook]:
        """One's own; those of a department for its manager, all for administrators."""
        return [_webhook(one) for one in self._json("GET", "/webhooks")["items"]]

    def webhook(self, webhook_id: str) -> Webhook:
        """Raises WebhookNotFound."""
        return _webhook(self._json("GET", f"/webhooks/{_id(webhook_id)}"))

    def add_webhook(
        self,
        url: str,
        events: Iterable[str],
        *,
        reach: str = "own",
        department: str | None = None,
        includes_text: bool = False,
        note: str = "",
    ) -> tuple[Webhook, str]:
        """A new one and its secret, which is told here only. Raises AddressRefused."""
        body = {
            "url": url, "events": list(events), "reach": reach, "department": department,
            "includes_text": includes_text, "note": note,
        }  # fmt: skip
        return _secret(self._json("POST", "/webhooks", json=body))

    def change_webhook(self, webhook_id: str, **changes: Any) -> Webhook:
        """``url``, ``events``, ``includes_text``, ``note``, ``is_active``."""
        return _webhook(self._json("PATCH", f"/webhooks/{_id(webhook_id)}", json=changes))

    def rotate_webhook(self, webhook_id: str) -> tuple[Webhook, str]:
        """Another secret; the one before signs as well for a day."""
        return _secret(self._json("POST", f"/webhooks/{_id(webhook_id)}/rotate"))

    def delete_webhook(self, webhook_id: str) -> Webhook:
        return _webhook(self._json("DELETE", f"/webhooks/{_id(webhook_id)}"))

    def test_webhook(self, webhook_id: str) -> Delivery:
        """Have the message ``webhook.test`` sent; ask for the delivery to see what became of it."""
        return _delivery(self._json("POST", f"/webhooks/{_id(webhook_id)}/test"))

    def deliveries(
        self,
        webhook_id: str,
        *,
        state: str | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> list[Delivery]:
        """A page, the newest first; go on with ``before=page[-1].id``."""
        asked = _given({"state": state, "limit": limit, "before": before})
        found = self._json("GET", f"/webhooks/{_id(webhook_id)}/deliveries", params=asked)
        return [_delivery(one) for one in found["items"]]

    def delivery(self, webhook_id: str, delivery_id: int) -> Delivery:
        """Raises WebhookNotFound."""
        path = f"/webhooks/{_id(webhook_id)}/deliveries/{int(delivery_id)}"
        return _delivery(self._json("GET", path))

    def replay(self, webhook_id: str, delivery_id: int | None = None) -> int:
        """Send one again, or all that failed; how many."""
        one = "" if delivery_id is None else f"/deliveries/{int(delivery_id)}"
        found = self._json("POST", f"/webhooks/{_id(webhook_id)}{one}/replay")
        return int(found["deliveries"])

    def status(self) -> dict[str, Any]:
        """Parts, workers, engine hosts and jobs of the service."""
        found: dict[str, Any] = self._json("GET", "/status")
        return found

    @property
    def admin(self) -> Administration:
        """People, keys, limits, retention, the audit trail."""
        from lingting.administration import Administration

        return Administration(self)

    # The wire ----------------------------------------------------------------------------------

    def ask(self, method: str, *parts: str, **arguments: Any) -> Any:
        """The first part is a path below the API, the others are names in it."""
        path = "/".join((parts[0], *map(_part, parts[1:])))
        return self._json(method, path, **arguments)

    def _json(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            return self._send(method, path, **arguments).json()
        except ValueError as exc:
            raise ServiceUnreachable("What answered is no service of ours.") from exc

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        with _mapped():
            answer = self._http.request(method, f"{_API}{path}", **arguments)
        _check(answer)
        return answer

    def _copy(self, method: str, path: str, file: IO[bytes], **arguments: Any) -> None:
        """The body of an answer, piece by piece."""
        with _mapped(), self._http.stream(method, f"{_API}{path}", **arguments) as answer:
            _check(answer)
            for piece in answer.iter_bytes(_COPY_BYTES):
                file.write(piece)


def when_free(work: Callable[[], T], *, tries: int = _BUSY_TRIES) -> T:
    """Do it again while the service says that it is busy, as long as it asks each time."""
    for _ in range(tries - 1):
        try:
            return work()
        except (BusyError, TooManyRequests) as error:
            time.sleep(min(error.retry_after_s, 30.0))
    return work()


def when_there(work: Callable[[], T], *, patience_s: float = _UNREACHABLE_S) -> T:
    """As ``when_free``; a service that is away for less than ``patience_s`` is waited for too."""
    until_s = time.monotonic() + patience_s
    while True:
        try:
            return when_free(work)
        except ServiceUnreachable:
            if time.monotonic() >= until_s:
                raise
            time.sleep(_AGAIN_S)


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits. Raises AudioNotFound and its like."""
    with open_path(str(path)) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _Counted:
    """A file that tells how much of it was read."""

    def __init__(self, stream: IO[bytes], on_sent: OnSent | None) -> None:
        self._stream = stream
        self._on_sent = on_sent
        self._sent = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(min(size, _COPY_BYTES) if size > 0 else size)
        self._sent += len(piece)
        if self._on_sent is not None:
            self._on_sent(self._sent)
        return piece

    def fileno(self) -> int:
        return self._stream.fileno()

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)


@contextmanager
def _mapped() -> Iterator[None]:
    """The library's errors as ours; the address stays out of the sentence."""
    try:
        yield
    except httpx.TimeoutException as exc:
        raise ServiceUnreachable("The service did not answer in time.") from exc
    except (httpx.TransportError, httpx.InvalidURL) as exc:
        raise ServiceUnreachable("The service cannot be reached.") from exc


def _check(answer: httpx.Response) -> None:
    """Raises what the service raised."""
    if answer.is_success:
        return
    with _mapped():
        answer.read()
    try:
        told = answer.json()["error"]
        code, message, next_step = told["code"], told["message"], told["next_step"]
    except (ValueError, KeyError, TypeError):
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise BusyError("The service is busy.") from None
        raise ServiceUnreachable(
            f"What answered is no service of ours (status {answer.status_code})."
        ) from None
    raise _error(code, message, next_step, answer)


def error_of(code: str, message: str) -> LingtingError:
    """The error with this code; a service can know others."""
    classes = {cls.code: cls for cls in _tree(LingtingError)}
    return classes.get(code, RequestError)(message)


def _error(code: str, message: str, next_step: str, answer: httpx.Response) -> LingtingError:
    classes = {cls.code: cls for cls in _tree(LingtingError)}
    found = classes.get(code)
    if found is None:
        found = RequestError if answer.status_code < 500 else FaultError
    retry_after = answer.headers.get("retry-after", "")
    if retry_after.isdecimal() and issubclass(found, (BusyError, LimitReached, TooManyTries)):
        return found(message, next_step, retry_after_s=float(retry_after))
    return found(message, next_step)


def _tree(cls: type[LingtingError]) -> Iterator[type[LingtingError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _tree(child)


def _checked(url: str | None) -> str:
    from lingting.config import settings

    given = (url or _server(settings())).rstrip("/").removesuffix(_API)
    parts = urlsplit(given)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise OptionInvalid("The service's address is none.", "Write it as http://host:7860.")
    if parts.username is not None or parts.password is not None:
        raise OptionInvalid(
            "The service's address holds a name or password.", "Give a key instead."
        )
    return given


def _server(now: Settings) -> str:
    """As it is set; else wherever the service of this data folder listens."""
    if "server" not in now.model_fields_set:
        from lingting.server.place import read_state

        found = (read_state(now) or {}).get("url")
        if isinstance(found, str):
            return found
    return now.server


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def _key(url: str, given: str | None) -> str | None:
    from lingting.config import settings

    now = settings()
    if given is None and now.server_key is not None:
        given = now.server_key.get_secret_value()
    if given is None and _is_here(url):
        from lingting.server.place import local_key

        given = local_key(now)
    if given is not None and not given.isascii():
        raise OptionInvalid("The key is none of ours.", "Check LINGTING_SERVER_KEY.")
    return given


def _keyed(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in values.items() if one is not None}


def _fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as fields of a form."""
    made: dict[str, Any] = {}
    for name, value in options.items():
        if name == "hotwords":
            made[name] = "\n".join(map(_text, value)) or None
        elif isinstance(value, bool):
            made[name] = "true" if value else "false"
        elif value is not None:
            made[name] = _text(str(value))
    return made


def _text(given: str) -> str:
    """Bytes of a file's name that are no text are written out."""
    return given.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _id(given: str) -> str:
    """For an address; what is no id leads to nothing there."""
    return given if given.isascii() and given.isalnum() else "-"


def _part(name: str) -> str:
    """A name as one part of an address; dots too, which would lead elsewhere."""
    return quote(_text(name), safe="").replace(".", "%2E")


def _made(cls: type[T], row: Mapping[str, Any]) -> T:
    """A value of the service; fields of a newer one are left out."""
    known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    return cls(
        **{
            name: datetime.fromisoformat(one) if name in _TIMES and one is not None else one
            for name, one in row.items()
            if name in known
        }
    )


made = _made
"""For the other half of the client, ``administration``."""


def _job(row: Mapping[str, Any]) -> Job:
    error = row.get("error")
    return _made(Job, {**row, "error": None if error is None else Failure(**error)})


def _batch(row: Mapping[str, Any]) -> Batch:
    return _made(Batch, row)


def _event(row: Mapping[str, Any]) -> Event:
    return _made(Event, {"owner": None, "department": None, **row})


def _recording(row: Mapping[str, Any]) -> Recording:
    return _made(Recording, {**row, "tags": tuple(row["tags"])})


def _found(row: Mapping[str, Any]) -> FoundRecording:
    hits = tuple(
        _made(
            FoundSegment, {**hit, "places": tuple(_made(FoundPlace, one) for one in hit["places"])}
        )
        for hit in row["hits"]
    )
    return _made(FoundRecording, {**row, "recording": _recording(row["recording"]), "hits": hits})


def _note(row: Mapping[str, Any]) -> Note:
    return _made(Note, row)


def _glossary(row: Mapping[str, Any]) -> Glossary:
    words = row["words"]
    return _made(Glossary, {**row, "words": None if words is None else tuple(words)})


def _webhook(row: Mapping[str, Any]) -> Webhook:
    return _made(Webhook, {**row, "events": tuple(row["events"])})


def _secret(row: Mapping[str, Any]) -> tuple[Webhook, str]:
    return _webhook(row["webhook"]), str(row["secret"])


def _delivery(row: Mapping[str, Any]) -> Delivery:
    return _made(Delivery, {**row, "log": tuple(_made(Attempt, one) for one in row["log"])})
