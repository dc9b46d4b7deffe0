"""Every route, for every role and department: who reads and writes what."""

import contextlib
import io
import itertools
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from access_table import (
    ACTORS,
    CANNOT,
    CONFLICT,
    FORBIDDEN,
    HIDDEN,
    NO_KEY,
    OK,
    POLICIES,
    ROWS,
    Row,
    tone,
)
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from server_parts import Running, running, wait_until
from small_host import hear, hosting
from store_parts import plain_transcript

from lingting.config import settings
from lingting.engines.scripted import ScriptedEngine
from lingting.jobs import JobOptions
from lingting.server.accounts import Accounts
from lingting.server.app import create_app
from lingting.server.principal import ROLE_SCOPES, SCOPES
from lingting.store import Glossaries, Notes, Shares
from lingting.store.webhooks import Webhooks

PEOPLE = {
    "root": ("admin", None),
    "mona": ("manager", "sales"),
    "olga": ("member", "sales"),
    "carl": ("member", "sales"),
    "robot": ("service", "sales"),
    "mark": ("manager", "law"),
    "stan": ("member", "law"),
    "spare": ("member", "law"),
}
WHO = {
    "admin": "root", "manager": "mona", "owner": "olga", "reader": "olga", "searcher": "olga",
    "colleague": "carl", "partner": "carl", "machine": "robot", "other_manager": "mark",
    "stranger": "stan",
}  # fmt: skip
PUBLIC = {name for name, row in ROWS.items() if row.policy == "open"}
_NAMES = itertools.count()


def routes_of(app: FastAPI) -> set[str]:
    return {
        f"{method} {one.path}"
        for one in iter_route_contexts(app.routes)
        for method in (one.methods or {"ANY"})
    }


@dataclass
class World:
    """A service with people of two departments, and what one of them has given."""

    service: Running
    keys: dict[str, str]
    http: httpx.Client
    served: str
    """Where a file is that the service may fetch."""
    made: dict[str, str] | None = None

    def things(self) -> dict[str, str]:
        """Ids of a recording with a job in a batch, and of what else belongs to the owner."""
        if self.made is not None:
            return self.made
        name = f"{next(_NAMES)}.wav"
        service = self.service.service
        who = {"owner": "olga", "department": "sales"}
        kept = service.store.keep(
            io.BytesIO(tone(name)), plain_transcript(2), name=name, **who
        ).recording  # fmt: skip
        batch = service.desk.open_batch("b", **who)
        job = service.desk.submit(
            io.BytesIO(name.encode()), name=name, options=JobOptions(), batch_id=batch.id, **who
        )
        share = Shares(service.store.database).add(kept.id, "user", "olga")
        note = Notes(service.store.database).add(kept.id, "a", at_s=1.0, author="olga")
        glossaries = Glossaries(service.store.database)
        there = [one for one in glossaries.listed(owner="olga") if one.name == "terms"]
        terms = there[0] if there else glossaries.save("terms", ["w"], based_on=0, owner="olga")
        key, _ = service.access.new_key("one", user="olga")
        upload = service.resumables.rows.add(
            size_bytes=9, kind="whole", asked={}, sha256=None, fingerprint="table", key=None, **who
        )
        hooks = Webhooks(service.store.database)
        hook = (
            next(iter(hooks.listed(owner="olga")), None)
            or (hooks.add("https://hooks.example.invalid/", ["job.failed"], owner="olga")[0])
        )
        delivery = next(iter(hooks.deliveries(hook.id)), None) or hooks.test(hook.id)
        self.made = {
            "uploads": upload.id, "webhooks": hook.id, "delivery": str(delivery.id),
            "note": note.id, "share": share.id, "recordings": kept.id, "transcripts": kept.id,
            "exports": kept.id, "jobs": job.id, "batches": batch.id, "glossaries": terms.id,
            "keys": key.id, "users": "olga",
        }  # fmt: skip
        return self.made

    def ask(self, route: str, actor: str, row: Row) -> int:
        """The status; what a change has touched is made anew for the next one."""
        method, path = route.replace(":path}", "}").split(" ")
        if "{" in path:
            kind = path.split("/")[3]
            values = {"id": self.things().get(kind, ""), "name": self.things().get(kind, "")}
            values |= {one: self.things()[one] for one in ("delivery", "note", "share")}
            path = path.format(**(values | dict(row.values)))
        json = row.json
        if isinstance(json, dict) and "url" in json:
            json = {**json, "url": json["url"].replace("{served}", self.served)}
        if isinstance(json, dict) and "recordings" in json:
            json = {**json, "recordings": [self.things()["recordings"]]}
        store = self.service.service.store
        if row.first == "deleted":
            store.delete(self.things()["recordings"])
        elif row.first == "held":
            store.hold(self.things()["recordings"])
        headers = dict(row.headers)
        if actor != "nobody":
            headers["Authorization"] = f"Bearer {self.keys[actor]}"
        with self.http.stream(
            method, path, params=row.params, json=json, data=row.data, files=row.files,
            headers=headers,
        ) as answer:  # fmt: skip
            if not row.is_endless:
                answer.read()
            status = answer.status_code
        if method not in {"GET", "HEAD"} or row.first:
            self.made = None
        return status


