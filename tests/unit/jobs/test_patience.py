"""What passes is waited for, what does not is told, and who must stop is not kept waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest

from lingting.engines.base import Clip, EngineFacts, Hypothesis
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import (
    AudioEmpty,
    EngineBusy,
    EngineFailed,
    EngineUnreachable,
    LingtingError,
    ModelNotInstalled,
    StoreBusy,
    StoreSchema,
    StoreUnreachable,
)
from lingting.jobs.patience import Budget, Engines, Pace, Patience, PatientEngine, passes

CLIPS = [Clip(np.full(1_600, 0.1 * number, np.float32)) for number in range(4)]


class Enough(Exception):
    """The check ends the waiting."""


def patience(most: int = 1_000) -> Patience:
    counted = iter(range(most))

    def check() -> None:
        if next(counted, None) is None:
            raise Enough

    stop = threading.Event()
    stop.set()  # nobody sleeps
    return Patience(check, stop)


@pytest.mark.parametrize(
    ("error", "does"),
    [
        (StoreBusy("x"), True),
        (StoreUnreachable("x"), True),
        (EngineUnreachable("x"), True),
        (EngineBusy("x"), True),
        (EngineFailed("x"), False),
        (AudioEmpty("x"), False),
        (StoreSchema("x"), False),
    ],
)
def test_what_passes(error: LingtingError, does: bool) -> None:
    assert passes(error) is does


def test_it_is_tried_until_it_works() -> None:
    left = [StoreBusy("x"), EngineUnreachable("x")]

    def work() -> str:
        if left:
            raise left.pop()
        return "done"

    assert patience().until(work) == "done"

    def never() -> str:
        raise StoreBusy("x")

    with pytest.raises(Enough):
        patience(3).until(never)

    def fails() -> str:
        raise EngineFailed("x")

    with pytest.raises(EngineFailed):
        patience().until(fails)


class Shy:
    """Cannot be asked what it is at first."""

    def __init__(self) -> None:
        self.asked = 0

    @property
    def facts(self) -> EngineFacts:
        self.asked += 1
        if self.asked < 3:
            raise EngineUnreachable("It is away.")
        return ScriptedEngine(lambda _: Hypothesis("x")).facts

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        return [Hypothesis("x") for _ in clips]

    def close(self) -> None:
        self.asked = 0


def test_what_an_engine_is_is_waited_for_too() -> None:
    engine = PatientEngine(Engines(lambda _: Shy()), "m", patience())
    assert engine.facts.model.id == "scripted"


class Flaky:
    """The first clip of every second call cannot be reached."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self._engine = ScriptedEngine(lambda clip: Hypothesis(f"{clip.samples[0]:.1f}"))

    @property
    def facts(self) -> EngineFacts:
        return self._engine.facts

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        self.asked.append(len(clips))
        found = self._engine.recognize(clips)
        if len(self.asked) % 2:
            found[0] = Hypothesis("", error=EngineUnreachable("It is away."))
        if len(self.asked) == 2:
            found[-1] = Hypothesis("", error=EngineFailed("It failed."))
        return found

    def close(self) -> None:
        self._engine.close()


def test_clips_that_were_not_heard_are_asked_again() -> None:
    flaky = Flaky()
    found = PatientEngine(Engines(lambda _: flaky), "m", patience()).recognize(CLIPS)
    assert flaky.asked == [4, 1]
    assert [one.text for one in found] == ["", "0.1", "0.2", "0.3"]
    assert isinstance(found[0].error, EngineFailed)  # not a matter of waiting: it stays


def test_an_engine_is_made_when_it_is_asked_for() -> None:
    made: list[str] = []

    def load(model: str) -> ScriptedEngine:
        made.append(model)
        if len(made) == 1:
            raise EngineUnreachable("It is not there yet.")
        return ScriptedEngine(lambda _: Hypothesis("x"))

    engines = Engines(load)
    engine = PatientEngine(engines, "small", patience())
    assert engine.facts.model.id == "scripted"
    assert engine.recognize(CLIPS[:1])[0].text == "x"
    assert made == ["small", "small"]
    engines.close()


class Unknown(Shy):
    """Of a model that no host has."""

    @property
    def facts(self) -> EngineFacts:
        raise ModelNotInstalled("No host has this model.")


def test_an_engine_of_a_model_that_nobody_has_is_not_kept() -> None:
    made: list[str] = []

    def load(model: str) -> Unknown | Shy:
        made.append(model)
        return Unknown() if model == "nobody's" else Shy()

    engines = Engines(load)
    for _ in range(2):
        with pytest.raises(ModelNotInstalled):
            _ = PatientEngine(engines, "nobody's", patience()).facts
        assert PatientEngine(engines, "ours", patience()).facts  # away twice, and kept
    assert made == ["nobody's", "ours", "nobody's"]


def test_the_budget_lets_nobody_in_beyond_it() -> None:
    budget = Budget(10.0)
    budget.take(6.0)
    entered = threading.Event()

    def enter() -> None:
        budget.take(5.0)
        entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    assert not entered.wait(0.1)
    budget.give(6.0)
    assert entered.wait(5)
    thread.join()
    budget.give(5.0)
    budget.take(50.0)  # more than there is: alone


def test_pace() -> None:
    pace = Pace(window_s=0.4)
    assert pace.speed() is None
    pace.note(10.0)
    first = pace.speed()
    assert first is not None
    assert first > 20.0
    time.sleep(0.45)
    busy = pace.speed()
    assert busy is not None
    assert busy < first


class Laned(ScriptedEngine):
    lanes = ("live", "interactive", "bulk")

    def __init__(self) -> None:
        super().__init__(lambda _: Hypothesis("heard"))
        self.asked: list[str | None] = []

    def recognize(self, clips: Sequence[Clip], *, lane: str | None = None) -> list[Hypothesis]:
        self.asked.append(lane)
        return super().recognize(clips)


def test_a_lane_is_told_to_those_who_have_lanes() -> None:
    laned = Laned()
    for lane in ("interactive", None):
        PatientEngine(Engines(lambda _: laned), "m", patience(), lane=lane).recognize(CLIPS)
    assert laned.asked == ["interactive", None]
    plain = ScriptedEngine(lambda _: Hypothesis("heard"))
    PatientEngine(Engines(lambda _: plain), "m", patience(), lane="interactive").recognize(CLIPS)
    assert plain.batches == [len(CLIPS)]
