"""What is typed after ``transcribe``."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingting.cli.formats import parse_formats
from lingting.cli.transcribe import read_hotwords
from lingting.errors import OptionInvalid


def test_formats_with_commas_and_repeated() -> None:
    assert parse_formats(["srt, TXT", ".json", "srt", ""]) == ("srt", "txt", "json")
    with pytest.raises(OptionInvalid, match="allowed are txt"):
        parse_formats(["srt,mp3"])


def test_hotwords_from_both_places(tmp_path: Path) -> None:
    file = tmp_path / "words"
    file.write_bytes("\ufeff 聆听 \n\nFunASR\r\n".encode())
    assert read_hotwords(["阿里", "FunASR"], file) == ("阿里", "FunASR", "聆听")
    assert read_hotwords([], None) == ()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"\xff\xfe\x00", "not UTF-8"), (b"x" * (1 << 20) + b"y", "larger"), (None, "cannot be read")],
)
def test_a_file_of_hotwords_that_is_none(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    file = tmp_path / "words"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(OptionInvalid, match=complaint) as caught:
        read_hotwords([], file)
    assert str(tmp_path) not in str(caught.value)
