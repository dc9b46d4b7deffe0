"""Audio by content in a folder."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from lingting.errors import AudioTooLong, OptionInvalid, StoreDamaged, StoreUnreachable
from lingting.store.blobs import FolderBlobs

DATA = bytes(range(256)) * 10
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "blobs")


def files(blobs: FolderBlobs) -> list[Path]:
    return [path for path in blobs.path(DIGEST).parents[2].rglob("*") if path.is_file()]


def test_put_and_read(blobs: FolderBlobs) -> None:
    made = blobs.put(io.BytesIO(DATA))
    assert (made.digest, made.size_bytes, made.is_new) == (DIGEST, len(DATA), True)
    assert not blobs.put(io.BytesIO(DATA)).is_new
    assert files(blobs) == [blobs.path(DIGEST)]
    assert list(blobs.digests()) == [DIGEST]
    assert blobs.has(DIGEST)
    assert blobs.size_bytes(DIGEST) == len(DATA)
    assert blobs.is_intact(DIGEST)
    with blobs.open(DIGEST) as stream:
        assert stream.read() == DATA


@pytest.mark.parametrize(
    ("start", "size", "expected"),
    [(0, 3, DATA[:3]), (300, 4, DATA[300:304]), (2_559, 9, DATA[-1:]), (9_999, 5, b"")],
)
def test_ranges(blobs: FolderBlobs, start: int, size: int, expected: bytes) -> None:
    blobs.put(io.BytesIO(DATA))
    assert blobs.read_range(DIGEST, start, size) == expected


def test_damage_is_seen_and_mended(blobs: FolderBlobs) -> None:
    blobs.put(io.BytesIO(DATA))
    blobs.path(DIGEST).write_bytes(DATA[:-1] + b"x")
    assert not blobs.is_intact(DIGEST)
    blobs.put(io.BytesIO(DATA))
    assert blobs.is_intact(DIGEST)


def test_what_fails_leaves_no_file(blobs: FolderBlobs) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(StoreUnreachable, match="Input/output error"):
        blobs.put(Broken(DATA))
    with pytest.raises(AudioTooLong, match="100 bytes"):
        blobs.put(io.BytesIO(DATA), max_bytes=100)
    assert files(blobs) == []
    assert blobs.put(io.BytesIO(DATA), max_bytes=len(DATA)).size_bytes == len(DATA)


def test_only_leftovers_of_the_dead_are_removed(blobs: FolderBlobs) -> None:
    blobs.put(io.BytesIO(DATA))
    incoming = blobs.path(DIGEST).parents[2] / "incoming"
    (incoming / "dead").write_bytes(b"half")

    class Swept(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            removed.append(blobs.remove_leftovers())
            return super().read(size)

    removed: list[int] = []
    blobs.put(Swept(b"another"))
    assert removed == [1, 0]
    assert list(incoming.iterdir()) == []
    assert len(list(blobs.digests())) == 2


def test_missing_and_impossible_digests(blobs: FolderBlobs) -> None:
    assert not blobs.has(DIGEST)
    blobs.remove(DIGEST)
    with pytest.raises(StoreDamaged):
        blobs.open(DIGEST)
    for wrong in ("../../etc/passwd", DIGEST[:-1], DIGEST.upper() + "/", ""):
        with pytest.raises(OptionInvalid):
            blobs.path(wrong)
    with pytest.raises(OptionInvalid):
        blobs.read_range(DIGEST, -1, 3)
