"""The remote engine against a real HTTP server on the loopback interface."""

from __future__ import annotations

import logging
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_server import Answer, Asked, Drop, Reply, SmallServer, clip, models_of, serving

from lingting.engines.base import Clip, Engine, Hypothesis
from lingting.engines.remote import RemoteOptions, load
from lingting.engines.remote.engine import RemoteEngine
from lingting.errors import (
    AudioEmpty,
    AudioTooLong,
    EngineBusy,
    EngineFailed,
    EngineRefused,
    EngineUnreachable,
    LanguageUnsupported,
    ModelUnknown,
    OptionInvalid,
)

SOON = RemoteOptions(first_wait_s=0.0)


def says(asked: Asked) -> Reply:
    return Reply(body={"text": f"clip {asked.number}"})


@contextmanager
def engine_at(
    answer: Answer, options: RemoteOptions = SOON, **given: Any
) -> Iterator[tuple[RemoteEngine, SmallServer]]:
    with serving(answer) as (address, server):
        engine = load(address, options=options, **given)
        try:
            yield engine, server
        finally:
            engine.close()


def texts(found: list[Hypothesis]) -> list[str]:
    assert [one.error for one in found] == [None] * len(found)
    return [one.text for one in found]


# Order, number, content


def test_results_are_in_order_whatever_order_the_answers_come_in() -> None:
    last_is_done = threading.Event()

    def backwards(asked: Asked) -> Reply:
        """The first clip is answered only after the last one."""
        if asked.number == 0:
            assert last_is_done.wait(30)
        if asked.number == 19:
            last_is_done.set()
        return says(asked)

    with engine_at(backwards) as (engine, server):
        assert isinstance(engine, Engine)
        found = engine.recognize([clip(n) for n in range(20)])
    assert texts(found) == [f"clip {n}" for n in range(20)]
    assert sorted(one.number for one in server.asked) == list(range(20))  # none twice


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_requests_than_allowed_are_under_way(concurrency: int) -> None:
    full = threading.Barrier(concurrency)

    def together(asked: Asked) -> Reply:
        full.wait(30)  # passes only when so many are here at a time
        return says(asked)

    options = RemoteOptions(concurrency=concurrency)
    with engine_at(together, options) as (engine, server):
        texts(engine.recognize([clip(n) for n in range(4 * concurrency)]))
    assert server.most_at_once == concurrency
    assert len(server.ports) == concurrency  # connections are kept


