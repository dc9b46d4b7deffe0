"""Clips, options, hypotheses, errors and facts survive the wire bit by bit."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingting.engines.base import Clip, EngineFacts, Hypothesis, RecognizeOptions
from lingting.engines.envelope import (
    MAX_CLIPS,
    error_dict,
    facts_dict,
    read_answer,
    read_error,
    read_facts,
    read_request,
    write_answer,
    write_request,
)
from lingting.errors import (
    AudioTooLong,
    EngineBusy,
    EngineFailed,
    LanguageUnsupported,
    OptionInvalid,
    OptionUnknown,
    RequestError,
)
from lingting.transcript import ModelFacts, Word

FULL = RecognizeOptions(
    language="zh",
    words=True,
    itn=False,
    hotwords=("聆听", "a, b"),
    prompt="",
    beam_size=3,
    temperature=0.2,
    translate=True,
)
text = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
number = st.none() | st.floats(0, 1)
options = st.builds(
    RecognizeOptions,
    language=st.none() | st.sampled_from(["zh", "en"]),
    words=st.booleans(),
    itn=st.booleans(),
    hotwords=st.lists(text, max_size=3).map(tuple),
    prompt=st.none() | text,
    beam_size=st.none() | st.integers(1, 20),
    temperature=st.floats(0, 1),
)
samples = st.lists(st.floats(width=32), max_size=50).map(lambda x: np.array(x, np.float32))
clips = st.lists(st.builds(Clip, samples, options, number, number), min_size=1, max_size=5)
words = st.lists(st.builds(Word, text, st.floats(0, 9), st.floats(0, 9), number), max_size=3)
hypotheses = st.builds(
    Hypothesis,
    text=text,
    language=st.none() | st.just("zh"),
    language_confidence=number,
    words=words.map(tuple),
    words_source=st.none() | st.just("ctc"),
    emotion=st.none() | st.just("happy"),
    events=st.lists(text, max_size=2).map(tuple),
    confidence=number,
    no_speech=number,
    is_cut=st.booleans(),
    prompt=text,
    notes=st.lists(text, max_size=2).map(tuple),
)


def body_of(given_clips: list[Clip], **more: Any) -> bytearray:
    return bytearray(write_request(given_clips, **{"lane": "bulk", **more}))


@given(clips, st.sampled_from(["live", "interactive", "bulk"]), st.none() | text)
def test_a_request_comes_back_as_it_was(
    given_clips: list[Clip], lane: str, model: str | None
) -> None:
    found = read_request(body_of(given_clips, lane=lane, model=model))
    assert (found.lane, found.model, len(found.clips)) == (lane, model, len(given_clips))
    for one, other in zip(found.clips, given_clips, strict=True):
        assert one.samples.tobytes() == other.samples.tobytes()  # NaN and -0 too
        assert one.samples.flags.writeable
        assert one.options == other.options
        assert (one.speech_s, one.speech_score) == (other.speech_s, other.speech_score)


@given(st.lists(hypotheses, min_size=1, max_size=4))
def test_an_answer_comes_back_as_it_was(given_hypotheses: list[Hypothesis]) -> None:
    batches = list(range(len(given_hypotheses)))
    found = read_answer(write_answer(given_hypotheses, batches), len(given_hypotheses))
    assert list(found.hypotheses) == given_hypotheses
    assert list(found.batches) == batches


def test_no_field_is_forgotten() -> None:
    """A field added to the protocol must be thought of here, or it would be lost on the way."""
    ask = read_request(body_of([Clip(np.zeros(9, np.float32), FULL)])).clips[0].options
    for one in fields(RecognizeOptions):
        is_own = one.name == "careful"
        assert is_own or getattr(FULL, one.name) != one.default
        assert getattr(ask, one.name) == getattr(FULL, one.name)


def test_the_guards_own_wish_does_not_travel() -> None:
    careful = Clip(np.zeros(9, np.float32), replace(FULL, careful=True))
    assert read_request(body_of([careful])).clips[0].options == FULL


def test_options_that_are_shared_travel_once() -> None:
    body = body_of([Clip(np.zeros(9, np.float32), FULL)] * 50)
    (length,) = struct.unpack_from("<I", body, 4)
    header = json.loads(bytes(body[8 : 8 + length]))
    assert len(header["options"]) == 1
    assert len({id(one.options) for one in read_request(body).clips}) == 1


@pytest.mark.parametrize(
    "error",
    [
        EngineBusy("Full.", "Wait.", retry_after_s=7.5),
        LanguageUnsupported("No Klingon."),
        AudioTooLong("A clip is 40.0 s; the engine takes 30 s."),
        EngineFailed("The recogniser failed.", ""),
    ],
)
def test_an_error_is_the_same_error_again(error: Any) -> None:
    found = read_error(json.loads(json.dumps(error_dict(error))))
    assert type(found) is type(error)
    assert (found.sentence, found.next_step) == (error.sentence, error.next_step)
    if isinstance(error, EngineBusy):
        assert isinstance(found, EngineBusy)
        assert found.retry_after_s == 7.5


def test_an_error_that_nobody_knows_is_a_failure() -> None:
    found = read_error({"code": "future.thing", "sentence": "A.", "next_step": "B."})
    assert isinstance(found, EngineFailed)
    assert str(found) == "A. B."


def test_facts_survive() -> None:
    facts = EngineFacts(
        ModelFacts("m", "ab", "int8"), frozenset({"zh", "en"}), True, False, True, True, 99.0, "cpu"
    )
    assert read_facts(json.loads(json.dumps(facts_dict(facts)))) == facts
    assert read_facts({**facts_dict(replace(facts, languages=None)), "new": 1}).languages is None
    with pytest.raises(EngineFailed):
        read_facts({"model": {}})


def header_of(**changes: Any) -> bytearray:
    header = {"lane": "bulk", "options": [{}], "clips": [[2, 0, None, None]], **changes}
    header = {name: value for name, value in header.items() if value is not None}
    written = json.dumps(header).encode()
    written += b" " * (-len(written) % 4)
    return bytearray(b"LTC1" + struct.pack("<I", len(written)) + written + bytes(8))


def test_the_helper_makes_a_good_request() -> None:
    assert len(read_request(header_of()).clips) == 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (bytearray(), RequestError),
        (bytearray(b"LTC2" + bytes(20)), RequestError),
        (bytearray(b"LTC1" + struct.pack("<I", 1 << 31)), RequestError),
        (bytearray(b"LTC1" + struct.pack("<I", 4) + b"[[[["), RequestError),
        (header_of()[:-4], RequestError),
        (header_of() + bytes(4), RequestError),
        (header_of(clips=[]), RequestError),
        (header_of(clips=None), RequestError),
        (header_of(clips=[[0, 0, None, None]] * (MAX_CLIPS + 1)), RequestError),
        (header_of(clips=[[-2, 0, None, None], [4, 0, None, None]]), RequestError),
        (header_of(clips=[[2, 1, None, None]]), RequestError),
        (header_of(clips=[[float("inf"), 0, None, None]]), RequestError),
        (header_of(clips=[[2, 0, "long", None]]), OptionInvalid),
        (header_of(clips=[[10**30, 0, None, None]]), RequestError),
        (header_of(lane="vip"), OptionInvalid),
        (header_of(model=["a"]), OptionInvalid),
        (header_of(options=[{"careful": True}]), OptionUnknown),
        (header_of(options=[{"words": 1}]), OptionInvalid),
        (header_of(options=[{"beam_size": True}]), OptionInvalid),
        (header_of(options=[{"beam_size": 99}]), OptionInvalid),
        (header_of(options=[{"temperature": math.nan}]), OptionInvalid),
        (header_of(options=[{"hotwords": [7]}]), OptionInvalid),
        (header_of(options=[{"prompt": None}]), OptionInvalid),
    ],
)
def test_a_wrong_request_is_refused(body: bytearray, error: type[RequestError]) -> None:
    with pytest.raises(error) as caught:
        read_request(body)
    assert type(caught.value) is error


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with pytest.raises(RequestError):
        read_request(bytearray(b"LTC1" + data))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"hypotheses": [], "batches": []}',
        b'{"hypotheses": [{"x": 1}]}',
        b"[" * 99_999,
        b'{"hypotheses": [{}], "batches": [1e999]}',
    ],
)
def test_a_wrong_answer_is_an_engine_failure(body: bytes) -> None:
    with pytest.raises(EngineFailed):
        read_answer(body, 1)
