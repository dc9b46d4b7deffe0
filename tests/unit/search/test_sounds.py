"""Syllables: of characters, and of letters that somebody typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingting.errors import ExtraMissing
from lingting.search import pack, sounds, sounds_of, unpack
from lingting.search.sounds import SYLLABLES, typed_ways


def read(typed: str) -> list[str]:
    return [" ".join(SYLLABLES[code - 1] for code in way) for way in typed_ways(typed)]


def test_the_list_never_changes() -> None:
    """Indices hold its numbers."""
    assert len(SYLLABLES) == 425
    assert (SYLLABLES[0], SYLLABLES[116], SYLLABLES[407], SYLLABLES[-1]) == (
        "a", "guo", "zhong", "zuo",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("zhongguo", "zhong guo"),
        ("ZhongGuo", "zhong guo"),
        ("zhōngguó", "zhong guo"),
        ("zhong1guo2", "zhong guo"),
        ("zhong-guo", "zhong guo"),
        ("xi'an", "xi an"),
        ("lüse", "lv se"),
        ("lǜsè", "lv se"),
        ("lvse", "lv se"),
        ("nvren", "nv ren"),
        ("yinhang", "yin hang"),
    ],
)
def test_typed_pinyin(typed: str, first: str) -> None:
    assert read(typed)[0] == first


def test_all_ways_to_read_letters() -> None:
    assert set(read("fangan")) >= {"fang an", "fan gan"}
    assert set(read("xian")) >= {"xian", "xi an"}
    assert read("python") == read("hello") == read("中国") == read("") == read("123") == []


@given(st.text("abcdefghijklmnopqrstuvwxyz'", max_size=200))
def test_letters_of_any_kind_end_soon(typed: str) -> None:
    for way in typed_ways(typed):
        assert "".join(SYLLABLES[code - 1] for code in way)[:1] in typed or way
    assert len(typed_ways(typed)) <= 8


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("银行", "yin hang"),
        ("行人", "xing ren"),
        ("重庆", "chong qing"),
        ("重要", "zhong yao"),
        ("绿", "lv"),
    ],
)
def test_characters_sound_as_their_word_does(text: str, sound: str) -> None:
    assert " ".join(SYLLABLES[code - 1] for code in sounds_of(tuple(text))) == sound


def test_one_sound_a_unit() -> None:
    units = ("用", "python", "写", "𰻞", "々")
    heard = sounds_of(units)
    assert len(heard) == len(units)
    assert heard[1] == 0


@given(st.lists(st.integers(0, 425)))
def test_packing(numbers: list[int]) -> None:
    assert unpack(pack(numbers)) == (tuple(numbers) if any(numbers) else ())


def test_without_pypinyin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "has_sounds", lambda: False)
    with pytest.raises(ExtraMissing, match=r"lingting\[search\]"):
        sounds_of(("中",))
