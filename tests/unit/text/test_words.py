"""Word times survive the change of text."""

from __future__ import annotations

from lingting.text.edits import Written
from lingting.text.itn import normalize
from lingting.text.script import convert
from lingting.text.words import written_words
from lingting.transcript import Word


def timed(pieces: list[str], confidence: float | None = 0.9) -> list[Word]:
    """One second each."""
    return [Word(text, float(i), i + 1.0, confidence) for i, text in enumerate(pieces)]


def test_amount_in_a_chinese_sentence() -> None:
    spoken = "花了一千二百三十四元，贵"
    words = timed([char for char in spoken if char != "，"])
    words[4] = Word("二", 4.0, 5.0, 0.4)
    result = written_words(spoken, words, normalize(spoken, "zh"))
    assert result == (
        words[0],
        words[1],
        Word("1234", 2.0, 9.0, 0.4),
        words[9],
        words[10],
    )


def test_english_date_is_one_word() -> None:
    spoken = "Meet on march fifteenth twenty twenty five, please"
    words = timed(["Meet", "on", "march", "fifteenth", "twenty", "twenty", "five,", "please"])
    result = written_words(spoken, words, normalize(spoken, "en"))
    assert [w.text for w in result] == ["Meet", "on", "March 15, 2025,", "please"]
    assert (result[2].start_s, result[2].end_s) == (2.0, 7.0)


def test_parts_of_a_date_stay_apart() -> None:
    spoken = "二零二五年三月十五号"
    result = written_words(spoken, timed(list(spoken)), normalize(spoken, "zh"))
    assert [w.text for w in result] == ["2025", "年", "3", "月", "15", "日"]
    assert [(w.start_s, w.end_s) for w in result][:2] == [(0.0, 4.0), (4.0, 5.0)]


def test_multi_character_words_under_one_edit_and_beyond() -> None:
    spoken = "一共一百二十万元"
    result = written_words(spoken, timed(["一共", "一百", "二十", "万元"]), normalize(spoken, "zh"))
    assert [w.text for w in result] == ["一共", "120万元"]


def test_unknown_confidence() -> None:
    spoken = "二十三"
    (word,) = written_words(spoken, timed(list(spoken), None), normalize(spoken, "zh"))
    assert word == Word("23", 0.0, 3.0, None)


def test_a_word_that_is_not_in_the_text_stays_and_harms_no_other() -> None:
    spoken = "买了二十三个"
    words = timed(["买", "嗯", "了", "二", "十", "三", "个"])
    result = written_words(spoken, words, normalize(spoken, "zh"))
    assert [w.text for w in result] == ["买", "嗯", "了", "23", "个"]


def test_script_edits_keep_every_word() -> None:
    spoken = "头发很长"
    result = written_words(spoken, timed(list(spoken)), convert(spoken, "traditional"))
    assert [w.text for w in result] == ["頭", "髮", "很", "長"]
    assert [w.start_s for w in result] == [0.0, 1.0, 2.0, 3.0]


def test_no_edits_no_change() -> None:
    words = timed(["你", "好"])
    assert written_words("你好", words, Written("你好")) == tuple(words)
