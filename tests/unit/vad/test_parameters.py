"""The table of parameters, and what is made of values that came from anywhere."""

import contextlib
from dataclasses import fields
from typing import Any

import pytest

from lingting.errors import OptionInvalid, OptionUnknown
from lingting.vad.options import VadOptions
from lingting.vad.pack import PackOptions
from lingting.vad.parameters import BY_NAME, PARAMETERS, parse_options


def test_every_option_of_detector_and_packing_is_in_the_table_under_its_own_name() -> None:
    groups = {
        group: {one.name for one in PARAMETERS if one.group == group}
        for group in ("detector", "packing")
    }
    assert groups["detector"] == {one.name for one in fields(VadOptions)}
    assert groups["packing"] == {one.name for one in fields(PackOptions)}


def test_the_defaults_are_those_of_the_two_but_for_the_longest_span() -> None:
    found = parse_options({})
    assert found.packing == PackOptions()
    assert found.vad == VadOptions(max_single_segment_ms=30_000)
    longest = BY_NAME["max_single_segment_ms"]
    assert (longest.lowest, longest.highest, longest.unit) == (1_000, 60_000, "ms")


def test_names_end_in_their_unit() -> None:
    endings = {"ms": "_ms", "s": "_s", "dB": "_db"}
    for one in PARAMETERS:
        if one.unit is not None and one.kind != "pairs":
            assert one.name.endswith(endings[one.unit]), one.name
        assert set(one.about) == {"en", "zh"}


@pytest.mark.parametrize("one", [o for o in PARAMETERS if o.step and o.kind != "pairs"])
def test_a_slider_may_go_to_both_ends(one: Any) -> None:
    for value in (one.lowest, one.highest):
        # What does not fit the default of another is refused by name, and nothing else is.
        with contextlib.suppress(OptionInvalid):
            found = parse_options({one.name: type(one.default)(value)})
            assert found.as_dict()[one.name] == value


def test_values_are_shown_as_they_are_in_force() -> None:
    given = {"silence_schedule": [[10_000, 800], [60_000, 200]], "target_s": 12}
    shown = parse_options(given).as_dict()
    assert list(shown) == [one.name for one in PARAMETERS]
    assert shown["silence_schedule"] == [[10_000, 800], [60_000, 200]]
    assert shown["target_s"] == 12.0
    assert parse_options(shown).as_dict() == shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_single_segment_ms", 999),
        ("max_single_segment_ms", 60_010),
        ("max_single_segment_ms", 10_005),
        ("max_single_segment_ms", 10_000.0),
        ("max_single_segment_ms", True),
        ("max_single_segment_ms", None),
        ("max_single_segment_ms", "30000"),
        ("max_single_segment_ms", 10**400),
        ("speech_noise_threshold", float("nan")),
        ("speech_noise_threshold", float("inf")),
        ("speech_noise_threshold", 10**400),
        ("single_utterance", 1),
        ("sil_to_speech_ms", 210),
        ("silence_schedule", [[10_000]]),
        ("silence_schedule", [[10_000, -10]]),
        ("silence_schedule", [[10_000, 800]] * 21),
        ("silence_schedule", "ab"),
        ("silence_schedule", []),
        ("hard_s", 10),
        ("max_extent_s", 20),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(OptionInvalid, match=name):
        parse_options({name: value})


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(OptionUnknown, match="max_end_silence_ms"):
        parse_options({"max_silence": 1})
