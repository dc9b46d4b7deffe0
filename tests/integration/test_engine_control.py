"""Engine hosts, downloads and settings in the hands of administrators, with real hosts."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import tiny_models
from server_parts import Running, running, wait_until
from small_host import Gated, Hosted, hear, hosting
from small_server import Reply, clip, serving
from tiny_models import CONTENTS, HUGGINGFACE, Hub, make_model

from lingting.engines.base import Engine
from lingting.engines.budget import with_budget
from lingting.engines.remote import load
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import EngineFailed
from lingting.host import HostOptions
from lingting.models.catalogue import Catalogue

tiny_hub = tiny_models.tiny_hub  # a fixture
KEY = "key-of-the-hosts"


def loader(name: str, device: str | None) -> Engine:
    del device
    if name == "broken":
        raise EngineFailed("The weights are of another model.")
    return ScriptedEngine(hear)


@pytest.fixture
def host() -> Iterator[Hosted]:
    with hosting(loader, models=("tiny", "other", "broken")) as found:
        yield found


@pytest.fixture
def service(host: Hosted, tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data", engines=(host.address,), home=tmp_path / "home") as found:
        yield found


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with service.client("admin") as found:
        yield found


def model(client: httpx.Client, name: str) -> Any:
    answer = client.get(f"/models/{name}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def trail(service: Running) -> list[tuple[str, str]]:
    with service.client("admin") as client:
        rows = client.get("/audit?limit=100").json()["items"]
    return [(one["action"], one["object_id"]) for one in reversed(rows)]


# Load, unload, clear ------------------------------------------------------------------------------


def test_a_model_is_loaded_and_unloaded(
    service: Running, host: Hosted, client: httpx.Client
) -> None:
    assert model(client, "tiny")["on"][0]["state"] == "absent"
    assert client.post("/models/tiny/load").status_code == 202
    wait_until(lambda: model(client, "tiny")["on"][0]["state"] == "ready")
    told = model(client, "tiny")
    (on,) = told["on"]
    assert told["is_default"] is True
    assert told["hosts"] == ["ready"]
    assert (on["engine"], on["device"], on["error"]) == ("unix", "cpu", None)
    assert on["batch_s"] > 0
    assert on["rtfx"] is None
    remote = load(host.address)
    remote.recognize([clip(1, seconds=1.0)])
    remote.close()
    assert model(client, "tiny")["on"][0]["rtfx"] > 0
    assert client.post("/models/tiny/unload?engine=unix").status_code == 202
    wait_until(lambda: model(client, "tiny")["on"][0]["state"] == "absent")
    assert model(client, "other")["is_default"] is False
    noted = trail(service)
    assert ("model.loaded", "tiny") in noted
    assert ("model.unloaded", "tiny") in noted


def test_an_order_that_cannot_be_is_refused_with_why(client: httpx.Client) -> None:
    assert code_of(client.post("/models/nothing/load")) == (404, "model.unknown")
    assert code_of(client.post("/models/tiny/load?engine=other")) == (400, "option.invalid")
    assert code_of(client.get("/models/nothing")) == (404, "model.unknown")
    answer = client.post("/models/broken/load")
    assert (answer.status_code, answer.json()["on"][0]["error"]) == (202, "engine.failed")
    wait_until(lambda: model(client, "broken")["on"][0]["error"] == "engine.failed")
    assert model(client, "broken")["on"][0]["state"] == "failed"


def test_a_model_that_clips_wait_for_is_not_unloaded(tmp_path: Path) -> None:
    engine = Gated()
    with (
        hosting(engine) as host,
        running(tmp_path / "data", engines=(host.address,)) as service,
        service.client("admin") as client,
    ):
        remote = load(host.address)
        askers = [
            threading.Thread(target=remote.recognize, args=([clip(number, seconds=20.0)] * 2,))
            for number in range(3)
        ]
        for one in askers:
            one.start()
        engine.wait_begun()
        wait_until(lambda: model(client, "tiny")["waiting_s"] > 0)
        assert code_of(client.post("/models/tiny/unload")) == (503, "engine.busy")
        engine.open()
        for one in askers:
            one.join(30)
        remote.close()


def test_memory_of_hosts_is_shown_and_cleared(
    service: Running, host: Hosted, client: httpx.Client
) -> None:
    del host
    (engine,) = client.get("/models").json()["engines"]
    assert engine["name"] == "unix"
    assert engine["resident_bytes"] > 1 << 20
    assert engine["device_bytes"] is None
    assert engine["up_s"] >= 0
    cleared = client.post("/engines/clear")
    assert (cleared.status_code, cleared.json()) == (202, {"engines": ["unix"]})
    assert ("engine.cleared", "all") in trail(service)
    with service.client("read", user="somebody") as other:
        assert other.get("/models").json()["engines"] == []


def test_hosts_that_ask_for_a_key_get_it(tmp_path: Path) -> None:
    """They were asked without one: their models were unknown, and their state empty."""
    options = HostOptions(key=KEY)
    with (
        hosting(loader, options, place="127.0.0.1:0") as host,
        running(tmp_path / "data", engines=(host.address,), remote_key=KEY) as service,
        service.client("admin") as client,
    ):
        assert model(client, "tiny")["on"][0]["state"] == "absent"
        assert client.get("/status").json()["engines"][0]["status"]["models"]
        assert client.post("/models/tiny/load").status_code == 202
        wait_until(lambda: model(client, "tiny")["on"][0]["state"] == "ready")
        names = httpx.get(
            f"{service.url}/v1/models", headers={"Authorization": f"Bearer {service.key('read')}"}
        ).json()["data"]
        assert "tiny" in [one["id"] for one in names]


def test_hosts_of_another_make_take_no_orders(tmp_path: Path) -> None:
    """They were told as done."""
    with (
        serving(lambda asked: Reply()) as (address, _),
        running(tmp_path / "data", engines=(address,)) as service,
        service.client("admin") as client,
    ):
        assert client.get("/models").json()["hosts_answering"] == 1
        assert code_of(client.post("/engines/clear")) == (409, "request.conflict")
        assert ("engine.cleared", "all") not in trail(service)


def test_nobody_answers(tmp_path: Path) -> None:
    with (
        running(tmp_path / "data", engines=(f"unix:{tmp_path}/none.sock",)) as service,
        service.client("admin") as client,
    ):
        told = client.get("/models").json()
        assert (told["hosts"], told["hosts_answering"]) == (1, 0)
        assert told["engines"][0]["is_answering"] is False
        for answer in (client.post("/models/tiny/load"), client.post("/engines/clear")):
            assert code_of(answer) == (503, "engine.busy")
            assert "Retry-After" in answer.headers


# Pull ---------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_catalogue(monkeypatch: pytest.MonkeyPatch, tiny_hub: Hub) -> Hub:
    tiny_hub.offer(HUGGINGFACE)
    listed = Catalogue((make_model([HUGGINGFACE]),))
    monkeypatch.setattr("lingting.models.catalogue", lambda: listed)
    return tiny_hub


def test_a_model_is_fetched_with_progress(
    service: Running, client: httpx.Client, tiny_catalogue: Hub
) -> None:
    tiny_catalogue.slow_s = 0.02
    before = model(client, "tiny")
    assert (before["installed"], before["pull"]) == ("missing", None)
    answer = client.post("/models/tiny/pull")
    assert answer.status_code == 202
    assert answer.json()["pull"]["state"] == "running"
    again = client.post("/models/tiny/pull").json()["pull"]  # the same one
    assert again["started_at"] == answer.json()["pull"]["started_at"]
    seen: list[Any] = []

    def is_done() -> bool:
        seen.append(model(client, "tiny")["pull"])
        return bool(seen[-1]["state"] == "done")

    wait_until(is_done, within_s=30)
    total_bytes = sum(map(len, CONTENTS.values()))
    assert any(0 < one["done_bytes"] < total_bytes for one in seen)
    assert {one["total_bytes"] for one in seen if one["phase"] == "download"} == {total_bytes}
    assert model(client, "tiny")["installed"] == "installed"
    assert trail(service).count(("model.pulled", "tiny")) == 1


def test_a_download_that_fails_says_so(client: httpx.Client, tiny_catalogue: Hub) -> None:
    tiny_catalogue.files.clear()
    assert client.post("/models/tiny/pull").status_code == 202
    wait_until(lambda: model(client, "tiny")["pull"]["state"] == "failed", within_s=30)
    assert model(client, "tiny")["pull"]["error"] == "model.source_unreachable"
    assert code_of(client.post("/models/none/pull")) == (404, "model.unknown")
    asked = len(tiny_catalogue.requests)
    assert code_of(client.post("/models/TINY/pull")) == (404, "model.unknown")
    assert model(client, "tiny")["pull"]["state"] == "failed"
    assert len(tiny_catalogue.requests) == asked, "what is refused is not begun"


def test_offline_nothing_is_fetched(tmp_path: Path, tiny_catalogue: Hub) -> None:
    with (
        running(tmp_path / "data", offline=True, home=tmp_path / "home") as service,
        service.client("admin") as client,
    ):
        assert code_of(client.post("/models/tiny/pull")) == (409, "model.not_installed")
        assert tiny_catalogue.requests == []


# Settings -----------------------------------------------------------------------------------------


def setting(client: httpx.Client, name: str) -> Any:
    return next(one for one in client.get("/settings").json()["items"] if one["name"] == name)


def test_every_setting_says_when_it_applies(client: httpx.Client) -> None:
    items = {one["name"]: one for one in client.get("/settings").json()["items"]}
    assert items["stored_bytes"]["applies"] == "at_once"
    assert (items["device"]["applies"], items["device"]["processes"]) == ("restart", ["engine"])
    assert items["model"]["processes"] == ["engine", "worker"]
    assert (items["port"]["applies"], items["port"]["is_changeable"]) == ("start", False)
    assert items["device"]["allowed"] == "auto, cpu, cuda, cuda:1 or mps"
    for one in items.values():
        assert one["is_changeable"] == (one["applies"] != "start")


def test_a_choice_waits_for_the_process_to_start(
    service: Running, host: Hosted, client: httpx.Client
) -> None:
    answer = client.patch("/settings", json={"engine_batch_s": 40, "stored_bytes": 5})
    assert answer.status_code == 200, answer.text
    told = setting(client, "engine_batch_s")
    assert (told["stored"], told["value"], told["is_pending"]) == (40.0, None, True)
    host.host.started_s = time.monotonic() + 1.0  # as if it had started again since
    told = setting(client, "engine_batch_s")
    assert (told["value"], told["is_pending"], told["is_set_here"]) == (40.0, False, True)
    client.patch("/settings", json={"engine_batch_s": None})
    told = setting(client, "engine_batch_s")
    assert (told["stored"], told["is_set_here"]) == (None, False)
    assert ("setting.changed", "chosen") in trail(service)


def test_settings_are_written_in_one_order(service: Running, client: httpx.Client) -> None:
    """Else two who change some wait for one another on Postgres."""
    given = {"worker_slots": 5, "readers": 1, "threads": 2, "device": "cpu", "compute": "int8"}
    assert client.patch("/settings", json=given).status_code == 200
    with service.client("admin") as other:
        rows = other.get("/audit", params={"action": "setting.changed"}).json()["items"]
    assert rows[0]["details"]["names"] == "device,compute,threads,worker_slots,readers"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"device": "gpu"}, "option.invalid"),
        ({"compute": "int4"}, "option.invalid"),
        ({"threads": 0}, "request.body_invalid"),
        ({"engine_batch_s": 0}, "request.body_invalid"),
        ({"port": 1}, "request.body_invalid"),
        ({"model": "nothing"}, "model.unknown"),
        ({"model": "nothing", "stored_bytes": 7}, "model.unknown"),
        ({"device": "gpu", "stored_bytes": 7}, "option.invalid"),
    ],
)
def test_what_would_not_work_is_refused_and_nothing_is_kept(
    client: httpx.Client, given: dict[str, Any], code: str
) -> None:
    assert code_of(client.patch("/settings", json=given))[1] == code
    assert not any(one["is_set_here"] for one in client.get("/settings").json()["items"])


def test_the_model_of_the_service_must_be_installed(tmp_path: Path, whisper_folder: Path) -> None:
    with running(tmp_path / "data") as service, service.client("admin") as client:
        assert client.patch("/settings", json={"model": "whisper-base"}).status_code == 200
        assert client.patch("/settings", json={"model": "auto"}).status_code == 200
    del whisper_folder
    with (
        running(tmp_path / "data", home=tmp_path / "empty") as service,
        service.client("admin") as client,
    ):
        answer = client.patch("/settings", json={"model": "whisper-base"})
        assert code_of(answer) == (409, "model.not_installed")
        assert "/pull" in answer.json()["error"]["next_step"]


def test_processes_go_by_what_was_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lingting.store.chosen import in_force

    monkeypatch.setenv("LINGTING_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LINGTING_DEVICE", "auto")
    assert in_force("engine", {}).device == "auto"
    assert not (tmp_path / "data").exists(), "an engine host makes no database"
    with running(tmp_path / "data") as service, service.client("admin") as client:
        chosen = {"device": "cpu", "threads": 1, "worker_slots": 7, "max_upload_bytes": 5_000}
        assert client.patch("/settings", json=chosen).status_code == 200
        engine, worker = in_force("engine", {}), in_force("worker", {})
        assert (engine.device, engine.threads, engine.worker_slots) == ("cpu", 1, 48)
        assert (worker.device, worker.worker_slots) == ("auto", 7)
        assert in_force("web", {}).max_upload_bytes == 5_000
        assert in_force("engine", {"device": "cuda"}).device == "cuda", "as its command says"
        client.patch("/settings", json={"device": None})
        assert in_force("engine", {}).device == "auto"
    (tmp_path / "data" / "lingting.db").write_bytes(b"no database at all")
    for one in (tmp_path / "data").glob("lingting.db-*"):
        one.unlink()
    assert in_force("engine", {}).threads is None, "it starts all the same"


def test_a_batch_is_no_longer_than_was_chosen() -> None:
    engine = ScriptedEngine(hear)
    assert with_budget(engine, None) is engine
    with hosting(with_budget(Gated(), 7.0)) as host:
        told = host.json("/models/tiny/load", "POST")
        assert told["lingting"]["batch_s"] == 7.0
        budgets = host.json("/status")["models"]["tiny"]["budgets_s"]
        assert max(budgets.values()) == 7.0


def test_a_host_tells_its_memory() -> None:
    with hosting(loader, models=("tiny",)) as host:
        host.host.memory = lambda: {"device_bytes": 5, "device_total_bytes": 9}
        told = json.loads(host.ask("GET", "/status")[2])
        assert told["memory"]["device_bytes"] == 5
        assert told["memory"]["resident_bytes"] > 1 << 20
        assert told["default"] == "tiny"


def test_both_hosts_are_ordered(tmp_path: Path) -> None:
    with ExitStack() as stack:
        hosts = [stack.enter_context(hosting(loader, place="127.0.0.1:0")) for _ in range(2)]
        addresses = tuple(one.address for one in hosts)
        service = stack.enter_context(running(tmp_path / "data", engines=addresses))
        client = stack.enter_context(service.client("admin"))
        assert client.post("/models/tiny/load").status_code == 202
        wait_until(lambda: model(client, "tiny")["hosts"] == ["ready", "ready"])
        names = [one["engine"] for one in model(client, "tiny")["on"]]
        assert client.post(f"/models/tiny/unload?engine={names[1]}").status_code == 202
        wait_until(lambda: model(client, "tiny")["hosts"] == ["ready", "absent"])
