"""Backups over the API: made, read back, downloaded, restored, removed."""

import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from server_parts import Running, running, wait_until

from lingting.errors import BackupInvalid
from lingting.store import open_store
from lingting.store.backup import back_up, restore, verify
from lingting.store.figures import BACKUP_SETTING
from lingting.store.records import Actor


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data", backup_dir=tmp_path / "saved") as found:
        yield found


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with service.client("admin") as found:
        for number in range(3):
            files = {"file": (f"{number}.wav", f"sound {number}".encode())}
            assert found.post("/recordings", files=files).status_code == 202
        yield found


def made(client: httpx.Client) -> Any:
    """A new one, when it is done."""
    answer = client.post("/backups")
    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "making"
    return settled(client, answer.json()["name"])


def settled(client: httpx.Client, name: str) -> Any:
    def look() -> Any:
        return client.get(f"/backups/{name}").json()

    wait_until(lambda: look()["state"] in ("done", "failed"), within_s=30)
    return look()


def actions(service: Running) -> list[str]:
    with service.client("admin") as client:
        return [one["action"] for one in client.get("/audit?limit=200").json()["items"]]


def test_a_backup_is_made_read_back_taken_away_and_restored(
    service: Running, client: httpx.Client, tmp_path: Path
) -> None:
    assert client.get("/backups").json()["items"] == []
    backup = made(client)
    assert (backup["state"], backup["verified"], backup["error"]) == ("done", True, None)
    assert (backup["recordings"], backup["blobs"], backup["lost_blobs"]) == (3, 3, 0)
    listed = client.get("/backups").json()
    assert listed["items"] == [backup]
    assert listed["folder_free_bytes"] > 0
    path = f"/backups/{backup['name']}/file"
    whole = client.get(path)
    assert len(whole.content) == backup["size_bytes"] == int(whole.headers["Content-Length"])
    part = client.get(path, headers={"Range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, whole.content[100:300])
    assert client.get(path, headers={"Range": "bytes=999999999-"}).status_code == 416
    file = tmp_path / "taken.tar"
    file.write_bytes(whole.content)
    assert restore(file, tmp_path / "new").recordings == 3
    with open_store(tmp_path / "new") as store:
        assert len(store.recordings(limit=10)) == 3
    assert service.service.store.setting(BACKUP_SETTING) is not None
    assert client.delete(f"/backups/{backup['name']}").status_code == 204
    assert client.get("/backups").json()["items"] == []
    assert client.get(path).status_code == 404
    noted = actions(service)
    assert {"backup.made", "backup.downloaded", "backup.deleted"} <= set(noted)


def test_what_is_known_of_a_backup_outlives_the_process(
    service: Running, client: httpx.Client, tmp_path: Path
) -> None:
    first = made(client)
    service.service.backups._current = None
    assert client.get(f"/backups/{first['name']}").json() == first
    path = tmp_path / "saved" / first["name"]
    path.write_bytes(path.read_bytes()[:-20_000])
    told = client.get(f"/backups/{first['name']}").json()
    assert (told["verified"], told["recordings"]) == (None, None), "another file by now"
    assert client.post(f"/backups/{first['name']}/verify").status_code == 202
    told = settled(client, first["name"])
    assert (told["verified"], told["error"]) == (False, "backup.invalid")
    second = made(client)
    names = [one["name"] for one in client.get("/backups").json()["items"]]
    assert names == [second["name"], first["name"]]


def test_one_at_a_time(
    service: Running, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    snapshot = "lingting.store.backup._snapshot"
    from lingting.store import backup as module

    real = module._snapshot

    def slowly(*arguments: Any) -> None:
        assert go.wait(30)
        real(*arguments)

    monkeypatch.setattr(snapshot, slowly)
    name = client.post("/backups").json()["name"]
    assert client.get("/backups").json()["items"][0]["state"] == "making"
    for answer in (
        client.post("/backups"), client.post(f"/backups/{name}/verify"),
        client.delete(f"/backups/{name}"), client.get(f"/backups/{name}/file"),
    ):  # fmt: skip
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "request.conflict")
    go.set()
    assert settled(client, name)["verified"] is True
    assert service.service.backups._is_busy is False


def test_a_failure_is_told_and_leaves_nothing(
    client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lingting.store.backup._write", fail)
    failed = made(client)
    assert (failed["state"], failed["verified"]) == ("failed", None)
    assert list((tmp_path / "saved").iterdir()) == []
    monkeypatch.undo()
    assert client.delete(f"/backups/{failed['name']}").status_code == 204
    leftover = tmp_path / "saved" / ".lingting-20260101T000000000000Z.tar.0123456789abcdef.part"
    leftover.write_bytes(b"half")
    other = tmp_path / "saved" / ".lingting-2026-01-01.tar.0123456789abcdef.part"
    other.write_bytes(b"of the command line, which may be at it")
    assert made(client)["state"] == "done"
    assert not leftover.exists()
    assert other.exists()


def test_what_could_not_begin_is_not_told_as_being_made(
    service: Running, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "saved").write_bytes(b"in the way of the folder")
    answer = client.post("/backups")
    assert answer.json()["error"]["code"] == "output.unwritable"
    listed = client.get("/backups").json()
    assert listed["items"] == []
    assert listed["folder_free_bytes"] > 0
    (tmp_path / "saved").unlink()

    def no_thread(**_: Any) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("lingting.server.backups.threading", SimpleNamespace(Thread=no_thread))
        with pytest.raises(RuntimeError):
            service.service.backups.make(Actor("admin", "local"))
    assert client.get("/backups").json()["items"] == []
    assert made(client)["state"] == "done"


def test_a_backup_without_some_audio_does_not_count(service: Running, client: httpx.Client) -> None:
    store = service.service.store
    digest = next(iter(service.blobs()))
    store.blobs.remove(digest)
    backup = made(client)
    assert (backup["lost_blobs"], backup["verified"]) == (1, True)
    assert store.setting(BACKUP_SETTING) is None, "the alert for old backups comes"


@pytest.mark.parametrize("name", ["..%2Fdata%2Flingting.db", "lingting.db", "lingting-x.tar"])
def test_nothing_else_is_reached(client: httpx.Client, tmp_path: Path, name: str) -> None:
    (tmp_path / "saved").mkdir(exist_ok=True)
    (tmp_path / "saved" / "lingting.db").write_bytes(b"x")
    for answer in (
        client.get(f"/backups/{name}/file"), client.delete(f"/backups/{name}"),
        client.get(f"/backups/{name}"), client.post(f"/backups/{name}/verify"),
    ):  # fmt: skip
        assert answer.status_code == 404
    assert (tmp_path / "saved" / "lingting.db").exists()


def test_reading_back_finds_every_wrong_byte(tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as store:
        blob = store.blobs.put(io.BytesIO(b"sound" * 100))
        store.discard("0" * 64)
        report = back_up(store, tmp_path / "b.tar")
    assert blob.digest
    good = (tmp_path / "b.tar").read_bytes()
    assert verify(tmp_path / "b.tar").recordings == report.recordings
    with tarfile.open(tmp_path / "b.tar") as tar:
        inside = [(one.offset_data, one.offset_data + one.size) for one in tar]
    for start, end in inside:
        for at in (start, (start + end) // 2, end - 1):
            wrong = bytearray(good)
            wrong[at] ^= 1
            (tmp_path / "w.tar").write_bytes(wrong)
            with pytest.raises(BackupInvalid):
                verify(tmp_path / "w.tar")
    for cut in (0, 100, len(good) // 2, len(good) - 12_000):
        (tmp_path / "w.tar").write_bytes(good[:cut])
        with pytest.raises(BackupInvalid):
            verify(tmp_path / "w.tar")
