"""Real recordings through the whole service while everything is done to break it.

    python bench/chaos.py [--seed N] [--files 64] [--minutes 10] [--json FILE]

Three runs over the same files, each in a folder of its own:

1. **undisturbed**: what the transcripts are.
2. **one machine** (SQLite, audio in a folder, on a small disk of its own where the system allows to
   make one): `kill -9` of web, worker, engine and the processes that read recordings at random
   moments, the databases locked, the disk full, the engine without memory.
3. **two workers** (Postgres, audio in an S3 store): the same kills, one worker frozen by SIGSTOP
   for longer than it takes to be given up, the audio store not to be reached and then silent.

Files are sent throughout, each again with the same idempotency key until the service has taken it.
Afterwards the rows are counted: every file must have one job, done, one recording, one revision,
and the very transcript of the undisturbed run. The seed decides what is done when; it is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lingting import Transcript
from lingting.errors import LingtingError
from lingting.evaluate.manifest import Row, read_manifest
from lingting.jobs import Desk
from lingting.store import all_recordings, open_store
from running import RunningService, free_port, running_service

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.integration.store_parts import S3Server, postgres_server
from tests.integration.worker_parts import children

SPEECH = Path(__file__).resolve().parents[2] / "shared" / "speech" / "manifest.jsonl"
_DISK_MIB = 400
_SEND_EVERY_S = 0.5
_FAULT_EVERY_S = (1.0, 4.0)
_FROZEN_S = 45.0
_LATE_S = 20.0
_READER_S = 10.0
_SHOWN_LINES = 200


@dataclass
class Verdict:
    """What the rows of a run say."""

    files: int
    recordings: int = 0
    jobs: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.different)

    def as_dict(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "recordings": self.recordings,
            "jobs": self.jobs,
            "lost": self.lost,
            "doubled": self.doubled,
            "different": self.different,
            "faults": dict(sorted(self.faults.items())),
            "seconds": round(self.seconds, 1),
        }


class Trouble:
    """Faults, one at a time, chosen by the seed; each kind at least once."""

    def __init__(self, chance: random.Random, kinds: Mapping[str, Callable[[], None]]) -> None:
        self._chance = chance
        self._kinds = kinds
        self.done: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._make, daemon=True)

    def __enter__(self) -> Trouble:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def is_complete(self) -> bool:
        """Every kind was done."""
        return len(self.done) == len(self._kinds)

    def _make(self) -> None:
        bag: list[str] = []
        while not self._stop.wait(self._chance.uniform(*_FAULT_EVERY_S)):
            if not bag:  # all kinds in a new order, so that none is left out
                bag = list(self._kinds)
                self._chance.shuffle(bag)
            kind = bag.pop()
            print(f"    {kind}", file=sys.stderr, flush=True)
            try:
                self._kinds[kind]()
                self.done[kind] += 1
            except (OSError, sqlite3.Error) as exc:  # not now; its turn comes again
                print(f"    not possible: {type(exc).__name__}", file=sys.stderr, flush=True)


# What is done ----------------------------------------------------------------------------------


def kill(service: RunningService, name: str) -> None:
    pid = service.pids().get(name)
    if pid is None:
        raise ProcessLookupError
    os.kill(pid, signal.SIGKILL)


def kill_readers(service: RunningService, others: Sequence[int]) -> None:
    """All processes that read recordings at this moment; there are some while there is work.

    ``others`` are the process ids of workers that the service did not start.
    """
    until_s = time.monotonic() + _READER_S
    while time.monotonic() < until_s:
        worker = service.pids().get("worker")
        workers = [*others, worker] if worker is not None else list(others)
        if readers := [reader for one in workers for reader in children(one)]:
            for reader in readers:
                with suppress(ProcessLookupError):
                    os.kill(reader, signal.SIGKILL)
            return
        time.sleep(0.1)
    raise ProcessLookupError


def kills(service: RunningService, others: Sequence[int] = ()) -> dict[str, Callable[[], None]]:
    """``kill -9`` of each kind of process."""
    found: dict[str, Callable[[], None]] = {
        f"kill {name}": partial(kill, service, name) for name in ("web", "worker", "engine")
    }
    return {**found, "kill readers": partial(kill_readers, service, others)}


def lock_database(path: Path, seconds: float) -> None:
    """Nobody else writes to it meanwhile."""
    with closing(sqlite3.connect(path, timeout=10.0, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        time.sleep(seconds)
        connection.execute("rollback")


def fill_disk(folder: Path, seconds: float) -> None:
    """Not a byte is left on the disk of ``folder``; then all is again."""
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(512))
    time.sleep(seconds)
    filler.unlink()


def take_memory(service: RunningService, seconds: float) -> None:
    """The engine gets no more memory than it has."""
    pid = service.pids().get("engine")
    if pid is None:
        raise ProcessLookupError
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    used = pages * resource.getpagesize()
    _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (used + (8 << 20), hard))
    time.sleep(seconds)
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_AS, (hard, hard))


def freeze(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)


class Door:
    """A way to a server on loopback that can be shut: connections break and none is taken."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def shut_for(self, seconds: float) -> None:
        self.shut()
        time.sleep(seconds)
        self.open()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                inside, _ = listener.accept()
            except OSError:  # shut
                return
            try:
                outside = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                inside.close()
                continue
            self._open |= {inside, outside}
            for pair in ((inside, outside), (outside, inside)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            self._open.discard(one)


@contextmanager
def small_disk() -> Iterator[tuple[Path, bool]]:
    """A folder on a disk of its own; False where the system does not let us make one."""
    folder = Path(tempfile.mkdtemp(prefix="lingting-chaos-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MIB}m", "tmpfs", str(folder)]
    is_own = shutil.which("mount") is not None and (
        subprocess.run(mount, capture_output=True, check=False).returncode == 0
    )
    try:
        yield folder, is_own
    finally:
        if is_own:
            subprocess.run(["umount", "-l", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


# One run ---------------------------------------------------------------------------------------


def send(service: RunningService, row: Row, until_s: float) -> None:
    """Until the service has taken it; every attempt with the same key."""
    options = {"language": row.engine_language} if row.engine_language else {}
    while time.monotonic() < until_s:
        try:
            with service.client(timeout_s=20.0) as client:
                client.submit(
                    row.path, name=row.file, options=options, idempotency_key=f"chaos-{row.file}"
                )
            return
        except (LingtingError, OSError):
            time.sleep(0.5)


def send_all(service: RunningService, rows: Sequence[Row], every_s: float, until_s: float) -> None:
    for row in rows:
        send(service, row, until_s)
        time.sleep(every_s)


def wait_done(service: RunningService, count: int, until_s: float) -> None:
    """All jobs have ended, as the API says it."""
    while time.monotonic() < until_s:
        with suppress(LingtingError, OSError), service.client(timeout_s=10.0) as client:
            states = Counter(job.state for job in all_jobs(client))
            if sum(states.values()) >= count and not states["queued"] + states["running"]:
                return
        time.sleep(0.5)


def all_jobs(client: Any) -> Iterator[Any]:
    after: str | None = None
    while page := client.jobs(limit=100, after=after):
        yield from page
        after = page[-1].id


def outcome(
    rows: Sequence[Row], data: Path, url: str | None, expected: Mapping[str, Transcript] | None
) -> tuple[Verdict, dict[str, Transcript]]:
    """Count the rows of the store, with nobody else at it."""
    verdict = Verdict(len(rows))
    names: Counter[str] = Counter()
    texts: dict[str, Transcript] = {}
    with open_store(data, url=url) as store:
        for recording in all_recordings(store):
            names[recording.name] += 1
            revisions = store.revisions(recording.id)
            if len(revisions) == 1:
                texts[recording.name] = store.transcript(recording.id)
            elif len(revisions) > 1:
                verdict.doubled.append(recording.name)
        jobs: list[Any] = []
        while page := Desk(store).jobs(limit=200, after=jobs[-1].id if jobs else None):
            jobs += page
    verdict.recordings, verdict.jobs = sum(names.values()), len(jobs)
    done = Counter(job.name for job in jobs if job.state == "done")
    for row in rows:
        if done[row.file] == 0 or row.file not in texts:
            verdict.lost.append(row.file)
        elif done[row.file] > 1 or names[row.file] > 1:
            verdict.doubled.append(row.file)
        elif expected is not None and texts[row.file] != expected[row.file]:
            verdict.different.append(row.file)
    return verdict, texts


def undisturbed(rows: Sequence[Row], until_s: float) -> dict[str, Transcript]:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with running_service(data, Path(folder) / "log", {"LINGTING_DEVICE": "cpu"}) as service:
            service.wait_ready()
            send_all(service, rows, 0.0, until_s)
            wait_done(service, len(rows), until_s)
        verdict, texts = outcome(rows, data, None, None)
        if not verdict.is_clean:
            raise SystemExit(f"Nothing was done to it, and yet: {verdict.as_dict()}")
        return texts


def one_machine(
    rows: Sequence[Row], chance: random.Random, expected: Mapping[str, Transcript], until_s: float
) -> Verdict:
    with small_disk() as (folder, has_own_disk):
        data = folder / "data"
        with (
            tempfile.TemporaryDirectory() as logs,
            running_service(data, Path(logs) / "log", {"LINGTING_DEVICE": "cpu"}) as service,
        ):
            service.wait_ready()
            kinds = kills(service)
            kinds["lock database"] = lambda: lock_database(data / "lingting.db", 7.0)
            kinds["lock workflows"] = lambda: lock_database(data / "dbos.sqlite", 7.0)
            kinds["no memory"] = lambda: take_memory(service, 4.0)
            if has_own_disk:
                kinds["full disk"] = lambda: fill_disk(folder, 5.0)
            else:
                print("    no disk of our own here (needs root): it is not filled", flush=True)
            faults = suffer(service, rows, Trouble(chance, kinds), until_s)
        verdict, _ = outcome(rows, data, None, expected)
        verdict.faults = faults
        show_log(verdict, data)
        return verdict


def two_workers(
    rows: Sequence[Row], chance: random.Random, expected: Mapping[str, Transcript], until_s: float
) -> Verdict:
    with ExitStack() as stack:
        url = stack.enter_context(postgres_server())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bucket = S3Server()
        bucket.start()
        stack.callback(bucket.stop)
        door = Door(bucket.port)
        door.open()
        stack.callback(door.shut)
        environment = {
            **bucket.variables,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{door.port}",
            "LINGTING_DATABASE_URL": url,
            "LINGTING_DEVICE": "cpu",
        }
        data = folder / "data"
        with running_service(data, folder / "log", environment) as service:
            service.wait_ready()
            second = stack.enter_context(second_worker(service, folder / "log2"))
            kinds = kills(service, [second.pid])
            kinds["freeze a worker"] = lambda: freeze(second.pid, _FROZEN_S)
            kinds["shut the audio store"] = lambda: door.shut_for(8.0)
            kinds["silence the audio store"] = lambda: freeze(bucket.pid, 8.0)
            faults = suffer(service, rows, Trouble(chance, kinds), until_s)
        os.environ.update(bucket.variables)
        verdict, _ = outcome(rows, data, url, expected)
        verdict.faults = faults
        show_log(verdict, data)
        return verdict


def show_log(verdict: Verdict, data: Path) -> None:
    """The end of what the processes said, when something is wrong."""
    if not verdict.is_clean:
        lines = (data / "logs" / "service.jsonl").read_text(errors="replace").splitlines()
        print("\n".join(lines[-_SHOWN_LINES:]), file=sys.stderr)


@contextmanager
def second_worker(service: RunningService, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "lingting", "worker"],
            env=service.environment,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(90.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def suffer(
    service: RunningService, rows: Sequence[Row], trouble: Trouble, until_s: float
) -> Counter[str]:
    """Send everything amid the trouble, let it end, and wait for the work."""
    with trouble:
        send_all(service, rows, _SEND_EVERY_S, until_s)
        while not trouble.is_complete and time.monotonic() < until_s - 60.0:
            time.sleep(0.5)
    wait_done(service, len(rows), until_s)
    time.sleep(min(_LATE_S, max(0.0, until_s - time.monotonic())))  # for those who come back late
    return trouble.done


def chosen(manifest: Path, count: int, chance: random.Random) -> list[Row]:
    """Different recordings of 3 to 25 s, and the longest that is under two minutes."""
    rows = [row for row in read_manifest(manifest).rows if row.duration_s]
    short = [row for row in rows if 3.0 <= (row.duration_s or 0.0) <= 25.0]
    long = max(
        (row for row in rows if (row.duration_s or 0.0) < 120.0), key=lambda r: r.duration_s or 0.0
    )
    return [long, *chance.sample(short, min(count - 1, len(short)))]


def main() -> int:
    parser = argparse.ArgumentParser(description="Faults of every kind, then the count.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--manifest", type=Path, default=SPEECH)
    parser.add_argument("--files", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", choices=["one machine", "two workers"])
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    chance = random.Random(given.seed)  # noqa: S311 - which fault comes when
    rows = chosen(given.manifest, given.files, chance)
    began_s = time.monotonic()
    until_s = began_s + 60.0 * given.minutes
    print(f"seed {given.seed}, {len(rows)} files", flush=True)
    expected = undisturbed(rows, until_s)
    print(
        f"undisturbed: {len(expected)} transcripts in {time.monotonic() - began_s:.0f} s",
        flush=True,
    )
    verdicts: dict[str, Verdict] = {}
    runs = (("one machine", one_machine, 0.5), ("two workers", two_workers, 1.0))
    for name, run, share in runs:
        if given.only not in (None, name):
            continue
        start_s = time.monotonic()
        verdict = run(rows, chance, expected, start_s + share * (until_s - start_s))
        verdict.seconds = time.monotonic() - start_s
        verdicts[name] = verdict
        told = ", ".join(f"{kind} x{count}" for kind, count in sorted(verdict.faults.items()))
        print(
            f"{name}: {verdict.files} files, {verdict.jobs} jobs, {verdict.recordings} recordings; "
            f"lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, "
            f"different {len(verdict.different)}; {told}; {verdict.seconds:.0f} s",
            flush=True,
        )
    if given.json is not None:
        told = {name: verdict.as_dict() for name, verdict in verdicts.items()}
        given.json.write_text(
            json.dumps({"bench": "chaos", "seed": given.seed, **told}, indent=2) + "\n"
        )
    return 0 if all(verdict.is_clean for verdict in verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
