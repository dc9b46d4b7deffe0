"""The one test double keeps the Engine protocol."""

import numpy as np
import pytest

from lingting.engines.base import Clip, Hypothesis, RecognizeOptions
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import AudioTooLong, EngineFailed


def clip(samples: int, language: str | None = None) -> Clip:
    return Clip(np.zeros(samples, np.float32), RecognizeOptions(language))


def answer(given: Clip) -> Hypothesis:
    if len(given.samples) == 2:
        raise AudioTooLong("Too long.")
    return Hypothesis(str(len(given.samples)))


def test_one_answer_per_clip_in_order_with_errors_in_their_place() -> None:
    engine = ScriptedEngine(answer)
    found = engine.recognize([clip(3), clip(2, "zh"), clip(1)])
    assert [one.text for one in found] == ["3", "", "1"]
    assert [type(one.error) for one in found] == [type(None), AudioTooLong, type(None)]
    assert found[1].language == "zh"
    assert engine.recognize([]) == []
    assert engine.batches == [3, 0]


def test_what_the_script_did_not_mean_to_raise_comes_through() -> None:
    def broken(given: Clip) -> Hypothesis:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ScriptedEngine(broken).recognize([clip(1)])


def test_a_closed_engine_refuses() -> None:
    engine = ScriptedEngine(answer)
    engine.close()
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        engine.recognize([clip(1)])


def test_facts() -> None:
    facts = ScriptedEngine(answer).facts
    assert facts.model.id == "scripted"
    assert facts.languages is None
