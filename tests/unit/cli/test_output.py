"""Data on stdout, everything else on stderr, and names that cannot do harm."""

from __future__ import annotations

import io
import json
import os
import sys

import pytest

from lingting.cli.output import Output, drawn, shown
from lingting.errors import AudioEmpty, OutputUnwritable


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("会议 1.wav", "会议 1.wav"),
        ("a\nb.wav", "a\\nb.wav"),
        ("a\x1b[31mred.wav", "a\\x1b[31mred.wav"),
        ("a\u202egnp.wav", "a\\u202egnp.wav"),
        ("a\r\t\x00b", "a\\r\\t\\x00b"),
        (os.fsdecode(b"caf\xe9.wav"), "caf\\xe9.wav"),
        ("a\u2028b", "a\\u2028b"),
        ("a\u00a0b", "a b"),
        ("👩\u200d💻.wav", "👩\u200d💻.wav"),
        ("[bold]x[/bold].wav", "[bold]x[/bold].wav"),
    ],
)
def test_names_are_shown_on_one_line(name: str, line: str) -> None:
    assert shown(name) == line


def test_a_very_long_name_is_cut() -> None:
    assert len(shown("a" * 5000)) == 300


class Stream:
    """A stand-in for stdout or stderr with bytes below and an encoding."""

    def __init__(self, *, encoding: str = "utf-8", terminal: bool = False) -> None:
        self.buffer = io.BytesIO()
        self.encoding = encoding
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def test_data_and_notes_go_their_own_ways(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    output = Output()
    output.data("文字\n")
    output.note("note")
    output.warn("warning")
    output.detail("detail")
    output.error(AudioEmpty("There are 0 bytes."), "a\nb.wav")
    out, err = capfdbinary.readouterr()
    assert out == "文字\n".encode()
    assert err.decode() == (
        "note\nwarning\n"
        "a\\nb.wav: error: There are 0 bytes. Record or copy it again. [audio.empty]\n"
    )


def test_quiet_keeps_notes_back_and_verbose_gives_details(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    quiet = Output(quiet=True, verbose=True)
    quiet.note("note")
    quiet.detail("detail")
    quiet.warn("warning")
    assert capfdbinary.readouterr().err == b"detail\nwarning\n"


def test_a_record_brings_back_any_file_name(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    name = os.fsdecode(b"caf\xe9\n.wav")
    Output().record({"file": name, "text": "文字"})
    line = capfdbinary.readouterr().out
    assert line.count(b"\n") == 1
    assert "文字".encode() in line
    assert os.fsencode(json.loads(line)["file"]) == b"caf\xe9\n.wav"


def test_data_is_utf8_in_a_file_and_what_a_terminal_speaks_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for terminal, expected in ((False, "é文".encode()), (True, b"\xe9\\u6587")):
        stream = Stream(encoding="latin-1", terminal=terminal)
        monkeypatch.setattr(sys, "stdout", stream)
        Output().data("é文")
        assert stream.buffer.getvalue() == expected


def test_a_closed_stdout_is_an_error_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputUnwritable, match="closed"):
        Output().data("x")


def test_a_closed_stderr_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    Output().warn("x")
    assert not Output().has_terminal


def test_a_table_is_lines_with_tabs_for_scripts(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Output().table(("a", "b"), [("1", "x\ty"), ("2", "")])
    assert capfdbinary.readouterr().out == b"a\tb\n1\tx\\ty\n2\t\n"


def test_a_drawn_table_takes_brackets_as_they_are() -> None:
    assert "[bold]x[/bold]" in drawn(("name",), [("[bold]x[/bold]",)], width=60)
