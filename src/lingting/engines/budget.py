"""An engine that is given as much audio at once as somebody chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lingting.engines.base import Clip, Engine, EngineFacts, Hypothesis


def with_budget(engine: Engine, batch_s: float | None) -> Engine:
    """The engine, with another wish for the length of a batch; None: its own."""
    return engine if batch_s is None else _Budgeted(engine, batch_s)


class _Budgeted:
    """Whoever gathers clips for it goes by its facts."""

    def __init__(self, engine: Engine, batch_s: float) -> None:
        self._engine = engine
        self._batch_s = batch_s

    @property
    def facts(self) -> EngineFacts:
        return replace(self._engine.facts, batch_s=self._batch_s)

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        return self._engine.recognize(clips)

    def close(self) -> None:
        self._engine.close()
