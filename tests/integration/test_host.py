"""The engine host over real sockets: batches, lanes, room, hanging up, stopping."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_host import Gated, Hosted, hear, host_process, hosting, number_of
from small_server import clip

from lingting.engines.base import Clip, Engine, Hypothesis, RecognizeOptions
from lingting.engines.envelope import CONTENT_TYPE, write_request
from lingting.engines.guarded import GuardedEngine
from lingting.engines.registry import load_engine
from lingting.engines.remote import RemoteOptions, load
from lingting.engines.remote.address import parse_address
from lingting.engines.remote.host import HostEngine
from lingting.engines.remote.link import Link
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import (
    AudioEmpty,
    EngineBusy,
    EngineFailed,
    EngineRefused,
    EngineUnreachable,
    LingtingError,
    ModelNotInstalled,
    ModelUnknown,
    OptionInvalid,
)
from lingting.host import HostOptions
from lingting.host.listening import listen, parse_place
from lingting.transcript import Word

ONCE = RemoteOptions(attempts=1)
POST = {"Content-Type": CONTENT_TYPE}
TRANSCRIPTIONS = "/v1/audio/transcriptions"


def engine_at(hosted: Hosted, **given: Any) -> HostEngine:
    engine = load(hosted.address, **{"options": ONCE, **given})
    assert isinstance(engine, HostEngine)
    hosted.engines.append(engine)
    return engine


def texts(found: Sequence[Hypothesis]) -> list[str]:
    assert [one.error for one in found] == [None] * len(found)
    return [one.text for one in found]


def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)


# Everything travels


def everything(given: Clip) -> Hypothesis:
    """A hypothesis in which every field is set, and depends on what was sent."""
    return Hypothesis(
        text=f"{len(given.samples)} {given.samples.sum():.9f} {given.options}",
        language="yue",
        language_confidence=0.1 + 0.2,
        words=(Word("聆", 0.1, 0.3, 0.25), Word("听", 0.3, 1 / 3)),
        words_source="attention",
        emotion="happy",
        events=("music",),
        confidence=1 / 3,
        no_speech=1e-17,
        is_cut=True,
        prompt="好的，谢谢。",
        notes=(f"{given.speech_s} {given.speech_score}",),
    )


def test_every_field_of_clip_and_hypothesis_travels_bit_by_bit() -> None:
    rng = np.random.default_rng(1)
    options = RecognizeOptions("zh", True, False, ("聆听", "a, b"), "", 3, 0.25)
    clips = [
        Clip(rng.normal(0, 0.3, 8_000).astype(np.float32), options, 0.4, 1 / 3),
        Clip(rng.normal(0, 0.3, 160).astype(np.float32)),
    ]
    with hosting(ScriptedEngine(everything)) as hosted:
        engine = engine_at(hosted)
        assert isinstance(engine, Engine)
        assert engine.recognize(clips) == [everything(one) for one in clips]
        assert engine.facts == ScriptedEngine(everything).facts


def test_errors_of_single_clips_travel_and_spare_their_neighbours() -> None:
    def script(given: Clip) -> Hypothesis:
        if number_of(given) == 1:
            raise AudioEmpty("A clip has 3 samples.", "Record it again.")
        return hear(given)

    with hosting(ScriptedEngine(script)) as hosted:
        engine = engine_at(hosted)
        found = engine.recognize([clip(0), clip(1), clip(2), Clip(np.zeros((2, 9), np.float32))])
    assert [one.text for one in found] == ["clip 0", "", "clip 2", ""]
    assert isinstance(found[1].error, AudioEmpty)
    assert str(found[1].error) == "A clip has 3 samples. Record it again."
    assert "2 dimensions" in str(found[3].error)  # found here: it cannot be sent


def test_a_host_guards_so_its_clients_do_not() -> None:
    with hosting(ScriptedEngine(hear)) as hosted:
        engine = load_engine(hosted.address)
        assert isinstance(engine, HostEngine)
        assert not isinstance(engine, GuardedEngine)
        hosted.engines.append(engine)


def test_more_than_one_request_can_hold_is_several() -> None:
    with hosting(ScriptedEngine(hear)) as hosted:
        engine = engine_at(hosted)
        clips = [clip(number, 0.1) for number in range(300)]  # 256 are allowed in one
        assert texts(engine.recognize(clips)) == [f"clip {n}" for n in range(300)]


# Batches


def test_single_clips_of_many_callers_share_batches() -> None:
    gated = Gated()
    with hosting(gated) as hosted, ThreadPoolExecutor(16) as pool:
        engine = engine_at(hosted)
        model = hosted.host.models["tiny"]
        first = pool.submit(engine.recognize, [clip(0)])
        gated.wait_begun()
        rest = [pool.submit(engine.recognize, [clip(number)]) for number in range(1, 16)]
        until(lambda: model.waiting_clips == 15)
        gated.open()
        assert [texts(one.result()) for one in (first, *rest)] == [[f"clip {n}"] for n in range(16)]
    assert gated.batches == [[0], list(range(1, 16))]


def test_callers_that_were_answered_together_are_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else they would fall into crowds that take turns: 1, 7, 1, 7, … instead of 8, 8, …"""
    monkeypatch.setattr("lingting.host.model._GATHER_S", 0.5)  # enough for any machine
    monkeypatch.setattr("lingting.host.model._GATHER_SHARE", 100.0)

    def slowly(given: Clip) -> Hypothesis:
        time.sleep(0.005)
        return hear(given)

    engine = ScriptedEngine(slowly)
    with hosting(engine) as hosted, ThreadPoolExecutor(8) as pool:
        caller = engine_at(hosted)

        def call(_: int) -> None:
            for number in range(5):
                texts(caller.recognize([clip(number)]))

        list(pool.map(call, range(8)))
    assert sum(engine.batches) == 40
    assert len(engine.batches) <= 7


