"""A history of a million segments: how long a page of it and a transcript take, on both databases.

    python bench/history.py [--segments 1000000] [--database sqlite postgres] [--json FILE]

It fills a new SQLite file and a Postgres server of its own on loopback with the same rows, through
the store's own code: recordings of very different lengths over two years, a third with word times,
tags of common and rare use, corrections by people, deleted recordings, and one recording of 5,000
segments with words. Audio is rows only, for nobody plays it here. Then each question is asked again
and again, cold once and warm ``--rounds`` times, the questions taking turns; median and 95th
percentile are wall milliseconds of a call of ``Store``; ``own cpu`` is the median of what this
process computed for it, which is the wall time of a quiet machine less what Postgres did.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from statistics import median, quantiles
from typing import Protocol

from sqlalchemy import insert

from lingting.evaluate.machine import read_machine
from lingting.store import (
    Cursor,
    History,
    HistoryFilters,
    SharedWith,
    Sight,
    Store,
    cursor_of,
    open_store,
)
from lingting.store.changes import new_id
from lingting.store.listed import Order
from lingting.store.rows import excerpt_of, facts_of, segment_values
from lingting.store.schema import (
    Base,
    BlobRow,
    JobRow,
    RecordingRow,
    RecordingShareRow,
    RevisionRow,
    RevisionSegmentRow,
    SegmentRow,
    SpeakerRow,
    TagRow,
    TranscriptRow,
    WordsRow,
)
from lingting.store.words import words_json
from lingting.transcript import Edit, ModelFacts, Segment, Transcript, Word

ROOT = Path(__file__).parents[1]
SEED = 20261121
LONG_SEGMENTS = 5_000
PAGE = 50
PAGES_DEEP = 1_000
LIMIT_MS = 50.0
COMMON, RARE = "课程", "投诉"
RARE_SPEAKER = "说话人 9"
DEPARTMENT = Sight("person 7", frozenset({"department 3"}))
ORDER = (BlobRow, RecordingRow, TagRow, SpeakerRow, RecordingShareRow, JobRow, TranscriptRow,
         RevisionRow, SegmentRow, WordsRow, RevisionSegmentRow)  # fmt: skip
"""So that no row comes before the one it points at."""
_FIRST = datetime(2024, 11, 1, tzinfo=UTC)
_SPAN_S = 2 * 365 * 86_400
_BATCH_SEGMENTS = 20_000
_HAN = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能"
_LATIN = (
    "the", "of", "and", "to", "in", "is", "that", "for", "it", "was", "on", "are", "with", "they",
)  # fmt: skip
Question = Callable[[], object]


class Saying(Protocol):
    """Makes a transcript of so many segments."""

    def __call__(self, chance: random.Random, count: int, *, words: bool) -> Transcript: ...


def segment(chance: random.Random, at: int, *, words: bool) -> Segment:
    """One utterance of 1 to 6 s, three quarters of them Chinese."""
    start_s = at * 6.0
    is_han = chance.random() < 0.75
    count = chance.randint(4, 26) if is_han else chance.randint(3, 16)
    said = [chance.choice(_HAN) if is_han else chance.choice(_LATIN) for _ in range(count)]
    spoken = ("" if is_han else " ").join(said)
    step_s = chance.uniform(1.0, 6.0) / count
    times = tuple(
        Word(one, round(start_s + n * step_s, 3), round(start_s + (n + 0.9) * step_s, 3),
             round(chance.random(), 4))
        for n, one in enumerate(said)
    ) if words else ()  # fmt: skip
    edits = (Edit(0, 2, 0, 2, "itn"),) if chance.random() < 0.2 else ()
    return Segment(
        start_s, round(start_s + count * step_s, 3), spoken + ("。" if is_han else "."), spoken,
        "zh" if is_han else "en", times, "ctc" if words else None, edits,
        round(chance.random(), 4), f"说话人 {chance.randint(1, 3)}",
    )  # fmt: skip


def transcript(chance: random.Random, count: int, *, words: bool) -> Transcript:
    segments = tuple(segment(chance, at, words=words) for at in range(count))
    return Transcript(
        segments, count * 6.0, "zh", count * 4.0, 16_000, 1, model=ModelFacts("whisper-base")
    )


def lengths(chance: random.Random, segments: int) -> Iterator[int]:
    """Log-normal: half have fewer than 12 segments, a few more than 500; the long one first."""
    yield LONG_SEGMENTS
    left = segments - LONG_SEGMENTS
    while left > 0:
        count = min(left, 2_000, 1 + int(chance.lognormvariate(2.4, 1.0)))
        left -= count
        yield count


def fill(store: Store, segments: int, say: Saying | None = None) -> tuple[str, int]:
    """The id of the long recording, and how many recordings there are; ``say`` makes transcripts.

    Rows are written in bulk, as the store's own code writes them one recording at a time.
    """
    chance = random.Random(SEED)  # noqa: S311 - makes rows, hides nothing
    rows = Rows(chance, say or transcript)
    long_id = ""
    for count in lengths(chance, segments):
        id = rows.add(count)
        long_id = long_id or id
        if rows.is_full:
            rows.write(store)
            print(f"\r{rows.recordings} recordings", end="", file=sys.stderr)
    rows.write(store)
    print(file=sys.stderr)
    settle(store)
    return long_id, rows.recordings


def settle(store: Store) -> None:
    """What Postgres does by itself within minutes; SQLite works without it."""
    with store.database.connect_to_write() as connection:
        if not store.database.is_sqlite:
            connection.exec_driver_sql("analyze")


class Rows:
    """Rows of whole recordings, until there are enough of them to be written."""

    def __init__(self, chance: random.Random, say: Saying) -> None:
        self._chance = chance
        self._say = say
        self._waiting: dict[type[Base], list[dict[str, object]]] = {}
        self._segment_id = self._revision_id = self.recordings = 0

    @property
    def is_full(self) -> bool:
        return len(self._waiting.get(SegmentRow, ())) >= _BATCH_SEGMENTS

    def write(self, store: Store) -> None:
        with store.database.write() as session:
            for table in ORDER:
                if rows := self._waiting.pop(table, None):
                    session.execute(insert(table), rows)

    def add(self, count: int) -> str:
        """One recording of ``count`` segments with everything that belongs to it; its id."""
        chance = self._chance
        is_long = self.recordings == 0
        self.recordings += 1
        number = self.recordings
        id, digest = new_id(), sha256(str(number).encode()).hexdigest()
        made = _FIRST + timedelta(seconds=chance.uniform(0, _SPAN_S))
        draw = 0.5 if is_long else chance.random()
        is_deleted = draw < 0.05
        said = self._say(chance, count, words=is_long or chance.random() < 1 / 3)
        self._put(BlobRow, digest=digest, size_bytes=count * 192_000, created_at=made,
                  peaks=chance.randbytes(2_000))  # fmt: skip
        self._put(
            RecordingRow, id=id, digest=digest, name=f"录音 {number}.wav", created_at=made,
            duration_s=said.duration_s, sample_rate_hz=16_000, channels=1,
            deleted_at=made + timedelta(days=30) if is_deleted else None,
            owner=f"person {chance.randint(1, 200)}",
            department=f"department {chance.randint(1, 12)}", language=said.language,
        )  # fmt: skip
        self._beside(id, number, made, said)
        if draw < 0.36 and not is_deleted:
            tag = COMMON if draw < 0.35 else RARE
            self._put(TagRow, recording_id=id, tag=tag, created_at=made)
        is_corrected = not is_long and chance.random() < 0.1
        self._put(TranscriptRow, id=number, recording_id=id, current_number=1 + is_corrected)
        ids = [self._segment(number, one) for one in said.segments]
        self._revision(number, 1, said, ids, made)
        if is_corrected:
            first = replace(said.segments[0], text="改正。")
            better = replace(said, segments=(first, *said.segments[1:]))
            self._revision(number, 2, better, [self._segment(number, first), *ids[1:]], made)
        return id

    def _beside(self, id: str, number: int, made: datetime, said: Transcript) -> None:
        """What is kept of it for lists: speakers, the newest job, shares of one in twenty."""
        for who in {one.speaker for one in said.segments if one.speaker}:
            self._put(SpeakerRow, recording_id=id, speaker=who, created_at=made)
        if number % 500 == 0:
            self._put(SpeakerRow, recording_id=id, speaker=RARE_SPEAKER, created_at=made)
        state = "failed" if number % 100 == 0 else "queued" if number % 1_000 == 1 else "done"
        self._put(
            JobRow, id=new_id(), recording_id=id, batch_id=None, owner="person 1", state=state,
            priority=1, options={}, created_at=made, done_s=0.0, attempts=1, crashes=0, epoch=1,
            is_newest=True, recorded_at=made,
        )  # fmt: skip
        if number % 20 == 0:
            kind = ("user", "department", "everyone")[number // 20 % 3]
            name = {"user": "person 7", "department": "department 3", "everyone": ""}[kind]
            self._put(
                RecordingShareRow, id=new_id(), recording_id=id, to_kind=kind, to_name=name,
                created_at=made, expires_at=None, recorded_at=made,
            )  # fmt: skip

    def _segment(self, transcript_id: int, one: Segment) -> int:
        self._segment_id += 1
        self._put(SegmentRow, id=self._segment_id, **segment_values(one, transcript_id))
        if one.words:
            self._put(WordsRow, segment_id=self._segment_id, words=words_json(one))
        return self._segment_id

    def _revision(
        self, transcript_id: int, number: int, said: Transcript, ids: list[int], made: datetime
    ) -> None:
        self._revision_id += 1
        self._put(
            RevisionRow, id=self._revision_id, transcript_id=transcript_id, number=number,
            origin="machine" if number == 1 else "human", author=None, created_at=made,
            language=said.language, segment_count=len(ids), excerpt=excerpt_of(said),
            facts=facts_of(said),
        )  # fmt: skip
        for position, id in enumerate(ids):
            self._put(RevisionSegmentRow, revision_id=self._revision_id, position=position,
                      segment_id=id)  # fmt: skip

    def _put(self, table: type[Base], **values: object) -> None:
        self._waiting.setdefault(table, []).append(values)


def deep_cursor(store: Store, pages: int, tag: str | None = None) -> Cursor | None:
    """Where the page after ``pages`` pages begins, or the last full one."""
    after: Cursor | None = None
    for _ in range(pages):
        page = store.recordings(limit=PAGE, after=after, tag=tag)
        if len(page) < PAGE:
            break
        after = cursor_of(page[-1])
    return after


def questions(store: Store, long_id: str) -> dict[str, Question]:
    """What is asked, by the name it is printed under."""
    deep = deep_cursor(store, PAGES_DEEP - 1)
    deep_tagged = deep_cursor(store, 50, COMMON)
    history = History(store.database)
    texts = [one.text for one in store.transcript(long_id).segments]
    assert len(texts) == LONG_SEGMENTS

    def whole_with_words() -> int:
        return sum(len(one.words) for one in store.transcript(long_id).segments)

    return {
        "history, first page": lambda: store.recordings(limit=PAGE),
        "history, 1,000th page": lambda: store.recordings(limit=PAGE, after=deep),
        "history, common tag": lambda: store.recordings(limit=PAGE, tag=COMMON),
        "history, common tag, 51st page": lambda: store.recordings(
            limit=PAGE, tag=COMMON, after=deep_tagged
        ),
        "history, rare tag": lambda: store.recordings(limit=PAGE, tag=RARE),
        "history, deleted": lambda: store.recordings(limit=PAGE, is_deleted=True),
        "history, one person's": lambda: store.recordings(limit=PAGE, sight=Sight("person 7")),
        **pages(history, None),
        **{f"{name}, a department's": ask for name, ask in pages(history, DEPARTMENT).items()},
        "history, one person's failed": lambda: history.page(
            HistoryFilters(states=("failed",)), sight=Sight("person 7")
        ),
        "history, shared": lambda: history.page(sight=SharedWith("person 7", "department 3")),
        "values to choose from": history.facets,
        "the same, a department's": lambda: history.facets(sight=DEPARTMENT),
        "recording by id": lambda: store.recording(long_id),
        "recording by prefix": lambda: store.recording(long_id[:8]),
        "transcript, 200 of 5,000 segments": lambda: list(
            store.segments(long_id, start=2_400, limit=200)
        ),
        "transcript, all 5,000": lambda: store.transcript(long_id),
        "the same, every word looked at": whole_with_words,
    }


def pages(history: History, sight: Sight | None) -> dict[str, Question]:
    """Pages of 50 in every order and by every filter."""
    asked: dict[str, HistoryFilters] = {
        "language": HistoryFilters(language="zh"),
        "rare language": HistoryFilters(language="yue"),
        "common speaker": HistoryFilters(speaker="说话人 1"),
        "rare speaker": HistoryFilters(speaker=RARE_SPEAKER),
        "done": HistoryFilters(states=("done",)),
        "failed": HistoryFilters(states=("failed",)),
        "waiting or running": HistoryFilters(states=("queued", "running", "paused")),
        "never a job": HistoryFilters(states=("none",)),
        "owner": HistoryFilters(owner="person 7"),
        "a month": HistoryFilters(since=_FIRST, until=_FIRST + timedelta(days=30)),
        "long ones": HistoryFilters(min_duration_s=3_000.0),
        "failed ones of a rare tag": HistoryFilters(states=("failed",), tag=RARE),
    }

    def ask(filters: HistoryFilters, order: Order = "newest", *, count: bool = False) -> Question:
        return lambda: history.page(filters, order=order, sight=sight, is_counted=count)

    found = {f"history, {name}": ask(filters) for name, filters in asked.items()}
    orders: tuple[Order, ...] = ("oldest", "name", "longest")
    found |= {f"history, {order}": ask(HistoryFilters(), order) for order in orders}
    found["history, and a count"] = ask(HistoryFilters(), count=True)
    found["history, done, and a count"] = ask(HistoryFilters(states=("done",)), count=True)
    return found


@contextmanager
def opened(database: str, folder: Path) -> Iterator[Store]:
    if database == "sqlite":
        with open_store(folder) as store:
            yield store
        return
    sys.path.insert(0, str(ROOT))
    from tests.integration.store_parts import postgres_server

    with postgres_server() as url, open_store(folder, url=url) as store:
        yield store


def measure(asked: dict[str, Question], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor milliseconds of each call, the first left out; questions take turns."""
    taken_ms: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
    for number in range(rounds + 1):
        for name, ask in asked.items():
            began_s, began_cpu_s = time.perf_counter(), time.thread_time()
            answer = ask()
            wall_s, cpu_s = time.perf_counter() - began_s, time.thread_time() - began_cpu_s
            taken_ms[name] += [(wall_s * 1e3, cpu_s * 1e3)] if number else []
            assert answer
    return taken_ms


