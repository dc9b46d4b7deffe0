"""Recordings to try the service with: taken from what is installed, brought where it may be."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from server_parts import running, wait_until

from lingting.server.service import Service
from lingting.server.uploads import AT_ONCE

PATH = "/recordings/sample"


def test_a_sample_becomes_a_job(tmp_path: Path, samples_folder: Path) -> None:
    with running(tmp_path / "data") as service, service.client("read", "write") as client:
        asked = {"sample": "sentence", "name": "示例.wav", "options": {"language": "zh"}}
        once = {"Idempotency-Key": "once"}
        answer = client.post(PATH, json=asked, headers=once)
        assert answer.status_code == 202
        job = answer.json()
        assert (job["name"], job["state"], job["options"]["language"]) == (
            "示例.wav", "queued", "zh"
        )  # fmt: skip
        assert client.post(PATH, json=asked, headers=once).json()["id"] == job["id"]
        audio = client.get(f"/recordings/{job['recording_id']}/audio").content
        assert audio == (samples_folder / "asr_example.wav").read_bytes()
        assert len(client.get("/recordings").json()["items"]) == 1


def test_bringing_the_samples_takes_no_place_of_an_upload(
    tmp_path: Path, samples_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow source held one for each who clicked, until uploads were refused."""
    at_once, most, go = 0, 0, threading.Event()

    def slowly(service: Service) -> Path:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        assert go.wait(30)
        at_once -= 1
        return samples_folder

    monkeypatch.setattr("lingting.server.routes.samples._folder", slowly)
    with (
        running(tmp_path / "data") as service,
        service.client("write") as client,
        ThreadPoolExecutor(3) as pool,
    ):
        asked = [
            pool.submit(client.post, PATH, json={"sample": "sentence", "name": f"{at}"})
            for at in range(3)
        ]
        wait_until(lambda: at_once == 1)
        assert service.service.uploads._turns._places._value == AT_ONCE
        go.set()
        assert [one.result().status_code for one in asked] == [202] * 3
    assert most == 1, "one brings them, the others wait"


@pytest.mark.parametrize("body", [{"sample": "../x"}, {"file": "a"}, {"name": ""}])
def test_what_is_no_sample_is_refused(body: dict[str, str], tmp_path: Path) -> None:
    with running(tmp_path / "data") as service, service.client("write") as client:
        assert client.post(PATH, json=body).status_code in {400, 422}
        assert service.blobs() == []


def test_where_nothing_may_be_brought_the_answer_says_so(tmp_path: Path) -> None:
    with (
        running(tmp_path / "data", home=tmp_path / "home", offline=True) as service,
        service.client("write") as client,
    ):
        answer = client.post(PATH, json={})
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "model.not_installed"
        assert service.blobs() == []


def test_what_is_refused_leaves_nothing(tmp_path: Path, samples_folder: Path) -> None:
    with (
        running(tmp_path / "data", stored_bytes=1000) as service,
        service.client("write", user="li") as client,
    ):
        answer = client.post(PATH, json={"sample": "sentence"})
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "limit.storage"
        assert service.blobs() == []
