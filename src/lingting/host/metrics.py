"""Figures of a host for Prometheus: counts, seconds and sizes; no text, no names of files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("absent", "loading", "ready", "failed")

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 30, 60, 120, 300)
_CLIPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_AUDIO = (1, 5, 10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 5_120)


class Metrics:
    """One registry for each host; every method is safe from any thread."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        clip, model = ("model", "lane"), ("model",)
        self._clips = self._counter("clips", "Clips answered.", (*clip, "outcome"))
        self._audio = self._counter("audio_seconds", "Seconds of audio recognised.", clip)
        self._busy = self._counter("busy_seconds", "Seconds spent on batches.", model)
        self._waits = self._histogram("wait_seconds", "From arrival to batch.", _SECONDS, ("lane",))
        self._batch_s = self._histogram("batch_seconds", "How long batches last.", _SECONDS, model)
        self._batch_n = self._histogram("batch_clips", "Clips in a batch.", _CLIPS, model)
        self._batch_audio = self._histogram("batch_audio_seconds", "In a batch.", _AUDIO, model)
        self._refused = self._counter("refused", "Requests refused.", ("why",))
        self._dropped = self._counter("dropped_clips", "Clips nobody waited for.", ("lane",))
        self._lacks = self._counter("memory_lacks", "Steps of the ladder.", (*model, "step"))
        self._loads = self._counter("loads", "Models loaded, or not.", (*model, "outcome"))
        self._queue_n = self._gauge("queue_clips", "Clips waiting.", clip)
        self._queue_s = self._gauge("queue_audio_seconds", "Seconds of audio waiting.", clip)
        self._memory = self._gauge("resident_bytes", "Memory of the host.", ())
        self._states = self._gauge(
            "model_state", "1 for the state a model is in.", ("model", "state")
        )

    def _counter(self, name: str, text: str, labels: Sequence[str]) -> Counter:
        return Counter(f"lingting_engine_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str]) -> Gauge:
        return Gauge(f"lingting_engine_{name}", text, labels, registry=self._registry)

    def _histogram(
        self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str]
    ) -> Histogram:
        return Histogram(
            f"lingting_engine_{name}", text, labels, buckets=buckets, registry=self._registry
        )

    def batch(self, model: str, clips: int, audio_s: float, wall_s: float) -> None:
        """A batch is done."""
        self._busy.labels(model).inc(wall_s)
        self._batch_s.labels(model).observe(wall_s)
        self._batch_n.labels(model).observe(clips)
        self._batch_audio.labels(model).observe(audio_s)

    def answered(self, model: str, lane: str, clips: int, failed: int, audio_s: float) -> None:
        """Clips of one lane in a batch."""
        self._clips.labels(model, lane, "done").inc(clips - failed)
        self._audio.labels(model, lane).inc(audio_s)
        if failed:
            self._clips.labels(model, lane, "failed").inc(failed)

    def waited(self, lane: str, seconds: float) -> None:
        """One request's first clip went into a batch."""
        self._waits.labels(lane).observe(seconds)

    def refused(self, why: str) -> None:
        """A request was not taken: full, draining, memory, key, or invalid."""
        self._refused.labels(why).inc()

    def dropped(self, lane: str, clips: int) -> None:
        """Nobody waits for these any more; they are not recognised."""
        self._dropped.labels(lane).inc(clips)

    def lack(self, model: str, step: str) -> None:
        """A step of the ladder was taken."""
        self._lacks.labels(model, step).inc()

    def loaded(self, model: str, outcome: str) -> None:
        """``ready`` or ``failed``."""
        self._loads.labels(model, outcome).inc()

    def page(self, models: Iterable[tuple[str, str, Iterable[tuple[str, int, float]]]]) -> bytes:
        """Everything as text; ``models`` are name, state, and the lanes with clips and seconds."""
        for name, state, lanes in models:
            for one in STATES:
                self._states.labels(name, one).set(one == state)
            for lane, clips, seconds in lanes:
                self._queue_n.labels(name, lane).set(clips)
                self._queue_s.labels(name, lane).set(seconds)
        self._memory.set(resident_bytes())
        return generate_latest(self._registry)


def resident_bytes() -> int:
    """As Linux says; 0 elsewhere."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
