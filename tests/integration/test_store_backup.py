"""A backup of a running service, restored into an empty home: one moment of everything.

What a consistent point is: each writer does a fixed row of operations, every one of them one
transaction, and says so after each. The state after the first n of them can be computed without
the store. A backup is right when for every writer there is one n, not below what it had said when
the backup began and not above what it had begun when it was ended, whose computed state is
what was restored, to the last word, tag and byte of audio.
"""

from __future__ import annotations

import io
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lingting.errors import StoreNotEmpty
from lingting.store import Store, all_recordings, open_store, restore
from lingting.store.backup import back_up
from lingting.transcript import Transcript
from tests.integration.store_parts import plain_transcript, rich_transcript, s3_server

ROOT = Path(__file__).parents[2]
OPERATIONS = 4_000
BACKUPS = 3
BEFORE = 60
"""Operations of each writer before the first backup."""

WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from lingting.store import open_store
from tests.integration.test_store_backup import write
with open_store() as store:
    write(store, sys.argv[1])
"""


@dataclass
class State:
    """One recording, as people see it."""

    audio: bytes
    revisions: list[Transcript] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    is_deleted: bool = False
    is_held: bool = False


@dataclass(frozen=True)
class Operation:
    kind: str
    name: str
    number: int


def said(number: int) -> Transcript:
    if number % 5 == 0:
        return replace(rich_transcript(), speech_s=float(number))
    return plain_transcript(1 + number % 40, f"{number} 第{{}}句")


def operations(writer: str) -> Iterator[Operation]:
    """What this writer does, always the same; only what is possible at that point."""
    chance = random.Random(writer)  # noqa: S311 - the same for writer and judge
    states: dict[str, State] = {}
    for number in range(OPERATIONS):
        kinds = ["keep", "keep", "revise", "revise", "tag", "delete", "undo", "purge", "hold"]
        kind = chance.choice(kinds)
        able = sorted(name for name, state in states.items() if is_possible(kind, state))
        if kind == "keep" or not able:
            operation = Operation("keep", f"{writer} {number}", number)
        else:
            operation = Operation(kind, chance.choice(able), number)
        apply(states, operation)
        yield operation


def is_possible(kind: str, state: State) -> bool:
    return {
        "revise": not state.is_deleted and len(state.revisions) < 6,
        "tag": True,
        "delete": not state.is_deleted and not state.is_held,
        "undo": state.is_deleted,
        "purge": state.is_deleted and not state.is_held,
        "hold": True,
    }.get(kind, False)


def audio_of(name: str) -> bytes:
    """Some have the same audio, whose bytes are kept once."""
    return f"audio {int(name.split()[-1]) % 50}".encode() * 2_000


def apply(states: dict[str, State], operation: Operation) -> None:
    """The operation without a store."""
    kind, name, number = operation.kind, operation.name, operation.number
    if kind == "keep":
        states[name] = State(audio_of(name), [said(number)])
    elif kind == "revise":
        states[name].revisions.append(said(number))
    elif kind == "tag":
        states[name].tags.add(f"t{number % 9}")
    elif kind in {"delete", "undo"}:
        states[name].is_deleted = kind == "delete"
    elif kind == "hold":
        states[name].is_held = not states[name].is_held
    else:
        del states[name]


def write(store: Store, writer: str) -> None:
    """All operations with the store, saying the number of each when it is done."""
    ids: dict[str, str] = {}
    held: set[str] = set()
    for operation in operations(writer):
        name, number = operation.name, operation.number
        if operation.kind == "keep":
            audio = io.BytesIO(audio_of(name))
            ids[name] = store.keep(audio, said(number), name=name, owner=writer).recording.id
        elif operation.kind == "revise":
            based_on = store.recording(ids[name]).revision
            store.revise(ids[name], said(number), based_on=based_on)
        elif operation.kind == "tag":
            store.tag(ids[name], add=[f"t{number % 9}"])
        elif operation.kind == "hold":
            (store.release if name in held else store.hold)(ids[name])
            held ^= {name}
        else:
            getattr(store, operation.kind)(ids[name])
        print(number, flush=True)  # noqa: T201 - to the judge


def contents(store: Store, owner: str | None = None) -> dict[str, State]:
    found = {}
    for is_deleted in (False, True):
        for one in all_recordings(store, is_deleted=is_deleted):
            if owner in (None, one.owner):
                found[one.name] = State(
                    store.blobs.read_range(one.digest, 0, 1 << 20),
                    [store.transcript(one.id, rev.number) for rev in store.revisions(one.id)],
                    set(one.tags),
                    one.deleted_at is not None,
                    one.held_at is not None,
                )
    return found


def point_of(writer: str, restored: dict[str, State], low: int, high: int) -> int | None:
    """How many operations the state has seen; None when it is no state that ever was."""
    states: dict[str, State] = {}
    for operation in operations(writer):
        done = operation.number  # so many came before it
        if done > high:
            return None
        if done >= low and states == restored:
            return done
        apply(states, operation)
    return None


class Program:
    """A writer in a process of its own."""

    def __init__(self, writer: str) -> None:
        self.writer = writer
        self.done = -1
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITER, writer, str(ROOT)], stdout=subprocess.PIPE, text=True
        )

    def read_until(self, number: int) -> None:
        assert self._process.stdout is not None
        while self.done < number:
            line = self._process.stdout.readline()
            assert line, "the writer ended"
            self.done = int(line)

    def stop(self) -> None:
        self._process.kill()
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.done = int(line) if line.endswith("\n") else self.done
        self._process.stdout.close()
        self._process.wait(30)


@pytest.fixture
def other(
    kinds: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str | None]:
    """A home in the environment, as ``lingting serve`` would have it; another, empty database.

    None where the database is a file of each home.
    """
    monkeypatch.setenv("LINGTING_DATA_DIR", str(tmp_path / "data"))
    with ExitStack() as stack:
        if "bucket" in kinds:
            for name, value in stack.enter_context(s3_server()).variables.items():
                monkeypatch.setenv(name, value)
        if "postgres" not in kinds:
            yield None
            return
        new_postgres = request.getfixturevalue("new_postgres")
        monkeypatch.setenv("LINGTING_DATABASE_URL", new_postgres())
        yield new_postgres()


@pytest.mark.parametrize("kinds", ["sqlite folder", "sqlite bucket", "postgres bucket"])
def test_backup_of_a_busy_service(
    kinds: str, other: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store() as store:
        programs = [Program("a"), Program("b")]
        marks = []
        try:
            for number in range(BACKUPS):
                for one in programs:
                    one.read_until(BEFORE * (number + 1))
                low = {one.writer: one.done + 1 for one in programs}
                report = back_up(store, tmp_path / f"{number}.tar")
                assert report.lost_blobs == ()
                marks.append(low)
        finally:
            for one in programs:
                one.stop()
    # One more was perhaps done and not said: a purge still removes audio when its rows are gone.
    high = {one.writer: one.done + 2 for one in programs}
    points = []
    for number, low in enumerate(marks):
        monkeypatch.setenv("LINGTING_DATA_DIR", str(tmp_path / f"home-{number}"))
        if "bucket" in kinds:
            monkeypatch.setenv("LINGTING_BLOB_URL", f"s3://audio/home-{number}")
        if other is not None and number == 0:
            monkeypatch.setenv("LINGTING_DATABASE_URL", other)
        elif other is not None:  # from one kind of database to the other
            monkeypatch.delenv("LINGTING_DATABASE_URL", raising=False)
        restore(tmp_path / f"{number}.tar")
        with open_store() as store:
            found = store.check(audio=True)
            assert (found.is_healthy, found.orphan_blobs) == (True, ())
            points.append(
                {
                    writer: point_of(writer, contents(store, writer), low[writer], high[writer])
                    for writer in low
                }
            )
            # It goes on from there: new rows do not collide with those that were restored.
            keep = store.keep(io.BytesIO(b"new"), rich_transcript(), name="new")
            assert store.transcript(keep.recording.id) == rich_transcript()
    print(kinds, marks, points, high)  # noqa: T201 - shown when it fails
    assert all(point is not None for found in points for point in found.values())


@pytest.mark.parametrize("kinds", ["sqlite folder", "postgres folder"])
@pytest.mark.usefixtures("other")
def test_restore_puts_nothing_over_a_history(
    kinds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store() as store:
        store.keep(io.BytesIO(b"a"), rich_transcript(), name="a")
        store.set_setting("colour", {"a": None})
        store.set_setting("nothing", None)
        before = contents(store)
        back_up(store, tmp_path / "backup.tar")
    with pytest.raises(StoreNotEmpty):
        restore(tmp_path / "backup.tar")
    if "postgres" in kinds:
        with pytest.raises(StoreNotEmpty):
            restore(tmp_path / "backup.tar", replace=True)
    with open_store() as store:
        assert contents(store) == before
    monkeypatch.delenv("LINGTING_DATABASE_URL", raising=False)
    monkeypatch.setenv("LINGTING_DATA_DIR", str(tmp_path / "home"))
    restore(tmp_path / "backup.tar")
    with open_store() as store:
        assert contents(store) == before
        assert (store.setting("colour"), store.setting("nothing")) == ({"a": None}, None)
