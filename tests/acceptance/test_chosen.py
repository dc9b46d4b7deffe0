"""Settings that were chosen by the API work in the real processes once those start again."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lingting.answers import Process
from lingting.client import Client
from tests.whole_service import Service, until

pytestmark = [pytest.mark.model]


@pytest.fixture
def service(tmp_path: Path, whisper_folder: Path, vad_folder: Path) -> Iterator[Service]:
    del whisper_folder, vad_folder
    found = Service(tmp_path / "data")
    yield found
    found.stop()


def process(client: Client, name: str) -> Process:
    return next(one for one in client.admin.system().processes if one.name == name)


def value(client: Client, name: str) -> Any:
    return next(one for one in client.admin.settings() if one.name == name)


def test_processes_start_again_by_what_was_chosen(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINGTING_DATA_DIR", str(service.folder))
    until(service.is_ready)
    with Client(service.url, timeout_s=20) as client:
        admin = client.admin
        before = {name: process(client, name) for name in ("web", "worker", "engine")}
        assert all(one.is_alive and one.can_restart for one in before.values())
        admin.change_settings(
            model="whisper-base", engine_batch_s=12, threads=1, worker_slots=3,
            max_upload_bytes=5_000,
        )  # fmt: skip
        assert value(client, "engine_batch_s").is_pending
        assert admin.model("whisper-base").on[0].batch_s != 12

        admin.restart("engine")
        until(lambda: process(client, "engine").pid not in (None, before["engine"].pid))
        until(lambda: admin.model("whisper-base").on[0].state == "ready")
        assert admin.model("whisper-base").on[0].batch_s == 12
        told = value(client, "engine_batch_s")
        assert (told.value, told.is_pending) == (12, False)
        assert value(client, "worker_slots").is_pending

        admin.restart("worker")
        until(lambda: not value(client, "worker_slots").is_pending)
        admin.restart("web")
        until(lambda: not os.path.exists(f"/proc/{before['web'].pid}"))
        until(service.is_healthy)
        told = value(client, "max_upload_bytes")
        assert (told.value, told.is_pending) == (5_000, False)
        assert process(client, "web").pid != before["web"].pid
