"""What a word is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingting.text.units import word_units


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("   ", []),
        ("你好，世界。", ["你", "好，", "世", "界。"]),
        ("Hello, world!", ["Hello,", "world!"]),
        ("我用iPhone手机", ["我", "用", "iPhone", "手", "机"]),
        ("《三体》很好", ["《三", "体》", "很", "好"]),
        ("Ça va ?", ["Ça", "va ?"]),
        ("안녕하세요 여러분", ["안녕하세요", "여러분"]),
        ("กั ไร", ["กั", "ไ", "ร"]),
        ("共1,234.5元", ["共", "1,234.5", "元"]),
        ("he said “yes” twice", ["he", "said", "“yes”", "twice"]),
        ("—", ["—"]),
    ],
)
def test_words_of_many_scripts(text: str, words: list[str]) -> None:
    assert [unit.text for unit in word_units(text)] == words


@given(st.text(alphabet="ab 你，。!?（《》“é\u0301กั1.\n", max_size=30))
def test_words_cover_all_but_white_space(text: str) -> None:
    units = word_units(text)
    assert all(text[unit.start : unit.end] == unit.text for unit in units)
    bounds = [0, *(edge for unit in units for edge in (unit.start, unit.end)), len(text)]
    assert bounds == sorted(bounds)
    assert all(not text[a:b].strip() for a, b in zip(bounds[::2], bounds[1::2], strict=True))
    assert all(unit.text == unit.text.strip() and unit.text for unit in units)
