"""Audio in an S3-compatible store: the promises of the folder, against a real server."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lingting.audio.peaks import peaks
from lingting.config import settings
from lingting.errors import AudioTooLong, OptionInvalid, StoreDamaged, StoreUnreachable
from lingting.store import open_store
from lingting.store.blobs import BlobStore, FolderBlobs, open_blobs
from lingting.store.bucket import BucketBlobs
from tests.integration.store_parts import S3Server, plain_transcript, rich_transcript, s3_server

DATA = bytes(range(256)) * 10
DIGEST = hashlib.sha256(DATA).hexdigest()
LARGE = os.urandom(20 << 20)
LARGE_DIGEST = hashlib.sha256(LARGE).hexdigest()
KEY = f"kept/here/{DIGEST[:2]}/{DIGEST[2:4]}/{DIGEST}"


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def server(running: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> S3Server:
    running.clear()
    for name, value in running.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LINGTING_DATA_DIR", str(tmp_path / "data"))
    return running


@pytest.fixture
def bucket(server: S3Server) -> BucketBlobs:
    blobs = open_blobs(settings())
    assert isinstance(blobs, BucketBlobs)
    return blobs


@pytest.fixture(params=["folder", "bucket"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "folder":
        return FolderBlobs(tmp_path / "blobs")
    return request.getfixturevalue("bucket")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_what_is_put_is_there(blobs: BlobStore) -> None:
    assert not blobs.has(DIGEST)
    made = blobs.put(io.BytesIO(DATA))
    assert (made.digest, made.size_bytes, made.is_new) == (DIGEST, len(DATA), True)
    assert not blobs.put(io.BytesIO(DATA)).is_new
    assert list(blobs.digests()) == [DIGEST]
    assert (blobs.has(DIGEST), blobs.size_bytes(DIGEST)) == (True, len(DATA))
    assert blobs.is_intact(DIGEST)
    with blobs.open(DIGEST) as stream:
        assert (stream.read(3), stream.seek(-2, os.SEEK_END), stream.read()) == (
            DATA[:3], len(DATA) - 2, DATA[-2:],
        )  # fmt: skip
    blobs.remove(DIGEST)
    blobs.remove(DIGEST)
    assert not blobs.has(DIGEST)
    assert list(blobs.digests()) == []


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, DATA), (0, 3, DATA[:3]), (300, 304, DATA[300:304]), (2_559, 9_999, DATA[-1:]),
        (2_560, None, b""), (5, 5, b""),
    ],
)  # fmt: skip
def test_ranges_for_players(blobs: BlobStore, start: int, end: int | None, expected: bytes) -> None:
    blobs.put(io.BytesIO(DATA))
    with blobs.open_range(DIGEST, start, end) as stream:
        assert stream.read() == expected
        assert stream.seek(1) == 1
        assert stream.read(2) == expected[1:3]
    assert blobs.read_range(DIGEST, start, 4) == DATA[start : start + 4]


def test_ranges_that_are_not_there(blobs: BlobStore) -> None:
    blobs.put(io.BytesIO(DATA))
    for start, end in ((-1, None), (2_561, None), (9, 8)):
        with pytest.raises(OptionInvalid):
            blobs.open_range(DIGEST, start, end)
    with pytest.raises(OptionInvalid):
        blobs.read_range(DIGEST, -1, 3)
    with pytest.raises(OptionInvalid):
        blobs.has("../../etc/passwd")


def test_missing_audio(blobs: BlobStore) -> None:
    for look in (blobs.open, blobs.size_bytes, blobs.is_intact):
        with pytest.raises(StoreDamaged):
            look(DIGEST)
    with pytest.raises(StoreDamaged), blobs.local_path(DIGEST):
        pass


def test_a_file_for_programs_that_need_one(blobs: BlobStore) -> None:
    blobs.put(io.BytesIO(LARGE))
    for is_read_again in (False, True):
        with blobs.local_path(LARGE_DIGEST, is_read_again=is_read_again) as path:
            assert path.read_bytes() == LARGE


def test_large_audio_goes_up_in_parts(bucket: BucketBlobs, server: S3Server) -> None:
    assert bucket.put(io.BytesIO(LARGE)).is_new
    assert bucket.is_intact(LARGE_DIGEST)
    assert "<Upload>" not in server.uploads()
    with bucket.open_range(LARGE_DIGEST, 8 << 20, (8 << 20) + 100) as stream:
        assert stream.read() == LARGE[8 << 20 : (8 << 20) + 100]


def test_what_fails_leaves_nothing(bucket: BucketBlobs, server: S3Server, tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(StoreUnreachable, match="Input/output error"):
        bucket.put(Broken(DATA))
    with pytest.raises(AudioTooLong, match="100 bytes"):
        bucket.put(io.BytesIO(DATA), max_bytes=100)
    server.stop()
    with pytest.raises(StoreUnreachable):
        bucket.put(io.BytesIO(LARGE))
    assert files(tmp_path) == []
    server.start()
    assert list(bucket.digests()) == []
    assert "<Upload>" not in server.uploads()


UPLOADER = """
import io, sys
from lingting.config import settings
from lingting.store.blobs import open_blobs
print("begun", flush=True)
open_blobs(settings()).put(io.BytesIO(bytes(64 << 20)))
print("done", flush=True)
"""


def test_a_killed_upload_is_not_there(bucket: BucketBlobs, tmp_path: Path) -> None:
    program = subprocess.Popen([sys.executable, "-c", UPLOADER], stdout=subprocess.PIPE)
    assert program.stdout is not None
    assert program.stdout.readline() == b"begun\n"
    incoming = tmp_path / "data" / "bucket" / "incoming"
    while not files(incoming):
        assert program.poll() is None
    time.sleep(0.2)
    program.kill()
    assert program.wait(20) != 0
    program.stdout.close()
    assert list(bucket.digests()) == []
    assert len(list(incoming.iterdir())) == 1
    assert bucket.remove_leftovers() == 1


def test_what_a_purge_takes_between_goes_up_again(
    bucket: BucketBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's recording has the same audio and is purged while this one is kept."""
    send, sent = BucketBlobs._send, []

    def and_purged(self: BucketBlobs, part: Path, digest: str) -> None:
        send(self, part, digest)
        sent.append(digest)
        if len(sent) < 3:
            bucket.remove(digest)

    monkeypatch.setattr(BucketBlobs, "_send", and_purged)
    assert bucket.put(io.BytesIO(DATA)).digest == DIGEST
    assert sent == [DIGEST] * 3
    assert bucket.is_intact(DIGEST)


