"""Looking at the parts of the service."""

import asyncio
import threading
from pathlib import Path

import pytest

from lingting.config import settings
from lingting.server import health
from lingting.server.service import Service


def test_a_part_that_hangs_holds_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(health, "_REMEMBERED_S", 0.0)
    service = Service(settings(data_dir=tmp_path, engines=("unix:/nowhere/e.sock",)))
    asked, answers = [], threading.Event()

    def hang(digest: str) -> bool:
        asked.append(digest)
        return answers.wait(30)

    monkeypatch.setattr(service.store.blobs, "has", hang)

    async def run() -> None:
        for _ in range(8):
            parts = await service.readiness.parts()
            assert parts["blobs"].reason == "too.slow"
            assert parts["worker"].reason == "worker.none"
        assert len(asked) == 1
        answers.set()
        await asyncio.sleep(0.1)
        assert (await service.readiness.parts())["blobs"].is_ready

    try:
        asyncio.run(run())
    finally:
        answers.set()
        service.close()