def bench(database: str, segments: int, rounds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as place, opened(database, Path(place)) as store:
        began_s = time.perf_counter()
        long_id, size = fill(store, segments)
        filled_s = time.perf_counter() - began_s
        print(f"\n{database}: {segments} segments in {size} recordings, filled in {filled_s:.0f} s")
        taken_ms = measure(questions(store, long_id), rounds)
    print(f"{'':44}{'median ms':>10}{'p95':>8}{'most':>8}{'own cpu':>9}")
    rows = {}
    for name, pairs in taken_ms.items():
        each, cpu_ms = [wall for wall, _ in pairs], median(cpu for _, cpu in pairs)
        high = quantiles(each, n=20, method="inclusive")[-1]
        rows[name] = {
            "median_ms": round(median(each), 2),
            "p95_ms": round(high, 2),
            "cpu_ms": round(cpu_ms, 2),
        }
        mark = "" if high < LIMIT_MS else f"  not below {LIMIT_MS:.0f}"
        print(f"{name:44}{median(each):10.1f}{high:8.1f}{max(each):8.1f}{cpu_ms:9.1f}{mark}")
    return {"recordings": size, "segments": segments, "answers": rows}


def arguments(description: str, *, rounds: int, databases: list[str]) -> argparse.ArgumentParser:
    """What the benches of a large history are told, with these defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--segments", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--database", nargs="+", choices=["sqlite", "postgres"], default=databases)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    return parser


def of_each(name: str, given: argparse.Namespace, bench: Callable[[str], object]) -> None:
    """Run the bench ``name`` on each database, and write what came of it."""
    machine = read_machine()
    print(f"{machine.cpu}, Python {machine.python}, {given.rounds} rounds after one cold")
    results = {database: bench(database) for database in given.database}
    if given.json is not None:
        result = {
            "bench": name, "cpu": machine.cpu, "python": machine.python, "seed": SEED,
            "rounds": given.rounds, "databases": results,
        }  # fmt: skip
        given.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    parser = arguments("Reading a large history.", rounds=100, databases=["sqlite", "postgres"])
    given = parser.parse_args()
    of_each("history", given, lambda database: bench(database, given.segments, given.rounds))


if __name__ == "__main__":
    main()
