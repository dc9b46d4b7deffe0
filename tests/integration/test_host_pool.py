"""Several engine hosts as one engine: shares, deaths, returns, refusals."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from small_host import Gated, Hosted, hear, host_process, hosting, number_of
from small_server import Reply, clip, serving

from lingting.engines.base import Clip, Engine, Hypothesis
from lingting.engines.remote.pool import EnginePool
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import (
    EngineBusy,
    EngineFailed,
    EngineRefused,
    EngineUnreachable,
    OptionInvalid,
)
from lingting.host import HostOptions


def texts(found: Sequence[Hypothesis]) -> list[str]:
    assert [one.error for one in found] == [None] * len(found)
    return [one.text for one in found]


class Counting:
    """An engine that remembers which clips it heard, and takes its time."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.heard: list[int] = []

        def script(given: Clip) -> Hypothesis:
            time.sleep(seconds)
            self.heard.append(number_of(given))
            return hear(given)

        self.engine = ScriptedEngine(script)


def states(pool: EnginePool) -> list[str]:
    return [one.state for one in pool.status()]


def until_state(pool: EnginePool, *wanted: str) -> None:
    end_s = time.monotonic() + 20
    while states(pool) != list(wanted):
        assert time.monotonic() < end_s, states(pool)
        pool.wait_ready(1.0)
        time.sleep(0.02)


@pytest.fixture
def stack() -> ExitStack:  # type: ignore[misc]
    with ExitStack() as opened:
        yield opened


def pool_of(stack: ExitStack, *hosts: Hosted | str, **given: float) -> EnginePool:
    addresses = [one if isinstance(one, str) else one.address for one in hosts]
    pool = EnginePool(addresses, **given)  # type: ignore[arg-type]
    stack.callback(pool.close)
    return pool


def test_clips_are_shared_out_and_come_back_in_order(stack: ExitStack) -> None:
    counts = [Counting(0.002), Counting(0.002)]
    hosts = [stack.enter_context(hosting(one.engine)) for one in counts]
    pool = pool_of(stack, *hosts)
    until_state(pool, "ready", "ready")
    assert isinstance(pool, Engine)
    assert pool.facts == counts[0].engine.facts
    found = pool.recognize([clip(number) for number in range(60)])
    assert texts(found) == [f"clip {number}" for number in range(60)]
    assert sorted(counts[0].heard + counts[1].heard) == list(range(60))
    assert [len(one.heard) for one in counts] == [30, 30]
    assert [one.outstanding_s for one in pool.status()] == [0.0, 0.0]


def test_many_callers_at_once(stack: ExitStack) -> None:
    counts = [Counting(0.001), Counting(0.004)]
    hosts = [stack.enter_context(hosting(one.engine)) for one in counts]
    pool = pool_of(stack, *hosts)
    until_state(pool, "ready", "ready")

    def call(first: int) -> list[str]:
        return texts(pool.recognize([clip(first + n) for n in range(6)]))

    with ThreadPoolExecutor(30) as callers:
        found = list(callers.map(call, range(0, 300, 6)))
    assert found == [[f"clip {first + n}" for n in range(6)] for first in range(0, 300, 6)]
    assert sorted(counts[0].heard + counts[1].heard) == list(range(300))


def test_a_host_killed_in_the_middle_loses_and_doubles_nothing(
    tmp_path: Path, stack: ExitStack
) -> None:
    paths = [tmp_path / name / "e.sock" for name in "ab"]
    processes = [stack.enter_context(host_process(path, seconds=0.01)) for path in paths]
    pool = pool_of(stack, *(f"unix:{path}" for path in paths))
    until_state(pool, "ready", "ready")
    answered = Counter[str]()
    lock = threading.Lock()

    def call(first: int) -> list[str]:
        found = texts(pool.recognize([clip(first + n) for n in range(5)]))
        with lock:
            answered.update(found)
        return found

    with ThreadPoolExecutor(12) as callers:
        jobs = [callers.submit(call, first) for first in range(0, 250, 5)]
        while sum(answered.values()) < 60:
            time.sleep(0.005)
        os.kill(processes[0].pid, signal.SIGKILL)
        found = [job.result(60) for job in jobs]
    assert found == [[f"clip {first + n}" for n in range(5)] for first in range(0, 250, 5)]
    assert set(answered.values()) == {1}
    assert states(pool) == ["away", "ready"]
    assert pool.status()[0].failures >= 1


