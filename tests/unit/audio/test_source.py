"""What is opened, and what is refused without waiting."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import pytest

from lingting.audio.source import Limits, open_source
from lingting.errors import (
    AudioEmpty,
    AudioInvalid,
    AudioNotFound,
    AudioPathUnreadable,
    AudioTooLong,
)


class OneWay:
    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO, OneWay])
def test_bytes_in_every_form(kind: type) -> None:
    source = open_source(kind(b"abcdef"), Limits())
    assert source.read(2) == b"ab"
    assert source.seek(-1, os.SEEK_END) == 5
    assert source.read() == b"f"
    assert source.peek(3, 1) == b"bcd"
    assert source.tell() == 0
    source.close()


def test_stream_is_read_from_where_it_stands() -> None:
    stream = io.BytesIO(b"skip this, abc")
    stream.seek(11)
    source = open_source(stream, Limits())
    assert source.read() == b"abc"
    assert source.seek(1) == 1
    assert source.read() == b"bc"


def test_the_stream_has_no_name_to_leak(tmp_path: Path) -> None:
    path = tmp_path / "secret.wav"
    path.write_bytes(b"x")
    source = open_source(path, Limits())
    assert not hasattr(source, "name")
    source.close()


def test_callers_stream_stays_open_and_ours_is_closed(tmp_path: Path) -> None:
    mine = io.BytesIO(b"abc")
    open_source(mine, Limits()).close()
    assert not mine.closed
    (tmp_path / "a").write_bytes(b"abc")
    source = open_source(tmp_path / "a", Limits())
    source.close()
    with pytest.raises(ValueError, match="closed"):
        source.read()


def test_endless_stream_stops_at_the_limit() -> None:
    class Endless:
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    with pytest.raises(AudioTooLong, match="4194304"):
        open_source(Endless(), Limits(max_source_bytes=4 << 20))


@pytest.mark.parametrize("given", [b"", io.BytesIO(b""), OneWay(b"")])
def test_nothing(given: object) -> None:
    with pytest.raises(AudioEmpty):
        open_source(given, Limits())


@pytest.mark.parametrize("given", [io.StringIO("abc"), 5, None, object(), ["a.wav"]])
def test_not_a_source(given: object) -> None:
    with pytest.raises(AudioInvalid):
        open_source(given, Limits())


def test_socket_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's whole path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.wav")
        with pytest.raises(AudioPathUnreadable, match="socket"):
            open_source("s.wav", Limits())


@pytest.mark.timeout(10)
def test_pipe_never_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AudioPathUnreadable, match="pipe"):
        open_source(tmp_path / "pipe", Limits())


@pytest.mark.timeout(10)
def test_file_that_becomes_a_pipe_between_check_and_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "turned"
    path.write_bytes(b"x")
    before = os.stat(path)
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(os, "stat", lambda *_args, **_options: before)
    with pytest.raises(AudioPathUnreadable, match="pipe"):
        open_source(path, Limits())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.wav"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(AudioPathUnreadable):
        open_source(path, Limits())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError(13, "Permission denied", "name.wav"), AudioPathUnreadable),
        (OSError(5, "Input/output error", "name.wav"), AudioPathUnreadable),
        (OSError(36, "File name too long", "name.wav"), AudioPathUnreadable),
        (NotADirectoryError(20, "Not a directory", "name.wav"), AudioNotFound),
    ],
)
def test_what_the_system_says(
    error: OSError, expected: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "name.wav"
    path.write_bytes(b"x")

    def refuse(*_args: object) -> int:
        raise error

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(expected) as caught:
        open_source(path, Limits())
    assert caught.value.__cause__ is error
    assert "name.wav" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["http://a/b.wav", "rtmp://a/b", "concat:a.wav|b.wav", "data:,x"]
)
def test_addresses_are_paths_that_do_not_exist(address: str) -> None:
    with pytest.raises(AudioNotFound, match="addresses are not opened"):
        open_source(address, Limits())
