"""The whole service with a real model: started, used, killed in parts, stopped."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lingting.client import Client
from tests.whole_service import Service, until


def processes(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(service.run("status", "--json").stdout)["processes"]
    return found


@pytest.fixture
def service(tmp_path: Path, whisper_folder: Path, vad_folder: Path) -> Iterator[Service]:
    found = Service(tmp_path / "data")
    yield found
    found.stop()


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
        pid = until(lambda name=name: processes(service).get(name, {}).get("pid"))
        os.kill(pid, signal.SIGKILL)
    until(lambda: all(one["restarts"] == 1 for one in processes(service).values()))
    until(service.is_ready)
    watched = service.run("watch", job_id)
    assert watched.returncode == 0, watched.stderr
    assert service.run("status").returncode == 0
    with Client(service.url, service.key) as client:
        job = client.job(job_id)
        transcript = client.transcript(job.recording_id)
        assert len(client.recordings().items) == 1
    plain = service.run("transcribe", str(recording), *options, "--json")
    assert json.loads(plain.stdout)["transcript"]["text"] == transcript.text
    assert "出现交易" in transcript.text
    # Killed as a whole, it takes its children along and starts again.
    pids = [one["pid"] for one in processes(service).values()]
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
