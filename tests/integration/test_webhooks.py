"""Webhooks: what happened is told, signed, again when it fails, and to nobody else."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from server_parts import Running, running, wait_until
from sqlalchemy import func, select
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError
from store_parts import plain_transcript

from lingting.client import Client
from lingting.errors import (
    AddressRefused,
    NotAllowed,
    OptionInvalid,
    WebhookNotFound,
)
from lingting.jobs import Desk
from lingting.server import sender
from lingting.server.accounts import Accounts
from lingting.store import audit, changes, events, open_store, webhooks, work
from lingting.store.outbox import EVENTS
from lingting.store.records import Delivery
from lingting.store.schema import DeliveryRow, JobRow, UserRow, WebhookRow
from lingting.store.webhooks import Outcome, Webhooks

HERE = ("127.0.0.0/8",)


class Receiver:
    """A server that keeps what it is sent and answers as it is told."""

    def __init__(self) -> None:
        self.messages: list[tuple[dict[str, str], str]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.usual = (204, {})
        self.before: Callable[[], None] = lambda: None
        self.paths: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.paths.append(self.path)
                receiver.before()
                receiver.messages.append((headers, body))
                status, more = receiver.answers.pop(0) if receiver.answers else receiver.usual
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A sender that was killed is no news."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"

    def __enter__(self) -> Receiver:
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def wait(self, count: int, within_s: float = 15.0) -> list[dict[str, Any]]:
        """Bodies of the first ``count`` messages."""
        wait_until(lambda: len(self.messages) >= count, within_s)
        return [json.loads(body) for _, body in self.messages[:count]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "RETRIES_S", (0.05, 0.05, 0.05))
    monkeypatch.setattr(sender, "LOOK_EVERY_S", 0.05)


@pytest.fixture
def service(tmp_path: Path, quick: None) -> Iterator[Running]:
    with running(tmp_path / "data", outbound_networks=HERE) as found:
        yield found


@pytest.fixture
def client(service: Running) -> Iterator[Client]:
    with Client(service.url, service.key()) as found:
        yield found


def submit(service: Running, name: str = "secret-name.mp3", **more: Any) -> str:
    audio = io.BytesIO(os.urandom(100))
    return service.service.desk.submit(audio, name=name, **{"owner": "admin", **more}).id


def finish(desk: Desk, job_id: str) -> None:
    """What a worker does at the end."""
    with desk.store.database.write() as session:
        work.claim(session, "w1", 50)
    with desk.store.database.write() as session:
        epoch = session.get_one(JobRow, job_id).epoch
        work.finish(session, job_id, epoch, plain_transcript(3, "机密的第{}句话。"), None)


def settled(client: Client, webhook_id: str, state: str, count: int = 1) -> list[Delivery]:
    wait_until(lambda: len(client.deliveries(webhook_id, state=state)) >= count, 15)
    return client.deliveries(webhook_id, state=state)


def test_a_finished_job_is_told_and_verified(
    service: Running, client: Client, receiver: Receiver
) -> None:
    made, secret = client.add_webhook(receiver.url, ["job.done", "batch.done"], note="tickets")
    assert secret.startswith("whsec_")
    assert secret not in str(client.webhooks())
    desk = service.service.desk
    batch = desk.open_batch("secret-batch", owner="admin")
    job_id = submit(service, batch_id=batch.id)
    finish(desk, job_id)
    told = {one["type"]: one for one in receiver.wait(2)}
    job = desk.job(job_id)
    assert told["job.done"]["data"] == {
        "job_id": job_id, "recording_id": job.recording_id, "batch_id": batch.id,
        "owner": "admin", "department": None, "revision": 1,
        "duration_s": pytest.approx(job.done_s),
    }  # fmt: skip
    assert told["batch.done"]["data"]["batch_id"] == batch.id
    for headers, body in receiver.messages:
        assert Verifier(secret).verify(body, headers)["type"] in told
        with pytest.raises(WebhookVerificationError):
            Verifier(secret).verify(body.replace("admin", "other"), headers)
        with pytest.raises(WebhookVerificationError):
            Verifier("whsec_" + "A" * 43 + "=").verify(body, headers)
        assert "机密" not in body
        assert "secret" not in body
        assert len(body) < 20_000
    done = settled(client, made.id, "done", 2)
    assert [one.log[0].status for one in done] == [204, 204]
    assert {one.message_id for one in done} == {one["webhook-id"] for one, _ in receiver.messages}


def test_text_only_where_it_is_wanted_and_still_there(
    service: Running, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "MAX_TEXT_CHARS", 12)
    client.add_webhook(receiver.url, ["job.done"], includes_text=True)
    job_id = submit(service)
    finish(service.service.desk, job_id)
    (told,) = receiver.wait(1)
    assert told["data"]["text"] == "机密的第0句话。机密的第"
    assert told["data"]["is_text_cut"] is True
    # What is deleted before it is sent is not sent.
    receiver.answers = [(500, {})]
    other = submit(service)
    receiver.before = lambda: service.service.store.delete(  # type: ignore[assignment,misc]
        service.service.desk.job(other).recording_id
    )
    finish(service.service.desk, other)
    _, first, second = receiver.wait(3)
    assert "text" in first["data"]
    assert "text" not in second["data"]
    with service.service.store.database.read() as session:
        assert "机密" not in str([row.data for row in session.scalars(select(DeliveryRow))])


def test_what_happens_to_recordings(service: Running, client: Client, receiver: Receiver) -> None:
    client.add_webhook(receiver.url, [one for one in EVENTS if not one.startswith("job.")])
    job_id = submit(service)
    finish(service.service.desk, job_id)
    id = service.service.desk.job(job_id).recording_id
    client.correct(id, client.transcript(id), based_on=1)
    client.delete(id)
    client.undo(id)
    client.delete(id)
    client.purge(id)
    told = receiver.wait(5)
    kinds = sorted(one["type"] for one in told)
    assert kinds == [
        "recording.deleted", "recording.deleted", "recording.purged", "recording.undone",
        "transcript.corrected",
    ]  # fmt: skip
    assert all(one["data"]["recording_id"] == id for one in told)
    (corrected,) = [one for one in told if one["type"] == "transcript.corrected"]
    assert corrected["data"]["revision"] == 2


def test_a_rotated_secret(service: Running, client: Client, receiver: Receiver) -> None:
    made, old = client.add_webhook(receiver.url, ["job.done"])
    _, new = client.rotate_webhook(made.id)
    client.test_webhook(made.id)
    receiver.wait(1)
    headers, body = receiver.messages[0]
    for secret in (old, new):
        assert Verifier(secret).verify(body, headers)["type"] == "webhook.test"
    with service.service.store.database.write() as session:
        session.get_one(WebhookRow, made.id).old_until = changes.now()
    client.test_webhook(made.id)
    receiver.wait(2)
    headers, body = receiver.messages[1]
    assert Verifier(new).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(old).verify(body, headers)


def test_failures_are_tried_again_under_one_id(
    service: Running, client: Client, receiver: Receiver
) -> None:
    made, secret = client.add_webhook(receiver.url, ["job.failed"])
    receiver.answers = [(500, {}), (302, {"Location": "http://127.0.0.1:1/"}), (204, {})]
    client.test_webhook(made.id)
    (done,) = settled(client, made.id, "done")
    assert [one.status for one in done.log] == [500, 302, 204]
    assert (done.attempts, done.next_at) == (3, None)
    assert len({headers["webhook-id"] for headers, _ in receiver.messages}) == 1
    for headers, body in receiver.messages:
        assert Verifier(secret).verify(body, headers)
    assert client.webhook(made.id).failing_since is None


def test_who_fails_for_good_can_be_told_again(
    service: Running, client: Client, receiver: Receiver
) -> None:
    made, _ = client.add_webhook(receiver.url, ["job.done"])
    receiver.usual = (503, {})
    for _ in range(3):
        client.test_webhook(made.id)
    failed = settled(client, made.id, "failed", 3)
    assert {one.attempts for one in failed} == {4}
    assert client.webhook(made.id).failing_since is not None
    receiver.usual = (200, {})
    assert client.replay(made.id, failed[0].id) == 1
    assert settled(client, made.id, "done")[0].message_id == failed[0].message_id
    assert client.replay(made.id) == 2
    settled(client, made.id, "done", 3)
    assert client.deliveries(made.id, state="failed") == []
    with pytest.raises(WebhookNotFound):
        client.replay(made.id, 10**6)
    page = client.deliveries(made.id, limit=2)
    rest = client.deliveries(made.id, limit=2, before=page[-1].id)
    assert [one.id for one in (*page, *rest)] == sorted((one.id for one in failed), reverse=True)


def test_the_plan_of_attempts(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert 3 * 86_400 < sum(webhooks.RETRIES_S) < 5 * 86_400
    for attempt, planned_s in enumerate(webhooks.RETRIES_S, 1):
        waits = [webhooks._wait_s(attempt, None) or 0.0 for _ in range(50)]
        assert 0.8 * planned_s <= min(waits) < max(waits) <= 1.2 * planned_s
    assert webhooks._wait_s(len(webhooks.RETRIES_S) + 1, None) is None
    assert webhooks._wait_s(1, 600.0) == 600.0
    assert (webhooks._wait_s(1, 1e9) or 0) < 2 * 86_400


def test_disabled_after_days_of_failures_or_at_once_when_gone(
    service: Running, client: Client, receiver: Receiver
) -> None:
    hooks = Webhooks(service.service.store.database)
    made, _ = client.add_webhook(receiver.url, ["job.done"])
    receiver.usual = (410, {})
    client.test_webhook(made.id)
    wait_until(lambda: client.webhook(made.id).disabled_at is not None)
    assert client.webhook(made.id).disabled_for == "gone"
    assert client.deliveries(made.id)[0].state == "failed"
    with pytest.raises(OptionInvalid, match="disabled"):
        client.test_webhook(made.id)
    with pytest.raises(OptionInvalid, match="disabled"):
        client.replay(made.id)
    finish(service.service.desk, submit(service))
    assert len(client.deliveries(made.id)) == 1, "it hears nothing"
    receiver.usual = (200, {})
    assert client.change_webhook(made.id, is_active=True).disabled_at is None
    assert client.replay(made.id) == 1
    settled(client, made.id, "done")

    slow, _ = client.add_webhook("https://hooks.example.invalid/", ["job.done"])
    service.service.sender.close()
    hooks.test(slow.id)
    hooks.test(slow.id)
    (parcel, other) = [
        one for one in hooks.claim(9, of_one=9, busy={}) if one.webhook_id == slow.id
    ]
    hooks.settle(parcel, Outcome(500, None, 1))
    late = changes.now() + webhooks.DISABLED_AFTER
    hooks.settle(replace(other, holder="other"), Outcome(500, None, 1), now=late)
    assert hooks.get(slow.id).disabled_at is None, "who lost the delivery changes nothing"
    hooks.settle(other, Outcome(None, "address.failed", 1), now=late)
    found = hooks.get(slow.id)
    assert found.disabled_for == "failures"
    assert [one.state for one in hooks.deliveries(slow.id)] == ["failed", "failed"]
    with service.service.store.database.read() as session:
        noted = audit.entries(session, action="webhook.disabled")
        assert [(one.object_id, one.details["reason"]) for one in noted] == [
            (slow.id, "failures"), (made.id, "gone"),
        ]  # fmt: skip
        assert audit.verify(session).bad_id is None


def test_who_hears_what(service: Running, receiver: Receiver) -> None:
    accounts = Accounts(service.service.store)
    for department in ("sales", "law"):
        accounts.add_department(department)
    accounts.add_user("li", department="sales", role="member")
    accounts.add_user("boss", department="sales", role="manager")
    keys = {name: service.key("read", "write", user=name) for name in ("li", "boss")}
    hears: dict[str, str] = {}
    with (
        Client(service.url, keys["li"]) as li,
        Client(service.url, keys["boss"]) as boss,
        Client(service.url, service.key()) as admin,
    ):
        for who, client, values in (
            ("li", li, {}),
            ("boss", boss, {"reach": "department", "department": "sales"}),
            ("admin", admin, {"reach": "all"}),
            ("law", admin, {"reach": "department", "department": "law"}),
        ):
            hears[who] = client.add_webhook(receiver.url, ["job.queued"], **values)[0].id
        for client, values in (
            (li, {"reach": "all"}),
            (li, {"reach": "department", "department": "sales"}),
            (boss, {"reach": "department", "department": "law"}),
            (boss, {"reach": "all"}),
        ):
            with pytest.raises(NotAllowed):
                client.add_webhook(receiver.url, ["job.queued"], **values)
        for values in ({"reach": "department"}, {"department": "sales"}):
            with pytest.raises(OptionInvalid):
                admin.add_webhook(receiver.url, ["job.queued"], **values)
        assert [one.id for one in li.webhooks()] == [hears["li"]]
        assert [one.id for one in boss.webhooks()] == [hears["boss"]]
        assert len(admin.webhooks()) == 4
        for act in (
            lambda: li.webhook(hears["boss"]),
            lambda: boss.webhook(hears["li"]),
            lambda: li.delete_webhook(hears["admin"]),
            lambda: li.rotate_webhook(hears["admin"]),
            lambda: li.deliveries(hears["admin"]),
            lambda: li.replay(hears["admin"]),
            lambda: li.test_webhook(hears["admin"]),
            lambda: li.change_webhook(hears["admin"], includes_text=True),
        ):
            with pytest.raises(WebhookNotFound):
                act()

        def heard(owner: str, department: str | None) -> set[str]:
            job_id = submit(service, owner=owner, department=department)
            return {
                who
                for who, id in hears.items()
                if any(one.data.get("job_id") == job_id for one in admin.deliveries(id))
            }

        assert heard("li", "sales") == {"li", "boss", "admin"}
        assert heard("zhao", "sales") == {"boss", "admin"}
        assert heard("zhao", "law") == {"law", "admin"}
        assert heard("zhao", None) == {"admin"}
        with service.service.store.database.write() as session:
            session.get_one(UserRow, "boss").role = "member"
        accounts.disable_user("li")
        assert heard("li", "sales") == {"admin"}, "nobody hears more than they may see now"


@pytest.mark.parametrize(
    "url",
    ["https://10.0.0.1/", "https://169.254.169.254/", "https://[::1]/",
     "file:///etc/passwd", "https://user:pw@example.org/", "https://0x7f000001/"],
)  # fmt: skip
def test_addresses_that_are_refused_when_they_are_given(client: Client, url: str) -> None:
    with pytest.raises(AddressRefused):
        client.add_webhook(url, ["job.done"])
    made, _ = client.add_webhook("https://hooks.example.invalid/", ["job.done"])
    with pytest.raises(AddressRefused):
        client.change_webhook(made.id, url=url)


def test_a_name_that_leads_inside_is_never_connected_to(
    service: Running, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it led outside while it was checked: one look, and that address."""
    real = socket.getaddrinfo
    looks: list[str] = []

    def rebinding(host: str, *args: Any, **values: Any) -> Any:
        if host == "hooks.example.org":
            looks.append(host)
            found = "10.255.255.1" if len(looks) % 2 else "169.254.169.254"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, 443))]
        return real(host, *args, **values)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    made, _ = client.add_webhook("https://hooks.example.org/", ["job.done"])
    client.test_webhook(made.id)
    (failed,) = settled(client, made.id, "failed")
    assert {(one.status, one.error) for one in failed.log} == {(None, "address.refused")}
    assert receiver.paths == []


