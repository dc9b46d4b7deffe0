"""Units of a text: the same however it is written, and in their places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingting.search import units_of


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("你好，世界！", "你 好 世 界"),
        ("Hello WORLD", "hello world"),
        ("ＡＢＣ１２３", "abc 123"),
        ("iPhone15", "iphone 15"),
        ("繁體中文", "繁 体 中 文"),
        ("用Python写", "用 python 写"),
        ("don't", "don t"),
        ("3.14", "3 14"),
        ("Straße", "strasse"),
        ("ｶﾀｶﾅ", "カ タ カ ナ"),
        ("한국어", "한 국 어"),
        ("हिन्दी", "हिन्दी"),
        ("cafe\u0301 café", "café café"),
        ("①㎏", "1 kg"),
        ("。，!?_-", ""),
        ("", ""),
    ],
)
def test_units(text: str, units: str) -> None:
    assert units_of(text).texts == tuple(units.split())


@given(st.text())
def test_places_are_in_the_text_and_in_order(text: str) -> None:
    units = units_of(text)
    assert len(units.starts) == len(units.ends) == len(units)
    for start, end in zip(units.starts, units.ends, strict=True):
        assert 0 <= start < end <= len(text)
    assert list(units.starts) == sorted(units.starts)


@given(st.text(st.characters(codec="ascii")))
def test_what_is_ascii_is_cut_at_its_places(text: str) -> None:
    units = units_of(text)
    for unit, start, end in zip(units.texts, units.starts, units.ends, strict=True):
        assert unit == text[start:end].casefold()


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    for unit in units_of(text).texts:
        assert "".join(units_of(unit).texts) == unit
