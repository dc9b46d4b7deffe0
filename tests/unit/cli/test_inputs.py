"""What was typed becomes a list of recordings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lingting.cli.inputs import find_inputs, is_media
from lingting.errors import AudioNotFound, AudioPathUnreadable


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with recordings, results and hidden things."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "b.wav", "a.mp3", "a.srt", "notes.txt", ".hidden.wav", "sub/c.FLAC", "sub/.cache/d.wav",
        "sub/deep/e.mp4",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(*given: str, recursive: bool = True) -> list[str]:
    return [one.name for one in find_inputs(given, recursive=recursive)]


def test_a_folder_gives_its_recordings_files_before_folders(folder: Path) -> None:
    assert names(str(folder)) == [
        str(folder / name) for name in ("a.mp3", "b.wav", "sub/c.FLAC", "sub/deep/e.mp4")
    ]
    assert names(str(folder), recursive=False) == [str(folder / "a.mp3"), str(folder / "b.wav")]


def test_a_named_file_is_taken_whatever_it_is_called(folder: Path) -> None:
    assert names("notes.txt", ".hidden.wav", "nothing.wav") == [
        "notes.txt", ".hidden.wav", "nothing.wav",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.mp3", ["a.mp3"]),
        ("*", ["a.mp3", "b.wav", "sub/c.FLAC", "sub/deep/e.mp4"]),
        ("**/*.mp4", ["sub/deep/e.mp4"]),
        ("*.txt", ["notes.txt"]),  # a suffix that is spelt out is meant
        ("[ab].*", ["a.mp3", "b.wav"]),
    ],
)
def test_patterns_the_shell_left_alone(folder: Path, pattern: str, found: list[str]) -> None:
    assert names(pattern) == found


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder: Path) -> None:
    (folder / "[1].wav").write_bytes(b"x")
    assert names("[1].wav") == ["[1].wav"]


def test_each_recording_comes_once(folder: Path) -> None:
    (folder / "alias").symlink_to(folder / "sub")
    given = ("b.wav", "./b.wav", str(folder / "b.wav"), "sub/../b.wav", "sub", "alias", "-", "-")
    assert names(*given) == ["b.wav", "sub/c.FLAC", "sub/deep/e.mp4", "-"]


def test_a_link_to_a_recording_keeps_its_own_name(folder: Path) -> None:
    (folder / "link.wav").symlink_to(folder / "b.wav")
    assert names("b.wav", "link.wav") == ["b.wav", "link.wav"]


def test_a_folder_that_links_to_itself_ends(folder: Path) -> None:
    (folder / "sub" / "again").symlink_to(folder)
    (folder / "sub" / "loop").symlink_to(folder / "sub" / "loop")
    found = names("sub")
    # The recordings above are reached through the link, each once; nothing is entered twice.
    assert len(found) == len({os.path.realpath(name) for name in found}) == 4


def test_what_is_not_there_is_an_input_with_an_error(folder: Path) -> None:
    (folder / "empty").mkdir()
    pattern, empty, good = find_inputs(["*.ogg", "empty", "b.wav"])
    assert isinstance(pattern.error, AudioNotFound)
    assert isinstance(empty.error, AudioNotFound)
    assert "no recordings" in empty.error.sentence
    assert good.error is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_told(folder: Path) -> None:
    (folder / "sub" / "deep").chmod(0)
    try:
        found = find_inputs(["sub"])
    finally:
        (folder / "sub" / "deep").chmod(0o755)
    assert [type(one.error) for one in found] == [type(None), AudioPathUnreadable]


def test_standard_input_and_a_file_called_dash(folder: Path) -> None:
    (folder / "-").write_bytes(b"x")
    stdin, file = find_inputs(["-", "./-"])
    assert stdin.is_stdin
    assert not file.is_stdin


@pytest.mark.parametrize("name", ["a.wav", "a.MP3", "a.b.m4a", "会议.opus"])
def test_names_of_recordings(name: str) -> None:
    assert is_media(name)


@pytest.mark.parametrize("name", ["a.txt", "a.srt", "a.json", "wav", "a.docx", ".wav", "a.wav.txt"])
def test_other_names(name: str) -> None:
    assert not is_media(name)