def test_a_host_that_comes_back_is_used_again(tmp_path: Path, stack: ExitStack) -> None:
    path = tmp_path / "run" / "e.sock"
    count = Counting()
    stays = stack.enter_context(hosting(count.engine))
    pool = pool_of(stack, f"unix:{path}", stays)
    until_state(pool, "away", "ready")  # it is not there when the pool is made
    assert texts(pool.recognize([clip(0)])) == ["clip 0"]
    with host_process(path):
        until_state(pool, "ready", "ready")
        assert len(texts(pool.recognize([clip(n) for n in range(20)]))) == 20
        assert len(count.heard) == 11
    assert len(texts(pool.recognize([clip(n) for n in range(20)]))) == 20
    assert states(pool) == ["away", "ready"]
    with host_process(path):
        until_state(pool, "ready", "ready")


def test_a_stopped_host_hands_its_clips_to_the_others(stack: ExitStack) -> None:
    gated, count = Gated(), Counting()
    first = stack.enter_context(hosting(gated, HostOptions(drain_s=0.1)))
    second = stack.enter_context(hosting(count.engine))
    pool = pool_of(stack, first, second)
    until_state(pool, "ready", "ready")
    with ThreadPoolExecutor(8) as callers:
        jobs = [callers.submit(pool.recognize, [clip(n, 20.0)]) for n in range(8)]
        gated.wait_begun()
        first.stop()
        time.sleep(0.3)
        gated.open()
        assert [texts(job.result(30)) for job in jobs] == [[f"clip {n}"] for n in range(8)]
    heard = [n for batch in gated.batches for n in batch]
    assert sorted(heard + count.heard) == list(range(8))  # each by one of them, and once


def test_nobody_there(stack: ExitStack, tmp_path: Path) -> None:
    pool = pool_of(stack, f"unix:{tmp_path}/no.sock", patience_s=0.5)
    (found,) = pool.recognize([clip(0)])
    assert isinstance(found.error, EngineUnreachable)
    assert found.error.retryable
    with pytest.raises(EngineUnreachable):
        _ = pool.facts


def test_a_busy_host_is_waited_for_and_others_asked(stack: ExitStack) -> None:
    gated, count = Gated(), Counting()
    busy = stack.enter_context(hosting(gated, HostOptions(queue_s=10.0)))
    with ThreadPoolExecutor(4) as callers:
        others = pool_of(stack, busy)
        until_state(others, "ready")
        jobs = [callers.submit(others.recognize, [clip(n, 4.0)], lane="live") for n in range(3)]
        gated.wait_begun()
        while busy.host.models["tiny"].waiting_clips < 2:
            time.sleep(0.01)
        alone = pool_of(stack, busy, patience_s=0.4)
        until_state(alone, "ready")
        (found,) = alone.recognize([clip(8, 4.0)])
        assert isinstance(found.error, EngineBusy)
        free = stack.enter_context(hosting(count.engine))
        both = pool_of(stack, busy, free)
        until_state(both, "ready", "ready")
        assert texts(both.recognize([clip(9, 4.0), clip(10, 4.0)])) == ["clip 9", "clip 10"]
        assert sorted(count.heard) == [9, 10]
        gated.open()
        for job in jobs:
            texts(job.result(20))


def test_clips_wait_here_and_not_in_refused_requests(stack: ExitStack) -> None:
    """600 s of audio for a queue of 40 s: the host refuses nothing."""
    count = Counting(0.002)
    host = stack.enter_context(hosting(count.engine, HostOptions(queue_s=40.0)))
    pool = pool_of(stack, host)
    until_state(pool, "ready")
    with ThreadPoolExecutor(20) as callers:
        jobs = [
            callers.submit(pool.recognize, [clip(n + k, 5.0) for k in range(6)])
            for n in range(0, 120, 6)
        ]
        assert sum(len(texts(job.result(60))) for job in jobs) == 120
    assert b"refused_total{" not in host.ask("GET", "/metrics")[2]