def test_a_live_clip_is_not_kept_waiting_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lingting.host.model._GATHER_S", 60.0)
    monkeypatch.setattr("lingting.host.model._GATHER_SHARE", 1e6)
    with hosting(ScriptedEngine(hear)) as hosted:
        engine = engine_at(hosted)
        texts(engine.recognize([clip(n) for n in range(4)]))
        began_s = time.monotonic()
        assert texts(engine.recognize([clip(9)], lane="live")) == ["clip 9"]
        assert time.monotonic() - began_s < 30


def test_a_live_clip_in_a_full_queue_is_in_the_very_next_batch() -> None:
    gated = Gated()
    with hosting(gated) as hosted, ThreadPoolExecutor(8) as pool:
        engine = engine_at(hosted)
        model = hosted.host.models["tiny"]
        bulk = pool.submit(engine.answer, [clip(number, 20.0) for number in range(40)])
        gated.wait_begun()
        second = pool.submit(engine.answer, [clip(50, 1.0)], lane="interactive")
        live = [pool.submit(engine.answer, [clip(60 + n, 1.0)], lane="live") for n in range(3)]
        until(lambda: model.waiting_clips == 39 + 4)
        gated.open()
        assert [one.result().batches for one in live] == [(1,)] * 3
        assert second.result().batches[0] <= 2
        assert max(bulk.result().batches) >= 4  # the queue was long
    assert {60, 61, 62} <= set(gated.batches[1])


def test_what_waits_is_batched_in_the_order_it_came() -> None:
    gated = Gated()
    with hosting(gated) as hosted, ThreadPoolExecutor(2) as pool:
        engine = engine_at(hosted)
        job = pool.submit(engine.recognize, [clip(number, 20.0) for number in range(12)])
        gated.open()
        texts(job.result())
    assert [number for batch in gated.batches for number in batch] == list(range(12))


# Callers that go


def raw_request(hosted: Hosted, clips: Sequence[Clip]) -> socket.socket:
    body = write_request(clips, lane="bulk")
    head = f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Type: {CONTENT_TYPE}\r\n"
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(hosted.address.removeprefix("unix:"))
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def test_a_clip_nobody_waits_for_is_never_recognised() -> None:
    gated = Gated()
    with hosting(gated) as hosted, ThreadPoolExecutor(2) as pool:
        engine = engine_at(hosted)
        model = hosted.host.models["tiny"]
        first = pool.submit(engine.recognize, [clip(0)])
        gated.wait_begun()
        gone = raw_request(hosted, [clip(1), clip(2)])
        until(lambda: model.waiting_clips == 2)
        stays = pool.submit(engine.recognize, [clip(3)])
        until(lambda: model.waiting_clips == 3)
        gone.close()
        until(lambda: model.waiting_clips == 1)
        gated.open()
        assert texts(first.result() + stays.result()) == ["clip 0", "clip 3"]
        page = hosted.ask("GET", "/metrics")[2].decode()
    assert gated.batches == [[0], [3]]
    assert 'lingting_engine_dropped_clips_total{lane="bulk"} 2.0' in page


