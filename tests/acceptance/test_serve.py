"""The whole service with a real model: started, used, killed in parts, stopped."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lingting.client import Client

WITHIN_S = 120.0


def until(is_so: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        found = is_so()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


class Service:
    """``lingting serve`` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ, "LINGTING_DATA_DIR": str(folder), "LINGTING_SERVER": self.url,
        }  # fmt: skip
        self.folder = folder
        self.log = folder.with_suffix(".log")
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lingting", "serve", "--port", str(self.port)],
                env=self.environment, stdout=log, stderr=log,
            )  # fmt: skip
        until(self.is_healthy)

    def is_healthy(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(self.url + "/healthz", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def is_ready(self) -> bool:
        return self.is_healthy() and httpx.get(self.url + "/readyz", timeout=10).is_success

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lingting", *words], env=self.environment, text=True,
            capture_output=True, timeout=WITHIN_S,
        )  # fmt: skip

    def processes(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json").stdout)["processes"]
        return found


@pytest.fixture
def service(tmp_path: Path, whisper_folder: Path, vad_folder: Path) -> Iterator[Service]:
    found = Service(tmp_path / "data")
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait(20)


@pytest.mark.model
def test_a_recording_survives_the_death_of_every_process(
    service: Service, samples_folder: Path, tmp_path: Path
) -> None:
    recording = tmp_path / "vorzimmer-zzyx.wav"
    shutil.copyfile(samples_folder / "asr_example.wav", recording)
    options = ("--language", "zh", "--hotword", "brumbleweft", "--prompt", "ostrakinda")
    submitted = service.run("submit", str(recording), *options, "--batch", "x")
    assert submitted.returncode == 0, submitted.stderr
    job_id = submitted.stdout.split("\t")[0]
    second = service.run("serve")
    assert second.returncode == 2
    assert str(service.process.pid) in second.stderr
    for name in ("web", "worker", "engine"):
        pid = until(lambda name=name: service.processes().get(name, {}).get("pid"))
        os.kill(pid, signal.SIGKILL)
    until(lambda: all(one["restarts"] == 1 for one in service.processes().values()))
    until(service.is_ready)
    watched = service.run("watch", job_id)
    assert watched.returncode == 0, watched.stderr
    assert service.run("status").returncode == 0
    with Client(service.url, (service.folder / "run" / "key").read_text().strip()) as client:
        job = client.job(job_id)
        transcript = client.transcript(job.recording_id)
        assert len(client.recordings().items) == 1
    plain = service.run("transcribe", str(recording), *options, "--json")
    assert json.loads(plain.stdout)["transcript"]["text"] == transcript.text
    assert "出现交易" in transcript.text
    # Killed as a whole, it takes its children along and starts again.
    pids = [one["pid"] for one in service.processes().values()]
    service.process.kill()
    service.process.wait(20)
    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids))
    service.start()
    until(service.is_ready)
    stopped = service.run("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert service.process.wait(20) == 0
    assert not (service.folder / "run" / "serve.json").exists()
    told = service.log.read_text() + (service.folder / "logs" / "service.jsonl").read_text()
    assert "engine" in told
    for secret in ("zzyx", "brumbleweft", "ostrakinda", "出现交易"):
        assert secret not in told


def test_a_fresh_machine_without_models_says_what_is_missing(tmp_path: Path) -> None:
    home = {"LINGTING_HOME": str(tmp_path / "home"), "LINGTING_OFFLINE": "1"}
    before = dict(os.environ)
    os.environ.update(home)
    try:
        service = Service(tmp_path / "data")
    finally:
        os.environ.clear()
        os.environ.update(before)
    try:
        told = service.log.read_text()
        assert "lingting models pull whisper-base fsmn-vad" in told
        assert f"{service.url}/setup?token=" in told
        ready = httpx.get(service.url + "/readyz", timeout=10)
        assert ready.status_code == 503
        assert ready.json()["parts"]["database"]["is_ready"] is True
        token = told.split("token=")[1].split()[0]
        assert httpx.get(service.url + "/setup", params={"token": token}).status_code == 200
        for path in (service.folder / "logs").iterdir():
            assert token not in path.read_text()
        recording = tmp_path / "a.wav"
        recording.write_bytes(b"it waits")
        assert service.run("submit", str(recording)).returncode == 0
    finally:
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(90) == 0
