"""Failures stay with their clips; a lack of memory is climbed around step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from lingting.engines.base import Clip, EngineFacts, Hypothesis
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import AudioEmpty, EngineFailed
from lingting.host.ladder import Ladder, is_out_of_memory


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch's, which is no dependency of the host."""


def pytorch() -> BaseException:
    return OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def ctranslate2() -> BaseException:
    return RuntimeError("CUDA failed with error out of memory")


def wrapped() -> BaseException:
    error = EngineFailed("The recogniser failed on a batch of clips.")
    error.__cause__ = RuntimeError("std::bad_alloc")
    return error


LACKS: list[Callable[[], BaseException]] = [pytorch, ctranslate2, wrapped, MemoryError]


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lingting.host.ladder._WAITS_S", (0.001, 0.001))


class Engine:
    """Has room for ``room`` clips at a time; fails with what it is told on too many."""

    def __init__(self, room: int, failure: Callable[[], BaseException], device: str = "x") -> None:
        self.inner = ScriptedEngine(lambda clip: Hypothesis(f"{device}{len(clip.samples)}"))
        self.room = room
        self.failure = failure
        self.sizes: list[int] = []
        self.is_closed = False

    @property
    def facts(self) -> EngineFacts:
        return self.inner.facts

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        self.sizes.append(len(clips))
        if len(clips) > self.room:
            raise self.failure()
        return self.inner.recognize(clips)

    def close(self) -> None:
        self.is_closed = True


def clips(count: int) -> list[Clip]:
    return [Clip(np.zeros(160 + at, np.float32)) for at in range(count)]


def texts(found: list[Hypothesis], prefix: str = "x") -> None:
    assert [one.error for one in found] == [None] * len(found)
    assert [one.text for one in found] == [f"{prefix}{160 + at}" for at in range(len(found))]


