"""A Lingting engine host as an engine: every field of a clip travels, nothing is rounded.

The guard is at the host, so none is put around this. Any number of threads may call
:meth:`HostEngine.recognize` at once; each call is one request, or a few for very much audio, and
the host batches across all of them.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any
from urllib.parse import quote

from lingting import log, tracing
from lingting.engines.base import Clip, EngineFacts, Hypothesis
from lingting.engines.clips import check_clip
from lingting.engines.envelope import (
    CONTENT_TYPE,
    LANES,
    UNREADABLE,
    Answer,
    check_lane,
    read_answer,
    read_error,
    read_facts,
    write_request,
)
from lingting.engines.remote.address import Address, parse_address
from lingting.engines.remote.link import Link, Reply
from lingting.engines.remote.options import RemoteOptions
from lingting.errors import (
    EngineBusy,
    EngineFailed,
    EngineRefused,
    EngineUnreachable,
    LingtingError,
    ModelUnknown,
)

_REQUEST_S = 300.0  # of audio, 19 MB
_REQUEST_CLIPS = 256
_SILENCE_S = 30.0  # six signs of life that did not come
_TRANSCRIPTIONS = "/v1/audio/transcriptions"
_HEADERS = {"Content-Type": CONTENT_TYPE, "Accept": "application/json"}
_OWN = "lingting"


def own_entries(listed: Any) -> list[Mapping[str, Any]]:
    """The entries of ``/v1/models`` when it is a Lingting host's; else none."""
    rows = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(rows, list) or not rows:
        return []
    are_ours = all(isinstance(row, dict) and isinstance(row.get(_OWN), dict) for row in rows)
    return rows if are_ours else []


def answers_as_host(place: Address, key: str | None, options: RemoteOptions) -> bool:
    """Whether an engine host of ours listens there; asked without any HTTP client.

    Raises EngineUnreachable when nobody does, after as many attempts as the options allow.
    """
    link = Link(place, key, connect_s=options.connect_timeout_s, silence_s=options.timeout_s)
    try:
        for attempt in range(options.attempts):
            try:
                reply = link.ask("GET", "/v1/models")
            except EngineUnreachable:
                if attempt + 1 == options.attempts:
                    raise
                time.sleep(min(options.first_wait_s * 2.0**attempt, options.most_wait_s))
            else:
                return reply.status == 200 and bool(own_entries(json.loads(reply.body)))
    except (ValueError, RecursionError):
        return False
    finally:
        link.close()
    return False


