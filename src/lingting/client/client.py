"""What a service can be asked for: one method for each request."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import httpx

from lingting.answers import Parameter, Speech
from lingting.audio.source import open_path
from lingting.client.connection import (
    AGAIN_S,
    API,
    UNREACHABLE_S,
    check,
    given,
    id_part,
    mapped,
    name_part,
    when_there,
    written,
)
from lingting.client.history import HistoryRequests
from lingting.client.sending import Counted, OnSent, digest_of, form_of
from lingting.client.values import (
    delivery_from,
    event_from,
    job_from,
    secret_from,
    speech_from,
    value_from,
)
from lingting.errors import BusyError, JobNotFound, OptionInvalid, ServiceUnreachable
from lingting.store.records import (
    Batch,
    Delivery,
    Event,
    Glossary,
    Job,
    Webhook,
)

if TYPE_CHECKING:
    from lingting.client.administration import Administration

Action = Literal["pause", "resume", "cancel", "retry"]

_SILENCE_S = 45.0
"""The service says something every 15 s."""
_RESUMED_S = 600.0


class Client(HistoryRequests):
    """One service. Not for several threads at once; use it in a ``with`` block."""

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
        form = form_of(
            name or (audio.name if isinstance(audio, Path) else "recording"), options or {},
            batch_id=batch_id, priority=priority, sha256=sha256,
        )  # fmt: skip
        if resumable:
            return self._submit_resumable(audio, form, idempotency_key, on_sent)
        with open_path(str(audio)) if isinstance(audio, Path) else nullcontext(audio) as stream:
            answer = self._json(
                "POST",
                "/recordings",
                data=form,
                files=[("file", ("file", Counted(stream, on_sent), "application/octet-stream"))],
                headers=_keyed(idempotency_key),
            )
        return job_from(answer["items"][0]["job"])

    def _submit_resumable(
        self,
        audio: Path | IO[bytes],
        form: Mapping[str, str],
        idempotency_key: str | None,
        on_sent: OnSent | None,
    ) -> Job:
        from lingting.client.resuming import send_resumable

        if not isinstance(audio, Path):
            raise OptionInvalid("A resumable upload is of a file.", "Give its path.")
        if idempotency_key is not None and (known := self.submitted(idempotency_key)) is not None:
            return known
        return job_from(
            send_resumable(
                self._send,
                audio,
                {**form, "sha256": form.get("sha256") or digest_of(audio)},
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
        return job_from(self._json("POST", path, json=body, headers=headers, timeout=timeout))

    def submitted(self, idempotency_key: str) -> Job | None:
        """The job that ``submit`` with this key made before, so that nothing is sent again."""
        try:
            return job_from(self._json("GET", "/jobs/submitted", headers=_keyed(idempotency_key)))
        except JobNotFound:
            return None

    def open_batch(
        self, name: str, *, priority: str = "normal", idempotency_key: str | None = None
    ) -> Batch:
        """A name for recordings that belong together."""
        body = {"name": written(name), "priority": priority}
        return value_from(
            Batch, self._json("POST", "/batches", json=body, headers=_keyed(idempotency_key))
        )

    def transcribe_again(
        self, recording_id: str, options: Mapping[str, Any] | None = None, *,
        priority: str = "normal",
    ) -> Job:  # fmt: skip
        """Another transcript of a recording that is there."""
        body = {"options": dict(options or {}), "priority": priority}
        return job_from(self._json("POST", f"/recordings/{id_part(recording_id)}/jobs", json=body))

    # Jobs --------------------------------------------------------------------------------------

    def job(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        return job_from(self._json("GET", f"/jobs/{id_part(job_id)}"))

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
        return [job_from(one) for one in self._json("GET", "/jobs", params=given(asked))["items"]]

    def change(self, job_id: str, action: Action) -> Job:
        """Pause, resume, cancel or retry it."""
        return job_from(self._json("POST", f"/jobs/{id_part(job_id)}/{action}"))

    def batch(self, batch_id: str) -> Batch:
        """Raises BatchNotFound."""
        return value_from(Batch, self._json("GET", f"/batches/{id_part(batch_id)}"))

    def batches(self, *, limit: int = 50, after: str | None = None) -> list[Batch]:
        """A page, the newest first; go on with ``after=page[-1].id``."""
        asked = given({"limit": limit, "after": after})
        return [
            value_from(Batch, one) for one in self._json("GET", "/batches", params=asked)["items"]
        ]

    def change_batch(self, batch_id: str, action: Action) -> Batch:
        """The same for all of its jobs."""
        return value_from(Batch, self._json("POST", f"/batches/{id_part(batch_id)}/{action}"))

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
        patience_s: float = UNREACHABLE_S,
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
            time.sleep(AGAIN_S)

    def _stream(
        self, after: int | None, job_id: str | None, batch_id: str | None
    ) -> Iterator[Event | None]:
        asked = given({"job": job_id, "batch": batch_id})
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        timeout = httpx.Timeout(_SILENCE_S, connect=10.0)
        with (
            mapped(),
            self._http.stream(
                "GET", f"{API}/events", params=asked, headers=headers, timeout=timeout
            ) as answer,
        ):
            check(answer)
            is_open = False
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    yield event_from(json.loads(line[5:]))
                elif line.startswith(":") and not is_open:
                    is_open = True
                    yield None

    # Speech ------------------------------------------------------------------------------------

    def speech(self, recording_id: str, **parameters: Any) -> Speech:
        """Where somebody speaks in a recording, by the parameters of `lingting vad`."""
        path = f"/recordings/{id_part(recording_id)}/speech"
        return speech_from(self._json("POST", path, json=parameters))

    def speech_in(self, audio: Path | IO[bytes], **parameters: Any) -> Speech:
        """The same of a clip that the service does not keep. Raises AudioTooLong, BodyTooLarge."""
        if isinstance(audio, Path):
            with open_path(str(audio)) as stream:
                return self.speech_in(stream, **parameters)
        fields = {name: json.dumps(value) for name, value in parameters.items()}
        files = [("file", ("file", Counted(audio, None), "application/octet-stream"))]
        return speech_from(self._json("POST", "/speech", data=fields, files=files))

    def speech_parameters(self) -> list[Parameter]:
        """Everything that finding speech can be told."""
        told = self._json("GET", "/speech/parameters")
        return [value_from(Parameter, one) for one in told["parameters"]]

    # Glossaries --------------------------------------------------------------------------------

    def glossaries(self) -> list[Glossary]:
        """One's own and those for all, by name, without their words."""
        return [value_from(Glossary, one) for one in self._json("GET", "/glossaries")["items"]]

    def glossary(self, name: str) -> Glossary:
        """By name or id, with its words. Raises GlossaryNotFound."""
        return value_from(Glossary, self._json("GET", f"/glossaries/{name_part(name)}"))

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
        body = given({
            "words": list(map(written, words)), "based_on": based_on, "for_all": for_all,
            "department": department,
        })  # fmt: skip
        return value_from(Glossary, self._json("PUT", f"/glossaries/{name_part(name)}", json=body))

    def delete_glossary(
        self, name: str, *, for_all: bool = False, department: str | None = None
    ) -> Glossary:
        """What it was. Raises GlossaryNotFound."""
        asked = given({"for_all": for_all or None, "department": department})
        return value_from(
            Glossary, self._json("DELETE", f"/glossaries/{name_part(name)}", params=asked)
        )

    # Webhooks ----------------------------------------------------------------------------------

    def webhooks(self) -> list[Webhook]:
        """One's own; those of a department for its manager, all for administrators."""
        return [value_from(Webhook, one) for one in self._json("GET", "/webhooks")["items"]]

    def webhook(self, webhook_id: str) -> Webhook:
        """Raises WebhookNotFound."""
        return value_from(Webhook, self._json("GET", f"/webhooks/{id_part(webhook_id)}"))

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
        return secret_from(self._json("POST", "/webhooks", json=body))

    def change_webhook(self, webhook_id: str, **changes: Any) -> Webhook:
        """``url``, ``events``, ``includes_text``, ``note``, ``is_active``."""
        return value_from(
            Webhook, self._json("PATCH", f"/webhooks/{id_part(webhook_id)}", json=changes)
        )

    def rotate_webhook(self, webhook_id: str) -> tuple[Webhook, str]:
        """Another secret; the one before signs as well for a day."""
        return secret_from(self._json("POST", f"/webhooks/{id_part(webhook_id)}/rotate"))

    def delete_webhook(self, webhook_id: str) -> Webhook:
        return value_from(Webhook, self._json("DELETE", f"/webhooks/{id_part(webhook_id)}"))

    def test_webhook(self, webhook_id: str) -> Delivery:
        """Have the message ``webhook.test`` sent; ask for the delivery to see what became of it."""
        return delivery_from(self._json("POST", f"/webhooks/{id_part(webhook_id)}/test"))

    def deliveries(
        self,
        webhook_id: str,
        *,
        state: str | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> list[Delivery]:
        """A page, the newest first; go on with ``before=page[-1].id``."""
        asked = given({"state": state, "limit": limit, "before": before})
        found = self._json("GET", f"/webhooks/{id_part(webhook_id)}/deliveries", params=asked)
        return [delivery_from(one) for one in found["items"]]

    def delivery(self, webhook_id: str, delivery_id: int) -> Delivery:
        """Raises WebhookNotFound."""
        path = f"/webhooks/{id_part(webhook_id)}/deliveries/{int(delivery_id)}"
        return delivery_from(self._json("GET", path))

    def replay(self, webhook_id: str, delivery_id: int | None = None) -> int:
        """Send one again, or all that failed; how many."""
        one = "" if delivery_id is None else f"/deliveries/{int(delivery_id)}"
        found = self._json("POST", f"/webhooks/{id_part(webhook_id)}{one}/replay")
        return int(found["deliveries"])

    def status(self) -> dict[str, Any]:
        """Parts, workers, engine hosts and jobs of the service."""
        found: dict[str, Any] = self._json("GET", "/status")
        return found

    @property
    def admin(self) -> Administration:
        """People, keys, limits, retention, the audit trail."""
        from lingting.client.administration import Administration

        return Administration(self)


def _keyed(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}
