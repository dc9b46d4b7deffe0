"""Files of many transcripts: what a full disk does to them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import pytest

from lingting.errors import StoreUnreachable
from lingting.server.bundles import Found, Line, write_csv, write_json, write_zip
from lingting.transcript import Segment, Transcript

TRANSCRIPT = Transcript((Segment(0.0, 1.0, "欢迎大家", "欢迎大家"),), 1.0, "zh")
FOUND = [(Line("a", "a.wav", "done", 1.0, "zh", None, "欢迎大家"), TRANSCRIPT)]


def zipped(found: Iterable[Found], folder: Path) -> IO[bytes]:
    return write_zip(found, folder, ["txt", "json"], words=True)


@pytest.mark.parametrize("make", [write_csv, write_json, zipped])
def test_a_full_disk_is_said(
    make: Callable[..., IO[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make(FOUND, tmp_path) as file:
        assert len(file.read()) > 20
    assert list(tmp_path.iterdir()) == []
    opened: list[Any] = []

    def full(dir: Path) -> IO[bytes]:
        opened.append(Path("/dev/full").open("r+b"))  # noqa: SIM115
        return opened[0]

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(StoreUnreachable, match="No space left"):
        make(FOUND, tmp_path)
    assert opened[0].closed