def test_the_bound_holds_for_callers_on_several_threads() -> None:
    with engine_at(says, RemoteOptions(concurrency=2)) as (engine, server):
        found: dict[int, list[str]] = {}

        def call(first: int) -> None:
            found[first] = texts(engine.recognize([clip(first + n) for n in range(5)]))

        threads = [threading.Thread(target=call, args=(first,)) for first in (0, 10, 20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {f: [f"clip {f + n}" for n in range(5)] for f in (0, 10, 20)}
    assert server.most_at_once <= 2


def test_a_clip_travels_as_16_bit_wav() -> None:
    samples = np.sin(np.arange(16_000) / 7).astype(np.float32) * 1.2  # louder than full scale
    with engine_at(says) as (engine, server):
        texts(engine.recognize([Clip(samples)]))
    (asked,) = server.asked
    assert asked.rate_hz == 16_000
    want = np.clip(np.round(samples.astype(np.float64) * 32_767), -32_768, 32_767)
    np.testing.assert_array_equal(asked.samples, want.astype(np.int16))


def test_the_fields_are_openais() -> None:
    with engine_at(says, key="sk-1") as (engine, server):
        engine.recognize(
            [
                clip(
                    0,
                    words=True,
                    language="zh",
                    hotwords=("聆听", "vLLM"),
                    prompt="会议",
                    temperature=0.2,
                    itn=False,
                ),
                clip(1),
            ]
        )
    full, plain = sorted(server.asked, key=lambda one: one.number)
    assert full.fields == {
        "model": ["tiny"],
        "response_format": ["verbose_json"],
        "timestamp_granularities[]": ["word", "segment"],
        "language": ["zh"],
        "hotwords": ["聆听, vLLM"],
        "prompt": ["会议"],
        "temperature": ["0.2"],
        "itn": ["false"],
    }
    assert plain.fields == {"model": ["tiny"], "response_format": ["verbose_json"]}
    assert full.headers["authorization"] == "Bearer sk-1"
    assert len(full.headers["idempotency-key"]) == 32
    assert full.headers["idempotency-key"] != plain.headers["idempotency-key"]


# What the answer holds

VERBOSE = {
    "task": "transcribe",
    "language": "english",
    "duration": 0.5,
    "text": " Hello, world. ",
    "segments": [
        {"id": 0, "start": 0.0, "end": 0.4, "avg_logprob": -0.1, "no_speech_prob": 0.2},
        {"id": 1, "start": 0.4, "end": 0.5, "avg_logprob": -0.6, "no_speech_prob": 0.7},
    ],
}
WORDS = [
    {"word": "Hello", "start": 0.1, "end": 0.2},
    {"word": "world", "start": 0.15, "end": 0.9},  # begins too early, ends behind the clip
]


def test_everything_of_a_verbose_answer_is_used() -> None:
    with engine_at(lambda _: Reply(body=VERBOSE | {"words": WORDS})) as (engine, _):
        (found,) = engine.recognize([clip(0, words=True)])
    assert (found.text, found.language, found.words_source) == ("Hello, world.", "en", "server")
    assert [(w.text, w.start_s, w.end_s) for w in found.words] == [
        ("Hello,", 0.1, 0.2),
        ("world.", 0.2, 0.5),
    ]
    assert found.confidence == pytest.approx(np.exp(-0.2))
    assert found.no_speech == pytest.approx(0.3)
    assert found.notes == ()


def test_words_nested_in_segments_are_found_too() -> None:
    nested = VERBOSE | {"segments": [{"start": 0, "end": 0.5, "words": WORDS}]}
    with engine_at(lambda _: Reply(body=nested)) as (engine, _):
        (found,) = engine.recognize([clip(0, words=True)])
    assert found.words_source == "server"
    assert found.confidence is None


@pytest.mark.parametrize(
    "words",
    [
        None,
        [],
        [{"word": "Goodbye", "start": 0, "end": 1}],
        [{"word": "Hello", "start": 0}, 7, {"word": "world", "start": 0, "end": 1}],
        [{"word": "Hello", "start": 10**400, "end": 1}, {"word": "world", "start": 0, "end": 1}],
    ],
)
def test_words_that_do_not_come_are_spread_and_said_to_be(words: Any) -> None:
    with engine_at(lambda _: Reply(body=VERBOSE | {"words": words})) as (engine, _):
        (found,) = engine.recognize([clip(0, words=True)])
    assert [word.text for word in found.words] == ["Hello,", "world."]
    assert found.words_source == "spread"
    assert found.notes == ("words.missing",)


def test_figures_that_a_server_does_not_compute_are_unknown() -> None:
    body = {"text": "hi", "language": "xx-unknown", "segments": [{"avg_logprob": 0.0}]}
    with engine_at(lambda _: Reply(body=body)) as (engine, _):
        (found,) = engine.recognize([clip(0)])
    assert (found.confidence, found.no_speech, found.language) == (None, None, None)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'"text"', b"[]", b'{"text": 7}', b'{"text": null}', b"\xff{", b"[" * 99_999],
)
def test_garbage_is_an_error_and_not_asked_again(body: bytes) -> None:
    with engine_at(lambda _: Reply(body=body)) as (engine, server):
        (found,) = engine.recognize([clip(0)])
    assert isinstance(found.error, EngineFailed)
    assert "no transcription" in found.error.sentence
    assert len(server.asked) == 1


def test_half_characters_do_not_travel_on() -> None:
    with engine_at(lambda _: Reply(body=b'{"text": "a\\ud800b"}')) as (engine, _):
        (found,) = engine.recognize([clip(0)])
    assert found.text.encode("utf-8")


# Abilities


def refuses(*names: str, form: str = "openai") -> Answer:
    """A server that does not know these fields, and says so in one of three ways."""

    def answer(asked: Asked) -> Reply:
        for name in names:
            field, _, value = name.partition("=")
            given = asked.fields.get(field)
            if given is not None and (not value or value in given):
                said = f"Unsupported value for {value or field}"
                bodies: dict[str, Any] = {
                    "openai": {"error": {"message": "no", "param": field, "code": None}},
                    "fastapi": {"detail": [{"loc": ["body", field], "msg": "no"}]},
                    "sentence": {"object": "error", "message": said},
                }
                return Reply(422 if form == "fastapi" else 400, bodies[form])
        has_words = "timestamp_granularities[]" in asked.fields
        return Reply(body=VERBOSE | ({"words": WORDS} if has_words else {}))

    return answer


