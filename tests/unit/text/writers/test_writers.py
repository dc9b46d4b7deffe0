import csv
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingting.errors import OptionInvalid
from lingting.text.writers import FORMATS, parse_format, write
from lingting.transcript import (
    Damage,
    Edit,
    Failure,
    ModelFacts,
    Segment,
    Transcript,
    Word,
)

TALK = Transcript(
    segments=(
        Segment(
            0.5, 2.25, "今天1234元。", "今天一千二百三十四元。", language="zh", confidence=0.9,
            words=(Word("今", 0.5, 0.9), Word("天", 0.9, 1.3)),
            edits=(Edit(2, 9, 2, 6, "itn"),), speaker="小明",
        ),
        Segment(3.0, 4.0, "", "", failure=Failure("engine.failed", "It failed."), speaker="小明"),
        Segment(5.0, 6.5, "a --> b\n\n<i>R&D</i> | *x*", "", language="en", speaker="Ann <v>"),
        Segment(3700.0, 3701.5, "=SUM(A1)", "", channel=1),
    ),
    duration_s=3702.0,
    language="zh",
    speech_s=5.0,
    damage=Damage(frames=3),
    model=ModelFacts("whisper-base", "ab" * 32, "int8"),
)  # fmt: skip
EMPTY = Transcript((), 0.0)

_texts = st.text(max_size=30)


@st.composite
def _transcripts(draw) -> Transcript:
    segments, at_s = [], 0.0
    for text in draw(st.lists(_texts, max_size=4)):
        end_s = at_s + draw(st.floats(0, 9))
        speaker = draw(st.one_of(st.none(), _texts))
        segments.append(Segment(at_s, end_s, text, text, speaker=speaker))
        at_s = end_s
    return Transcript(tuple(segments), at_s)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "docx"])
@settings(deadline=None)
@given(transcript=_transcripts(), words=st.booleans())
def test_any_text_can_be_written_and_twice_the_same(
    name: str, transcript: Transcript, words: bool
) -> None:
    first = write(transcript, name, words=words, title="标题")
    assert first == write(transcript, name, words=words, title="标题")
    first.decode("utf-8")


@settings(deadline=None, max_examples=10)
@given(transcript=_transcripts())
def test_any_text_can_be_a_document(transcript: Transcript) -> None:
    first = write(transcript, "docx")
    assert first == write(transcript, "docx")
    docx.Document(io.BytesIO(first))


@pytest.mark.parametrize("name", FORMATS)
def test_empty_transcript(name: str) -> None:
    assert isinstance(write(EMPTY, name), bytes)


def test_format_names() -> None:
    assert parse_format(".SRT") is FORMATS["srt"]
    assert [one.suffix for one in FORMATS.values()] == [f".{name}" for name in FORMATS]
    with pytest.raises(OptionInvalid, match="txt, srt, vtt, json, csv, md, docx"):
        write(EMPTY, "exe")


def test_txt() -> None:
    assert write(TALK, "txt").decode() == (
        "小明：今天1234元。\nAnn <v>: a --> b <i>R&D</i> | *x*\n=SUM(A1)\n"
    )
    assert write(EMPTY, "txt") == b""


def test_srt() -> None:
    assert write(TALK, "srt").decode() == (
        "1\n00:00:00,500 --> 00:00:02,250\n小明：今天1234元。\n\n"
        "2\n00:00:05,000 --> 00:00:06,650\nAnn <v>: a → b <i>R&D</i> | *x*\n\n"
        "3\n01:01:40,000 --> 01:01:41,500\n=SUM(A1)\n"
    )
    assert write(TALK, "srt", words=True) == write(TALK, "srt")


def test_vtt() -> None:
    assert write(TALK, "vtt").decode() == (
        "WEBVTT\n\n"
        "00:00:00.500 --> 00:00:02.250\n<v 小明>今天1234元。\n\n"
        "00:00:05.000 --> 00:00:06.500\n"
        "<v Ann &lt;v&gt;>a --&gt; b &lt;i&gt;R&amp;D&lt;/i&gt; | *x*\n\n"
        "01:01:40.000 --> 01:01:41.500\n=SUM(A1)\n"
    )
    assert write(EMPTY, "vtt") == b"WEBVTT\n"


def test_vtt_with_word_times() -> None:
    words = (Word("ask", 1.0, 1.3), Word("not", 1.5, 1.8), Word("me", 2.0, 2.5))
    talk = Transcript((Segment(1.0, 2.5, "ask not me", "ask not me", words=words),), 3.0)
    assert write(talk, "vtt", words=True).decode().splitlines()[3] == (
        "ask <00:00:01.500>not <00:00:02.000>me"
    )


_TIME = re.compile(r"<?(\d\d):(\d\d):(\d\d)[.,](\d{3})>?")


