"""Engine hosts as the web process sees and orders them: states, memory, load, unload, clear."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from lingting.answers import EngineState, HostedState
from lingting.errors import (
    EngineBusy,
    FaultError,
    LingtingError,
    ModelUnknown,
    OptionInvalid,
    RequestConflict,
    by_code,
)
from lingting.server.health import engine_addresses, engine_client, remote_key
from lingting.server.metrics import engine_names

if TYPE_CHECKING:
    from lingting.config import Settings

_LOADED_WITHIN_S = 1800.0
_SOON_S = 1.5
"""An order that fails at once is answered with why; the others go on by themselves."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a host told a moment ago."""

    name: str
    address: str
    is_answering: bool
    status: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What ``/v1/models`` says of each, by name."""

    def state(self) -> EngineState:
        told = self.status
        memory = _mapping(told.get("memory"))
        return EngineState(
            self.name, self.is_answering, bool(told.get("draining", False)),
            _number(told.get("up_s")), _whole(told.get("pid")),
            _whole(memory.get("resident_bytes")), _whole(memory.get("device_bytes")),
            _whole(memory.get("device_free_bytes")), _whole(memory.get("device_total_bytes")),
            _number(told.get("waiting_s")), _whole(told.get("requests")),
        )  # fmt: skip

    def hosted(self) -> dict[str, HostedState]:
        """By model. A host of another make tells its models' names only."""
        states = _mapping(self.status.get("models"))
        names = dict.fromkeys([*states, *self.models])
        return {name: self._hosted(name, _mapping(states.get(name))) for name in names}

    def _hosted(self, name: str, told: Mapping[str, Any]) -> HostedState:
        ours = _mapping(self.models.get(name, {}).get("lingting"))
        facts = _mapping(ours.get("facts"))
        error = _mapping(told.get("error")).get("code")
        lanes = _mapping(told.get("waiting")).values()
        waiting_s = sum(_number(_mapping(lane).get("audio_s")) or 0.0 for lane in lanes)
        compute = _mapping(facts.get("model")).get("compute")
        return HostedState(
            self.name, str(told.get("state", "unknown")), bool(ours.get("default", False)),
            _text(facts.get("device")), _text(compute), _number(ours.get("batch_s")),
            _number(told.get("rate")), round(waiting_s, 3), _text(error),
        )  # fmt: skip


class Engines:
    """Lives on the event loop of the application."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._orders: set[asyncio.Task[None]] = set()

    async def look(self) -> list[Seen]:
        """Every host that is set up, whether it answers or not."""
        addresses = engine_addresses(self._settings)
        named = zip(engine_names(addresses), addresses, strict=True)
        return list(await asyncio.gather(*(self._seen(*one) for one in named)))

    async def _seen(self, name: str, address: str) -> Seen:
        try:
            async with engine_client(address, remote_key(self._settings)) as client:
                status, models = await asyncio.gather(
                    client.get("/status"), client.get("/v1/models")
                )
                told = status.json() if status.is_success else {}
                listed = models.json()["data"] if models.is_success else []
                return Seen(
                    name, address, True, _mapping(told), {str(one["id"]): one for one in listed}
                )
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            return Seen(name, address, False)
        except (ValueError, KeyError, TypeError, AttributeError):
            return Seen(name, address, True)

    async def order(self, model: str, what: str, engine: str | None = None) -> list[str]:
        """Load or unload a model on the host named, or on all that have it; their names.

        Returns soon: loading goes on. Raises ModelUnknown where no host has it, OptionInvalid for a
        host that is none, RequestConflict for hosts of another make, EngineBusy where none answers,
        and what a host refuses. Why a model could not be loaded is in its state.
        """
        seen = _chosen(await self.look(), engine)
        able = [one for one in seen if model in one.hosted()]
        if not able:
            known = ", ".join(dict.fromkeys(name for one in seen for name in one.hosted()))
            raise ModelUnknown(
                f"No engine host has this model; they have {known or 'none'}.",
                "Start an engine host with --model, or change the setting model.",
            )
        return await self._all(able, f"/models/{model}/{what}")

    async def clear(self, engine: str | None = None) -> list[str]:
        """Hosts give back what caches hold without using it; their names."""
        return await self._all(_chosen(await self.look(), engine), "/cache/clear")

    async def _all(self, seen: Iterable[Seen], path: str) -> list[str]:
        hosts = [one for one in seen if one.status]
        if not hosts:
            raise RequestConflict(
                "Engine hosts of another make take no orders.", "Order them by their own means."
            )
        tasks = [asyncio.create_task(self._ordered(one.address, path)) for one in hosts]
        self._orders.update(tasks)
        for task in tasks:
            task.add_done_callback(self._done)
        done, _ = await asyncio.wait(tasks, timeout=_SOON_S)
        for task in done:
            with contextlib.suppress(FaultError):  # the host's, not ours
                await task  # raises what it was refused for
        return [one.name for one in hosts]

    def _done(self, task: asyncio.Task[None]) -> None:
        self._orders.discard(task)
        if not task.cancelled():
            task.exception()  # the model's state tells it

    async def _ordered(self, address: str, path: str) -> None:
        key = remote_key(self._settings)
        try:
            async with engine_client(address, key, timeout_s=_LOADED_WITHIN_S) as client:
                answer = await client.post(path)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            raise _nobody() from exc
        if not answer.is_success:
            raise _refusal(answer)

    async def close(self) -> None:
        for task in list(self._orders):
            task.cancel()
        await asyncio.gather(*self._orders, return_exceptions=True)


def _chosen(seen: Sequence[Seen], engine: str | None) -> list[Seen]:
    found = [one for one in seen if engine is None or one.name == engine]
    if not found:
        names = ", ".join(one.name for one in seen)
        raise OptionInvalid("No engine host has this name.", f"There are {names}.")
    answering = [one for one in found if one.is_answering]
    if not answering:
        raise _nobody()
    return answering


def _nobody() -> EngineBusy:
    return EngineBusy(
        "An engine host does not answer.", "Start it, or wait until it is there.",
        retry_after_s=5.0,
    )  # fmt: skip


def _refusal(answer: httpx.Response) -> LingtingError:
    """What a host said, as the error it is there."""
    try:
        told = answer.json()["lingting_error"]
        kind, sentence = by_code(str(told["code"])), str(told["sentence"])
        step = str(told["next_step"])
    except (ValueError, KeyError, TypeError):
        return EngineBusy(
            f"An engine host answered with the status {answer.status_code}.", retry_after_s=5.0
        )
    return FaultError(sentence, step) if kind is None else kind(sentence, step)


def _mapping(told: Any) -> Mapping[str, Any]:
    return told if isinstance(told, Mapping) else {}


def _number(told: Any) -> float | None:
    is_number = isinstance(told, (int, float)) and not isinstance(told, bool)
    return float(told) if is_number else None


def _whole(told: Any) -> int | None:
    return told if isinstance(told, int) and not isinstance(told, bool) else None


def _text(told: Any) -> str | None:
    return told if isinstance(told, str) else None