def test_a_caller_that_goes_while_its_clip_is_recognised_harms_nobody() -> None:
    gated = Gated()
    with hosting(gated) as hosted:
        gone = raw_request(hosted, [clip(0)])
        gated.wait_begun()
        gone.close()
        gated.open()
        engine = engine_at(hosted)
        assert texts(engine.recognize([clip(1)])) == ["clip 1"]
    assert [event for event in hosted.events if event["event"] == "incident"] == []


def test_half_a_request_is_nothing() -> None:
    with hosting(ScriptedEngine(hear)) as hosted:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(hosted.address.removeprefix("unix:"))
        head = f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000"
        connection.sendall(f"{head}\r\n\r\nabc".encode())
        time.sleep(0.05)
        connection.close()
        assert hosted.json("/status")["requests"] == 0
    assert [event for event in hosted.events if event["event"] == "incident"] == []


def test_who_waits_long_gets_signs_of_life() -> None:
    gated = Gated()
    with hosting(gated, HostOptions(heartbeat_s=0.05)) as hosted:
        connection = raw_request(hosted, [clip(0)])
        gated.wait_begun()
        received = b""
        while received.count(b"\r\n1\r\n \r\n") < 3:  # chunks of one space
            part = connection.recv(4096)
            assert part
            received += part
        gated.open()
        while not received.endswith(b"0\r\n\r\n"):
            received += connection.recv(4096)
        connection.close()
        assert received.startswith(b"HTTP/1.1 200")
        assert b'"clip 0"' in received
        engine = engine_at(hosted)
        gated.is_open = False
        with ThreadPoolExecutor(1) as pool:  # and our client reads over them
            found = pool.submit(engine.recognize, [clip(1)])
            time.sleep(0.3)
            gated.open()
            assert texts(found.result()) == ["clip 1"]


# Room


def test_a_full_queue_refuses_with_429_and_says_when_to_come_again() -> None:
    gated = Gated()
    with hosting(gated, HostOptions(queue_s=100.0)) as hosted, ThreadPoolExecutor(4) as pool:
        engine = engine_at(hosted)
        model = hosted.host.models["tiny"]
        under_way = pool.submit(engine.recognize, [clip(0)])
        gated.wait_begun()
        waits = pool.submit(engine.recognize, [clip(n, 20.0) for n in range(1, 5)])
        until(lambda: model.waiting_clips == 4)
        body = write_request([clip(9, 11.0)], lane="bulk")
        status, headers, answer = hosted.ask("POST", TRANSCRIPTIONS, body, POST)
        assert status == 429
        assert 1 <= int(headers["retry-after"]) <= 60
        assert json.loads(answer)["error"]["code"] == "rate_limit_exceeded"
        (refused,) = engine.recognize([clip(9, 11.0)])
        assert isinstance(refused.error, EngineBusy)
        live = pool.submit(engine.recognize, [clip(10, 11.0)], lane="live")  # has room of its own
        until(lambda: model.waiting_clips == 5)
        gated.open()
        texts(under_way.result() + waits.result() + live.result())


def test_a_request_larger_than_the_queue_is_taken_when_nothing_waits() -> None:
    with hosting(ScriptedEngine(hear), HostOptions(queue_s=10.0)) as hosted:
        engine = engine_at(hosted)
        assert len(texts(engine.recognize([clip(n, 20.0) for n in range(3)]))) == 3


def test_a_patient_client_comes_again() -> None:
    gated = Gated()
    with hosting(gated, HostOptions(queue_s=10.0)) as hosted, ThreadPoolExecutor(4) as pool:
        engine = engine_at(hosted, options=RemoteOptions(attempts=9, first_wait_s=0.01))
        model = hosted.host.models["tiny"]
        jobs = [pool.submit(engine.recognize, [clip(0, 9.0)])]
        gated.wait_begun()
        jobs.append(pool.submit(engine.recognize, [clip(1, 9.0)]))
        until(lambda: model.waiting_clips == 1)
        jobs.append(pool.submit(engine.recognize, [clip(2, 9.0)]))
        time.sleep(0.1)
        assert model.waiting_clips == 1
        gated.open()
        assert [texts(job.result()) for job in jobs] == [["clip 0"], ["clip 1"], ["clip 2"]]


