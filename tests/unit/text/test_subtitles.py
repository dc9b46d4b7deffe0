import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingting.text.breaking import LINE_WIDTH, NO_START, OPENERS, clean, may_break, pieces, width
from lingting.text.subtitles import MAX_CUE_MS, MIN_CUE_MS, Cue, cues
from lingting.transcript import Edit, Segment, Transcript, Word


def said(start_s: float, end_s: float, text: str, **more) -> Segment:
    return Segment(start_s, end_s, text, text, **more)


def transcript(*segments: Segment, duration_s: float = 1000.0) -> Transcript:
    return Transcript(segments, duration_s)


def bare(text: str) -> str:
    return "".join(text.split())


# --- breaking ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好，世界。", ["你", "好，", "世", "界。"]),
        ("他说“好。”然后", ["他", "说", "“好。”", "然", "后"]),
        ("hello big world", ["hello", "big", "world"]),
        ("well-known, don't", ["well-known,", "don't"]),
        ("用Python写", ["用", "Python", "写"]),
        ("共1,234.5元整", ["共", "1,234.5元", "整"]),
        ("一百二十三个", ["一百二十三", "个"]),
        ("カメラを買う", ["カメラ", "を", "買", "う"]),
        ("ちょっと", ["ちょっ", "と"]),
        ("Bonjour !", ["Bonjour !"]),
        ("안녕 세계", ["안녕", "세계"]),
        ("等等……然后", ["等", "等……", "然", "后"]),
        ("５０％的", ["５０％", "的"]),
        ("（注）意", ["（注）", "意"]),
        ("", []),
    ],
)
def test_unbreakable_pieces(text: str, expected: list[str]) -> None:
    assert [piece.text for piece in pieces(text)] == expected


def test_a_word_wider_than_a_line_is_cut() -> None:
    found = pieces("x" * 100)
    assert [len(piece.text) for piece in found] == [42, 42, 16]
    assert [piece.is_cut for piece in found] == [True, True, False]


def test_widths_of_a_full_line() -> None:
    assert width("字" * 20) == LINE_WIDTH == width("a" * 42)
    assert width("e\u0301") == width("e")


def test_cleaned_text_is_one_line() -> None:
    assert clean("  a\n\n b\tc\x00\r\nd\u00a0e ") == "a b c d\u00a0e"
    assert clean("0\r\x08") == "0"
    assert clean("\x00 \x01") == ""


# --- cues --------------------------------------------------------------------------------------

_alphabet = st.sampled_from(
    list(
        "的一是在不了有和人这，。！？、；“”（）《》…—abcdefgh  ,.!?'-0123456789"
        "カーッがรักเ한글é\u0301\n\t%$"
    )
)
_texts = st.one_of(
    st.text(_alphabet, max_size=120),
    st.lists(st.sampled_from(["hello", "world,", "well.", "你好。", "今天", "12,345", "a"])).map(
        " ".join
    ),
    st.text(max_size=40),
)


@st.composite
def _transcripts(draw) -> Transcript:
    segments = []
    at_s = 0.0
    for text in draw(st.lists(_texts, max_size=6)):
        at_s += draw(st.sampled_from([-0.4, 0.0, 0.0, 0.2, 0.7, 1.5, 20.0]))
        at_s = max(at_s, 0.0)
        length_s = draw(st.floats(0, 25))
        speaker = draw(st.sampled_from([None, None, "Anna", "小明"]))
        words: tuple[Word, ...] = ()
        if draw(st.booleans()):
            tokens = text.split()
            each_s = length_s / max(1, len(tokens))
            words = tuple(
                Word(token, at_s + each_s * number, at_s + each_s * (number + 0.8))
                for number, token in enumerate(tokens)
            )
        segments.append(said(at_s, at_s + length_s, text, speaker=speaker, words=words))
        at_s += length_s
    return Transcript(tuple(segments), at_s + draw(st.sampled_from([0.0, 3.0])))


def _check_order(found: list[Cue]) -> None:
    for cue in found:
        assert 0 <= cue.start_ms < cue.end_ms
        assert cue.end_ms - cue.start_ms <= MAX_CUE_MS
    for left, right in pairwise(found):
        assert left.end_ms <= right.start_ms


@settings(deadline=None)
@given(_transcripts())
def test_every_character_once_in_order_and_within_the_limits(given: Transcript) -> None:
    found = cues(given)
    ordered = sorted(given.segments, key=lambda segment: segment.start_s)
    expected = "".join(bare(clean(segment.text)) for segment in ordered)
    assert "".join(bare(line) for cue in found for line in cue.lines) == expected
    _check_order(found)
    for cue in found:
        assert 1 <= len(cue.lines) <= 2
        for line in cue.lines:
            assert line == line.strip(" ") != ""
            assert "\n" not in line
            assert width(line) <= LINE_WIDTH


@settings(deadline=None)
@given(_transcripts())
def test_labels_keep_the_limits(given: Transcript) -> None:
    found = cues(given, labels=True)
    _check_order(found)
    assert all(width(line) <= LINE_WIDTH for cue in found for line in cue.lines)
    # The cut into lines may fall differently; the words and their order do not.
    text = "".join(bare(line) for cue in found for line in cue.lines)
    plain = "".join(bare(line) for cue in cues(given) for line in cue.lines)
    assert len(text) >= len(plain)
    if not any(segment.speaker for segment in given.segments):
        assert text == plain


@settings(deadline=None)
@given(_transcripts())
def test_a_cue_is_short_only_when_the_next_one_presses(given: Transcript) -> None:
    found = cues(given)
    for at, cue in enumerate(found):
        if cue.end_ms - cue.start_ms >= MIN_CUE_MS:
            continue
        nothing_after = at + 1 == len(found) and cue.end_ms >= round(1000 * given.duration_s)
        assert nothing_after or found[at + 1].start_ms - cue.end_ms <= 500


