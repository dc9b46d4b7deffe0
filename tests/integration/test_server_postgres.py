"""The service on Postgres: what differs there is under it, and must not show."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from server_parts import Running, running
from store_parts import rich_transcript


@pytest.fixture
def service(tmp_path: Path, new_postgres: Callable[[], str]) -> Iterator[Running]:
    with running(tmp_path / "data", database_url=SecretStr(new_postgres())) as found:
        yield found


def test_from_a_key_to_a_correction(service: Running) -> None:
    access = service.service.access
    link = access.new_link()
    access.set_password(link, "correct horse battery")
    assert access.of_session(access.sign_in("admin", "correct horse battery")).is_admin
    with service.client("read", "write", user="anna") as client:
        batch = client.post("/batches", json={"name": "x"}, headers={"Idempotency-Key": "b"}).json()
        sent = client.post(
            "/recordings", data={"batch": batch["id"], "name": "a\x00b"},
            files=[("file", ("a", b"one")), ("file", ("b", b"")), ("file", ("c", b"two"))],
            headers={"Idempotency-Key": "k"},
        )  # fmt: skip
        items = sent.json()["items"]
        assert [item["error"] and item["error"]["code"] for item in items] == [
            None, "audio.empty", None,
        ]  # fmt: skip
        assert items[0]["job"]["name"] == "a\ufffdb"
        conflict = client.post(
            "/recordings", files={"file": ("x", b"three")}, headers={"Idempotency-Key": "k"}
        )
        assert conflict.status_code == 409
        assert len(service.blobs()) == 2
        assert client.get(f"/batches/{batch['id']}").json()["counts"] == {"queued": 2}
        recording = service.service.store.recording(items[0]["job"]["recording_id"])
        with service.service.store.blobs.open(recording.digest) as audio:
            service.service.store.keep(audio, rich_transcript(), name=recording.name, owner="anna")
        change = {"based_on": 1, "segments": [{"position": 0, "text": "改"}]}
        assert client.patch(f"/transcripts/{recording.id}", json=change).json() == {"revision": 2}
        found = client.get(f"/transcripts/{recording.id}").json()
        assert found["segments"][0]["text"] == "改"
        with client.stream("GET", "/events", params={"after": 0}) as answer:
            kinds = []
            for line in answer.iter_lines():
                if line.startswith("event:"):
                    kinds.append(line)
                if len(kinds) == 2:
                    break
        assert kinds == ["event: job.queued"] * 2


def test_no_address_holds_what_postgres_does_not(service: Running) -> None:
    """SQLite takes a NUL for a character, Postgres for the end of a text: refused on both."""
    with service.client() as client:
        sent = client.post("/recordings", files={"file": ("a", b"one")})
        id = sent.json()["items"][0]["job"]["recording_id"]
        for path in (
            "/recordings?tag=%00", "/jobs?after=%00", "/jobs?batch=a%00b", "/batches?after=%00",
            "/audit?object=%00", "/audit?action=%00",
        ):  # fmt: skip
            answer = client.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "option.invalid")
        for path in (
            "/glossaries/%00", "/jobs/%00", "/users/%00", "/recordings/%00",
            f"/recordings/{id}/notes/%00", f"/exports/{id}/%00",
        ):  # fmt: skip
            answer = client.get(path)
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "request.path_unknown"
        # inside of what only looks like a place in a list
        packed = base64.urlsafe_b64encode(b"2026-01-01T00:00:00+00:00|\0").decode()
        assert client.get("/recordings", params={"after": packed}).status_code == 400
        assert client.get("/recordings?tag=%2500").status_code == 200