def test_damage_is_seen_and_mended(bucket: BucketBlobs, server: S3Server) -> None:
    bucket.put(io.BytesIO(DATA))
    server.overwrite(KEY, DATA[:-1] + b"x")
    assert not bucket.is_intact(DIGEST)
    bucket.forget_copy(DIGEST)
    with pytest.raises(StoreDamaged), bucket.local_path(DIGEST):
        pass
    bucket.put(io.BytesIO(DATA))
    assert bucket.is_intact(DIGEST)


def test_a_rotten_copy_is_fetched_anew(bucket: BucketBlobs, tmp_path: Path) -> None:
    bucket.put(io.BytesIO(DATA))
    with bucket.local_path(DIGEST) as path:
        path.write_bytes(b"rotten")
    with bucket.local_path(DIGEST, is_read_again=True) as path:
        assert path.read_bytes() == DATA


def test_copies_have_bounded_room(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINGTING_BLOB_CACHE_BYTES", "2500")
    bucket = open_blobs(settings())
    digests = [bucket.put(io.BytesIO(bytes([at]) * 1_000)).digest for at in range(5)]
    assert len(list(bucket.copies())) == 2
    with bucket.local_path(digests[0]) as first:
        for digest in digests[1:]:
            with bucket.local_path(digest) as path:
                assert path.read_bytes() == bytes([digests.index(digest)]) * 1_000
        assert first.read_bytes() == bytes(1_000)  # in use, and so never taken away
        assert digests[0] in set(bucket.copies())
    with bucket.local_path(digests[3]):
        pass
    assert len(list(bucket.copies())) <= 2
    bucket.remove(digests[3])
    assert digests[3] not in set(bucket.copies())


def test_many_ask_for_copies_at_once(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINGTING_BLOB_CACHE_BYTES", "1500")
    bucket = open_blobs(settings())
    digests = [bucket.put(io.BytesIO(bytes([at]) * 1_000)).digest for at in range(6)]
    wrong = []

    def read(offset: int) -> None:
        for at in range(24):
            number = (at + offset) % 6
            with bucket.local_path(digests[number]) as path:
                if path.read_bytes() != bytes([number]) * 1_000:
                    wrong.append(number)

    threads = [threading.Thread(target=read, args=(offset,)) for offset in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert wrong == []


def test_a_store_that_is_down_can_be_waited_for(bucket: BucketBlobs, server: S3Server) -> None:
    bucket.put(io.BytesIO(DATA))
    bucket.forget_copy(DIGEST)
    server.stop()
    for ask in (bucket.has, bucket.size_bytes, bucket.open, bucket.remove, bucket.is_intact):
        with pytest.raises(StoreUnreachable) as caught:
            ask(DIGEST)
        assert caught.value.retryable
    with pytest.raises(StoreUnreachable), bucket.local_path(DIGEST):
        pass
    with pytest.raises(StoreUnreachable):
        list(bucket.digests())
    server.start()
    assert bucket.put(io.BytesIO(DATA)).is_new


def test_a_store_that_hangs_is_left_soon(bucket: BucketBlobs, server: S3Server) -> None:
    """Somebody may hold the database meanwhile."""
    server.freeze(is_frozen=True)
    began_s = time.monotonic()
    try:
        with pytest.raises(StoreUnreachable):
            bucket.has(DIGEST)
    finally:
        server.freeze(is_frozen=False)
    assert time.monotonic() - began_s < 15


def test_a_missing_bucket_is_no_lost_audio(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINGTING_BLOB_URL", "s3://other")
    bucket = open_blobs(settings())
    for ask in (bucket.has, bucket.open, bucket.is_intact):
        with pytest.raises(StoreUnreachable, match="no such bucket"):
            ask(DIGEST)
    with pytest.raises(StoreUnreachable, match="no such bucket"):
        bucket.put(io.BytesIO(DATA))


@pytest.mark.parametrize("url", ["http://a/b", "s3:///b", "s3://a/b?c", "folder"])
def test_wrong_settings(server: S3Server, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("LINGTING_BLOB_URL", url)
    with pytest.raises(OptionInvalid):
        open_blobs(settings())


def test_without_a_key_nobody_is_asked_for_one(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(OptionInvalid, match="no key"):
        open_blobs(settings())


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_preview_of_real_audio(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, tiny_wav: Path
) -> None:
    """Made once, from the store's own copy of the recording."""
    if kind == "bucket":
        request.getfixturevalue("server")
    with open_store(None if kind == "bucket" else tmp_path / "data") as store:
        id = store.keep(tiny_wav, plain_transcript(1), name="tone.wav").recording.id
        assert store.preview(id) is None
        made = store.preview(id, peaks)
        assert made == peaks(tiny_wav)
        assert len(made) == 2 * 50  # half a second of 10 ms each
        tiny_wav.unlink()
        assert store.preview(id) == made


def test_a_history_with_its_audio_in_a_bucket(server: S3Server) -> None:
    with open_store() as store:
        kept = store.keep(io.BytesIO(DATA), rich_transcript(), name="a.wav", peaks=b"\x80\x7f")
        again = store.keep(io.BytesIO(DATA), plain_transcript(3), name="b.wav")
        assert store.transcript(kept.recording.id) == rich_transcript()
        assert store.check(audio=True).is_healthy
        store.delete(kept.recording.id)
        assert store.purge(kept.recording.id).audio == "shared"
        server.stop()
        with pytest.raises(StoreUnreachable):
            store.keep(io.BytesIO(b"other"), plain_transcript(3), name="c.wav")
        store.delete(again.recording.id)
        assert [one.name for one in store.recordings(is_deleted=True)] == ["b.wav"]
        server.start()
        store.blobs.put(io.BytesIO(DATA))
        assert store.purge(again.recording.id).audio == "removed"
        assert list(store.blobs.digests()) == []
        assert list(store.blobs.copies()) == []
