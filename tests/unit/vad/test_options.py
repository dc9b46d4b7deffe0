"""VadOptions and PackOptions refuse what could not work, naming the option and the limits."""

import pytest

from lingting.errors import OptionInvalid
from lingting.vad.options import VadOptions
from lingting.vad.pack import PackOptions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_end_silence_ms", 150),
        ("max_end_silence_ms", 805),
        ("max_end_silence_ms", -10),
        ("max_end_silence_ms", 800.0),
        ("max_end_silence_ms", True),
        ("silence_schedule", ()),
        ("silence_schedule", ((20_000, 500), (10_000, 200))),
        ("silence_schedule", ((10_000, 505),)),
        ("max_single_segment_ms", 400),
        ("speech_noise_threshold", 1.0),
        ("speech_noise_threshold", float("nan")),
        ("window_ms", 0),
        ("sil_to_speech_ms", 0),
        ("sil_to_speech_ms", 210),
        ("speech_to_sil_ms", 200),
        ("lookback_ms", -10),
        ("lookahead_ms", 5),
        ("min_level_db", float("nan")),
        ("min_level_db", -101.0),
        ("min_snr_db", float("inf")),
        ("max_start_silence_ms", 5),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(OptionInvalid, match=name):
        VadOptions(**{name: value})


def test_the_edges_are_allowed() -> None:
    VadOptions(max_end_silence_ms=160, sil_to_speech_ms=200, speech_to_sil_ms=0)
    VadOptions(max_single_segment_ms=410, lookahead_ms=0, silence_schedule=((10, 0),))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target_s", 0.5),
        ("target_s", 31.0),
        ("target_s", float("nan")),
        ("hard_s", 24.0),
        ("margin_s", 0.3),
        ("margin_s", -0.1),
        ("max_pause_s", -1.0),
        ("max_gap_s", 0.2),
        ("max_extent_s", 29.0),
    ],
)
def test_packing_lengths_must_fit_together(name: str, value: float) -> None:
    with pytest.raises(OptionInvalid):
        PackOptions(**{name: value})