# The end


def test_stopping_finishes_what_waits_and_takes_nothing_new() -> None:
    gated = Gated()
    with hosting(gated) as hosted, ThreadPoolExecutor(4) as pool:
        engine = engine_at(hosted)
        model = hosted.host.models["tiny"]
        first = pool.submit(engine.recognize, [clip(0)])
        gated.wait_begun()
        second = pool.submit(engine.recognize, [clip(1)])
        until(lambda: model.waiting_clips == 1)
        connection = hosted.connection()  # there before the end begins
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        hosted.stop()
        until(lambda: hosted.host.is_draining)
        connection.request("POST", TRANSCRIPTIONS, write_request([clip(2)], lane="live"), POST)
        response = connection.getresponse()
        assert response.status == 503
        assert int(response.getheader("retry-after") or 0) >= 1
        assert json.loads(response.read())["lingting_error"]["code"] == "engine.busy"
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == 503
        connection.close()
        gated.open()
        assert texts(first.result() + second.result()) == ["clip 0", "clip 1"]
        hosted.thread.join(20)
        assert not hosted.thread.is_alive()
    assert gated.is_closed
    assert not Path(hosted.address.removeprefix("unix:")).exists()


def test_what_cannot_be_finished_in_time_is_handed_back() -> None:
    gated = Gated()
    with hosting(gated, HostOptions(drain_s=0.2)) as hosted, ThreadPoolExecutor(4) as pool:
        engine = engine_at(hosted)
        model = hosted.host.models["tiny"]
        first = pool.submit(engine.recognize, [clip(0)])
        gated.wait_begun()
        second = pool.submit(engine.recognize, [clip(1), clip(2)])
        until(lambda: model.waiting_clips == 2)
        hosted.stop()
        assert [type(one.error) for one in second.result(20)] == [EngineBusy] * 2
        gated.open()
        assert texts(first.result()) == ["clip 0"]
    assert gated.batches == [[0]]


# Models


def test_models_are_loaded_when_needed_and_unloaded_when_idle() -> None:
    made: list[Gated] = []

    def load_one(*_: object) -> Gated:
        made.append(Gated())
        made[-1].open()
        return made[-1]

    with hosting(load_one, HostOptions(idle_s=0.2), models=("a", "b")) as hosted:
        model = hosted.host.models["b"]
        assert hosted.json("/readyz")["models"] == {"a": "absent", "b": "absent"}
        assert hosted.ask("GET", "/readyz")[0] == 503  # nobody knows yet whether it can be loaded
        engine = engine_at(hosted, model="b")
        assert (model.state, len(made)) == ("ready", 1)
        until(lambda: model.state == "absent")
        assert made[0].is_closed
        assert texts(engine.recognize([clip(0)])) == ["clip 0"]
        assert len(made) == 2
        listed = hosted.json("/v1/models")["data"]
        assert [(one["id"], one["lingting"]["default"]) for one in listed] == [
            ("a", True),
            ("b", False),
        ]


def test_a_model_can_be_loaded_and_unloaded_by_hand() -> None:
    gated = Gated()
    with hosting(gated) as hosted, ThreadPoolExecutor(2) as pool:
        model = hosted.host.models["tiny"]
        entry = hosted.json("/models/tiny/load", "POST")
        assert entry["lingting"]["state"] == "ready"
        assert entry["lingting"]["batch_s"] == 240.0
        assert hosted.ask("GET", "/readyz")[0] == 200
        assert hosted.json("/v1/models/tiny") == entry
        engine = engine_at(hosted)
        jobs = [pool.submit(engine.recognize, [clip(0)])]
        gated.wait_begun()
        jobs.append(pool.submit(engine.recognize, [clip(1)]))
        until(lambda: model.waiting_clips == 1)
        assert hosted.ask("POST", "/models/tiny/unload")[0] == 429  # a clip waits for it
        gated.open()
        texts(jobs[0].result() + jobs[1].result())
        assert hosted.ask("POST", "/cache/clear")[0] == 202
        assert hosted.ask("POST", "/models/tiny/unload")[0] == 202
        until(lambda: model.state == "absent")
        assert hosted.ask("GET", "/readyz")[0] == 200  # the next clip loads it again