class HostEngine:
    """One model of one host."""

    def __init__(
        self,
        address: str | Address,
        *,
        model: str | None = None,
        key: str | None = None,
        options: RemoteOptions | None = None,
        lane: str = LANES[-1],
    ) -> None:
        """Waits until the host has loaded the model; see :func:`lingting.engines.remote.load`.

        ``lane`` is that of calls which name none.
        """
        self._options = options or RemoteOptions()
        self._lane = check_lane(lane)
        place = address if isinstance(address, Address) else parse_address(address)
        self._link = Link(
            place, key, connect_s=self._options.connect_timeout_s, silence_s=_SILENCE_S
        )
        self._closed = threading.Event()
        try:
            self._entry = self._prepared(model)
            self._facts = read_facts(self._entry[_OWN]["facts"])
        except BaseException:
            self._link.close()
            raise
        self._model = str(self._entry["id"])

    @property
    def facts(self) -> EngineFacts:
        """Those of the engine at the host."""
        return self._facts

    @property
    def shown(self) -> str:
        """Where it is, as far as it may be shown."""
        return self._link.shown

    @property
    def queue_s(self) -> float:
        """Seconds of audio that the host queues, all callers together."""
        return float(self._entry[_OWN].get("queue_s", 0.0))

    def close(self) -> None:
        self._closed.set()
        self._link.close()

    @property
    def lanes(self) -> tuple[str, ...]:
        return LANES

    def recognize(self, clips: Sequence[Clip], *, lane: str | None = None) -> list[Hypothesis]:
        """One hypothesis per clip, in order. Safe to call from many threads.

        A host that is busy or away is waited for as the options say; clips it then still does not
        answer have EngineBusy or EngineUnreachable, which can be tried again.
        """
        results: list[Hypothesis | None] = [None] * len(clips)
        wanted: list[int] = []
        for at, clip in enumerate(clips):
            if clip.samples.ndim == 1 and clip.samples.dtype.kind == "f":
                wanted.append(at)  # whatever else may be wrong with it, its engine says
                continue
            try:
                check_clip(clip)
            except LingtingError as error:
                results[at] = Hypothesis("", clip.options.language, error=error)
        parts = list(request_sized(wanted, clips))
        for part, found in zip(parts, self._all(parts, clips, lane), strict=True):
            for at, hypothesis in zip(part, found, strict=True):
                results[at] = hypothesis
        return [one for one in results if one is not None]

    def _all(
        self, parts: list[list[int]], clips: Sequence[Clip], lane: str | None
    ) -> Iterator[list[Hypothesis]]:
        given = [[clips[at] for at in part] for part in parts]
        if len(given) <= 1:
            yield from (self._patiently(part, lane) for part in given)
            return
        with ThreadPoolExecutor(min(len(given), self._options.concurrency)) as pool:
            under_way = [
                pool.submit(copy_context().run, self._patiently, part, lane) for part in given
            ]
            yield from (one.result() for one in under_way)

    def _patiently(self, clips: list[Clip], lane: str | None) -> list[Hypothesis]:
        """Again while the host is busy or away, only what has no answer yet."""
        found: list[Hypothesis] = [Hypothesis("")] * len(clips)
        left = list(range(len(clips)))
        for attempt in range(self._options.attempts):
            wait_s = self._options.first_wait_s * 2.0**attempt
            try:
                heard = self.ask([clips[at] for at in left], lane=lane)
            except LingtingError as error:
                heard = [Hypothesis("", error=error)] * len(left)
            for at, hypothesis in zip(left, heard, strict=True):
                found[at] = hypothesis
            left = [at for at in left if is_transient(found[at].error)]
            if not left:
                break
            failure = found[left[0]].error
            if isinstance(failure, EngineBusy):
                wait_s = failure.retry_after_s
            if attempt + 1 == self._options.attempts or wait_s > self._options.most_wait_s:
                break
            if self._closed.wait(wait_s * (1.0 + 0.25 * random.random())):  # noqa: S311
                break
        return found

    def ask(self, clips: Sequence[Clip], *, lane: str | None = None) -> list[Hypothesis]:
        """One request, no second attempt. Errors of single clips are on their hypotheses.

        Raises EngineBusy or EngineUnreachable when nothing was answered, and what is wrong with
        the request.
        """
        return list(self.answer(clips, lane=lane).hypotheses)

    def answer(self, clips: Sequence[Clip], *, lane: str | None = None) -> Answer:
        """As :meth:`ask`, with after how many batches each clip came."""
        body = write_request(clips, lane=check_lane(lane or self._lane), model=self._model)
        headers = {**_HEADERS, **log.request_headers(), **tracing.headers()}
        reply = self._link.ask("POST", _TRANSCRIPTIONS, body, headers)
        if reply.status != 200:
            raise error_of(reply, self.shown)
        return read_answer(reply.body, len(clips))

    def _prepared(self, wanted: str | None) -> Mapping[str, Any]:
        """The model's entry, loaded, so that its facts are known."""
        until_s = time.monotonic() + self._options.timeout_s
        for attempt in range(self._options.attempts):
            try:
                return self._asked_to_load(wanted)
            except (EngineBusy, EngineUnreachable) as error:
                wait_s = self._options.first_wait_s * 2.0**attempt
                if isinstance(error, EngineBusy):
                    wait_s = error.retry_after_s
                is_last = attempt + 1 == self._options.attempts
                if is_last or time.monotonic() + wait_s > until_s:
                    raise
            self._closed.wait(wait_s)
        raise EngineUnreachable(f"The engine host at {self.shown} gives no answer.")

    def _asked_to_load(self, wanted: str | None) -> Mapping[str, Any]:
        entries = own_entries(self._json(self._link.ask("GET", "/v1/models")))
        if not entries:
            raise EngineRefused(f"The server at {self.shown} is no Lingting engine host.")
        names = [str(entry["id"]) for entry in entries]
        default = next((str(e["id"]) for e in entries if e[_OWN].get("default")), names[0])
        name = default if wanted in (None, "auto") else str(wanted)
        entry = next((entry for entry in entries if entry["id"] == name), None)
        if entry is None:
            raise ModelUnknown(
                f"The engine host at {self.shown} has no model {name[:80]!r}; "
                f"it has {', '.join(names[:10])}.",
                "Put one of them behind the address, after #.",
            )
        if entry[_OWN].get("facts") is None:
            path = f"/models/{quote(name, safe='/')}/load"
            loaded = self._json(self._link.ask("POST", path))
            entry = next(iter(own_entries({"data": [loaded]})), entry)
        if entry[_OWN].get("facts") is None:
            error = entry[_OWN].get("error")
            raise (read_error(error) if error else EngineFailed("The host did not load its model."))
        return entry

    def _json(self, reply: Reply) -> Any:
        if reply.status != 200:
            raise error_of(reply, self.shown)
        try:
            return json.loads(reply.body)
        except (ValueError, RecursionError) as exc:
            raise EngineRefused(f"The answer of {self.shown} cannot be read.") from exc


def is_transient(error: LingtingError | None) -> bool:
    """Whether the clip was not recognised for a reason that passes, and may be given to others."""
    return isinstance(error, EngineBusy | EngineUnreachable)


def request_sized(wanted: Sequence[int], clips: Sequence[Clip]) -> Iterator[list[int]]:
    """Positions of clips, as many as one request may have."""
    part: list[int] = []
    seconds = 0.0
    for at in wanted:
        if part and (seconds + clips[at].duration_s > _REQUEST_S or len(part) >= _REQUEST_CLIPS):
            yield part
            part, seconds = [], 0.0
        part.append(at)
        seconds += clips[at].duration_s
    if part:
        yield part


def error_of(reply: Reply, place: str) -> LingtingError:
    """What a host said instead of an answer."""
    if reply.status == 401:
        return EngineRefused(
            f"The engine host at {place} does not take the key (401).",
            "Set LINGTING_REMOTE_KEY to a key it knows.",
        )
    try:
        return read_error(json.loads(reply.body)["lingting_error"])
    except UNREADABLE:
        pass
    if reply.status in (429, 503):
        return EngineBusy(f"The engine host at {place} is busy ({reply.status}).")
    if reply.status in (400, 500, 502, 504):
        # Not in the host's own words: what reads requests there gave up, for want of memory say.
        return EngineUnreachable(f"The engine host at {place} broke down ({reply.status}).")
    return EngineRefused(f"The engine host at {place} does not take the request ({reply.status}).")
