"""Messages to webhooks, by Standard Webhooks: https://www.standardwebhooks.com

A thread of the web process looks for deliveries that are due, threads of a pool send them. Rows
are the truth (``store.webhooks``): several web processes share the work, and what one had under way
when it was killed is sent again. Receivers are asked as ``outbound`` allows; of their answers only
the status is kept.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lingting import __version__
from lingting.errors import LingtingError, RecordingNotFound, RevisionNotFound
from lingting.outbound import Rules, asked, parse_networks, parse_target

if TYPE_CHECKING:
    from lingting.config import Settings
    from lingting.server.service import Service
    from lingting.store.webhooks import Outcome, Parcel, Webhooks

log = logging.getLogger("lingting.server")

LOOK_EVERY_S = 0.5
AT_ONCE = 8
OF_ONE = 2
"""Messages under way to one webhook: a slow receiver does not hold the others up."""
TIMEOUT_S = 15.0
MAX_TEXT_CHARS = 6_000
"""Of a transcript in a message: with it a message stays below 20 kB."""
_AFTER_A_FAILURE_S = 5.0
_FORGET_EVERY_S = 3600.0
_WITH_TEXT = frozenset({"job.done", "transcript.corrected", "transcript.restored"})
_MAX_WAIT_S = 86_400


class Sender:
    """Sends until ``close``; made once for a process."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stop = threading.Event()
        self._freed = threading.Event()
        self._lock = threading.Lock()
        self._busy: Counter[str] = Counter()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook")
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._forget_s = time.monotonic()

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """What is under way goes on for a moment; what that did not note is sent again."""
        self._stop.set()
        self._freed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._thread.is_alive():
            self._thread.join(2.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            wait_s = LOOK_EVERY_S
            try:
                self._look()
            except LingtingError as error:
                log.warning("webhooks wait", extra={"code": error.code})
                wait_s = _AFTER_A_FAILURE_S
            except Exception as exc:
                log.error("webhooks wait", extra={"kind": type(exc).__name__})
                wait_s = _AFTER_A_FAILURE_S
            self._freed.wait(wait_s)
            self._freed.clear()

    def _look(self) -> None:
        hooks = webhooks_of(self._service)
        if time.monotonic() >= self._forget_s:
            self._forget_s = time.monotonic() + _FORGET_EVERY_S
            hooks.forget_old()
        with self._lock:
            busy = Counter(self._busy)
        room = AT_ONCE - busy.total()
        if room <= 0 or not hooks.has_due():
            return
        for parcel in hooks.claim(room, of_one=OF_ONE, busy=busy):
            with self._lock:
                self._busy[parcel.webhook_id] += 1
            self._pool.submit(self._deliver, hooks, parcel)

    def _deliver(self, hooks: Webhooks, parcel: Parcel) -> None:
        try:
            outcome = self._sent(parcel)
            hooks.settle(parcel, outcome)
            log.info(
                "webhook",
                extra={
                    "webhook": parcel.webhook_id, "delivery": parcel.delivery_id,
                    "attempt": parcel.attempt, "status": outcome.status, "code": outcome.error,
                    "took_ms": outcome.took_ms,
                },
            )  # fmt: skip
        except LingtingError as error:  # its time runs out, then it is sent again
            log.warning("webhook not noted", extra={"code": error.code})
        except Exception as exc:
            log.error("webhook not sent", extra={"kind": type(exc).__name__})
        finally:
            with self._lock:
                self._busy[parcel.webhook_id] -= 1
            self._freed.set()

    def _sent(self, parcel: Parcel) -> Outcome:
        from lingting.store.webhooks import Outcome

        body = json.dumps(
            {
                "type": parcel.kind,
                "timestamp": parcel.at.astimezone(UTC).isoformat(timespec="milliseconds"),
                "data": self._data(parcel),
            },
            ensure_ascii=False, separators=(",", ":"),
        )  # fmt: skip
        begun_s = time.monotonic()
        status, code, wait_s = None, None, None
        try:
            with asked(
                "POST", parcel.url, rules_of(self._service.settings),
                headers=_headers(parcel, body, datetime.now(UTC)), body=body.encode(),
                timeout_s=TIMEOUT_S,
            ) as answer:  # fmt: skip
                status = answer.status
                wait_s = _seconds(answer.headers.get("retry-after", ""))
        except LingtingError as error:
            code = error.code
        took_ms = round((time.monotonic() - begun_s) * 1000)
        return Outcome(status, code, took_ms, wait_s)

    def _data(self, parcel: Parcel) -> dict[str, Any]:
        """Ids and counts as they were kept; text as it is now, where the webhook wants it."""
        data = dict(parcel.data)
        recording_id = data.get("recording_id")
        if parcel.includes_text and parcel.kind in _WITH_TEXT and isinstance(recording_id, str):
            store = self._service.store
            try:
                if store.recording(recording_id).deleted_at is None:
                    text = store.transcript(recording_id, data.get("revision")).text
                    data["text"] = text[:MAX_TEXT_CHARS]
                    data["is_text_cut"] = len(text) > MAX_TEXT_CHARS
            except (RecordingNotFound, RevisionNotFound):
                pass
        return data


def webhooks_of(service: Service) -> Webhooks:
    """May block; not for the event loop."""
    from lingting.store.webhooks import Webhooks

    return Webhooks(service.store.database)


def rules_of(settings: Settings) -> Rules:
    """Any public host by https, and the networks that the operator lists."""
    return Rules(networks=parse_networks(settings.outbound_networks))


def check_url(url: str, settings: Settings) -> None:
    """What can be said of an address without asking. Raises AddressRefused."""
    parse_target(url, rules_of(settings))


def _headers(parcel: Parcel, body: str, now: datetime) -> dict[str, str]:
    from standardwebhooks import Webhook

    signatures = [Webhook(one).sign(parcel.message_id, now, body) for one in parcel.secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": f"Lingting/{__version__}",
        "Connection": "close",
        "webhook-id": parcel.message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _seconds(given: str) -> float | None:
    """Of Retry-After; a date is left to our own waits."""
    return float(min(int(given), _MAX_WAIT_S)) if given.isdecimal() and len(given) < 8 else None