def test_a_model_that_cannot_be_loaded_says_why_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong: list[Exception] = [ModelNotInstalled("tiny is not here."), RuntimeError("/secret/path")]

    def load_one(*_: object) -> ScriptedEngine:
        if wrong:
            raise wrong.pop(0)
        return ScriptedEngine(hear)

    with hosting(load_one) as hosted:
        body = write_request([clip(0)], lane="bulk")
        answer = json.loads(hosted.ask("POST", TRANSCRIPTIONS, body, POST)[2])
        assert answer["hypotheses"][0]["error"]["code"] == "model.not_installed"
        model = hosted.host.models["tiny"]
        assert model.state == "failed"
        assert hosted.json("/readyz") == {
            "ready": False,
            "draining": False,
            "models": {"tiny": "failed"},
        }
        with pytest.raises(ModelNotInstalled):  # at once: not everybody tries it again
            engine_at(hosted)
        monkeypatch.setattr("lingting.host.model._FAILED_FOR_S", 0.0)
        status, _, page = hosted.ask("POST", "/models/tiny/load")
        assert status == 500
        assert b"secret" not in page
        assert texts(engine_at(hosted).recognize([clip(0)])) == ["clip 0"]
    assert "secret" not in str(hosted.events)


def test_unknown_models_and_names_of_other_services() -> None:
    with hosting(ScriptedEngine(hear), models=("a", "b")) as hosted:
        with pytest.raises(ModelUnknown, match="it has a, b"):
            engine_at(hosted, model="c")
        assert hosted.ask("GET", "/v1/models/c")[0] == 404
        for name in ("auto", "whisper-1", "gpt-4o-mini-transcribe"):
            assert hosted.json(f"/v1/models/{name}")["id"] == "a"


def test_models_work_side_by_side() -> None:
    gates = {"a": Gated(), "b": Gated()}
    gates["b"].open()
    hosts = hosting(lambda name, _: gates[name], models=("a", "b"))
    with hosts as hosted, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(engine_at(hosted, model="a").recognize, [clip(0)])
        gates["a"].wait_begun()
        assert texts(engine_at(hosted, model="b").recognize([clip(1)])) == ["clip 1"]
        assert hosted.json("/status")["models"]["a"]["recognising_clips"] == 1
        gates["a"].open()
        texts(slow.result())


def test_an_engine_without_memory_halves_and_goes_to_the_cpu() -> None:
    class OutOfMemoryError(RuntimeError):
        """As PyTorch names it."""

    class Tight(ScriptedEngine):
        """A device with room for 2 clips, and none for number 5."""

        @property
        def facts(self) -> Any:
            return replace(super().facts, device="cuda")

        def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
            if len(clips) > 2 or any(number_of(one) == 5 for one in clips):
                raise OutOfMemoryError("CUDA out of memory")
            return super().recognize(clips)

    def load_one(_: str, device: str | None) -> ScriptedEngine:
        return ScriptedEngine(hear) if device == "cpu" else Tight(hear)

    with hosting(load_one) as hosted:
        engine = engine_at(hosted)
        found = engine.recognize([clip(number) for number in range(9)])
        page = hosted.ask("GET", "/metrics")[2].decode()
    assert texts(found) == [f"clip {number}" for number in range(9)]
    assert [at for at, one in enumerate(found) if "memory.cpu" in one.notes] == [5]
    assert 'memory_lacks_total{model="tiny",step="halved"}' in page
    assert 'memory_lacks_total{model="tiny",step="cpu"} 1.0' in page


