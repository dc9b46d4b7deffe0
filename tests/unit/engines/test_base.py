"""The seam between recognition and the rest: what options refuse, what an engine is."""

import numpy as np
import pytest

from lingting.engines.base import Clip, Engine, Hypothesis, RecognizeOptions
from lingting.engines.guarded import GuardedEngine
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import OptionInvalid


@pytest.mark.parametrize("beam_size", [0, -1, 21])
def test_beam_size_out_of_range(beam_size: int) -> None:
    with pytest.raises(OptionInvalid, match=r"beam_size is .*1 to 20"):
        RecognizeOptions(beam_size=beam_size)


@pytest.mark.parametrize("temperature", [-0.1, 1.1, float("nan")])
def test_temperature_out_of_range(temperature: float) -> None:
    with pytest.raises(OptionInvalid, match=r"temperature is .*0 to 1"):
        RecognizeOptions(temperature=temperature)


@pytest.mark.parametrize("beam_size", [None, 1, 20])
def test_borders_are_allowed(beam_size: int | None) -> None:
    assert RecognizeOptions(beam_size=beam_size, temperature=1.0).beam_size == beam_size


def test_equal_options_are_one_key() -> None:
    first, second = (RecognizeOptions("zh", hotwords=("通义",)) for _ in range(2))
    assert {first: 1}[second] == 1
    assert first != RecognizeOptions("zh")


def test_duration_of_a_clip() -> None:
    assert Clip(np.zeros(24_000, np.float32)).duration_s == 1.5


def test_both_engines_satisfy_the_protocol() -> None:
    scripted = ScriptedEngine(lambda clip: Hypothesis(""))
    assert isinstance(scripted, Engine)
    assert isinstance(GuardedEngine(scripted), Engine)
    assert not isinstance(object(), Engine)
