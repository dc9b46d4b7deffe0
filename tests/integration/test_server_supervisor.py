"""Processes that are kept running: real ones, that die in real ways."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from server_parts import wait_until

from lingting.config import settings
from lingting.errors import ServiceRunning
from lingting.server import place
from lingting.server.supervisor import Command, LogBook, Supervisor

PROGRAM = """
import json, signal, sys
from pathlib import Path
from lingting.server.supervisor import Command, LogBook, Supervisor

folder = Path(sys.argv[1])
commands = [
    Command(one["name"], tuple(one["arguments"]), one.get("stop_s", 10.0), one.get("fatal", False))
    for one in json.loads(sys.argv[2])
]
book = LogBook(folder / "logs", lambda line: print(line, flush=True))
book.open()

def tell(state):
    (folder / "state.part").write_text(json.dumps(state))
    (folder / "state.part").rename(folder / "state.json")

sys.exit(Supervisor(commands, book, on_change=tell).run())
"""
SLEEP = "import time\nprint('up', flush=True)\ntime.sleep(600)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


class Service:
    """A supervisor in a process of its own."""

    def __init__(self, folder: Path, *commands: Mapping[str, Any]) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), json.dumps(commands)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def state(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.folder / "state.json").read_text())[name]
        except (OSError, KeyError):
            return {"pid": None, "restarts": -1}
        return found

    def pid(self, name: str) -> int:
        wait_until(lambda: self.state(name)["pid"])
        return int(self.state(name)["pid"])

    def logged(self) -> list[dict[str, Any]]:
        path = self.folder / "logs" / "service.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def stop(self, signum: int = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        return self.process.wait(30)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


@pytest.fixture
def start(tmp_path: Path) -> Any:
    started: list[Service] = []

    def make(*commands: Mapping[str, Any]) -> Service:
        started.append(Service(tmp_path, *commands))
        return started[-1]

    yield make
    for one in started:
        one.process.kill()
        one.process.wait(10)
        assert one.process.stdout is not None
        one.process.stdout.close()


Start = Callable[..., Service]


def test_what_dies_is_started_again(start: Start) -> None:
    service = start(
        {"name": "a", "arguments": python(SLEEP)}, {"name": "b", "arguments": python(SLEEP)}
    )
    first, other = service.pid("a"), service.pid("b")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: service.state("a")["restarts"] == 1 and service.state("a")["pid"])
    assert service.pid("a") != first
    assert service.pid("b") == other
    assert service.state("a")["last_exit"] == -signal.SIGKILL
    assert service.stop() == 0
    assert not is_alive(other)
    assert any("a ended (SIGKILL)" in line for line in service.lines)


def test_restarts_wait_longer_each_time(start: Start) -> None:
    service = start({"name": "a", "arguments": python("import sys; sys.exit(7)")})
    wait_until(lambda: sum("again in" in line for line in service.lines) >= 3, 20)
    assert service.stop() == 0
    pauses = [line.split("again in ")[1].strip() for line in service.lines if "again in" in line]
    assert pauses[:3] == ["0.5 s", "1 s", "2 s"]


def test_they_are_stopped_in_order_and_in_good_order(start: Start, tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "def stop(*_):\n"
        "    time.sleep(0.3)\n"
        "    with open({log!r}, 'a') as file: file.write({name!r})\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(0.05)\n"
    )
    log = str(tmp_path / "order")
    service = start(
        *({"name": name, "arguments": python(code.format(log=log, name=name))} for name in "abc")
    )
    for name in "abc":
        service.pid(name)
    wait_until(lambda: sum("up" in line for line in service.lines) == 3)
    assert service.stop(signal.SIGINT) == 0
    assert Path(log).read_text() == "abc"


def test_one_that_will_not_stop_is_ended_after_its_time(start: Start) -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP
    service = start({"name": "a", "arguments": python(deaf), "stop_s": 0.5})
    pid = service.pid("a")
    wait_until(lambda: any("up" in line for line in service.lines))
    began_s = time.monotonic()
    assert service.stop() == 0
    assert 0.4 < time.monotonic() - began_s < 10
    assert not is_alive(pid)
    assert any("did not stop in time" in line for line in service.lines)


def test_a_second_signal_does_not_wait(start: Start) -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP
    service = start({"name": "a", "arguments": python(deaf), "stop_s": 600})
    pid = service.pid("a")
    wait_until(lambda: any("up" in line for line in service.lines))
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert service.process.poll() is None
    assert service.stop() == 0
    assert not is_alive(pid)


def test_children_end_with_a_supervisor_that_is_killed(start: Start) -> None:
    service = start({"name": "a", "arguments": python(SLEEP)})
    pid = service.pid("a")
    wait_until(lambda: any("up" in line for line in service.lines))
    service.process.kill()
    service.process.wait(10)
    wait_until(lambda: not is_alive(pid))


def test_what_a_dead_child_started_is_ended_too(start: Start) -> None:
    parent = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
        "print('child', child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    service = start({"name": "a", "arguments": python(parent)})
    wait_until(lambda: any("child" in line for line in service.lines))
    (line,) = [one for one in service.lines if "child" in one]
    grandchild = int(line.split()[-1])
    os.kill(service.pid("a"), signal.SIGKILL)
    wait_until(lambda: not is_alive(grandchild))
    service.stop()


def test_a_request_that_is_refused_at_once_ends_everything(start: Start) -> None:
    refused = "import sys\nprint('Port 7860 is taken.', file=sys.stderr)\nsys.exit(2)"
    service = start(
        {"name": "web", "arguments": python(refused), "fatal": True},
        {"name": "b", "arguments": python(SLEEP)},
    )
    assert service.process.wait(20) == 2
    wait_until(lambda: any("Port 7860 is taken." in line for line in service.lines))


def test_lines_of_all_are_in_one_place(start: Start) -> None:
    told = {"at": "x", "level": "error", "event": "fault", "incident": "ab12", "n": 3}
    code = (
        f"import time\nprint({json.dumps(told)!r}); print('plain \\x1b[31mtext');"
        "print('x' * 200_000); print('{broken', flush=True); time.sleep(600)"
    )
    service = start({"name": "a", "arguments": python(code)})
    wait_until(lambda: any("broken" in line for line in service.lines))
    service.stop()
    logged = [one for one in service.logged() if one["process"] == "a"]
    assert logged[0] == {**told, "process": "a"}
    assert logged[1]["message"] == "plain \x1b[31mtext"
    assert any("{broken" in one.get("message", "") for one in logged)
    assert max(len(json.dumps(one)) for one in logged) < 70_000
    assert "a       fault incident=ab12 n=3\n" in service.lines
    assert all(len(line) < 230 for line in service.lines)
    assert "\x1b" not in "".join(service.lines)


def test_a_terminal_that_stands_still_holds_nobody_up(tmp_path: Path) -> None:
    stuck = threading.Event()
    book = LogBook(tmp_path, lambda _: stuck.wait())
    book.open()
    began_s = time.monotonic()
    for at in range(3_000):
        book.note("a", f"line {at}")
    assert time.monotonic() - began_s < 10
    assert len((tmp_path / "service.jsonl").read_text().splitlines()) == 3_000
    stuck.set()


def test_a_log_that_cannot_be_written_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    book = LogBook(tmp_path / "logs", lambda _: None)
    book.open()
    book.note("a", "line")


def test_a_second_service_says_who_runs(tmp_path: Path) -> None:
    now = settings(data_dir=tmp_path)
    assert not place.is_running(now)
    with place.only_one(now):
        place.write_state(now, {"pid": 4711, "url": "http://127.0.0.1:1"})
        assert place.is_running(now)
        with (
            pytest.raises(ServiceRunning, match=r"process 4711 at http://127\.0\.0\.1:1"),
            place.only_one(now),
        ):
            pass
    assert not place.is_running(now)
    assert place.read_state(now) is None


def test_who_only_looks_keeps_no_service_from_starting(tmp_path: Path) -> None:
    now = settings(data_dir=tmp_path)
    looking = FileLock(place.make_run_folder(now) / "serve.lock", thread_local=False)
    looking.acquire()  # as `lingting status` does for a moment
    threading.Timer(0.2, looking.release).start()
    with place.only_one(now):
        assert place.is_running(now)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    lines: list[str] = []
    book = LogBook(tmp_path, lines.append)
    book.open()
    supervisor = Supervisor([Command("a", ("/nonexistent/program",))], book)
    threading.Timer(1.5, supervisor.stop).start()
    assert supervisor.run() == 0
    wait_until(lambda: any("starting it again" in line for line in lines))
