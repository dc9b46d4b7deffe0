"""``lingting engine`` as a process: it starts, serves, refuses a second one, stops, comes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lingting.engines.base import Clip, RecognizeOptions
from lingting.engines.remote import load
from lingting.engines.remote.host import HostEngine

pytestmark = pytest.mark.model


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lingting", "engine", *arguments]


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "LINGTING_DATA_DIR": str(folder / "data"), **more}


@contextmanager
def running(folder: Path, *arguments: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """The process, once it listens."""
    process = subprocess.Popen(
        command("--model", "whisper-base", *arguments),
        env=environment(folder, **more),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        assert json.loads(process.stderr.readline())["event"] == "host.listening"
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)
        process.stderr.close()


def engine_at(address: str, **given: str) -> HostEngine:
    engine = load(address, **given)
    assert isinstance(engine, HostEngine)
    return engine


def hears(address: str, **given: str) -> str:
    engine = engine_at(address, **given)
    tone = np.sin(np.arange(16_000) / 9).astype(np.float32) * 0.3
    (found,) = engine.recognize([Clip(tone, RecognizeOptions(language="en"))])
    assert found.error is None
    engine.close()
    return engine.facts.model.id


def test_it_serves_until_it_is_asked_to_stop(whisper_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "data" / "run" / "engine.sock"
    with running(tmp_path) as process:
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert hears(f"unix:{path}") == "whisper-base"
        second = subprocess.run(
            command("--model", "whisper-base"),
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 2
        assert (
            f"Another engine host (process {process.pid}) listens on this socket." in second.stderr
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr is not None
        events = [json.loads(line) for line in process.stderr.read().splitlines()]
    names = [event["event"] for event in events]
    assert names[:2] == ["model.loading", "model.ready"]
    assert names[-1] == "host.stopped"
    assert not path.exists()


def test_a_killed_one_is_followed_by_another(whisper_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "data" / "run" / "engine.sock"
    with running(tmp_path, "--lazy") as process:
        process.kill()
        process.wait(30)
    assert path.exists()
    with running(tmp_path, "--lazy") as process:
        engine = engine_at(f"unix:{path}")  # the first to ask for it has it loaded
        assert engine.facts.device == "cpu"
        engine.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_over_tcp_with_a_key(whisper_folder: Path, tmp_path: Path) -> None:
    with running(tmp_path, "--listen", "127.0.0.1:0", LINGTING_REMOTE_KEY="sesame") as process:
        port = _port_of(process.pid)
        assert hears(f"http://127.0.0.1:{port}", key="sesame") == "whisper-base"


def _port_of(pid: int) -> int:
    """The one TCP port that the process listens on, from /proc."""
    own = {os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()}
    end_s = time.monotonic() + 10
    while time.monotonic() < end_s:
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == "0A" and f"socket:[{cells[9]}]" in own:
                return int(cells[1].rpartition(":")[2], 16)
        time.sleep(0.05)
    raise AssertionError("it listens on no port")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--listen", "0.0.0.0:7999"), "needs a key"),
        (("--listen", "nowhere"), "unix:/path/to.sock or host:port"),
        (("--model", "no-such-model"), "no-such-model"),
        (("--unload-after", "-1"), "unload-after"),
    ],
)
def test_what_it_cannot_do_is_a_sentence(
    arguments: tuple[str, ...], says: str, whisper_folder: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        command("--model", "whisper-base", *arguments),
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
