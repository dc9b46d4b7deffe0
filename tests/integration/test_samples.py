"""Recordings to try the service with: taken from what is installed, brought where it may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from server_parts import running

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
