"""The engine: every clip is one request, a bounded number of them under way, results in order."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lingting.engines.base import Clip, EngineFacts, Hypothesis
from lingting.engines.clips import check_clip
from lingting.engines.remote.address import Address, parse_address
from lingting.engines.remote.client import Client, FieldRefused
from lingting.engines.remote.host import own_entries
from lingting.engines.remote.options import RemoteOptions
from lingting.engines.remote.wire import (
    ABILITY_NAMES,
    LANGUAGE,
    form_of,
    hypothesis_of,
    refused_ability,
    wav_bytes,
)
from lingting.errors import (
    EngineFailed,
    EngineRefused,
    LanguageUnsupported,
    LingtingError,
    ModelUnknown,
    OptionInvalid,
)
from lingting.transcript import ModelFacts

_TRANSCRIPTIONS = "/v1/audio/transcriptions"
_MODELS = "/v1/models"
_SHOWN_MODELS = 10


class RemoteEngine:
    """A server behind the Engine protocol. What it refuses is left out from then on."""

    def __init__(
        self,
        place: Address,
        client: Client,
        listed: Any,
        *,
        model: str | None,
        options: RemoteOptions,
    ) -> None:
        """``listed`` is what the server says of its models; see :func:`open_server`."""
        self._client = client
        self._model = _choose_model(client, place.shown, model, listed)
        self._lacks: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = ThreadPoolExecutor(
            options.concurrency, thread_name_prefix="lingting-remote"
        )
        self._facts = EngineFacts(
            model=ModelFacts(id=self._model, compute=f"remote {place.shown}"),
            languages=None,
            has_words=True,
            has_detection=True,
            writes_numbers=True,
            device="remote",
        )

    @property
    def facts(self) -> EngineFacts:
        return self._facts

    @property
    def lacks(self) -> frozenset[str]:
        """Abilities that the server has refused so far, such as ``words`` and ``hotwords``."""
        return self._lacks

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            self._client.close()
            pool.shutdown(wait=True, cancel_futures=True)

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """One hypothesis per clip, in order; see the Engine protocol."""
        if self._pool is None:
            raise EngineFailed("The engine was closed.", "Make a new one.")
        return list(self._pool.map(self._answered, clips))

    def _answered(self, clip: Clip) -> Hypothesis:
        try:
            check_clip(clip)
            return self._asked(clip)
        except LingtingError as error:
            return Hypothesis("", clip.options.language, error=error)

    def _asked(self, clip: Clip) -> Hypothesis:
        """Ask; leave out what the server refuses, one ability at a time, and ask again."""
        file = ("clip.wav", wav_bytes(clip.samples), "audio/wav")
        for _ in range(len(ABILITY_NAMES) + 1):
            form = form_of(clip.options, self._model, self._lacks)
            try:
                answer = self._client.post(_TRANSCRIPTIONS, form.fields, file)
            except FieldRefused as refusal:
                self._learn(refusal, form.uses, clip.options.language)
            else:
                return hypothesis_of(answer.body, clip, form.notes)
        raise EngineRefused("The server refuses the request whatever is left out of it.")

    def _learn(self, refusal: FieldRefused, uses: frozenset[str], language: str | None) -> None:
        ability = refused_ability(refusal.body, uses)
        if ability is None:
            raise EngineRefused(
                f"The server refuses a clip ({refusal.status}), for a reason that no option of it "
                "explains."
            ) from refusal
        if ability == LANGUAGE:  # left out, it would write down another language
            raise LanguageUnsupported(
                f"The server does not take the language {language}."
            ) from refusal
        with self._lock:
            self._lacks |= {ability}


def open_server(
    address: str, *, model: str | None, key: str | None, options: RemoteOptions
) -> RemoteEngine | Address:
    """An engine that asks the server, or its address where it is an engine host of ours.

    The server is asked for its models now, with as many attempts as the options allow.
    """
    place = parse_address(address)
    client = Client(place, key, options)
    try:
        listed = _listed(client)
        if not own_entries(listed):
            return RemoteEngine(place, client, listed, model=model, options=options)
    except BaseException:
        client.close()
        raise
    client.close()
    return place


def _choose_model(client: Client, place: str, wanted: str | None, listed: Any) -> str:
    """The model to ask for, as the server's own list allows it."""
    served = _names(listed)
    if served is None:  # no list: some servers have none, and run what they run
        if wanted is None:
            raise OptionInvalid(
                f"The server at {place} does not list its models.",
                "Name one: put #model behind the address.",
            )
        return wanted
    shown = ", ".join(served[:_SHOWN_MODELS]) + (" …" if len(served) > _SHOWN_MODELS else "")
    if wanted is not None:
        # A list may leave out aliases; the page of one model tells.
        if wanted in served or client.get(f"{_MODELS}/{_quoted(wanted)}").status == 200:
            return wanted
        raise ModelUnknown(
            f"The server at {place} has no model {wanted[:80]!r}; it has {shown or 'none'}.",
            "Put one of them behind the address, after #.",
        )
    if len(served) == 1:
        return served[0]
    raise OptionInvalid(
        f"The server at {place} has {len(served)} models{': ' if served else ''}{shown}.",
        "Name one: put #model behind the address.",
    )


def _listed(client: Client) -> Any:
    """The JSON of the list; None where the server has none."""
    try:
        answer = client.get(_MODELS)
    except FieldRefused as refusal:
        raise EngineRefused(f"The server refuses to list its models ({refusal.status}).") from None
    if answer.status != 200:
        return None
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as exc:
        raise EngineRefused("The server's list of models cannot be read.") from exc


def _names(listed: Any) -> list[str] | None:
    if listed is None:
        return None
    try:
        return [str(one["id"]) for one in listed["data"]]
    except (KeyError, TypeError) as exc:
        raise EngineRefused("The server's list of models cannot be read.") from exc


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="/")