def test_a_receiver_that_never_ends(
    service: Running, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "TIMEOUT_S", 0.5)
    made, _ = client.add_webhook(receiver.url, ["job.done"])
    other, _ = client.add_webhook(receiver.url + "2", ["job.done"])
    receiver.before = lambda: (
        time.sleep(1.5) if receiver.paths[-1] == "/hook" else None
    )  # fmt: skip
    for _ in range(4):
        client.test_webhook(made.id)
    begun_s = time.monotonic()
    client.test_webhook(other.id)
    settled(client, other.id, "done")
    assert time.monotonic() - begun_s < 10.0, "a slow one holds nobody up"
    failed = settled(client, made.id, "failed", 1)
    assert failed[0].log[0].error == "address.failed"


def test_events_that_cannot_be(client: Client, receiver: Receiver) -> None:
    for kinds in ([], ["job.progress"], ["job.done", "x"], ["*"]):
        with pytest.raises(Exception, match=r"job\.done|events"):
            client.add_webhook(receiver.url, kinds)
    for _ in range(20):
        client.add_webhook(receiver.url, ["job.done"])
    with pytest.raises(OptionInvalid, match="20"):
        client.add_webhook(receiver.url, ["job.done"])


def test_what_did_not_happen_is_not_told(service: Running, client: Client) -> None:
    made, _ = client.add_webhook("https://hooks.example.invalid/", list(EVENTS))
    job_id = submit(service)
    before = len(client.deliveries(made.id))
    assert before == 1
    database = service.service.store.database

    def cancel_and_fail() -> None:
        with database.write() as session:
            events.of_job(session, session.get_one(JobRow, job_id), "job.cancelled")
            events._write_pending(session)
            session.flush()
            assert session.scalar(select(func.count()).select_from(DeliveryRow)) == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cancel_and_fail()
    assert len(client.deliveries(made.id)) == before


