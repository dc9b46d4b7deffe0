"""Speech of a recording and of a clip over the API: real audio, the real detector."""

import contextlib
import csv
import io
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from server_parts import Running, running, wait_until

from lingting.server.routes import speech as routes
from lingting.vad.fsmn import FsmnVad
from lingting.vad.parameters import PARAMETERS, parse_options
from lingting.vad.report import speech_report

pytestmark = [pytest.mark.speech, pytest.mark.model]
CLIP = "en-sonnet.mp3"


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, vad_folder: Path, speech_dir: Path
) -> Iterator[Running]:
    del vad_folder, speech_dir
    with running(tmp_path_factory.mktemp("speech") / "data", requests_per_minute=0) as found:
        yield found


@pytest.fixture(scope="module")
def client(service: Running) -> Iterator[httpx.Client]:
    with service.client("read", "write") as found:
        yield found


@pytest.fixture(scope="module")
def clip(speech_dir: Path) -> bytes:
    return (speech_dir / CLIP).read_bytes()


def left_over(service: Running) -> list[str]:
    """Files of clips that the process still holds open."""
    held = []
    for one in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            held.append(os.readlink(f"/proc/self/fd/{one}"))
    return [one for one in held if one.startswith(str(service.folder)) and "(deleted)" in one]


def test_the_table_of_parameters(client: httpx.Client) -> None:
    told = client.get("/speech/parameters").json()
    assert [one["name"] for one in told["parameters"]] == [one.name for one in PARAMETERS]
    longest = next(o for o in told["parameters"] if o["name"] == "max_single_segment_ms")
    assert (longest["lowest"], longest["highest"], longest["default"]) == (1_000, 60_000, 30_000)
    assert told["clip"] == {"max_s": 1_800, "max_bytes": 256 << 20}


def test_a_clip_is_heard_and_not_kept(
    service: Running, client: httpx.Client, clip: bytes, speech_dir: Path, vad_folder: Path
) -> None:
    before = service.blobs()
    answer = client.post(
        "/speech", files={"file": ("secret.mp3", clip)}, data={"max_single_segment_ms": "5000"}
    )
    assert answer.status_code == 200, answer.text
    told = answer.json()
    options = parse_options({"max_single_segment_ms": 5_000})
    wanted = speech_report(speech_dir / CLIP, FsmnVad(vad_folder), options)
    assert [(one["start_s"], one["end_s"]) for one in told["spans"]] == [
        (round(one.start_s, 3), round(one.end_s, 3)) for one in wanted.spans
    ]
    assert all(0.5 < one["score"] <= 1 for one in told["spans"])
    assert len(told["clips"]) == len(wanted.clips)
    assert told["speech_share"] == pytest.approx(wanted.speech_share, abs=1e-3)
    assert len(told["peaks"]) == 1_000
    assert all(-127 <= low <= high <= 127 for low, high in told["peaks"])
    assert told["parameters"] == options.as_dict()
    assert service.blobs() == before
    assert service.incoming() == []
    assert left_over(service) == []
    assert client.get("/recordings").json()["items"] == []


def test_a_recording_of_the_history(service: Running, clip: bytes) -> None:
    with service.client("admin") as client:
        taken = client.post("/recordings", files={"file": ("talk.mp3", clip)}).json()
        id = taken["items"][0]["job"]["recording_id"]
        plain = client.post(f"/recordings/{id}/speech", json={}).json()
        strict = client.post(
            f"/recordings/{id}/speech", json={"speech_noise_threshold": 0.95}
        ).json()
        assert plain["speech_s"] > strict["speech_s"] > 0
        rows = client.post(f"/recordings/{id}/speech?format=csv", json={})
        assert rows.headers["content-disposition"].startswith('attachment; filename="talk.csv"')
        listed = list(csv.DictReader(io.StringIO(rows.text)))
        assert [float(one["start_s"]) for one in listed] == [
            one["start_s"] for one in plain["spans"]
        ]
        asked = client.post(f"/recordings/{id}/speech", json={}, headers={"Accept": "text/csv"})
        assert asked.headers["content-type"].startswith("text/csv")
        file = client.post(f"/recordings/{id}/speech?format=json", json={})
        assert file.headers["content-disposition"].startswith('attachment; filename="talk.json"')
        assert file.json()["spans"] == plain["spans"]
        for json_body in ({"unknown": 1}, {"window_ms": 1}, {"max_extent_s": 10}):
            answer = client.post(f"/recordings/{id}/speech", json=json_body)
            assert answer.status_code == 400
        client.delete(f"/recordings/{id}")
        client.post(f"/recordings/{id}/purge")