def test_live_clips_do_not_wait_for_room(stack: ExitStack) -> None:
    gated = Gated()
    host = stack.enter_context(hosting(gated, HostOptions(queue_s=40.0)))
    pool = pool_of(stack, host)
    until_state(pool, "ready")
    with ThreadPoolExecutor(30) as callers:
        bulk = [callers.submit(pool.recognize, [clip(n, 5.0)]) for n in range(20)]
        gated.wait_begun()
        live = callers.submit(pool.recognize, [clip(30, 5.0)], lane="live")
        while host.host.models["tiny"].lanes()[0][1] == 0:
            time.sleep(0.01)
        gated.open()
        assert texts(live.result(20)) == ["clip 30"]
        for job in bulk:
            texts(job.result(20))
    assert 30 in gated.batches[1]


def test_a_host_with_another_model_is_left_out(stack: ExitStack, tmp_path: Path) -> None:
    count = Counting()

    class Other(ScriptedEngine):
        @property
        def facts(self):  # type: ignore[no-untyped-def]
            from dataclasses import replace

            return replace(super().facts, model=replace(super().facts.model, id="other"))

    first = stack.enter_context(hosting(count.engine))
    pool = pool_of(stack, first)
    until_state(pool, "ready")
    second = stack.enter_context(hosting(Other(hear)))
    both = pool_of(stack, first, second)
    end_s = time.monotonic() + 20
    while "wrong" not in states(both):
        assert time.monotonic() < end_s
        both.wait_ready(5)
    status = {one.state: one for one in both.status()}
    assert status["wrong"].error == EngineRefused.code
    assert len(texts(both.recognize([clip(n) for n in range(9)]))) == 9


def test_a_server_that_is_no_host_of_ours_takes_its_share_too(stack: ExitStack) -> None:
    count = Counting(0.001)
    host = stack.enter_context(hosting(count.engine))
    address, server = stack.enter_context(
        serving(lambda asked: Reply(body={"text": f"clip {asked.number}", "language": "zh"}))
    )
    pool = pool_of(stack, address, host)
    until_state(pool, "ready", "ready")
    assert texts(pool.recognize([clip(n) for n in range(20)])) == [f"clip {n}" for n in range(20)]
    assert len(server.asked) == 10
    assert len(count.heard) == 10


def test_a_wrong_key_is_said(stack: ExitStack) -> None:
    options = HostOptions(key="sesame")
    host = stack.enter_context(hosting(ScriptedEngine(hear), options, place="127.0.0.1:0"))
    pool = EnginePool([host.address], key="wrong", patience_s=0.3)
    stack.callback(pool.close)
    (found,) = pool.recognize([clip(0)])
    assert isinstance(found.error, EngineRefused)
    assert "LINGTING_REMOTE_KEY" in str(found.error)


def test_a_host_over_two_hosts(stack: ExitStack) -> None:
    """The pool is an engine, so a host can serve it: clips in one place, work in two."""
    counts = [Counting(0.002), Counting(0.002)]
    pool = pool_of(stack, *(stack.enter_context(hosting(one.engine)) for one in counts))
    until_state(pool, "ready", "ready")
    front = stack.enter_context(hosting(pool))
    caller = pool_of(stack, front)
    assert len(texts(caller.recognize([clip(n) for n in range(50)]))) == 50
    assert min(len(one.heard) for one in counts) >= 20


def test_after_closing(stack: ExitStack) -> None:
    pool = pool_of(stack, stack.enter_context(hosting(ScriptedEngine(hear))))
    assert texts(pool.recognize([clip(0)])) == ["clip 0"]
    pool.close()
    pool.close()
    with pytest.raises(EngineFailed, match="closed"):
        pool.recognize([clip(0)])


def test_what_a_pool_cannot_be_made_of() -> None:
    with pytest.raises(OptionInvalid):
        EnginePool([])
    with pytest.raises(OptionInvalid):
        EnginePool(["ftp://x"])
    with pytest.raises(OptionInvalid, match="lane"):
        EnginePool(["unix:/x"], lane="vip")
