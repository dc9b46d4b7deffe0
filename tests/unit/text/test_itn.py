"""Inverse text normalisation: the tables, the links between the layers, laziness."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import opencc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingting.text.edits import is_linked
from lingting.text.itn import normalize
from lingting.text.itn.chinese_numbers import WORDS, fold
from lingting.text.itn.numerals import parse_cardinal, write_chinese, write_japanese

DATA = Path(__file__).parents[2] / "data"
LANGUAGES = ("zh", "en", "ja")


class Row(NamedTuple):
    spoken: str
    written: str
    category: str
    reason: str = ""
    """Why this row is known to fail; empty for all others."""


def read_table(language: str) -> list[Row]:
    lines = (DATA / f"itn_{language}.tsv").read_text("utf-8").splitlines()
    return [Row(*line.split("\t")) for line in lines]


@pytest.mark.parametrize("language", LANGUAGES)
def test_table(language: str) -> None:
    tally: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    wrong = []
    for row in read_table(language):
        if row.reason:
            continue
        text = normalize(row.spoken, language).text
        tally[row.category][0] += text == row.written
        tally[row.category][1] += 1
        if text != row.written:
            wrong.append(f"{row.category}: {row.spoken} → {text}, not {row.written}")
    report = ", ".join(f"{name} {right}/{all_}" for name, (right, all_) in tally.items())
    assert not wrong, "\n".join([report, *wrong])


@pytest.mark.parametrize("language", LANGUAGES)
def test_known_failures_still_fail(language: str) -> None:
    known = [row for row in read_table(language) if row.reason]
    mended = [row for row in known if normalize(row.spoken, language).text == row.written]
    assert known
    assert not mended, "these pass now; take the reason out of the table"


@pytest.mark.parametrize(
    ("language", "rows", "share"), [("zh", 300, 3), ("en", 100, 3), ("ja", 100, 3)]
)
def test_table_is_large_and_has_negatives(language: str, rows: int, share: int) -> None:
    table = read_table(language)
    hard = [row for row in table if row.spoken == row.written or row.category == "mixed"]
    assert len({row.spoken for row in table}) == len(table) >= rows
    assert len(hard) * share >= len(table)


@pytest.mark.parametrize("language", LANGUAGES)
def test_written_text_stays(language: str) -> None:
    changed = [
        row.written
        for row in read_table(language)
        if not row.reason and normalize(row.written, language).text != row.written
    ]
    assert not changed


@pytest.mark.parametrize("language", LANGUAGES)
def test_tables_are_linked(language: str) -> None:
    for row in read_table(language):
        written = normalize(row.spoken, language)
        assert is_linked(row.spoken, written), row.spoken
        assert all(edit.kind == "itn" for edit in written.edits)


CHINESE_PIECES = st.sampled_from(
    [
        *"零〇一二两三四五六七八九十百千万亿幺点年月日号分之第负到比来几多块米度个周秒斤毛折",
        *"兩萬億點，。 A3",
        *("下午", "百分之", "星期", "农历", "万一", "十分", "一起", "张三"),
    ]
)
ENGLISH_PIECES = st.sampled_from(
    """one two three oh zero ten twelve twenty thirty hundred thousand million and a point percent
    per cent dollars cents first second third twentieth march may pm p.m. o'clock at the of to minus
    double nineteen eighties thirds feet , . - 42 ’ İ room""".split()  # noqa: SIM905 a word list
)
JAPANESE_PIECES = st.sampled_from(
    [
        *"零〇一二三四五六七八九十百千万億点年月日時分半の第対円人個、数何",
        *("ゼロ", "マイナス", "パーセント", "午後", "十分", "一人"),
    ]
)


@given(st.lists(CHINESE_PIECES, max_size=14).map("".join))
def test_any_chinese_is_linked(spoken: str) -> None:
    assert is_linked(spoken, normalize(spoken, "zh"))


@given(st.lists(ENGLISH_PIECES, max_size=14).map(" ".join))
def test_any_english_is_linked(spoken: str) -> None:
    assert is_linked(spoken, normalize(spoken, "en"))


@given(st.lists(JAPANESE_PIECES, max_size=14).map("".join))
def test_any_japanese_is_linked(spoken: str) -> None:
    assert is_linked(spoken, normalize(spoken, "ja"))


@given(st.text(max_size=40), st.sampled_from(["zh", "en", "ja", "fr", ""]))
def test_any_text_is_linked(spoken: str, language: str) -> None:
    assert is_linked(spoken, normalize(spoken, language))


@given(st.integers(min_value=0, max_value=9999))
def test_cardinals_below_ten_thousand(value: int) -> None:
    assert parse_cardinal(say_chinese(value)) == (value, False)


def say_chinese(value: int) -> str:
    """The full spoken form, written independently of the parser."""
    if value < 10:
        return "零一二三四五六七八九"[value]
    spoken, is_gap = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, value = divmod(value, unit)
        if digit:
            spoken += ("零" if is_gap and spoken else "") + "零一二三四五六七八九"[digit] + name
        is_gap = not digit
    return spoken


@pytest.mark.parametrize(
    ("run", "written"),
    [
        ("三亿五千万", "3.5亿"),
        ("一亿零三百", "100000300"),
        ("一万亿", "1万亿"),
        ("三千万亿", "3000万亿"),
        ("十二万三千四", "123400"),
        ("一亿两千三百四十五万", "1.2345亿"),
    ],
)
def test_large_numbers(run: str, written: str) -> None:
    cardinal = parse_cardinal(run)
    assert cardinal is not None
    assert write_chinese(cardinal.value, run) == written


@pytest.mark.parametrize(
    "run", ["三五", "七八十", "两三百", "两十", "百二", "一万万", "三百千", "二十零", "五亿三亿"]
)
def test_malformed_runs_are_no_numbers(run: str) -> None:
    assert parse_cardinal(run) is None


def test_japanese_keeps_units() -> None:
    assert write_japanese(1_200_034_567) == "12億3万4567"
    assert write_japanese(0) == "0"


@pytest.mark.parametrize("language", ["zh", "ZH", "zh-TW", "zh_Hant_HK", "yue", "wuu"])
def test_chinese_codes(language: str) -> None:
    assert normalize("二十三个人", language).text == "23个人"


@pytest.mark.parametrize("language", ["fr", "ko", "", "auto"])
def test_other_languages_stay(language: str) -> None:
    written = normalize("二十三个人 twenty three people", language)
    assert (written.text, written.edits) == ("二十三个人 twenty three people", ())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "piece",
    [
        "一万",
        "万",
        "一又",
        "十",
        "三点",
        "一到",
        "百分之",
        "三分之",
        "负",
        "第",
        "ten ",
        "one hundred and ",
        "the ",
        "三、",
        "ゼロ",
        "二の",
        "twenty first ",
        "a hundred ",
        "double ",
        "march ",
    ],
)
def test_loops_of_a_recogniser_do_no_harm(piece: str, language: str) -> None:
    """A decoder that repeats itself thousands of times costs neither the stack nor seconds."""
    spoken = piece * 3000
    assert is_linked(spoken, normalize(spoken, language))


def test_edits_name_the_numerals_only() -> None:
    spoken = "他花了一千二百三十四元，买了三个"
    (edit,) = normalize(spoken, "zh").edits
    assert spoken[edit.spoken_start : edit.spoken_end] == "一千二百三十四"
    assert (edit.text_start, edit.text_end) == (3, 7)


def test_traditional_words_fold_to_the_lexicon() -> None:
    """Every fixed word is found in traditional text too."""
    for configuration in ("s2t", "s2tw", "s2hk"):
        converter = opencc.OpenCC(configuration)
        missed = [word for word in WORDS.words if fold(converter.convert(word)) != word]
        assert not missed


def test_import_is_light() -> None:
    code = (
        "import sys, lingting.text.itn\n"
        "own = {'lingting.text.itn.' + name for name in ('chinese', 'english', 'japanese')}\n"
        "heavy = own | {'opencc', 'wetext', 'kaldifst'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
