"""Entries of the toolkit's lists as plain answers."""

from typing import Any

import numpy as np
import pytest

from lingting.engines.funasr.answers import parse
from lingting.engines.funasr.engine import hotword_string

SECOND = np.ones(16_000, np.float32)
TAGGED = frozenset({"zh", "en", "yue", "ja", "ko"})


def test_tags_of_sensevoice_become_fields() -> None:
    answer = parse(
        {"text": "<|yue|><|HAPPY|><|BGM|><|withitn|>今日，好好。<|Laughter|>"},
        TAGGED,
        SECOND,
        False,
    )
    assert answer.text == "今日，好好。"
    assert (answer.language, answer.emotion) == ("yue", "happy")
    assert answer.events == ("music", "laughter")
    assert not answer.is_blank


@pytest.mark.parametrize(
    "text", ["<|nospeech|><|EMO_UNKNOWN|><|Speech|><|woitn|>", "<|zh|><|NEUTRAL|><|Speech|>"]
)
def test_tags_without_text_are_an_answer(text: str) -> None:
    answer = parse({"text": text}, TAGGED, SECOND, True)
    assert (answer.text, answer.words, answer.words_source) == ("", (), None)
    assert not answer.is_blank


def test_paraformers_spacing_is_undone_and_its_times_kept() -> None:
    entry = {"text": "你 好 hello 世 界", "timestamp": [[0, 100], [100, 200], [200, 500]]}
    entry["timestamp"] += [[500, 600], [600, 70_000]]
    answer = parse(entry, frozenset(), SECOND, True)
    assert answer.text == "你好hello世界"
    assert [(w.text, w.start_s, w.end_s) for w in answer.words] == [
        ("你", 0.0, 0.1),
        ("好", 0.1, 0.2),
        ("hello", 0.2, 0.5),
        ("世", 0.5, 0.6),
        ("界", 0.6, 1.0),
    ]
    assert answer.words_source == "toolkit"


def test_sentence_pieces_time_our_words() -> None:
    entry = {
        "text": "<|en|><|NEUTRAL|><|Speech|><|withitn|>Hello, world.",
        "words": ["▁Hel", "lo", ",", "world", "."],
        "timestamp": [[0, 100], [100, 200], [200, 210], [300, 500], [500, 510]],
    }
    answer = parse(entry, TAGGED, SECOND, True)
    assert [(w.text, w.start_s, w.end_s) for w in answer.words] == [
        ("Hello,", 0.0, 0.2),
        ("world.", 0.3, 0.5),
    ]


@pytest.mark.parametrize("times", [None, [], [[0, 1]], "x", [[0, "a"], [1, 2]], [[0], [1]]])
def test_times_that_do_not_fit_are_spread(times: Any) -> None:
    answer = parse({"text": "你 好", "timestamp": times}, frozenset(), SECOND, True)
    assert [word.text for word in answer.words] == ["你", "好"]
    assert answer.words_source == "spread"


def test_nothing_at_all_is_blank() -> None:
    assert parse({"text": " "}, frozenset(), SECOND, True).is_blank


@pytest.mark.parametrize(
    ("hotwords", "want"),
    [
        ((), None),
        (("  ",), None),
        (("你好",), " 你好 "),
        (("San Jose", "b.txt"), " San Jose b.txt "),
    ],
)
def test_hotwords_as_paraformer_takes_them(hotwords: tuple[str, ...], want: str | None) -> None:
    assert hotword_string(hotwords) == want