def test_what_is_too_much_says_how_to_do_it(
    client: httpx.Client, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "CLIP_BYTES", 100_000)
    answer = client.post("/speech", files={"file": ("a.mp3", clip)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request.too_large")
    assert "/recordings/{id}/speech" in answer.json()["error"]["next_step"]
    monkeypatch.undo()
    monkeypatch.setattr(routes, "CLIP_S", 20.0)
    answer = client.post("/speech", files={"file": ("a.mp3", clip)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "audio.too_long")
    assert "/recordings/{id}/speech" in answer.json()["error"]["next_step"]


@pytest.mark.parametrize(
    ("files", "data", "code"),
    [
        ({"file": ("a.mp3", b"no sound at all")}, {}, "audio.not_media"),
        ({"file": ("a.mp3", b"")}, {}, "audio.empty"),
        ({"other": ("a.mp3", b"x")}, {}, "request.body_invalid"),
        ({"file": ("a.mp3", b"x")}, {"window_ms": "many"}, "request.body_invalid"),
        ({"file": ("a.mp3", b"x")}, {"window_ms": "[" * 5_000}, "request.body_invalid"),
        ({"file": ("a.mp3", b"x")}, {"window_ms": "NaN"}, "option.invalid"),
        ({"file": ("a.mp3", b"x")}, {"nothing": "1"}, "option.unknown"),
    ],
)
def test_wrong_requests(client: httpx.Client, files: dict, data: dict, code: str) -> None:
    answer = client.post("/speech", files=files, data=data)
    assert answer.json()["error"]["code"] == code
    assert "secret" not in answer.text


def test_a_long_recording_does_not_hold_the_service_up(
    service: Running, client: httpx.Client, clip: bytes
) -> None:
    """While three listen, /healthz answers as ever."""
    long_clip = clip * 4  # decoders read on
    done: list[int] = []

    def ask() -> None:
        with service.client("read") as own:
            done.append(own.post("/speech", files={"file": ("a.mp3", long_clip)}).status_code)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for one in threads:
        one.start()
    slowest_s, looks = 0.0, 0
    while any(one.is_alive() for one in threads):
        began_s = time.monotonic()
        assert httpx.get(f"{service.url}/healthz").status_code == 200
        slowest_s, looks = max(slowest_s, time.monotonic() - began_s), looks + 1
        time.sleep(0.05)
    assert done == [200] * 3
    assert looks > 5
    assert slowest_s < 2.0


def test_hanging_up_ends_the_work(service: Running, client: httpx.Client, clip: bytes) -> None:
    hearing = service.service.hearing
    client.post("/speech", files={"file": ("a.mp3", clip)})  # one is warm now
    (process,) = hearing._warm
    with pytest.raises(httpx.TimeoutException):
        client.post("/speech", files={"file": ("a.mp3", clip * 25)}, timeout=1.0)
    wait_until(lambda: process.has_ended)
    wait_until(lambda: left_over(service) == [])
    assert client.post("/speech", files={"file": ("a.mp3", clip)}).status_code == 200


def test_a_process_that_dies_is_replaced(
    service: Running, client: httpx.Client, clip: bytes
) -> None:
    client.post("/speech", files={"file": ("a.mp3", clip)})
    (process,) = service.service.hearing._warm
    process.kill()
    wait_until(lambda: process.has_ended)
    assert client.post("/speech", files={"file": ("a.mp3", clip)}).status_code == 200


def test_too_many_are_told_to_wait(
    service: Running, client: httpx.Client, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.service.hearing._turns, "_queued", 0)
    answer = client.post("/speech", files={"file": ("a.mp3", clip)})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert json.loads(answer.text)["error"]["code"] == "busy.later"