@pytest.mark.parametrize("form", ["openai", "fastapi", "sentence"])
@pytest.mark.parametrize(
    ("refused", "lacks", "notes"),
    [
        (("timestamp_granularities[]",), {"words"}, ("words.unsupported",)),
        (("response_format=verbose_json",), {"verbose_json"}, ("words.unsupported",)),
        (("hotwords",), {"hotwords"}, ("hotwords.as_prompt",)),
        (("hotwords", "prompt"), {"hotwords", "prompt"}, ("hotwords.unsupported",)),
        (("itn",), {"itn"}, ("itn.unsupported",)),
    ],
)
def test_what_the_server_refuses_is_left_out_and_remembered(
    refused: tuple[str, ...], lacks: set[str], notes: tuple[str, ...], form: str
) -> None:
    wish: dict[str, Any] = {"words": True, "hotwords": ("某某",), "itn": False}
    with engine_at(refuses(*refused, form=form)) as (engine, server):
        first = engine.recognize([clip(0, **wish)])
        assert texts(first) == ["Hello, world."]
        assert first[0].notes == notes
        assert engine.lacks == lacks
        asked = len(server.asked)
        assert asked == 1 + len(refused)
        again = engine.recognize([clip(1, **wish)])
        assert again[0].notes == notes
        assert len(server.asked) == asked + 1  # it knows by now
    if "words" in lacks or "verbose_json" in lacks:
        assert first[0].words_source == "spread"
    if notes == ("hotwords.as_prompt",):
        assert server.asked[-1].fields["prompt"] == ["某某"]


def test_a_language_is_never_silently_left_out() -> None:
    with engine_at(refuses("language")) as (engine, server):
        found = engine.recognize([clip(0, language="yue"), clip(1)])
    assert isinstance(found[0].error, LanguageUnsupported)
    assert found[1].error is None
    assert len(server.asked) == 2


def test_a_refusal_that_names_nothing_of_ours_is_told() -> None:
    def no(asked: Asked) -> Reply:
        return Reply(400, {"error": {"message": "secret sentence", "param": "file"}})

    with engine_at(no) as (engine, server):
        (found,) = engine.recognize([clip(0, words=True)])
    assert isinstance(found.error, EngineRefused)
    assert "secret sentence" not in str(found.error)
    assert len(server.asked) == 1


# Later, never, broken


def waits_of(engine: RemoteEngine) -> list[float]:
    """Waits are noted instead of waited."""
    noted: list[float] = []
    closed = engine._client._closed
    closed.wait = lambda seconds: bool(noted.append(seconds))  # type: ignore[method-assign,assignment]
    return noted


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry-After": "3"}, 3.0, 3.75),
        ({"retry-after-ms": "250"}, 0.25, 0.32),
        ({}, 0.5, 0.63),
        ({"Retry-After": "soon"}, 0.5, 0.63),
    ],
)
def test_a_busy_server_is_asked_again_after_its_own_wait(
    status: int, headers: dict[str, str], least: float, most: float
) -> None:
    def busy_once(asked: Asked) -> Reply:
        return Reply(status, {}, headers) if asked.attempt == 1 else says(asked)

    with engine_at(busy_once, RemoteOptions()) as (engine, server):
        noted = waits_of(engine)
        assert texts(engine.recognize([clip(4)])) == ["clip 4"]
    assert len(noted) == 1
    assert least <= noted[0] <= most
    keys = {one.headers["idempotency-key"] for one in server.asked}
    assert (len(server.asked), len(keys)) == (2, 1)


def test_a_date_to_come_back_at_is_understood() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)

    def busy_once(asked: Asked) -> Reply:
        return Reply(503, {}, {"Retry-After": at}) if asked.attempt == 1 else says(asked)

    with engine_at(busy_once, RemoteOptions(most_wait_s=3_000.0)) as (engine, _):
        noted = waits_of(engine)
        texts(engine.recognize([clip(0)]))
    assert 0 < noted[0] <= 25


def test_waits_grow_and_end() -> None:
    with engine_at(lambda _: Reply(503), RemoteOptions(attempts=7)) as (engine, server):
        noted = waits_of(engine)
        (found,) = engine.recognize([clip(0)])
    assert isinstance(found.error, EngineBusy)
    assert len(server.asked) == 7
    bare = [seconds / low for seconds, low in zip(noted, (0.5, 1, 2, 4, 8, 8), strict=True)]
    assert all(1.0 <= one <= 1.25 for one in bare)