def test_a_lack_of_memory_in_the_host_itself_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For the smallest things, anywhere: it waits, and goes on."""
    from lingting.host.app import HostApp
    from lingting.host.metrics import Metrics
    from lingting.host.pace import Pace
    from lingting.host.work import Job

    monkeypatch.setattr("lingting.host.model._BREATH_S", 0.01)
    lacks = {"note": 2, "batch": 1, "_deliver": 1, "budgets": 1, "settle": 2}

    def lacking(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if lacks[name]:
                lacks[name] -= 1
                raise MemoryError
            return real(*given, **named)

        return call

    for owner, name in (
        (Pace, "note"),
        (Metrics, "batch"),
        (HostApp, "_deliver"),
        (Pace, "budgets"),
        (Job, "settle"),
    ):
        monkeypatch.setattr(owner, name, lacking(name, getattr(owner, name)))
    with hosting(ScriptedEngine(hear)) as hosted:
        engine = engine_at(hosted)
        for number in range(6):
            assert texts(engine.recognize([clip(number)])) == [f"clip {number}"]
    assert not any(lacks.values())


@pytest.mark.parametrize(
    ("fails", "raised", "given_back"),
    [
        ("lingting.host.pace.Pace.budgets", RuntimeError, EngineFailed),
        ("lingting.host.pace.Pace.budgets", MemoryError, EngineBusy),
        ("lingting.host.metrics.Metrics.batch", MemoryError, EngineBusy),
    ],
)
def test_what_fails_again_and_again_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
    fails: str,
    raised: type[Exception],
    given_back: type[LingtingError],
) -> None:
    """Before a batch is chosen, and when it was recognised; the host outlives both."""

    def failing(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("lingting.host.model._BREATH_S", 0.001)
    with hosting(ScriptedEngine(hear)) as hosted:
        engine = engine_at(hosted)
        with monkeypatch.context() as patch:
            patch.setattr(fails, failing)
            found = engine.recognize([clip(0), clip(1)])
        assert [type(one.error) for one in found] == [given_back] * 2
        assert texts(engine.recognize([clip(2)])) == ["clip 2"]


def test_a_request_that_finds_no_memory_may_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with hosting(ScriptedEngine(hear)) as hosted:
        engine = engine_at(hosted)
        monkeypatch.setattr("lingting.host.app.read_request", lambda _: bytearray(1 << 62))
        (found,) = engine.recognize([clip(0)])
        assert isinstance(found.error, EngineBusy)


# What is refused


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("GET", "/nowhere", b"", {}, 404, "request.invalid"),
        ("GET", TRANSCRIPTIONS, b"", {}, 405, "request.invalid"),
        ("POST", "/healthz", b"", {}, 405, "request.invalid"),
        ("POST", TRANSCRIPTIONS, b"LTC1", POST, 400, "request.invalid"),
        ("POST", TRANSCRIPTIONS, b"x", {"Content-Type": "text/plain"}, 400, "request.invalid"),
        ("POST", TRANSCRIPTIONS, b"x" * 9_000, POST, 413, "audio.too_long"),
        ("POST", "/models/nothing/load", b"", {}, 404, "model_not_found"),
    ],
)
def test_wrong_requests_have_typed_answers(
    method: str, path: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    with hosting(ScriptedEngine(hear), HostOptions(most_body_bytes=8_000)) as hosted:
        found, _, page = hosted.ask(method, path, body, headers)
        assert hosted.json("/healthz") == {"status": "alive"}
    error = json.loads(page)["error"]
    assert (found, error["code"]) == (status, code)
    assert error.keys() == {"message", "type", "param", "code"}


def test_a_body_without_a_length_is_bounded_too() -> None:
    with hosting(ScriptedEngine(hear), HostOptions(most_body_bytes=8_000)) as hosted:
        connection = hosted.connection()
        connection.request("POST", TRANSCRIPTIONS, (b"x" * 5_000 for _ in range(9)), POST)
        assert connection.getresponse().status == 413
        connection.close()


def test_bodies_that_are_being_received_are_bounded_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lingting.host.app._MOST_BODIES_BYTES", 1_000_000)
    with hosting(ScriptedEngine(hear)) as hosted:
        first = hosted.connection()
        first.putrequest("POST", TRANSCRIPTIONS)
        first.putheader("Content-Length", "2000000")
        first.endheaders()
        first.send(bytes(900_000))
        time.sleep(0.2)
        status, headers, _ = hosted.ask("POST", TRANSCRIPTIONS, bytes(900_000), POST)
        assert status == 429
        assert "retry-after" in headers
        first.close()


# Who may ask, and where


def test_over_tcp_a_key_is_asked_for() -> None:
    options = HostOptions(key="sesame")
    with hosting(ScriptedEngine(hear), options, place="127.0.0.1:0") as hosted:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "sesame"}):
            status, found, page = hosted.ask("GET", "/v1/models", headers=headers)
            assert (status, found["www-authenticate"]) == (401, "Bearer")
            assert json.loads(page)["error"]["code"] == "invalid_api_key"
        assert hosted.ask("GET", "/healthz")[0] == 200
        assert hosted.ask("GET", "/readyz")[0] == 503
        assert hosted.ask("GET", "/metrics")[0] == 401
        with pytest.raises(EngineRefused, match="key"):
            engine_at(hosted, key="wrong")
        engine = engine_at(hosted, key="sesame")
        assert texts(engine.recognize([clip(0)])) == ["clip 0"]
    assert "sesame" not in str(hosted.events)


def test_the_unix_sockets_permissions_are_its_key() -> None:
    with hosting(ScriptedEngine(hear), HostOptions(key="sesame")) as hosted:
        path = Path(hosted.address.removeprefix("unix:"))
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert texts(engine_at(hosted).recognize([clip(0)])) == ["clip 0"]


def test_another_host_on_the_same_socket_is_refused() -> None:
    with hosting(ScriptedEngine(hear)) as hosted:
        with pytest.raises(OptionInvalid, match="process"):
            listen(parse_place(hosted.address), has_key=False)
        assert texts(engine_at(hosted).recognize([clip(0)])) == ["clip 0"]  # it goes on


def test_a_stale_socket_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    path = folder / "e.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(str(path))  # closed without being removed, as by kill -9
    listener = listen(parse_place(str(path)), has_key=False)
    assert folder.stat().st_mode & 0o777 == 0o700
    listener.close()
    assert not path.exists()
    path.write_text("somebody's notes")
    with pytest.raises(OptionInvalid, match="another kind"):
        listen(parse_place(str(path)), has_key=False)
    assert path.read_text() == "somebody's notes"
    path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(OptionInvalid, match="Another program"):
            listen(parse_place(str(path)), has_key=False)


def test_closing_twice_leaves_the_next_hosts_socket(tmp_path: Path) -> None:
    path = tmp_path / "run" / "e.sock"
    first = listen(parse_place(str(path)), has_key=False)
    first.close()
    second = listen(parse_place(str(path)), has_key=False)  # often with the same inode
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()


def test_a_lock_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "run" / "e.sock"
    path.with_name("e.sock.lock").mkdir(parents=True)
    with pytest.raises(OptionInvalid, match="lock"):
        listen(parse_place(str(path)), has_key=False)


@pytest.mark.parametrize("place", ["0.0.0.0:0", "[::]:0", "10.0.0.1:0", "example.org:0"])
def test_beyond_this_machine_a_key_is_needed(place: str) -> None:
    with pytest.raises(OptionInvalid, match="key"):
        listen(parse_place(place), has_key=False)


@pytest.mark.parametrize("text", ["", "unix:relative.sock", "localhost", "x:port", "x:99999", ":1"])
def test_places_that_are_none(text: str) -> None:
    with pytest.raises(OptionInvalid):
        parse_place(text)


def test_a_port_that_is_taken() -> None:
    first = listen(parse_place("127.0.0.1:0"), has_key=False)
    with pytest.raises(OptionInvalid, match="taken"):
        listen(first.place, has_key=False)
    first.close()


# What is told


SECRETS = ("Quincunxes", "Brumbleweft", "Ostrakinda")


def test_nothing_said_or_asked_for_is_in_events_pages_or_errors() -> None:
    def script(given: Clip) -> Hypothesis:
        if number_of(given) == 1:
            raise RuntimeError(f"cannot decode {SECRETS[0]}")
        return Hypothesis(f"the {SECRETS[0]}", "en", confidence=0.9)

    wanted = {"hotwords": (SECRETS[1],), "prompt": SECRETS[2], "language": "en"}
    with hosting(ScriptedEngine(script)) as hosted:
        engine = engine_at(hosted)
        found = engine.recognize([clip(0, **wanted), clip(1, **wanted)])
        pages = [hosted.ask("GET", p)[2].decode() for p in ("/metrics", "/status", "/v1/models")]
    assert SECRETS[0] in found[0].text
    assert isinstance(found[1].error, LingtingError)
    for text in (*pages, str(hosted.events), str(found[1].error)):
        assert [secret for secret in SECRETS if secret in text] == []


def test_the_figures_are_those_of_the_work_done() -> None:
    with hosting(ScriptedEngine(hear)) as hosted:
        engine = engine_at(hosted)
        texts(engine.recognize([clip(n, 2.0) for n in range(3)], lane="interactive"))
        lines = hosted.ask("GET", "/metrics")[2].decode().splitlines()
        status = hosted.json("/status")
    assert (
        'lingting_engine_clips_total{lane="interactive",model="tiny",outcome="done"} 3.0' in lines
    )
    assert 'lingting_engine_audio_seconds_total{lane="interactive",model="tiny"} 6.0' in lines
    assert 'lingting_engine_model_state{model="tiny",state="ready"} 1.0' in lines
    assert status["models"]["tiny"]["waiting"]["bulk"] == {"clips": 0, "audio_s": 0.0}
    assert status["models"]["tiny"]["batches"] >= 1


def test_sigterm_finishes_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "run" / "e.sock"
    with host_process(path, seconds=0.05) as process, ThreadPoolExecutor(20) as pool:
        engine = load(f"unix:{path}", options=ONCE)
        assert isinstance(engine, HostEngine)
        jobs = [pool.submit(engine.recognize, [clip(n), clip(50 + n)]) for n in range(20)]
        while not jobs[0].done():
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        found = [job.result(30) for job in jobs]
        assert process.wait(30) == 0
        engine.close()
    assert not path.exists()
    heard = [one for pair in found for one in pair if one.error is None]
    late = [one.error for pair in found for one in pair if one.error is not None]
    assert len(heard) > 20  # 2 s of work when it was told, and it had 10
    assert all(isinstance(one, EngineBusy | EngineUnreachable) for one in late)  # sent too late


def test_a_batch_that_hangs_makes_the_host_unready_and_then_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "e.sock"
    link = Link(parse_address(f"unix:{path}"), None, connect_s=5.0, silence_s=5.0)

    def recognising() -> int:
        status = json.loads(link.ask("GET", "/status").body)
        return int(status["models"]["tiny"]["recognising_clips"])

    with (
        host_process(path, seconds=600, hang_s=6.0) as process,
        ThreadPoolExecutor(2) as pool,
    ):
        engine = load(f"unix:{path}", options=ONCE)
        assert isinstance(engine, HostEngine)
        assert link.ask("GET", "/readyz").status == 200
        hangs = pool.submit(engine.recognize, [clip(0)])
        until(lambda: recognising() == 1)
        waits = pool.submit(engine.recognize, [clip(1)])
        until(lambda: link.ask("GET", "/readyz").status == 503)
        assert isinstance(waits.result(30)[0].error, EngineBusy)
        assert isinstance(hangs.result(30)[0].error, EngineUnreachable)
        assert process.wait(30) == 1
    with host_process(path):  # and whoever looks after it starts it again
        assert texts(engine.recognize([clip(2)])) == ["clip 2"]
    engine.close()
    link.close()


def test_a_host_that_is_not_there() -> None:
    with pytest.raises(EngineUnreachable):
        load("unix:/nowhere/e.sock", options=ONCE)


def test_a_host_that_restarts_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "run" / "e.sock"
    with host_process(path):
        engine = load(f"unix:{path}", options=ONCE)
        assert texts(engine.recognize([clip(0)])) == ["clip 0"]
    (lost,) = engine.recognize([clip(1)])
    assert isinstance(lost.error, EngineUnreachable)
    with host_process(path):
        assert texts(engine.recognize([clip(2)])) == ["clip 2"]
    engine.close()


def test_thousands_of_clips_one_by_one_leave_nothing_behind() -> None:
    with hosting(ScriptedEngine(hear)) as hosted, ThreadPoolExecutor(8) as pool:
        engine = engine_at(hosted)
        samples = clip(3, 0.1)

        def call(_: int) -> str:
            return engine.ask([samples])[0].text

        assert set(pool.map(call, range(3_000))) == {"clip 3"}
        status = hosted.json("/status")
    assert (status["requests"], status["waiting_s"]) == (0, 0.0)
