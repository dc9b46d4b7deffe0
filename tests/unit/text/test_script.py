"""Simplified and traditional Chinese."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingting.errors import OptionInvalid
from lingting.text.edits import Written, compose, is_linked
from lingting.text.itn import normalize
from lingting.text.script import convert, simplify


@pytest.mark.parametrize(
    ("text", "to", "variant", "expected"),
    [
        ("头发和发展", "traditional", "standard", "頭髮和發展"),
        ("頭髮和發展", "simplified", "standard", "头发和发展"),
        ("会议开始", "traditional", "standard", "會議開始"),
        ("内存和鼠标", "traditional", "taiwan_words", "記憶體和滑鼠"),
        ("記憶體和滑鼠", "simplified", "taiwan_words", "内存和鼠标"),
        ("里面", "traditional", "taiwan", "裡面"),
        ("里面", "traditional", "hong_kong", "裏面"),
        ("Hello, 123", "traditional", "standard", "Hello, 123"),
        ("", "simplified", "standard", ""),
    ],
)
def test_conversion(text: str, to: Any, variant: Any, expected: str) -> None:
    written = convert(text, to, variant)
    assert written.text == expected
    assert is_linked(text, written)


def test_only_changed_characters_are_edits() -> None:
    written = convert("我的头发", "traditional")
    assert [(e.spoken_start, e.spoken_end, e.kind) for e in written.edits] == [
        (2, 3, "script"),
        (3, 4, "script"),
    ]


def test_length_change_is_one_edit() -> None:
    written = convert("买内存条", "traditional", "taiwan_words")
    assert len(written.text) > len("买内存条")
    assert is_linked("买内存条", written)
    assert written.edits[0].spoken_end == 1


PIECES = st.sampled_from(
    [
        "内存",
        "鼠标",
        "头发",
        "发展",
        "二零二五年",
        "三点二十五分",
        "三亿五千万",
        "万一",
        "软件",
        "程序员",
        "，",
        "A ",
        "hello",
    ]
)


@given(
    st.lists(PIECES, max_size=8).map("".join),
    st.sampled_from(["standard", "taiwan", "taiwan_words", "hong_kong"]),
)
def test_script_then_itn_is_one_edit_list(spoken: str, variant: Any) -> None:
    script = convert(spoken, "traditional", variant)
    itn = normalize(script.text, "zh")
    edits = compose(script.edits, itn.edits)
    assert is_linked(spoken, Written(itn.text, edits))


def test_both_scripts_normalise_alike() -> None:
    spoken = "会议二零二五年三月十五号下午三点半开始，预算三亿五千万"
    written = normalize(convert(spoken, "traditional").text, "zh").text
    assert written == "會議2025年3月15日下午3點半開始，預算3.5億"
    assert convert(written, "simplified").text == normalize(spoken, "zh").text


@pytest.mark.parametrize(("to", "variant"), [("latin", "standard"), ("simplified", "mars")])
def test_unknown_scripts_are_refused(to: Any, variant: Any) -> None:
    with pytest.raises(OptionInvalid, match="allowed are simplified or traditional"):
        convert("你好", to, variant)


def test_pieces_are_spelled_as_the_text_they_are_of() -> None:
    # 瞭 stays by itself and becomes 了 in 瞭解.
    text, pieces = simplify("去瞭解，OK？", ["去", "瞭", "解，", "OK？"])
    assert (text, pieces) == ("去了解，OK？", ["去", "了", "解，", "OK？"])
    assert simplify("去了解", ["去", "了解"]) == ("去了解", ["去", "了解"])
    assert simplify("瞭解", ["別處"]) == ("了解", ["别处"])


def test_opencc_loads_on_first_use() -> None:
    code = "import sys, lingting.text.script; sys.exit('opencc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
