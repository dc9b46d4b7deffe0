"""Which hotwords reach the prompt."""

from __future__ import annotations

import builtins
import time
from typing import Any

import pytest

from lingting.engines.nano import hotwords
from lingting.engines.nano.hotwords import MOST_HOTWORDS, choose

OTHERS = tuple(f"词{chr(0x4E00 + 31 * at)}{chr(0x6000 + 17 * at)}" for at in range(200))


def test_a_short_list_is_taken_whole_and_quietly() -> None:
    chosen = choose(["聆听", " Fun-ASR ", "聆听", "", "two\nlines"], None)
    assert chosen.words == ("聆听", "Fun-ASR", "two lines")
    assert chosen.notes == ()
    assert choose(OTHERS[:MOST_HOTWORDS], "").words == OTHERS[:MOST_HOTWORDS]
    assert choose([], None).words == ()


def test_without_a_first_text_the_first_ones_are_taken_and_it_is_said() -> None:
    chosen = choose(OTHERS, None)
    assert chosen.words == OTHERS[:20]
    assert chosen.notes == ("hotwords.first_20_of_200",)


@pytest.mark.parametrize(
    ("word", "heard"),
    [
        ("开放时间", "开饭时间早上九点至下午五点"),
        ("聆听", "我们用林廷来转写"),
        ("Paraformer", "we use para former for this"),
        ("Paraformer", "这个叫paraforma模型"),
        ("江苏南京", "将苏南金的天气"),
        ("张三丰", "脏三风来了"),
    ],
)
def test_a_word_that_sounds_like_what_was_heard_is_found(word: str, heard: str) -> None:
    chosen = choose([*OTHERS, word], heard)
    assert word in chosen.words
    assert len(chosen.words) <= MOST_HOTWORDS
    assert chosen.notes == (f"hotwords.chosen_{len(chosen.words)}_of_201",)


def test_nothing_alike_is_nothing_chosen() -> None:
    assert choose([*OTHERS, "聆听"], "the quick brown fox").words == ()
    assert choose([*OTHERS, "聆听"], "").notes == ("hotwords.chosen_0_of_201",)


def test_notes_hold_no_words() -> None:
    chosen = choose([*OTHERS, "开放时间"], "开放时间是九点")
    assert "开放时间" in chosen.words
    assert all(note.isascii() for note in chosen.notes)


def test_the_best_of_many_are_kept_in_the_callers_order() -> None:
    alike = [f"南京{char}" for char in "东南西北中上下左右前后里外大小多少高低长短深浅"]
    chosen = choose([*alike, *OTHERS, "南京长江大桥"], "南京市长江大桥")
    assert len(chosen.words) == MOST_HOTWORDS
    assert chosen.words[-1] == "南京长江大桥"
    assert list(chosen.words[:-1]) == [word for word in alike if word in chosen.words]


def test_without_the_pronunciation_table_characters_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "pypinyin":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    hotwords._sound.cache_clear()
    hotwords._index.cache_clear()
    try:
        assert "开放时间" in choose([*OTHERS, "开放时间"], "开放时间早上九点").words
        assert "聆听" not in choose([*OTHERS, "聆听"], "我们用林廷").words
    finally:
        hotwords._sound.cache_clear()
        hotwords._index.cache_clear()


def test_many_thousands_cost_little() -> None:
    many = [f"{chr(0x4E00 + at % 4000)}{chr(0x4E00 + at * 7 % 5000)}{at}" for at in range(20_000)]
    choose(many, "开饭时间早上九点")
    began = time.perf_counter()
    for at in range(10):
        choose(many, f"开饭时间早上九点至下午五点，我们在南京长江大桥见面{at}" * 4)
    assert time.perf_counter() - began < 20.0