@contextlib.contextmanager
def small_file() -> Iterator[str]:
    """A server that answers everything with a few bytes; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"sound")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("table") / "data"
    with (
        small_file() as served,
        hosting(lambda *_: ScriptedEngine(hear)) as host,
        running(
            folder, requests_per_minute=0, open_uploads=1000,
            url_hosts=(served.removeprefix("http://"),), outbound_networks=("127.0.0.1/32",),
            engines=(host.address,),
        ) as service,
        httpx.Client(timeout=60) as http,
    ):  # fmt: skip
        accounts, access = Accounts(service.service.store), service.service.access
        for department in ("sales", "law"):
            accounts.add_department(department)
        for name, (role, department) in PEOPLE.items():
            accounts.add_user(name, role=role, department=department)
        keys = {}
        for actor, name in WHO.items():
            role = PEOPLE[name][0]
            scopes = {"reader": ["read"], "searcher": ["search"]}.get(
                actor, [one for one in SCOPES if one in ROLE_SCOPES[role]]
            )
            keys[actor] = access.new_key(actor, user=name, scopes=scopes)[1]
        http.base_url = httpx.URL(service.url)
        service.service.desk.submit(
            io.BytesIO(b"asked"), name="k", owner="olga", department="sales", idempotency_key="k"
        )
        found = World(service, keys, http, served)
        _tidy(found, "")
        yield found


def test_every_route_is_in_the_table(world: World) -> None:
    there = routes_of(create_app(settings(data_dir=world.service.folder)))
    assert sorted(there - set(ROWS)) == [], "a new route needs a row in access_table.py"
    assert sorted(set(ROWS) - there) == [], "rows of routes that are gone"
    assert {row.policy for row in ROWS.values()} <= set(POLICIES)
    assert len(there) > 60


@pytest.mark.parametrize("route", ROWS)
def test_who_may(world: World, route: str, request: pytest.FixtureRequest) -> None:
    row = ROWS[route]
    if row.needs:
        request.getfixturevalue(row.needs)
    world.service.service.access.addresses._failures.clear()  # the sign-in page is asked too
    found = {}
    for actor in ACTORS:
        if actor == "partner":  # see below
            continue
        world.made = None if row.first else world.made
        found[actor] = _told(world.ask(route, actor, row), route)
        _tidy(world, route)
    wanted = {who: one for who, one in POLICIES[row.policy].items() if who != "partner"}
    assert found == wanted


def test_a_shared_department(world: World, vad_folder: Path) -> None:
    """Its members read one another's, and change only their own."""
    del vad_folder
    accounts = Accounts(world.service.service.store)
    accounts.share_department("sales", True)
    world.service.service.access._remembered.clear()
    try:
        wrong = {}
        for route, row in ROWS.items():
            if row.policy in {"see", "change", "hold", "private", "mine", "asked"}:
                world.made = None
                found = _told(world.ask(route, "partner", row), route)
                if found != POLICIES[row.policy]["partner"]:
                    wrong[route] = found
        assert wrong == {}
    finally:
        accounts.share_department("sales", False)
        world.service.service.access._remembered.clear()


