"""Pieces of text are joined as their scripts ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingting.joining import is_unspaced, join

PIECES = st.lists(
    st.text(alphabet="ab你好かア한글ไท，。,.!“”《》( )%é\t\n", max_size=6), max_size=8
)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["你好", "世界"], "你好世界"),
        (["hello", "world"], "hello world"),
        (["안녕", "하세요"], "안녕 하세요"),
        (["こんにちは", "世界"], "こんにちは世界"),
        (["สวัสดี", "ครับ"], "สวัสดีครับ"),
        (["用", "iPhone", "打"], "用iPhone打"),
        (["Hello", ",", "world", "!"], "Hello, world!"),
        (["你好", "，", "世界", "。"], "你好，世界。"),
        (["你好。", "Hello."], "你好。Hello."),
        (["50", "%"], "50%"),
        (["  a ", "", "\n", " b\u3000"], "a b"),
        ([], ""),
    ],
)
def test_join(pieces: list[str], text: str) -> None:
    assert join(pieces) == text


@given(PIECES)
def test_no_character_is_lost_and_no_outer_space_is_left(pieces: list[str]) -> None:
    text = join(pieces)
    assert text == text.strip()
    assert "".join(text.split()) == "".join("".join(pieces).split())


@given(PIECES, st.integers(0, 8))
def test_joining_in_two_steps_is_joining_at_once(pieces: list[str], at: int) -> None:
    assert join([join(pieces[:at]), join(pieces[at:])]) == join(pieces)


@pytest.mark.parametrize("char", "中あアー。，𠀀ｱไລခក")
def test_scripts_without_spaces(char: str) -> None:
    assert is_unspaced(char)


@pytest.mark.parametrize("char", "aé한글яअ1 .“")
def test_scripts_with_spaces(char: str) -> None:
    assert not is_unspaced(char)
