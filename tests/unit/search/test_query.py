"""Queries: what they want of the index, and where they match."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingting.errors import ExtraMissing, OptionInvalid
from lingting.search import (
    Query,
    has_sounds,
    loosened,
    parse_query,
    sounds,
    sounds_of,
    terms_of,
    units_of,
)

HAN = "中国人民银行要求客户退款流程我们今天来讲课程的是了不重庆"
TEXTS = st.text(HAN + "，。 abcXYZ １2", min_size=1, max_size=40)


def found(query: Query, text: str) -> list[str]:
    """The pieces of a text that match; the index must not have ruled it out."""
    units = units_of(text)
    heard = sounds_of(units.texts) if has_sounds() else None
    places = query.places(units, heard)
    terms = set(terms_of(units, heard, language=None, speaker=None))
    is_candidate = all(any(terms.issuperset(way) for way in ways) for ways in query.wanted())
    assert is_candidate or not places
    return [text[one.start : one.end] for one in places]


@pytest.mark.parametrize(
    ("query", "text", "places"),
    [
        ("退款", "客户要求退款。", ["退款"]),
        ("国人", "中国人民", ["国人"]),
        ("中国人", "国人中国的人中国", []),
        ("好世", "你好，世界", ["好，世"]),
        ("款 户", "客户要求退款。", ["户", "款"]),
        ("Refund", "a REFUND, please", ["REFUND"]),
        ("fund", "a refund", []),
        ("退款refund", "退款 Refund", ["退款 Refund"]),
        ("軟件", "软件和軟件", ["软件", "軟件"]),
        ("软件", "軟件", ["軟件"]),
        ("ＡＢ", "ab", ["ab"]),
        ("１２", "12元", ["12"]),
        ('"good day"', "good, day good", ["good, day"]),
        ("good day", "day good", ["day", "good"]),
        ("“好 世”", "你好世界", ["好世"]),
        ("退退", "退退退", ["退退退"]),
        ("人", "中国人", ["人"]),
    ],
)
def test_text(query: str, text: str, places: list[str]) -> None:
    assert found(parse_query(query), text) == places


@pytest.mark.parametrize(
    ("query", "text", "places"),
    [
        ("zhongguo", "我在中国。", ["中国"]),
        ("zhong guo", "我在中国。", ["中国"]),
        ("zhōng guó", "我在中国。", ["中国"]),
        ("zhongguo jingji", "中国的经济", ["中国", "经济"]),
        ("zhong guo jing ji", "中国的经济", []),
        ("种过", "我在中国。", ["中国"]),
        ("雇客", "顾客来了", ["顾客"]),
        ("雇客", "客顾来了", []),
        ("fangan", "这个方案翻干了", ["方案", "翻干"]),
        ("yinhang", "去银行", ["银行"]),
        ("yinxing", "去银行", []),
        ("python", "用python写", ["python"]),
        ("用python写", "永python写", ["永python写"]),
        ("banana", "a banana", ["banana"]),
        ("中 zhongguo", "中国中", ["中国", "中"]),
    ],
)
def test_sound(query: str, text: str, places: list[str]) -> None:
    assert found(parse_query(query, "sound"), text) == places


@given(TEXTS, st.data())
def test_every_word_and_every_piece_of_chinese_is_found(text: str, data: st.DataObject) -> None:
    units = units_of(text)
    if not len(units):
        return
    first = data.draw(st.integers(0, len(units) - 1))
    last = data.draw(st.integers(first, len(units) - 1))
    piece = text[units.starts[first] : units.ends[last]]
    assert found(parse_query(f'"{piece}"'), text)
    if last == first + 1 or last == first:
        assert found(parse_query(piece), text)


@given(TEXTS, TEXTS)
def test_a_phrase_is_found_exactly_where_it_stands(text: str, wanted: str) -> None:
    """The index and the comparison agree with plain search in the folded text."""
    told, asked = units_of(text).texts, units_of(wanted).texts
    if asked:
        holds = any(told[at : at + len(asked)] == asked for at in range(len(told)))
        assert bool(found(parse_query(f'"{wanted}"'), text)) == holds


@given(st.text(max_size=60))
def test_anything_may_be_typed(typed: str) -> None:
    try:
        query = parse_query(typed)
    except OptionInvalid:
        return
    for ways in query.wanted():
        for way in ways:
            assert way
            for term in way:
                assert term.split() == [term]
                assert not set(term) & set("\"'&|()*:^-+\0")


@pytest.mark.parametrize("typed", ["", "  ", "。，", '""'])
def test_nothing_is_refused(typed: str) -> None:
    with pytest.raises(OptionInvalid, match="Nothing is searched"):
        parse_query(typed)


def test_too_much_is_refused() -> None:
    with pytest.raises(OptionInvalid, match="201 characters"):
        parse_query("中" * 201)
    with pytest.raises(OptionInvalid, match="words"):
        parse_query(" ".join(map(str, range(17))))


def test_one_syllable_is_refused() -> None:
    with pytest.raises(OptionInvalid, match="One syllable"):
        parse_query("zhōng", "sound")


def test_sound_without_pypinyin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "has_sounds", lambda: False)
    assert parse_query("中国").places(units_of("中国"), None)
    with pytest.raises(ExtraMissing):
        parse_query("zhongguo", "sound")


def test_long_chinese_is_loosened_into_words() -> None:
    query = loosened("退款流程")
    assert query is not None
    assert found(query, "流程里怎么退款") == ["流程", "退款"]
    assert loosened("退款") is None
    assert loosened("“退款流程”") is None
    assert loosened("good day") is None


def test_without_rjieba_nothing_is_loosened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rjieba", None)
    assert loosened("退款流程") is None
