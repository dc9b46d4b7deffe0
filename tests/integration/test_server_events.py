"""Server-sent events: what is missed comes, nothing twice, one look for all listeners."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_parts import Running, running

from lingting.errors import BusyError, StoreUnreachable
from lingting.jobs import Event
from lingting.server import broker as broker_module
from lingting.server.broker import Broker, Wanted
from lingting.server.routes import events as routes


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data") as found:
        yield found


class Listener(threading.Thread):
    """Reads a stream in a thread; ends when the service ends it or it has what it wants."""

    def __init__(self, client: httpx.Client, count: int, **asked: Any) -> None:
        super().__init__(daemon=True)
        self.events: list[dict[str, Any]] = []
        self.comments = 0
        self.is_open = threading.Event()
        self._client, self._count, self._asked = client, count, asked
        self.start()
        assert self.is_open.wait(10)

    def run(self) -> None:
        with (
            contextlib.suppress(httpx.TransportError),
            self._client.stream("GET", "/events", **self._asked) as answer,
        ):
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                if line.startswith(":"):
                    self.comments += 1
                    self.is_open.set()
                elif line.startswith("data: "):
                    self.events.append(json.loads(line[6:]))
                    if len(self.events) >= self._count:
                        return

    def wait(self) -> list[dict[str, Any]]:
        self.join(15)
        assert not self.is_alive(), f"only {len(self.events)} events came"
        return self.events


def submit(client: httpx.Client, name: str, **fields: str) -> dict[str, Any]:
    answer = client.post("/recordings", data=fields, files={"file": (name, name.encode())})
    job: dict[str, Any] = answer.json()["items"][0]["job"]
    return job


def test_new_events_come_in_order(service: Running) -> None:
    with service.client() as client, service.client() as other:
        submit(client, "before")
        listener = Listener(other, 3)
        job = submit(client, "a")
        client.post(f"/jobs/{job['id']}/pause")
        client.post(f"/jobs/{job['id']}/cancel")
        kinds = [(one["kind"], one["job_id"]) for one in listener.wait()]
    assert kinds == [(f"job.{kind}", job["id"]) for kind in ("queued", "paused", "cancelled")]


def test_a_listener_that_comes_back_misses_nothing(service: Running) -> None:
    with service.client() as client, service.client() as other:
        for at in range(20):
            submit(client, str(at))
        whole = Listener(other, 20, params={"after": 0}).wait()
        ids = [one["id"] for one in whole]
        assert ids == sorted(set(ids))
        place = {"Last-Event-ID": str(ids[11])}
        rest = Listener(other, 8, headers=place, params={"after": 0})
        assert [one["id"] for one in rest.wait()] == ids[12:]
        # Some missed, some while it listens.
        both = Listener(other, 9, headers=place)
        submit(client, "new")
        assert [one["id"] for one in both.wait()][:8] == ids[12:]


def test_filters_and_owners(service: Running) -> None:
    with (
        service.client("read", "write", user="anna") as anna,
        service.client("read", "write", user="ben") as ben,
        service.client() as admin,
    ):
        batch = anna.post("/batches", json={"name": "x"}).json()
        mine = Listener(anna, 3, params={"after": 0})
        everything = Listener(admin, 4, params={"after": 0})
        of_batch = Listener(anna, 1, params={"batch": batch["id"], "after": 0})
        submit(ben, "of ben")
        first = submit(anna, "one")
        submit(anna, "two", batch=batch["id"])
        of_job = Listener(anna, 2, params={"job": first["id"], "after": 0})
        anna.post(f"/jobs/{first['id']}/cancel")
        assert len(everything.wait()) == 4
        assert [one["kind"] for one in mine.wait()] == ["job.queued", "job.queued", "job.cancelled"]
        assert [one["batch_id"] for one in of_batch.wait()] == [batch["id"]]
        assert [one["kind"] for one in of_job.wait()] == ["job.queued", "job.cancelled"]


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "9" * 30, "\u0663"])
def test_a_place_that_is_none(service: Running, given: str) -> None:
    with service.client() as client:
        headers = [(b"Last-Event-ID", given.encode())]
        answer = client.get("/events", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "option.invalid")


def test_heartbeats(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "HEARTBEAT_S", 0.2)
    with service.client() as client, service.client() as other:
        listener = Listener(other, 1)
        time.sleep(1.0)
        assert listener.comments >= 4
        submit(client, "a")
        listener.wait()


def test_a_stopping_service_ends_its_streams(service: Running) -> None:
    with service.client() as client:
        listener = Listener(client, 1)
        service.service.broker.end()
        assert listener.wait() == []


def test_one_look_serves_all_listeners(service: Running) -> None:
    with contextlib.ExitStack() as stack:
        listeners = [Listener(stack.enter_context(service.client()), 1) for _ in range(30)]
        broker = service.service.broker
        before = broker.looks
        time.sleep(1.5)
        assert 2 <= broker.looks - before <= 8
        submit(stack.enter_context(service.client()), "a")
        assert all(len(one.wait()) == 1 for one in listeners)


# The broker by itself ----------------------------------------------------------------------------


def event(id: int, owner: str = "a") -> Event:
    return Event(id, datetime.now(UTC), "job.progress", "j", None, owner, None)


class Source:
    """A list of events as the database would have it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_away = False

    def read(self, after: int) -> Sequence[Event]:
        if self.is_away:
            raise StoreUnreachable("It is away.")
        return [one for one in self.events if one.id > after][:500]

    def last_id(self) -> int:
        return self.events[-1].id if self.events else 0


