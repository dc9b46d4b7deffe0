"""Full-width marks where Chinese and Japanese are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingting.text.edits import is_linked
from lingting.text.punctuation import widen


@pytest.mark.parametrize(
    ("given_text", "wide"),
    [
        ("你好,世界。", "你好，世界。"),
        ("你好, 世界!", "你好，世界！"),
        ("真的吗? 是的.", "真的吗？是的。"),
        ("时间:三点", "时间：三点"),
        ("第3.5节,共1,234页", "第3.5节，共1,234页"),
        ("版本v1.2, yes", "版本v1.2, yes"),
        ("他说hello, world", "他说hello, world"),
        ("网址:8080", "网址:8080"),
        ("はい,そうです.", "はい，そうです。"),
        ("Plain English, no change.", "Plain English, no change."),
        ("，已经,", "，已经，"),
        (",", ","),
        ("", ""),
    ],
)
def test_marks(given_text: str, wide: str) -> None:
    assert widen(given_text).text == wide


@given(st.text("你好ab12 ,.?!:;，。", max_size=30))
def test_edits_stay_linked(text: str) -> None:
    written = widen(text)
    assert is_linked(text, written)
    assert len(written.text) <= len(text)
