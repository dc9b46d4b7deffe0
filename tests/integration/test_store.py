"""The store on its two databases: SQLite in a file, and a Postgres server of our own."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from lingting.errors import (
    OptionInvalid,
    RecordingNotFound,
    RevisionConflict,
    RevisionNotFound,
    StoreDamaged,
)
from lingting.store import Blob, Search, Store, all_recordings, changes, cursor_of, open_store
from lingting.store.blobs import FolderBlobs
from lingting.store.schema import BlobRow, RevisionSegmentRow, SegmentRow, WordsRow
from lingting.transcript import Segment
from tests.integration.store_parts import plain_transcript, rich_transcript

AUDIO = b"RIFF some bytes that stand for audio"
Opener = Callable[[], Store]


@pytest.fixture
def opener(url: str | None, tmp_path: Path) -> Opener:
    """Opens the same store as the fixture ``store`` again and again."""
    return lambda: open_store(tmp_path / "data", url=url)


def keep(store: Store, name: str = "a.wav", audio: bytes = AUDIO, count: int = 3) -> str:
    return store.keep(io.BytesIO(audio), plain_transcript(count), name=name).recording.id


def count(store: Store, row: type) -> int:
    with store.database.read() as session:
        return session.scalar(select(func.count()).select_from(row)) or 0


def test_what_is_kept_is_read_back_equal(store: Store, opener: Opener) -> None:
    given = rich_transcript()
    kept = store.keep(io.BytesIO(AUDIO), given, name="讲座\n第一讲.mp3", peaks=b"\x01\x02")
    assert kept.is_new
    assert kept.is_new_revision
    with opener() as again:
        found = again.recording(kept.recording.id)
        assert again.transcript(found.id) == given
        assert tuple(again.segments(found.id)) == given.segments
        assert again.peaks(found.digest) == b"\x01\x02"
        assert again.blobs.read_range(found.digest, 0, 1 << 20) == AUDIO
    assert found == kept.recording
    assert found.name == "讲座\n第一讲.mp3"
    assert found.created_at.utcoffset() is not None
    assert (found.duration_s, found.channels, found.language) == (6.25, 2, "zh")
    assert found.excerpt.startswith("1000元，退款。")


def test_what_no_database_holds_is_replaced(store: Store) -> None:
    odd = replace(plain_transcript(1), segments=(Segment(0, 1, "a\0b", "\ud800c"),))
    kept = store.keep(io.BytesIO(AUDIO), odd, name="\udcff.wav").recording
    segment = store.transcript(kept.id).segments[0]
    assert (segment.text, segment.spoken) == ("a\ufffdb", "\ufffdc")
    assert kept.name == "\\xff.wav"
    again = store.keep(io.BytesIO(AUDIO), odd, name="\udcff.wav")
    assert not again.is_new
    assert not again.is_new_revision


def test_the_same_again_changes_nothing(store: Store) -> None:
    first = store.keep(io.BytesIO(AUDIO), rich_transcript(), name="a.wav")
    again = store.keep(io.BytesIO(AUDIO), rich_transcript(), name="a.wav")
    assert (again.is_new, again.is_new_revision) == (False, False)
    assert again.recording == first.recording
    other_name = store.keep(io.BytesIO(AUDIO), rich_transcript(), name="b.wav")
    assert other_name.is_new
    assert other_name.recording.digest == first.recording.digest
    assert count(store, BlobRow) == 1
    newer = store.keep(io.BytesIO(AUDIO), plain_transcript(2), name="a.wav")
    assert (newer.is_new, newer.is_new_revision) == (False, True)
    assert newer.recording.revision == 2
    assert store.transcript(first.recording.id, 1) == rich_transcript()


def test_two_threads_keep_the_same_once(store: Store) -> None:
    ready = threading.Barrier(4)
    ids = []

    def work() -> None:
        ready.wait()
        ids.append(keep(store))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(ids) == 4
    assert len(set(ids)) == 1
    assert len(store.revisions(ids[0])) == 1


def test_revisions_share_what_did_not_change(store: Store) -> None:
    id = store.keep(io.BytesIO(AUDIO), rich_transcript(), name="a.wav").recording.id
    before = count(store, SegmentRow)
    first, *others = rich_transcript().segments
    corrected = replace(rich_transcript(), segments=(replace(first, text="改好了"), *others))
    assert store.revise(id, corrected, based_on=1, author="王老师") == 2
    assert count(store, SegmentRow) == before + 1
    assert store.transcript(id) == corrected
    assert store.transcript(id, 1) == rich_transcript()
    assert store.restore_revision(id, 1, author="李") == 3
    assert store.transcript(id) == rich_transcript()
    assert count(store, SegmentRow) == before + 1
    told = [(one.number, one.origin, one.author, one.restored_from) for one in store.revisions(id)]
    assert told == [(1, "machine", None, None), (2, "human", "王老师", None), (3, "human", "李", 1)]
    assert [one.is_current for one in store.revisions(id)] == [False, False, True]
    assert store.recording(id).excerpt.startswith("1000元")


def test_equal_segments_of_one_transcript_all_stay(store: Store) -> None:
    same = Segment(0.0, 1.0, "是的", "是的")
    twice = replace(plain_transcript(0), segments=(same, same, same))
    id = store.keep(io.BytesIO(AUDIO), twice, name="a.wav").recording.id
    store.revise(id, replace(twice, segments=(same, same, same, same)), based_on=1)
    assert len(store.transcript(id).segments) == 4
    assert Search(store.database).find("是的").count == 4


def test_a_stale_correction_is_refused(store: Store) -> None:
    id = keep(store)
    store.revise(id, plain_transcript(2), based_on=1)
    with pytest.raises(RevisionConflict, match="revision 2 is current"):
        store.revise(id, plain_transcript(4), based_on=1)
    assert len(store.revisions(id)) == 2
    with pytest.raises(RevisionNotFound, match="1 to 2"):
        store.transcript(id, 7)


def test_recognising_again_does_not_hide_a_persons_work(store: Store) -> None:
    id = keep(store)
    store.revise(id, plain_transcript(2), based_on=1, author="王")
    again = store.keep(io.BytesIO(AUDIO), plain_transcript(5), name="a.wav")
    assert again.is_new_revision
    assert again.recording.revision == 2
    assert store.transcript(id, 3) == plain_transcript(5)


def test_pages_show_each_recording_once(store: Store) -> None:
    ids = [keep(store, f"{at}.wav") for at in range(7)]
    page = store.recordings(limit=3)
    keep(store, "later.wav")
    rest = store.recordings(limit=10, after=cursor_of(page[-1]))
    assert [one.id for one in (*page, *rest)] == ids[::-1]
    assert len(list(all_recordings(store, page_size=2))) == 8


def test_ids_can_be_shortened(store: Store) -> None:
    id = keep(store)
    assert store.recording(id[:6]).id == id
    assert store.recording(f" {id.upper()}").id == id
    for wrong in (id[:3], "zzzzzzzz", "%%%%", f"{id}x", ""):
        with pytest.raises(RecordingNotFound):
            store.recording(wrong)


def test_tags(store: Store) -> None:
    id = keep(store)
    assert store.tag(id, add=["课程 ", "b", "b"]).tags == ("b", "课程")
    assert store.tag(id, add=["c"], remove=["b", "never"]).tags == ("c", "课程")
    assert [one.id for one in store.recordings(tag="课程")] == [id]
    assert store.recordings(tag="b") == []
    assert store.tags() == [("c", 1), ("课程", 1)]
    for wrong in ("", " ", "x" * 101):
        with pytest.raises(OptionInvalid):
            store.tag(id, add=[wrong])


def test_tags_are_not_without_end(store: Store) -> None:
    id = keep(store)
    store.tag(id, add=[str(at) for at in range(changes.MAX_TAGS)])
    with pytest.raises(OptionInvalid, match="at most 100"):
        store.tag(id, add=["more"])
    store.tag(id, add=["0"])  # is there
    store.tag(id, add=["more"], remove=["0"])
    assert len(store.recording(id).tags) == changes.MAX_TAGS


def test_deleting_can_be_undone(store: Store) -> None:
    first, second = keep(store, "a.wav"), keep(store, "b.wav")
    store.delete(first)
    store.delete(second)
    assert store.recordings() == []
    assert {one.id for one in store.recordings(is_deleted=True)} == {first, second}
    assert store.undo().id == second
    assert store.undo(first).deleted_at is None
    assert store.transcript(first) == plain_transcript(3)
    with pytest.raises(RecordingNotFound, match="No recording is deleted"):
        store.undo()


def test_purge_removes_everything_and_leaves_a_receipt(store: Store) -> None:
    id = store.keep(io.BytesIO(AUDIO), rich_transcript(), name="a.wav").recording.id
    store.revise(id, plain_transcript(2), based_on=1)
    store.tag(id, add=["x"])
    with pytest.raises(OptionInvalid, match="deleted"):
        store.purge(id)
    digest = store.delete(id).digest
    receipt = store.purge(id, author="Wang")
    assert (receipt.recording_id, receipt.digest, receipt.author) == (id, digest, "Wang")
    assert (receipt.revisions, receipt.segments, receipt.audio) == (2, 5, "removed")
    assert store.receipts() == [receipt]
    assert not store.blobs.has(digest)
    assert [count(store, row) for row in (BlobRow, SegmentRow, WordsRow, RevisionSegmentRow)] == [
        0, 0, 0, 0,
    ]  # fmt: skip
    with pytest.raises(RecordingNotFound):
        store.undo(id)


def test_purge_leaves_audio_that_others_have(store: Store) -> None:
    first, second = keep(store, "a.wav"), keep(store, "b.wav")
    store.delete(first)
    assert store.purge(first).audio == "shared"
    assert store.blobs.read_range(store.recording(second).digest, 0, 1 << 20) == AUDIO
    assert store.transcript(second) == plain_transcript(3)


def test_audio_that_a_purge_took_meanwhile_is_put_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.keep(io.BytesIO(b"the same audio"), plain_transcript(1), name="a.wav")
    put, puts = store.put, []

    def put_and_lose(audio: io.BytesIO) -> Blob:
        blob = put(audio)
        puts.append(blob)
        if len(puts) == 1:
            store.delete(first.recording.id)
            store.purge(first.recording.id)
        return blob

    monkeypatch.setattr(store, "put", put_and_lose)
    second = store.keep(io.BytesIO(b"the same audio"), plain_transcript(1), name="b.wav")
    assert len(puts) == 2
    assert store.blobs.has(second.recording.digest)


def test_check_finishes_an_interrupted_purge(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id = keep(store)
    digest = store.delete(id).digest
    with monkeypatch.context() as patch:
        patch.setattr(FolderBlobs, "remove", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.purge(id)
    assert store.receipts()[0].audio == "pending"
    found = store.check()
    assert (found.finished_purges, found.is_healthy, found.orphan_blobs) == (1, True, ())
    assert store.receipts()[0].audio == "removed"
    assert not store.blobs.has(digest)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_orphan_is_found_and_taken_up(store: Store) -> None:
    blob = store.blobs.put(io.BytesIO(AUDIO))
    assert store.check().orphan_blobs == (blob.digest,)
    kept = store.keep(blob, plain_transcript(1), name="a.wav")
    assert kept.recording.digest == blob.digest
    found = store.check(audio=True)
    assert found.is_healthy
    assert (found.orphan_blobs, found.recordings, found.blobs) == ((), 1, 1)


def test_check_tells_what_was_lost(store: Store) -> None:
    kept = store.recording(keep(store))
    other = store.recording(keep(store, "b.wav", b"other audio"))
    assert isinstance(store.blobs, FolderBlobs)
    store.blobs.path(kept.digest).write_bytes(b"rot")
    store.blobs.path(other.digest).unlink()
    found = store.check(audio=True)
    assert not found.is_healthy
    assert (found.damaged_blobs, found.missing_blobs) == ((kept.digest,), (other.digest,))
    keep(store)  # the same audio given again mends it
    keep(store, "b.wav", b"other audio")
    assert store.check(audio=True).is_healthy
    with store.database.write() as session:
        session.execute(text("delete from revision_segments where position = 1"))
    assert store.check().row_faults == ("2 revisions do not have all their segments.",)


def test_keeping_a_blob_that_is_gone_is_refused(store: Store) -> None:
    with pytest.raises(StoreDamaged):
        store.keep(Blob("0" * 64, 3), plain_transcript(1), name="a.wav")
    assert store.recordings() == []


def test_a_failed_write_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("lingting.store.changes.excerpt_of", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            keep(store)
    assert store.recordings() == []
    assert count(store, BlobRow) == count(store, SegmentRow) == 0
    assert len(store.check().orphan_blobs) == 1


def test_settings(store: Store) -> None:
    assert store.setting("keep_days") is None
    store.set_setting("keep_days", {"默认": 30})
    store.set_setting("keep_days", {"默认": 60})
    assert store.setting("keep_days") == {"默认": 60}


def test_a_hundred_thousand_segments(store: Store) -> None:
    id = keep(store, count=100_000)
    positions = [int(one.start_s) for one in store.segments(id)]
    assert positions == list(range(100_000))
    assert [one.start_s for one in store.segments(id, start=99_998)] == [99_998.0, 99_999.0]
    assert list(store.segments(id, start=100_000)) == []
