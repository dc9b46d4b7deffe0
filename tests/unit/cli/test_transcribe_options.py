"""What is typed after ``transcribe``."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingting.cli.formats import parse_formats
from lingting.cli.loading import EngineRequest
from lingting.cli.transcribe import Request, _options, read_hotwords
from lingting.errors import GlossaryNotFound, OptionInvalid
from lingting.store import Glossaries, open_store


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


def test_the_words_of_a_glossary_come_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINGTING_DATA_DIR", str(tmp_path))

    def hotwords(glossary: str | None) -> tuple[str, ...]:
        engine = EngineRequest("auto", "cpu", "auto", None)
        request = Request(
            (), (), None, json=False, words=False, force=False, keep=None, recursive=True,
            hotwords=("b", "a"), hotwords_file=None, glossary=glossary, engine=engine, options={},
        )  # fmt: skip
        return _options(request).hotwords

    assert hotwords(None) == ("b", "a")
    assert list(tmp_path.iterdir()) == []  # the store is only opened when it is asked
    with open_store() as store:
        Glossaries(store.database).save("terms", ["c", "a"], based_on=0)
        Glossaries(store.database).save("own", ["d"], based_on=0, owner="li")
    assert hotwords("terms") == ("b", "a", "c")
    with pytest.raises(GlossaryNotFound):
        hotwords("own")
