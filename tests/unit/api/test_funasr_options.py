"""FunASR's options: honoured, needless, or refused with a sentence that says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from lingting.api.funasr_options import hotwords, merge_length_s, refuse_unknown, threads
from lingting.errors import OptionInvalid, OptionUnknown

KNOWN = frozenset({"language", "hotword"})


@pytest.mark.parametrize(
    "options",
    [
        {"language": "zh", "batch_size_s": 300, "merge_vad": True, "disable_pbar": True},
        {"is_final": True, "chunk_size": None},
        {"data_type": "sound", "ban_emo_unk": False, "return_raw_text": False},
        {"spk_model": None, "spk_kwargs": {}, "punc_kwargs": None, "return_spk_res": False},
        {"seed": 0, "log_level": "ERROR", "punc_model_revision": "v2.0.4"},
    ],
)
def test_what_changes_nothing_is_accepted(options: dict[str, Any]) -> None:
    refuse_unknown(options, KNOWN)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"chunk_size": [0, 10, 5]}, "whole recording"),
        ({"is_final": False}, "whole recording"),
        ({"spk_model": "cam++"}, "load_embedder"),
        ({"preset_spk_num": 2}, "load_embedder"),
        ({"ban_emo_unk": True}, "no emotion"),
        ({"return_raw_text": True}, "text_tn"),
        ({"pred_timestamp": True}, "output_timestamp=True"),
        ({"textnorm": "woitn"}, "use_itn"),
        ({"output_dir": "out"}, "--output"),
        ({"data_type": "fbank"}, "Leave it out"),
    ],
)
def test_what_cannot_be_had_is_refused_with_advice(options: dict[str, Any], advice: str) -> None:
    with pytest.raises(OptionInvalid, match=next(iter(options))) as caught:
        refuse_unknown(options, KNOWN)
    assert advice in str(caught.value)


def test_a_misspelt_name_is_told_what_was_meant() -> None:
    with pytest.raises(OptionUnknown, match="Did you mean hotword") as caught:
        refuse_unknown({"hotwrod": "x"}, KNOWN)
    assert "Known are: hotword, language." in str(caught.value)


def test_hotwords_of_both_spellings() -> None:
    assert hotwords({"hotword": "开放 时间", "hotwords": ["a b"]}) == ("开放", "时间", "a b")
    assert hotwords({"hotword": None}) == ()


@pytest.mark.parametrize("given", ["words.txt", "https://example.org/words", ["a", "b.txt"], [1]])
def test_hotwords_that_are_no_words(given: Any) -> None:
    with pytest.raises(OptionInvalid) as caught:
        hotwords({"hotword": given})
    assert "example.org" not in str(caught.value)


@pytest.mark.parametrize("value", [0, 31, "long", None, float("nan")])
def test_lengths_that_no_clip_has(value: Any) -> None:
    with pytest.raises(OptionInvalid, match="merge_length_s"):
        merge_length_s(value, 30.0)
    assert merge_length_s("15", 30.0) == 15.0


def test_threads_by_their_name_there() -> None:
    assert threads({}) is None
    assert threads({"ncpu": 3}) == 3
    for value in (0, -1, "many", True):
        with pytest.raises(OptionInvalid, match="ncpu"):
            threads({"ncpu": value})