# Killed ----------------------------------------------------------------------------------------


@contextmanager
def web(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A web process of its own; killed at the end, if it was not before."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {
        **os.environ, "LINGTING_DATA_DIR": str(folder), "LINGTING_PORT": str(port),
        "LINGTING_OUTBOUND_NETWORKS": '["127.0.0.0/8"]',
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "lingting", "web"], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_kill_9_loses_none(tmp_path: Path, receiver: Receiver) -> None:
    """20 jobs end while nobody sends; the web process is killed amid its messages, twice."""
    folder = tmp_path / "data"
    with open_store(folder) as store:
        desk, hooks = Desk(store), Webhooks(store.database)
        made, secret = hooks.add(receiver.url, ["job.done"], owner="admin")
        job_ids = []
        for number in range(20):
            job_ids.append(
                desk.submit(io.BytesIO(b"%d" % number), name=f"{number}", owner="admin").id
            )
            finish(desk, job_ids[-1])
        for _ in range(2):
            stuck = threading.Event()
            count = len(receiver.messages)

            def hold(stuck: threading.Event = stuck, count: int = count) -> None:
                if len(receiver.messages) >= count + 3:
                    stuck.set()
                    time.sleep(3)

            receiver.before = hold
            with web(folder) as process:
                assert stuck.wait(60)
                process.send_signal(signal.SIGKILL)
                process.wait()
        receiver.before = lambda: None
        with store.database.write() as session:  # a minute later
            waiting = select(DeliveryRow).where(DeliveryRow.state == "pending")
            for row in session.scalars(waiting):
                row.next_at = changes.now() - timedelta(seconds=1)
        with web(folder):
            wait_until(lambda: len(hooks.deliveries(made.id, state="done")) == 20, 60)
        told = [Verifier(secret).verify(body, headers) for headers, body in receiver.messages]
        assert {one["data"]["job_id"] for one in told} == set(job_ids)
        by_id = {headers["webhook-id"]: body for headers, body in receiver.messages}
        assert len(by_id) == 20, "a message that came twice has one id"