def test_a_wait_longer_than_ours_is_not_begun() -> None:
    with engine_at(lambda _: Reply(429, {}, {"Retry-After": "3600"})) as (engine, server):
        noted = waits_of(engine)
        (found,) = engine.recognize([clip(0)])
    assert isinstance(found.error, EngineBusy)
    assert found.error.retry_after_s == 3600
    assert (noted, len(server.asked)) == ([], 1)


def drop(_: Asked) -> Reply:
    raise Drop


@pytest.mark.parametrize(
    "answer", [drop, lambda _: Reply(500), lambda _: Reply(502), lambda _: Reply(504)]
)
def test_what_may_have_been_worked_on_is_not_sent_again(answer: Answer) -> None:
    def one_bad(asked: Asked) -> Reply:
        return answer(asked) if asked.number == 1 else says(asked)

    with engine_at(one_bad) as (engine, server):
        found = engine.recognize([clip(n) for n in range(4)])
    assert isinstance(found[1].error, EngineFailed)
    assert texts([found[0], *found[2:]]) == ["clip 0", "clip 2", "clip 3"]
    assert sum(one.number == 1 for one in server.asked) == 1


def test_a_slow_server_costs_its_clip_and_is_not_asked_twice() -> None:
    may_go = threading.Event()

    def slow(asked: Asked) -> Reply:
        if asked.number == 0:
            may_go.wait(30)
        return says(asked)

    with engine_at(slow, RemoteOptions(timeout_s=0.3)) as (engine, server):
        found = engine.recognize([clip(0), clip(1)])
        may_go.set()
    assert isinstance(found[0].error, EngineFailed)
    assert "0.3 s" in found[0].error.sentence
    assert sum(one.number == 0 for one in server.asked) == 1


def test_a_server_that_is_gone_is_tried_again_and_told() -> None:
    with serving(says) as (address, _):
        engine = load(address, options=RemoteOptions(attempts=3))
        texts(engine.recognize([clip(0)]))
    noted = waits_of(engine)
    engine._client._http.close()  # what was kept open would be a broken connection instead
    engine.close()
    with pytest.raises(EngineUnreachable, match=address.removeprefix("http://")):
        load(address, options=RemoteOptions(attempts=2, first_wait_s=0.0))
    assert noted == []