def test_nothing_is_lost_between_missed_and_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events keep coming while a listener is given what it missed."""
    monkeypatch.setattr(broker_module, "LOOK_EVERY_S", 0.005)

    async def run() -> None:
        source = Source()
        source.events = [event(id) for id in range(1, 1_001)]
        broker = Broker(source.read, source.last_id)
        stream = broker.events(Wanted(), lambda after: source.read(after)[:7], after=0)
        got: list[int] = []
        async for one in stream:
            if one is None:
                continue
            got.append(one.id)
            if len(source.events) < 1_500:
                source.events.append(event(len(source.events) + 1))
            if one.id == 1_500:
                break
        await stream.aclose()
        await broker.close()
        assert got == list(range(1, 1_501))

    asyncio.run(run())


def test_a_slow_listener_is_let_go_and_the_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "LOOK_EVERY_S", 0.005)
    monkeypatch.setattr(broker_module, "_WAITING_EVENTS", 10)

    async def run() -> None:
        source = Source()
        broker = Broker(source.read, source.last_id)
        slow = broker.events(Wanted(), source.read, heartbeat_s=5)
        quick = broker.events(Wanted(), source.read, heartbeat_s=5)
        assert await anext(slow) is None
        assert await anext(quick) is None
        for id in range(1, 51):
            source.events.append(event(id))
            got = await anext(quick)
            assert got is not None
            assert got.id == id
        left = [one.id async for one in slow if one is not None]
        assert left == list(range(1, 11)), "what it had, then the end"
        await quick.aclose()
        await broker.close()

    asyncio.run(run())


def test_a_database_that_is_away_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "LOOK_EVERY_S", 0.005)
    monkeypatch.setattr(broker_module, "_AFTER_A_FAILURE_S", 0.01)

    async def run() -> None:
        source = Source()
        broker = Broker(source.read, source.last_id)
        stream = broker.events(Wanted(), source.read, heartbeat_s=0.1)
        assert await anext(stream) is None
        source.is_away = True
        source.events.append(event(1))
        assert await anext(stream) is None
        source.is_away = False
        got = await anext(stream)
        assert got is not None
        assert got.id == 1
        await stream.aclose()
        await asyncio.sleep(0.05)
        looks = broker.looks
        await asyncio.sleep(0.1)
        assert broker.looks == looks, "nobody listens, nobody looks"

    asyncio.run(run())


def test_one_listener_too_many_is_told_to_wait(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "_LISTENERS", 1)
    with service.client() as client, service.client() as other:
        Listener(client, 1)
        refused = other.get("/events")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")


def test_too_many_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "_LISTENERS", 1)

    async def run() -> None:
        source = Source()
        broker = Broker(source.read, source.last_id)
        first = broker.events(Wanted(), source.read)
        assert await anext(first) is None
        with pytest.raises(BusyError):
            await anext(broker.events(Wanted(), source.read))
        await first.aclose()
        await broker.close()

    asyncio.run(run())