class Watch:
    """What the ladder told, and how often caches were cleared."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.cleared = 0

    def ladder(self, engine: Engine, spare: Callable[[], Engine] | None = None) -> Ladder:
        return Ladder(engine, load_spare=spare, clear=self.clear, on_lack=self.lack)

    def clear(self) -> None:
        self.cleared += 1

    def lack(self, step: str, _: float) -> None:
        self.steps.append(step)


@pytest.mark.parametrize("failure", LACKS)
def test_too_large_a_batch_is_halved_until_it_fits(failure: Callable[[], BaseException]) -> None:
    watch, engine = Watch(), Engine(2, failure)
    texts(watch.ladder(engine).recognize(clips(8)))
    assert engine.sizes == [8, 4, 2, 2, 4, 2, 2]
    assert watch.steps == ["cleared", "halved"] * 3
    assert watch.cleared == 3


def test_one_clip_is_tried_once_more_and_then_on_the_cpu() -> None:
    watch, engine = Watch(), Engine(0, pytorch)
    spares: list[Engine] = []

    def load() -> Engine:
        spares.append(Engine(9, pytorch, "cpu"))
        return spares[-1]

    ladder = watch.ladder(engine, load)
    found = ladder.recognize(clips(2))
    texts(found, "cpu")
    assert [one.notes for one in found] == [("memory.cpu",)] * 2
    assert engine.sizes == [2, 1, 1, 1, 1]  # each clip again after clearing
    assert spares[0].sizes == [1, 1]  # loaded once
    assert watch.steps.count("cpu") == 2
    ladder.close()
    assert engine.is_closed
    assert spares[0].is_closed


def test_memory_that_came_back_is_used() -> None:
    watch = Watch()
    engine = Engine(0, ctranslate2)
    ladder = Ladder(
        engine,
        load_spare=None,
        clear=lambda: setattr(engine, "room", 1),
        on_lack=watch.lack,
    )
    texts(ladder.recognize(clips(1)))


def test_memory_that_another_program_gives_back_is_waited_for() -> None:
    watch, engine = Watch(), Engine(0, pytorch)

    def lack(step: str, _: float) -> None:
        watch.steps.append(step)
        engine.room = watch.steps.count("waited") // 2

    ladder = Ladder(engine, load_spare=None, clear=watch.clear, on_lack=lack)
    texts(ladder.recognize(clips(1)))
    assert watch.steps == ["cleared", "waited", "waited"]


def test_clips_behind_one_that_was_waited_for_in_vain_are_not_waited_for() -> None:
    watch, engine = Watch(), Engine(0, pytorch)
    ladder = watch.ladder(engine)
    assert [one.error is None for one in ladder.recognize(clips(3))] == [False] * 3
    assert watch.steps.count("waited") == 2  # for the first of them
    engine.room = 1
    texts(ladder.recognize(clips(1)))
    engine.room = 0
    engine.sizes.clear()
    ladder.recognize(clips(1))  # since one has fitted there is hope again
    ladder.recognize(clips(1))
    assert watch.steps.count("waited") == 4


@pytest.mark.parametrize("has_spare", [False, True])
def test_without_any_room_the_clip_has_an_error(has_spare: bool) -> None:
    watch = Watch()

    def load() -> Engine:
        raise MemoryError

    found = watch.ladder(Engine(0, wrapped), load if has_spare else None).recognize(clips(3))
    assert [type(one.error) for one in found] == [EngineFailed] * 3
    assert "not enough memory" in str(found[0].error)
    assert watch.steps[-1] == "failed"


def test_errors_of_single_clips_that_mean_memory_are_heard_again() -> None:
    """An engine that contains its failures itself says it clip by clip."""
    asked: list[int] = []

    def script(clip: Clip) -> Hypothesis:
        asked.append(len(clip.samples))
        if len(clip.samples) == 161 and asked.count(161) == 1:
            error = EngineFailed("The recogniser failed on a batch of clips.")
            error.__cause__ = RuntimeError("out of memory")
            return Hypothesis("", error=error)
        return Hypothesis(f"x{len(clip.samples)}")

    engine = Engine(9, pytorch)
    engine.inner = ScriptedEngine(script)
    texts(Watch().ladder(engine).recognize(clips(3)))
    assert asked == [160, 161, 162, 161]


def test_any_other_failure_stays_with_its_clip() -> None:
    class Brittle(Engine):
        def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
            self.sizes.append(len(clips))
            if any(len(clip.samples) == 163 for clip in clips):
                raise ValueError("cannot decode 秘密")
            return self.inner.recognize(clips)

    watch = Watch()
    found = watch.ladder(Brittle(9, pytorch)).recognize(clips(8))
    assert [one.text for one in found] == [
        "x160",
        "x161",
        "x162",
        "",
        "x164",
        "x165",
        "x166",
        "x167",
    ]
    assert isinstance(found[3].error, EngineFailed)
    assert "秘密" not in str(found[3].error)
    assert watch.steps == []


def test_our_own_errors_stay_what_they_are() -> None:
    def refuse() -> BaseException:
        return AudioEmpty("A clip has 0 samples.")

    (found,) = Watch().ladder(Engine(0, refuse)).recognize(clips(1))
    assert isinstance(found.error, AudioEmpty)


def test_a_wrong_number_of_results_is_a_failure() -> None:
    class Short(Engine):
        def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
            return self.inner.recognize(clips)[1:]

    found = Watch().ladder(Short(9, pytorch)).recognize(clips(2))
    assert [type(one.error) for one in found] == [EngineFailed] * 2


def test_what_memory_is_and_what_not() -> None:
    assert all(is_out_of_memory(one()) for one in LACKS)
    assert not is_out_of_memory(None)
    assert not is_out_of_memory(RuntimeError("illegal memory access"))
    assert not is_out_of_memory(EngineFailed("out of memory"))  # only what a library says
    circle = RuntimeError("a")
    circle.__cause__ = circle
    assert not is_out_of_memory(circle)