@settings(deadline=None)
@given(st.text(_alphabet, max_size=80), st.integers(0, 79))
def test_no_line_breaks_kinsoku_or_splits_a_number(text: str, at: int) -> None:
    text = clean(text)
    for place in range(1, len(text)):
        if not may_break(text, place):
            continue
        left, right = text[place - 1], text[place:].lstrip(" ")[0]
        assert right not in NO_START
        assert left not in OPENERS
        assert not (left.isdecimal() and text[place].isdecimal())
        assert not (left.isascii() and left.isalpha() and text[place].isascii() and
                    text[place].isalpha())  # fmt: skip
        assert unicodedata.category(right)[0] != "M" or text[place] == " "


def test_breaks_fall_at_punctuation_and_lines_are_balanced() -> None:
    text = (
        "秋天总是那么富有诗意。"
        "树叶渐渐变红，街道旁的银杏树也开始落叶，人们穿上厚重的外套，享受着凉爽的秋风。"
    )
    assert [cue.lines for cue in cues(transcript(said(0, 8, text)))] == [
        ("秋天总是那么富有诗意。",),
        ("树叶渐渐变红，街道旁的银杏树也开始落叶，", "人们穿上厚重的外套，享受着凉爽的秋风。"),
    ]


def test_english_words_stay_whole() -> None:
    text = "Ask not what your country can do for you, ask what you can do for your country today"
    found = cues(transcript(said(0, 6, text)))
    assert " ".join(line for cue in found for line in cue.lines) == text
    assert max(len(line) for cue in found for line in cue.lines) <= 42


def test_short_answer_shares_a_cue_with_what_follows() -> None:
    found = cues(transcript(said(0, 0.3, "嗯。"), said(0.5, 3, "我今天没有时间。")))
    assert [cue.lines for cue in found] == [("嗯。我今天没有时间。",)]


def test_a_cue_is_extended_into_silence_for_its_reader() -> None:
    (cue,) = cues(transcript(said(10, 11, "一二三四五六七八九十甲乙丙丁戊己庚辛")))
    assert (cue.start_ms, cue.end_ms) == (10_000, 12_000)
    (short,) = cues(transcript(said(10, 10.2, "好")))
    assert short.end_ms - short.start_ms == MIN_CUE_MS
    (at_end,) = cues(transcript(said(10, 10.2, "好"), duration_s=10.2))
    assert (at_end.start_ms, at_end.end_ms) == (9_500, 10_200)


def test_slow_words_are_cut_off_at_seven_seconds() -> None:
    (cue,) = cues(transcript(said(0, 30, "Ommmmm")))
    assert (cue.start_ms, cue.end_ms) == (0, MAX_CUE_MS)


def test_word_times_are_used() -> None:
    words = (Word("好", 0.0, 0.5), Word("我", 4.0, 4.3), Word("来", 4.3, 4.6))
    found = cues(transcript(said(0, 5, "好。我来", words=words)))
    assert [(cue.lines, cue.start_ms) for cue in found] == [(("好。",), 0), (("我来",), 4000)]


def test_written_words_are_asked_for() -> None:
    segment = Segment(0, 4, "1234元", "一千二百三十四元")
    spoken = (Word("1234", 2.0, 3.0), Word("元", 3.0, 3.5))
    (cue,) = cues(transcript(segment), written_words=lambda one: spoken)
    assert cue.lines == ("1234元",)
    two = Segment(0, 4, "1234元。好", "一千二百三十四元好")
    timed = (*spoken, Word("好", 3.8, 4.0))
    (cue,) = cues(transcript(two), written_words=lambda one: timed)
    assert [piece.start_ms for piece in cue.pieces[0]] == [2000, 3800]


def test_word_times_survive_number_writing() -> None:
    words = tuple(
        Word(char, 1.0 + at / 2, 1.5 + at / 2) for at, char in enumerate("共一千二百元好")
    )
    edits = (Edit(1, 5, 1, 5, "itn"),)
    (cue,) = cues(
        transcript(Segment(0, 5, "共1200元好", "共一千二百元好", words=words, edits=edits))
    )
    starts = {piece.text: piece.start_ms for piece in cue.pieces[0]}
    assert starts == {"共": 1000, "1200元": 1500, "好": 4000}


def test_speaker_labels_come_once_a_turn() -> None:
    found = cues(
        transcript(
            said(0, 2, "Hello there.", speaker="Anna"),
            said(5, 7, "Still me.", speaker="Anna"),
            said(8, 9, "你好。", speaker="小明"),
        ),
        labels=True,
    )
    assert [cue.lines for cue in found] == [
        ("Anna: Hello there.",), ("Still me.",), ("小明：你好。",)
    ]  # fmt: skip
    assert [cue.speaker for cue in found] == ["Anna", "Anna", "小明"]


def test_overlapping_speakers_do_not_overlap_on_screen() -> None:
    found = cues(
        transcript(said(0, 5, "I talk all the time.", speaker="A"), said(1, 2, "Yes.", speaker="B"))
    )
    _check_order(found)
    assert [cue.lines for cue in found] == [("I talk all the time.",), ("Yes.",)]


def test_an_hour_keeps_every_character() -> None:
    segments = tuple(
        said(i * 5.0, i * 5.0 + 5.0, "今天天气很好，我们去公园散步吧。" * 2) for i in range(200)
    )
    found = cues(Transcript(segments, 1000.0))
    assert sum(len("".join(cue.lines)) for cue in found) == 200 * 32