def test_a_dead_senders_deliveries_are_taken_over(
    service: Running, client: Client, receiver: Receiver
) -> None:
    service.service.sender.close()
    hooks = Webhooks(service.service.store.database)
    made, _ = client.add_webhook(receiver.url, ["job.done"])
    client.test_webhook(made.id)
    (dead,) = hooks.claim(5, of_one=5, busy={}, lease_s=0.3)
    assert hooks.claim(5, of_one=5, busy={}) == []
    time.sleep(0.4)
    (alive,) = hooks.claim(5, of_one=5, busy={})
    assert alive.message_id == dead.message_id
    hooks.settle(dead, Outcome(500, None, 1))
    assert hooks.delivery(made.id, dead.delivery_id).log == ()
    hooks.settle(alive, Outcome(200, None, 1))
    assert hooks.delivery(made.id, dead.delivery_id).state == "done"


def test_on_postgres(
    tmp_path: Path, new_postgres: Callable[[], str], receiver: Receiver, quick: None
) -> None:
    """From an event to its delivery, and many senders beside each other."""
    with (
        running(
            tmp_path / "data", database_url=SecretStr(new_postgres()), outbound_networks=HERE
        ) as service,
        Client(service.url, service.key()) as client,
    ):
        made, secret = client.add_webhook(receiver.url, ["job.done", "recording.deleted"])
        ids = [submit(service) for _ in range(10)]
        seconds = [sender.Sender(service.service) for _ in range(2)]
        for one in seconds:
            one.start()
        for id in ids:
            finish(service.service.desk, id)
        client.delete(service.service.desk.job(ids[0]).recording_id)
        settled(client, made.id, "done", 11)
        for one in seconds:
            one.close()
        assert len(receiver.messages) == 11
        for headers, body in receiver.messages:
            Verifier(secret).verify(body, headers)
        client.delete_webhook(made.id)
        finish(service.service.desk, submit(service))