SHARED = {
    "user": ("user", "stan"),
    "department": ("department", "law"),
    "everyone": ("everyone", None),
}
REACHED = {
    "user": {"stranger"},
    "department": {"other_manager", "stranger"},
    "everyone": {"colleague", "other_manager", "stranger"},
}
"""Whom each reaches of those who do not see the recording otherwise; a program is no part of it."""


@pytest.mark.parametrize("kind", SHARED)
def test_a_shared_recording(world: World, kind: str) -> None:
    """Who is named reads it and changes nothing, and what else there is stays as it was."""
    wrong = {}
    shares = Shares(world.service.service.store.database)
    for route, row in ROWS.items():
        if row.policy not in {"see", "change", "hold", "private", "mine", "asked"}:
            continue
        opened = re.search(r" /api/v1/(recordings|transcripts|exports)/?", route) is not None
        for actor in ("stranger", "other_manager", "colleague", "machine", "owner"):
            world.made = None
            shares.add(world.things()["recordings"], *SHARED[kind])  # type: ignore[arg-type]
            wanted = POLICIES[row.policy][actor]
            if actor in REACHED[kind] and opened:
                is_read = row.policy == "see" and route != "GET /api/v1/recordings/{id}/shares"
                wanted = OK if is_read else FORBIDDEN
                if row.first == "deleted":
                    wanted = HIDDEN
            found = _told(world.ask(route, actor, row), route)
            if found != wanted:
                wrong[route, actor] = found
    assert wrong == {}


def _told(status: int, route: str) -> str | int:
    """What the policies speak of. Pages answer a stranger's form with words of their own."""
    return OK if status < 400 or (route in PUBLIC and status != 500) else status


def _tidy(world: World, route: str) -> None:
    """What two actors may both do must be there to do for both."""
    store = world.service.service.store
    backups = world.service.service.backups
    backups.folder.mkdir(exist_ok=True)
    (backups.folder / "lingting-table.tar").write_bytes(b"no backup")
    wait_until(lambda: not backups._is_busy)
    if route == "PUT /api/v1/glossaries/{name}":
        kept = Glossaries(store.database)
        for name in {*WHO.values()}:
            for one in kept.listed(owner=name):
                if one.name == "new":
                    kept.delete(one.id, owner=name)


@pytest.mark.parametrize("route", sorted(set(ROWS) - PUBLIC))
def test_without_a_good_key(world: World, route: str) -> None:
    method, path = route.replace(":path}", "}").split(" ")
    address = re.sub(r"\{[a-z]+\}", "x", path)
    access = world.service.service.access
    access.guessers._failures.clear()
    good = world.keys["admin"]
    revoked, secret = access.new_key("x")
    access.revoke(revoked.id)
    given = (
        None, f"Bearer {good[:-1]}{'a' if good[-1] != 'a' else 'b'}", f"Bearer {secret}",
        f"Basic {good}", "Bearer", "Bearer lk_0000000000_" + "a" * 43, good,
    )  # fmt: skip
    for header in given:
        headers = {} if header is None else {"Authorization": header}
        answer = world.http.request(method, address, headers=headers)
        assert answer.status_code == NO_KEY, header
        assert answer.headers["www-authenticate"] == "Bearer"
        wanted = "invalid_api_key" if path.startswith("/v1/") else "access.sign_in_needed"
        assert method == "HEAD" or answer.json()["error"]["code"] == wanted