@settings(deadline=None)
@given(_transcripts())
def test_captions_have_no_empty_line_inside_a_cue(transcript: Transcript) -> None:
    for name in ("srt", "vtt"):
        text = write(transcript, name, words=name == "vtt").decode()
        blocks = [block for block in text.removeprefix("WEBVTT\n\n").split("\n\n") if block]
        blocks = [block for block in blocks if block != "WEBVTT\n"]
        for block in blocks:
            lines = block.rstrip("\n").split("\n")
            times = lines[0] if name == "vtt" else lines[1]
            assert times.count("-->") == 1
            assert block.count("-->") == 1
            stamps = [tuple(map(int, found)) for found in _TIME.findall(times)]
            assert stamps[0] < stamps[1]
            assert 1 <= len(lines) - (1 if name == "vtt" else 2) <= 2


def test_json_reads_back_to_the_same_transcript() -> None:
    text = write(TALK, "json").decode()
    assert text.endswith("}\n")
    assert "今天" in text
    data = json.loads(text)
    assert list(data)[:3] == ["schema", "text", "segments"]
    assert Transcript.from_dict(data) == TALK


def test_csv_is_what_excel_opens_right() -> None:
    raw = write(TALK, "csv")
    assert raw.startswith(b"\xef\xbb\xbf")
    assert raw.count(b"\r\n") == 5
    rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    assert rows[0] == [
        "start_s", "end_s", "speaker", "channel", "language", "text", "confidence", "error"
    ]  # fmt: skip
    assert rows[1] == ["0.500", "2.250", "小明", "", "zh", "今天1234元。", "0.9000", ""]
    assert rows[2][7] == "engine.failed"
    assert rows[3][5] == TALK.segments[2].text
    assert rows[4][3:6] == ["1", "", "'=SUM(A1)"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_csv_cells_are_no_formulas(start: str) -> None:
    talk = Transcript((Segment(0, 1, f"{start}1+1", "", speaker=f"{start}x"),), 1.0)
    rows = list(csv.reader(io.StringIO(write(talk, "csv").decode("utf-8-sig"), newline="")))
    assert rows[1][5] == f"'{start}1+1"
    assert rows[1][2] == f"'{start}x"


def test_md() -> None:
    text = write(TALK, "md", title="第1讲 *重点*").decode()
    assert text.startswith("# 第1讲 \\*重点\\*\n\n| 项目 | 内容 |\n| --- | --- |\n")
    assert "| 时长 | 01:01:42 |" in text
    assert "| 语言 | 中文 (zh) |" in text
    assert "| 说话人 | 小明, Ann \\<v\\> |" in text
    assert "| 模型 | whisper-base (int8) |" in text
    assert "| 未能识别的片段 | 1 |" in text
    assert "| 损坏 | 3 帧丢失 |" in text
    assert "\n\n**00:00:00** **小明** 今天1234元。\n\n" in text
    assert "\n\n**00:00:03** **小明** *(未能识别)*\n\n" in text
    assert "a --\\> b \\<i\\>R\\&D\\</i\\> \\| \\*x\\*" in text
    assert text.endswith("**01:01:40** =SUM(A1)\n")
    assert write(EMPTY, "md").decode().startswith("# Transcript\n")


def test_paragraphs_join_what_belongs_together() -> None:
    talk = Transcript(
        (
            Segment(0, 2, "Hello", ""),
            Segment(2.5, 4, "world.", ""),
            Segment(9, 10, "After a pause.", ""),
        ),
        10.0,
        language="en",
    )
    assert write(talk, "md").decode().split("\n\n")[2:] == [
        "**00:00:00** Hello world.",
        "**00:00:09** After a pause.\n",
    ]


def test_docx_opens_and_holds_everything() -> None:
    data = write(TALK, "docx", title="第1讲")
    document: Any = docx.Document(io.BytesIO(data))
    texts = [paragraph.text for paragraph in document.paragraphs]
    assert texts[0] == "第1讲"
    assert "00:00:00  小明\n今天1234元。" in texts
    assert "00:00:03  小明\n(未能识别)" in texts
    facts = {row.cells[0].text: row.cells[1].text for row in document.tables[0].rows}
    assert facts["时长"] == "01:01:42"
    assert document.core_properties.title == "第1讲"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}


def test_docx_drops_what_xml_refuses() -> None:
    talk = Transcript((Segment(0, 1, "a\x00b\x01c\ufffed\ud800e", "", speaker="x\x01"),), 1.0)
    document: Any = docx.Document(io.BytesIO(write(talk, "docx", title="t\x02")))
    assert document.paragraphs[0].text == "t"
    assert document.paragraphs[-1].text == "00:00:00  x\nabcde"


def test_nothing_is_written_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in FORMATS:
        write(TALK, name)
    assert list(tmp_path.iterdir()) == []