def test_the_commands(service: Running, receiver: Receiver, tmp_path: Path) -> None:
    environment = {
        **os.environ, "LINGTING_SERVER": service.url, "LINGTING_SERVER_KEY": service.key(),
        "LINGTING_DATA_DIR": str(tmp_path / "elsewhere"),
    }  # fmt: skip

    def run(*words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "lingting", "webhook", *words],
            env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    code, out, _ = run("add", receiver.url, "--event", "job.done", "--note", "tickets")
    assert code == 0
    id, secret = out.strip().split("\t")
    assert secret.startswith("whsec_")
    code, out, _ = run("test", id)
    assert (code, out.splitlines()[1].split("\t")[1::4]) == (0, ["webhook.test", "204"])
    Verifier(secret).verify(receiver.messages[0][1], receiver.messages[0][0])
    code, out, _ = run("list", "--json")
    (listed,) = [json.loads(line) for line in out.splitlines()]
    assert (listed["id"], listed["note"], listed["events"]) == (id, "tickets", ["job.done"])
    assert secret not in out
    receiver.usual = (500, {})
    assert run("test", id)[0] == 3
    wait_until(lambda: Webhooks(service.service.store.database).deliveries(id, state="failed"))
    code, out, _ = run("deliveries", id, "--state", "failed", "--json")
    failed = json.loads(out)
    assert [one["status"] for one in failed["log"]] == [500] * 4
    receiver.usual = (200, {})
    assert run("replay", id)[2].startswith("1 to be sent")
    assert run("replay", id, "--delivery", str(failed["id"]))[0] == 0
    code, out, _ = run("rotate", id, "--json")
    assert json.loads(out)["secret"] != secret
    assert run("change", id, "--disable")[0] == 0
    code, out, _ = run("list")
    assert "disabled (user)" in out
    code, _, err = run("test", id)
    assert (code, "disabled" in err) == (2, True)
    assert run("change", id, "--enable", "--event", "job.failed")[0] == 0
    code, _, err = run("add", "https://10.0.0.1/")
    assert (code, "address.refused" in err) == (2, True)
    assert run("delete", id)[0] == 0
    code, _, err = run("deliveries", id)
    assert (code, "webhook.not_found" in err) == (2, True)


def test_addresses_and_secrets_stay_out_of_the_logs(
    service: Running, client: Client, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", "lingting"):
        made, secret = client.add_webhook(receiver.url + "/brumbleweft?t=quincunx", ["job.done"])
        client.test_webhook(made.id)
        settled(client, made.id, "done")
        receiver.usual = (500, {})
        finish(service.service.desk, submit(service))
        settled(client, made.id, "failed")
    text = caplog.text + "".join(str(vars(one)) for one in caplog.records)
    assert "webhook" in text
    for private in ("brumbleweft", "quincunx", secret, "secret-name", "机密"):
        assert private not in text
