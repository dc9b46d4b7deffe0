"""Figures for charts: the machine, its processes, and a ring of samples."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_parts import Running, running
from small_host import hear, hosting

from lingting.engines.scripted import ScriptedEngine
from lingting.server import place, system
from lingting.store.schema import WorkerRow


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with (
        hosting(lambda *_: ScriptedEngine(hear)) as host,
        running(tmp_path / "data", engines=(host.address,)) as found,
    ):
        yield found


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with service.client("admin") as found:
        yield found


def look(service: Running) -> None:
    """One sample, on the loop that serves."""
    loop = service.service.observer._looking.get_loop()  # type: ignore[union-attr]
    asyncio.run_coroutine_threadsafe(service.service.observer.look(), loop).result(30)


def test_machine_and_processes(service: Running, client: httpx.Client) -> None:
    told = client.get("/system").json()
    machine = told["machine"]
    assert 1 <= machine["cpus"] <= (os.cpu_count() or 1)
    assert machine["python"] == ".".join(map(str, sys.version_info[:3]))
    assert 0 < machine["memory_available_bytes"] < machine["memory_bytes"]
    assert 0 < machine["data_free_bytes"] < machine["data_size_bytes"]
    web, engine = told["processes"]
    assert (web["name"], web["pid"], web["is_alive"]) == ("web", os.getpid(), True)
    assert web["resident_bytes"] > 1 << 20
    assert web["can_restart"] is False
    assert (engine["name"], engine["id"], engine["is_alive"]) == ("engine", "unix", True)
    assert told["samples"]["every_s"] == 10


def test_samples_are_columns_of_what_happened(service: Running, client: httpx.Client) -> None:
    for number in range(2):
        client.post("/recordings", files={"file": (f"{number}.wav", f"s{number}".encode())})
    look(service)
    before = client.get("/system").json()["samples"]
    client.get("/recordings")
    look(service)
    told = client.get("/system").json()["samples"]
    columns = {name: one for name, one in told.items() if name != "every_s"}
    assert {len(one) for one in columns.values()} == {2}
    assert {len(one) for name, one in before.items() if name != "every_s"} == {1}
    assert told["queue_jobs"] == [2, 2]
    assert told["rtfx"] == [0.0, 0.0]
    assert told["requests"][1] == 2
    assert told["errors"] == [0, 0]
    assert all(one > 1 << 20 for one in told["memory_bytes"])
    assert told["at"] == sorted(told["at"])


def test_the_ring_is_bounded_and_a_store_that_is_away_leaves_holes(
    service: Running, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lingting.errors import StoreBusy

    def away(*_: Any) -> None:
        raise StoreBusy("It is locked.")

    observer = service.service.observer
    for _ in range(3):
        look(service)
    monkeypatch.setattr("lingting.store.figures.waiting", away)
    look(service)
    monkeypatch.undo()
    told = client.get("/system").json()["samples"]
    assert told["queue_jobs"] == [0, 0, 0, None]
    assert told["load"][3] is not None
    for _ in range(system.KEPT + 5):
        observer._samples.append(observer._samples[-1])
    assert len(client.get("/system").json()["samples"]["at"]) == system.KEPT == 360


def test_workers_are_shown_with_whether_they_live(service: Running, client: httpx.Client) -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    with service.service.store.database.write() as session:
        for id, seen_at in (("live", now), ("silent", now - timedelta(minutes=5))):
            row: dict[str, Any] = dict.fromkeys(
                column.name for column in WorkerRow.__table__.columns if not column.nullable
            )
            row |= {
                name: 1 for name, one in row.items()
                if one is None and name in {"pid", "beats", "jobs", "slots"}
            }  # fmt: skip
            row |= {"id": id, "started_at": now, "seen_at": seen_at, "is_live": True}
            row = {name: "" if one is None else one for name, one in row.items()}
            session.add(WorkerRow(**row))
    listed = {one["id"]: one for one in client.get("/system").json()["processes"]}
    assert listed["live"]["is_alive"] is True
    assert listed["silent"]["is_alive"] is False


@pytest.mark.parametrize("name", ["web", "worker", "engine"])
def test_what_nobody_would_start_again_is_not_ended(
    service: Running, client: httpx.Client, name: str
) -> None:
    answer = client.post(f"/processes/{name}/restart")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "request.conflict")
    settings = service.service.settings
    with place.only_one(settings):  # a service that runs something else by these numbers
        place.write_state(settings, {"processes": {name: {"pid": os.getppid()}}})
        assert client.post(f"/processes/{name}/restart").status_code == 409
    assert client.post("/processes/database/restart").status_code == 400
