"""Clips one by one on engines that several may ask: each core goes on when it is free."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from small_host import Hosted, hear, hosting, number_of
from small_server import clip

from lingting.engines.base import Clip, EngineFacts, Hypothesis
from lingting.engines.remote import RemoteOptions, load
from lingting.engines.remote.host import HostEngine
from lingting.engines.scripted import ScriptedEngine


class Several:
    """Two may ask it at the same time; each clip ends when the test lets it."""

    def __init__(self) -> None:
        self._inner = ScriptedEngine(hear)
        self._gates: dict[int, threading.Event] = defaultdict(threading.Event)
        self._lock = threading.Lock()
        self.batches: list[list[int]] = []
        self.fails: dict[int, list[Exception]] = {}
        self.is_open = False
        self.at_work = self.most_at_work = 0
        self.closed_with = -1

    @property
    def facts(self) -> EngineFacts:
        return replace(self._inner.facts, callers=2)

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        numbers = sorted(map(number_of, clips))
        with self._lock:
            self.batches.append(numbers)
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
            gates = [self._gates[one] for one in numbers]
            failures = [error for one in numbers if (error := self.fails.get(one))]
        try:
            for gate in gates:
                assert self.is_open or gate.wait(30)
            if failures:
                raise failures[0].pop()
            return self._inner.recognize(clips)
        finally:
            with self._lock:
                self.at_work -= 1

    def let(self, *numbers: int) -> None:
        for one in numbers:
            with self._lock:
                gate = self._gates[one]
            gate.set()

    def close(self) -> None:
        self.closed_with = self.at_work


@contextmanager
def served() -> Iterator[tuple[Several, Hosted, Callable[..., Future[list[str]]]]]:
    """The engine, its host, and how to ask for clips in a thread."""
    engine = Several()
    with hosting(engine) as hosted, ThreadPoolExecutor(12) as threads:
        caller = load(hosted.address, options=RemoteOptions(attempts=1, concurrency=12))
        assert isinstance(caller, HostEngine)
        hosted.engines.append(caller)

        def ask(*numbers: int, lane: str = "bulk") -> Future[list[str]]:
            def asked() -> list[str]:
                found = caller.recognize([clip(one) for one in numbers], lane=lane)
                return [one.text if one.error is None else one.error.code for one in found]

            return threads.submit(asked)

        engine.let(99)  # before a model is loaded, one clip shows its pace
        assert ask(99).result(30) == ["clip 99"]
        engine.batches.clear()
        try:
            yield engine, hosted, ask
        finally:
            engine.is_open = True
            engine.let(*range(50))


def until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.005)


def test_each_is_answered_when_it_is_done_and_the_next_begins() -> None:
    with served() as (engine, _, ask):
        first = ask(0)
        until(lambda: engine.batches == [[0]])
        second = ask(1)
        until(lambda: engine.at_work == 2)
        third = ask(2)
        engine.let(1)
        assert second.result(20) == ["clip 1"]
        until(lambda: engine.batches == [[0], [1], [2]])  # while the first still goes on
        assert not first.done()
        engine.let(2, 0)
        assert (first.result(20), third.result(20)) == (["clip 0"], ["clip 2"])
        assert engine.most_at_work == 2


def test_a_clip_is_told_its_own_batch_not_what_began_beside_it() -> None:
    with served() as (engine, hosted, ask), ThreadPoolExecutor(1) as threads:
        caller = hosted.engines[-1]
        live = threads.submit(lambda: caller.answer([clip(0)], lane="live").batches)
        until(lambda: engine.at_work == 1)
        many = ask(*range(1, 9))  # a batch that begins while the live clip is in hand
        until(lambda: len(engine.batches) == 2)
        engine.let(0)
        assert list(live.result(20)) == [1]  # the very next one after it came
        engine.let(*range(1, 9))
        many.result(20)


def test_clips_of_one_request_share_the_hands() -> None:
    with served() as (engine, _, ask):
        both = ask(0, 1)
        until(lambda: engine.at_work == 2)
        assert sorted(engine.batches) == [[0], [1]]
        engine.let(1, 0)
        assert both.result(20) == ["clip 0", "clip 1"]


def test_what_somebody_waits_for_goes_singly_and_starves_nobody() -> None:
    with served() as (engine, _, ask):
        busy = [ask(0), ask(1)]
        until(lambda: engine.at_work == 2)
        urgent = ask(*range(2, 22), lane="interactive")
        patient = ask(30)
        time.sleep(0.2)
        engine.let(*range(50))
        assert urgent.result(20) == [f"clip {one}" for one in range(2, 22)]
        assert [one.result(20) for one in (*busy, patient)] == [["clip 0"], ["clip 1"], ["clip 30"]]
        assert {len(one) for one in engine.batches} == {1}
        assert engine.batches.index([30]) < len(engine.batches) - 5  # its share, not the rest


def test_many_clips_are_a_batch() -> None:
    with served() as (engine, _, ask):
        busy = [ask(0), ask(1)]
        until(lambda: engine.at_work == 2)
        many = ask(*range(2, 9))
        until(lambda: [2, 3, 4, 5, 6, 7, 8] in engine.batches)
        engine.let(*range(9))
        assert many.result(20) == [f"clip {one}" for one in range(2, 9)]
        assert [one.result(20) for one in busy] == [["clip 0"], ["clip 1"]]


@pytest.mark.parametrize(
    ("error", "answer"), [(ValueError("odd"), "engine.failed"), (MemoryError(), "clip 0")]
)
def test_what_fails_in_a_hand_is_its_own(error: Exception, answer: str) -> None:
    with served() as (engine, hosted, ask):
        engine.fails[0] = [error]
        failing, fine = ask(0), ask(1)
        engine.let(0, 1)
        assert (failing.result(20), fine.result(20)) == ([answer], ["clip 1"])
        until(lambda: not hosted.host.is_busy)
        assert hosted.json("/status")["models"]["tiny"]["recognising_clips"] == 0


def test_a_model_is_not_taken_away_from_a_hand() -> None:
    with served() as (engine, hosted, ask):
        going = ask(0)
        until(lambda: engine.at_work == 1)
        assert hosted.ask("POST", "/models/tiny/unload")[0] == 202
        time.sleep(0.1)
        assert engine.closed_with == -1
        engine.let(0)
        assert going.result(20) == ["clip 0"]
        until(lambda: engine.closed_with == 0)
        assert hosted.json("/status")["models"]["tiny"]["state"] == "absent"
        engine.let(1)
        assert ask(1).result(20) == ["clip 1"]


def test_a_stop_waits_for_hands() -> None:
    with served() as (engine, hosted, ask):
        going = ask(0)
        until(lambda: engine.at_work == 1)
        hosted.stop()
        until(lambda: bool(hosted.host.is_draining))
        engine.let(0)
        assert going.result(20) == ["clip 0"]
        hosted.thread.join(20)
        assert not hosted.thread.is_alive()