def test_only_connecting_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two connections fail before anything is sent."""
    with serving(says) as (address, server):
        engine = load(address, options=SOON)
        engine._client._http.close()
        engine.close()
        usual, failures = socket.create_connection, [0]

        def unlucky(*arguments: Any, **options: Any) -> socket.socket:
            failures[0] += 1
            if failures[0] <= 2:
                raise ConnectionRefusedError
            return usual(*arguments, **options)

        monkeypatch.setattr(socket, "create_connection", unlucky)
        engine = load(address, options=SOON)
        assert texts(engine.recognize([clip(0)])) == ["clip 0"]
        engine.close()
    assert failures[0] >= 3
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, EngineRefused),
        (403, EngineRefused),
        (404, EngineRefused),
        (413, AudioTooLong),
        (307, EngineRefused),
    ],
)
def test_refusals_are_typed(status: int, kind: type[Exception]) -> None:
    reply = Reply(
        status, {"error": {"code": "some_reason"}}, {"Location": "http://127.0.0.1:9/elsewhere"}
    )
    with engine_at(lambda _: reply) as (engine, server):
        (found,) = engine.recognize([clip(0)])
    assert type(found.error) is kind
    assert f"{status} some_reason" in str(found.error)
    assert len(server.asked) == 1


def test_a_bad_clip_is_not_sent() -> None:
    with engine_at(says) as (engine, server):
        found = engine.recognize([clip(0), Clip(np.zeros(3, np.float32)), clip(1, 31.0), clip(2)])
    assert [type(one.error) for one in found] == [
        type(None),
        AudioEmpty,
        AudioTooLong,
        type(None),
    ]
    assert len(server.asked) == 2


def test_closing_wakes_who_waits() -> None:
    with engine_at(lambda _: Reply(503, {}, {"Retry-After": "25"})) as (engine, _):
        closed = engine._client._closed
        usual, waiting = closed.wait, threading.Event()

        def seen(seconds: float | None = None) -> bool:
            waiting.set()
            return usual(seconds)

        closed.wait = seen  # type: ignore[method-assign]
        found: list[Hypothesis] = []
        thread = threading.Thread(target=lambda: found.extend(engine.recognize([clip(0)])))
        thread.start()
        assert waiting.wait(30)
        engine.close()
        thread.join(15)
        assert not thread.is_alive()
        assert isinstance(found[0].error, EngineBusy)
        engine.close()
        with pytest.raises(EngineFailed, match="closed"):
            engine.recognize([clip(0)])


# Loading


def test_the_only_model_is_taken_and_named() -> None:
    with serving(says, models_of("org/nano-2512")) as (address, server):
        engine = load(f"{address}/v1/", options=SOON)
        assert engine.facts.model.id == "org/nano-2512"
        assert engine.facts.model.compute == f"remote {address.removeprefix('http://')}"
        engine.recognize([clip(0)])
        engine.close()
        assert server.paths == ["/v1/models", "/v1/audio/transcriptions"]


@pytest.mark.parametrize(
    ("models", "wanted", "error", "words"),
    [
        (models_of("a", "b"), None, OptionInvalid, "has 2 models: a, b"),
        (models_of(), None, OptionInvalid, "0 models"),
        (models_of("a", "b"), "c", ModelUnknown, "no model 'c'; it has a, b"),
        (Reply(404), None, OptionInvalid, "does not list"),
        (Reply(401), None, EngineRefused, "key"),
        (Reply(400), None, EngineRefused, "400"),
        (Reply(500), None, EngineFailed, "500"),
        (Reply(503), None, EngineBusy, "busy"),
        (Reply(body=b"<html>"), None, EngineRefused, "cannot be read"),
        (Reply(body=[1]), None, EngineRefused, "cannot be read"),
    ],
)
def test_a_server_that_cannot_serve_is_told_at_once(
    models: Reply, wanted: str | None, error: type[Exception], words: str
) -> None:
    with (
        serving(says, models) as (address, server),
        pytest.raises(error, match=words),
    ):
        load(address, model=wanted, options=SOON)
    assert server.asked == []


def test_a_server_without_a_list_runs_what_was_named() -> None:
    with serving(says, Reply(404)) as (address, server):
        engine = load(address, model="whisper-1", options=SOON)
        assert texts(engine.recognize([clip(7)])) == ["clip 7"]
        engine.close()
    assert server.asked[0].fields["model"] == ["whisper-1"]


# The key, the network


def test_the_key_comes_from_the_settings_and_stays_out_of_everything(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key, secret = "sk-Ostrakinda", "Brumbleweft"
    monkeypatch.setenv("LINGTING_REMOTE_KEY", key)
    caplog.set_level(logging.DEBUG)

    def forgetful(asked: Asked) -> Reply:
        if asked.attempt == 1:
            return Reply(400, {"error": {"message": f"bad hotwords {secret}", "param": "hotwords"}})
        return Reply(401, {"error": {"message": f"{key} {secret}", "code": "invalid_api_key"}})

    with engine_at(forgetful) as (engine, server):
        (found,) = engine.recognize([clip(0, hotwords=(secret,), prompt=secret)])
    assert server.asked[0].headers["authorization"] == f"Bearer {key}"
    shown = [str(found.error), repr(found), repr(engine.facts), caplog.text]
    assert "LINGTING_REMOTE_KEY" in shown[0]
    assert all(key not in one for one in shown)
    assert all(secret not in one for one in (shown[0], shown[2], shown[3]))


def test_a_key_that_cannot_be_sent_is_refused_without_showing_it() -> None:
    with pytest.raises(OptionInvalid) as caught:
        load("http://127.0.0.1:9", key="geheim\r\nX: 1")
    assert "geheim" not in str(caught.value)


def test_a_unix_socket_is_a_server_too(tmp_path: Path) -> None:
    with serving(says, path=str(tmp_path / "s")) as (address, server):
        engine = load(address, options=SOON)
        assert texts(engine.recognize([clip(3)])) == ["clip 3"]
        assert engine.facts.model.compute == "remote unix"
        engine.close()
    assert len(server.asked) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    place = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run([*command.split(), *place], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with serving(says, tls=tls) as (address, server):
        with pytest.raises(EngineRefused, match="cannot be verified"):
            load(address, key="sk-1")
        assert server.paths == []
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        engine = load(address, key="sk-1")
        assert texts(engine.recognize([clip(5)])) == ["clip 5"]
        engine.close()


def test_a_proxy_is_never_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with engine_at(says) as (engine, _):
        assert texts(engine.recognize([clip(0)])) == ["clip 0"]


def test_a_configured_address_is_asked_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINGTING_OFFLINE", "1")
    with engine_at(says) as (engine, _):
        assert texts(engine.recognize([clip(0)])) == ["clip 0"]
