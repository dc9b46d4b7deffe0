"""The host itself: which models there are, what may wait, and when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lingting.engines.base import Clip
from lingting.errors import EngineBusy, ModelUnknown, OptionInvalid
from lingting.host.metrics import Metrics
from lingting.host.model import HostedModel, Load, Surroundings
from lingting.host.work import Job

AUTO = "auto"
ALIASES = frozenset({AUTO, "whisper-1", "gpt-transcribe"})
"""Names of other services' models, and ``gpt-4o…``: the default model answers to them."""
_ROOM = {"live": 1.0, "interactive": 0.95, "bulk": 0.9}  # of the queue, so that live gets in
_MOST_CLIPS = 20_000
_SHOWN_MODELS = 10
_SLOW_SHARE = 0.1  # of the time after which a batch hangs


@dataclass(frozen=True, slots=True)
class HostOptions:
    """The defaults suit one device."""

    queue_s: float = 1800.0
    """Seconds of audio that may wait, all models and lanes together; bulk may use 90 % of it."""
    idle_s: float | None = 1800.0
    """Seconds without a clip after which a model is unloaded; None never does."""
    key: str | None = None
    """What a caller over TCP must show; the Unix socket's permissions are enough there."""
    most_body_bytes: int = 64 << 20
    """The largest request: a thousand seconds of float32 samples."""
    heartbeat_s: float = 5.0
    """How often a Lingting caller that waits is told that its clips are not forgotten."""
    drain_s: float = 10.0
    """How long a host that is asked to stop goes on with what waits, before it hands it back."""
    hang_s: float = 1800.0
    """A batch, or the loading of a model, that takes so long has no end: the host ends itself, to
    be started again. After a tenth of that it is not ready."""

    def __post_init__(self) -> None:
        if not self.queue_s > 0:
            raise OptionInvalid(f"queue_s is {self.queue_s}; it must be above 0.")
        if self.idle_s is not None and not self.idle_s > 0:
            raise OptionInvalid(f"idle_s is {self.idle_s}; it must be above 0.")
        if not self.hang_s > 0:
            raise OptionInvalid(f"hang_s is {self.hang_s}; it must be above 0.")
        if self.key is not None and not (self.key.isascii() and self.key.strip()):
            raise OptionInvalid("The key is empty or holds characters that no header can carry.")


def _nothing() -> None:
    """There are no caches to clear."""


class Host:
    """Models side by side; :meth:`submit` and all else are called from one thread."""

    def __init__(
        self,
        load: Load,
        models: Sequence[str],
        options: HostOptions | None = None,
        *,
        clear: Callable[[], None] = _nothing,
        memory: Callable[[], Mapping[str, Any]] = dict,
        tell: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> None:
        """``load`` makes a guarded engine from a name and a device; it may take its time.

        The first of ``models`` is the default. ``clear`` gives back what memory caches hold.
        ``memory`` says what the models' devices hold, for whoever asks for the status.
        ``tell`` hears events (ids, codes and numbers), from any thread.
        """
        if not models or len(set(models)) != len(models):
            raise OptionInvalid("An engine host needs models, each of them once.")
        self.options = options or HostOptions()
        self.metrics = Metrics()
        self.tell = tell
        self.memory = memory
        self._deliver: Callable[[list[Job]], None] = lambda _: None
        around = Surroundings(load, clear, self._answered, tell, self.metrics, self.options.idle_s)
        self.models = {name: HostedModel(name, around) for name in models}
        self.default = models[0]
        self.is_draining = False
        self.started_s = time.monotonic()

    def deliver_to(self, deliver: Callable[[list[Job]], None]) -> None:
        """Who hears of answered requests, from a model's thread."""
        self._deliver = deliver

    def _answered(self, jobs: list[Job]) -> None:
        self._deliver(jobs)

    def find(self, name: str | None) -> HostedModel:
        """None and the names of others' services are the default. Raises ModelUnknown."""
        if name is None or name in ALIASES or name.startswith("gpt-4o"):
            name = self.default
        found = self.models.get(name)
        if found is None:
            shown = ", ".join(list(self.models)[:_SHOWN_MODELS])
            raise ModelUnknown(f"This engine host has no such model; it has {shown}.", "Name one.")
        return found

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that wait, all models together."""
        return sum(model.waiting_s for model in self.models.values())

    @property
    def is_busy(self) -> bool:
        return any(model.is_busy for model in self.models.values())

    @property
    def is_ready(self) -> bool:
        """The default model is loaded, or was and will be by the next clip, and nothing hangs."""
        default = self.models[self.default]
        has_model = default.state == "ready" or (
            default.state == "absent" and default.facts is not None
        )
        is_slow = default.at_work_s > self.options.hang_s * _SLOW_SHARE
        return has_model and not is_slow and not self.is_draining

    @property
    def hanging(self) -> HostedModel | None:
        """A model whose batch will not end any more."""
        hang_s = self.options.hang_s
        return next((one for one in self.models.values() if one.at_work_s > hang_s), None)

    def check_room(self, lane: str, audio_s: float, clips: int) -> None:
        """Raises EngineBusy. A request larger than the whole queue waits when nothing else does."""
        if self.is_draining:
            self.metrics.refused("draining")
            raise EngineBusy("This engine host is stopping.", retry_after_s=2.0)
        waiting_s = self.waiting_s
        waiting = sum(model.waiting_clips for model in self.models.values())
        limit_s = self.options.queue_s * _ROOM[lane]
        if waiting and (waiting_s + audio_s > limit_s or waiting + clips > _MOST_CLIPS):
            self.metrics.refused("full")
            model = self.models[self.default]
            raise EngineBusy(
                f"{waiting_s:.0f} s of audio wait already; {limit_s:.0f} s are allowed.",
                retry_after_s=model.wait_s(min(waiting_s, audio_s)),
            )

    def submit(self, model: HostedModel, lane: str, clips: Sequence[Clip]) -> Job:
        """Clips that wait from now on. Raises EngineBusy, or why there is no such model now."""
        self.check_room(lane, sum(clip.duration_s for clip in clips), len(clips))
        job = Job(clips, lane, time.monotonic())
        model.add(job)
        return job

    def drop(self, model: HostedModel, job: Job) -> None:
        """Whoever asked has gone: what still waits is never recognised."""
        if left := model.drop(job):
            self.metrics.dropped(job.lane, left)

    def hand_back(self) -> None:
        """Everything that waits is answered with EngineBusy: another host may take it."""
        for model in self.models.values():
            model.hand_back(EngineBusy("This engine host is stopping.", retry_after_s=2.0))

    def close(self, timeout_s: float = 30.0) -> bool:
        """Free the models when their batches are done; False when one took too long."""
        self.is_draining = True
        for model in self.models.values():
            model.stop()
        ended = [model.join(timeout_s) for model in self.models.values()]
        return all(ended)