def test_what_lists_show(world: World) -> None:
    """Everybody sees their own; managers the department's; administrators everything."""
    service, access = world.service.service, world.service.service.access
    ids: dict[str, dict[str, str]] = {}
    for name, (_, department) in PEOPLE.items():
        who: dict[str, Any] = {"owner": name, "department": department}
        batch = service.desk.open_batch(f"of {name}", **who)
        job = service.desk.submit(
            io.BytesIO(f"sound of {name}".encode()), name=f"{name}.wav", batch_id=batch.id, **who
        )
        service.store.tag(job.recording_id, add=["listed"])
        key, _ = access.new_key("listed", user=name, scopes=["read"])
        ids[name] = {
            "recordings": job.recording_id, "jobs": job.id, "batches": batch.id, "keys": key.id
        }  # fmt: skip
    sales, law = {"mona", "olga", "carl", "robot"}, {"mark", "stan", "spare"}
    seen = {
        "admin": set(PEOPLE), "manager": sales, "owner": {"olga"}, "reader": {"olga"},
        "colleague": {"carl"}, "machine": {"robot"}, "other_manager": law, "stranger": {"stan"},
    }  # fmt: skip
    for actor, names in seen.items():
        headers = {"Authorization": f"Bearer {world.keys[actor]}"}
        for kind in ("recordings", "jobs", "batches", "keys"):
            found: list[str] = []
            after: dict[str, Any] = {}
            while True:
                page = world.http.get(
                    f"/api/v1/{kind}", headers=headers,
                    params={} if kind == "keys" else {"limit": 40, **after},
                ).json()  # fmt: skip
                found += [one["id"] for one in page["items"]]
                if page.get("next") is None:
                    break
                after = {"after": page["next"]}
            assert len(found) == len(set(found))
            theirs = {name for name in PEOPLE if ids[name][kind] in found}
            assert theirs == names, (actor, kind)
    for actor, names in (("admin", set(PEOPLE) | {"admin"}), ("manager", sales)):
        headers = {"Authorization": f"Bearer {world.keys[actor]}"}
        listed = world.http.get("/api/v1/users", headers=headers).json()["items"]
        assert {one["name"] for one in listed} - {"newcomer"} == names
        trail = world.http.get("/api/v1/audit?limit=500", headers=headers).json()["items"]
        by_key = {one["actor"] for one in trail if one["by"].startswith("key:")}
        assert by_key, "what they did by their keys above"
        assert actor == "admin" or by_key <= sales


def test_events_are_told_to_those_who_see_the_job(world: World) -> None:
    service = world.service.service
    before = service.desk.last_event_id()
    for name, department in (("olga", "sales"), ("stan", "law")):
        service.desk.submit(
            io.BytesIO(f"heard {name}".encode()), name=f"h-{name}.wav", owner=name,
            department=department,
        )  # fmt: skip
    wanted = {
        "admin": 2, "manager": 1, "owner": 1, "colleague": 0, "machine": 0, "other_manager": 1,
        "stranger": 1,
    }  # fmt: skip
    for actor, count in wanted.items():
        headers = {"Authorization": f"Bearer {world.keys[actor]}"}
        events = 0
        with (
            contextlib.suppress(httpx.ReadTimeout),
            world.http.stream(
                "GET", "/api/v1/events", params={"after": before}, headers=headers,
                timeout=httpx.Timeout(30, read=1.0),
            ) as answer,
        ):  # fmt: skip
            for line in answer.iter_lines():
                events += line.startswith("event: ")
        assert events == count, actor


def test_statuses_are_the_ones_the_policies_speak_of() -> None:
    told = {one for policy in POLICIES.values() for one in policy.values()}
    assert told == {OK, CANNOT, NO_KEY, FORBIDDEN, HIDDEN, CONFLICT}
