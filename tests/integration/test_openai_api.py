"""OpenAI's API of the service: durable jobs behind it, streams, retries, refusals.

A worker of its own process hears with the scripted engine; ``test_openai_clients`` has the real
model and the clients of several versions.
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from server_parts import BOUNDARY, END, FORM, Running, file_part, head, raw, running, wait_until
from small_server import models_of, serving
from worker_parts import long_recording, tell, worker

from lingting.jobs import Job

PATH = "/v1/audio/transcriptions"


@dataclass(frozen=True)
class Setting:
    """A service, its worker, and what tells the worker's engine how to be."""

    service: Running
    folder: Path
    worker: subprocess.Popen[bytes]
    key: str

    def http(self, key: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return httpx.Client(base_url=self.service.url, headers=headers, timeout=60)

    def sdk(self, **given: Any) -> openai.OpenAI:
        options = {"api_key": self.key, "base_url": f"{self.service.url}/v1", "max_retries": 0}
        return openai.OpenAI(**{**options, **given})

    def jobs(self) -> list[Job]:
        return self.service.service.desk.jobs()


@pytest.fixture
def setting(tmp_path: Path, vad_folder: Path) -> Iterator[Setting]:
    data, folder = tmp_path / "data", tmp_path / "engine"
    folder.mkdir()
    with (
        serving(lambda _: pytest.fail("no clip comes here"), models_of("tiny", "org/big")) as (
            address,
            _,
        ),
        running(data, engines=[address]) as service,
        worker(data, folder) as process,
    ):
        yield Setting(service, folder, process, service.key("read", "write", user="li"))


@pytest.fixture(scope="session")
def spoken(speech_dir: Path) -> list[Path]:
    listed = (speech_dir / "manifest.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in listed.splitlines()]
    return [speech_dir / row["file"] for row in rows[:12]]


@pytest.fixture
def clip(spoken: list[Path]) -> Path:
    return spoken[0]


@pytest.fixture
def talk(tmp_path: Path, spoken: list[Path]) -> Path:
    """Minutes of speech: several groups."""
    return long_recording(tmp_path / "talk.wav", spoken)


def sent(path: Path) -> dict[str, tuple[str, bytes]]:
    return {"file": (path.name, path.read_bytes())}


def error_of(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return found


def stored_text(setting: Setting, job_id: str) -> str:
    service = setting.service.service
    job = service.desk.job(job_id)
    return service.store.transcript(job.recording_id, job.revision).text


# Answers -----------------------------------------------------------------------------------------


@pytest.mark.speech
def test_a_transcription_is_a_job_in_the_owners_history(setting: Setting, clip: Path) -> None:
    with setting.http() as http:
        answer = http.post(PATH, data={"model": "tiny"}, files=sent(clip))
    assert answer.status_code == 200, answer.text
    (job,) = setting.jobs()
    assert (job.state, job.priority, job.owner) == ("done", "high", "li")
    assert job.options["model"] == "tiny"
    assert answer.headers["x-lingting-job"] == job.id
    assert answer.headers["x-lingting-recording"] == job.recording_id
    recording = setting.service.service.store.recording(job.recording_id)
    assert (recording.owner, recording.name) == ("li", clip.name)
    assert answer.json()["text"] == stored_text(setting, job.id)
    assert answer.json()["text"]


@pytest.mark.speech
def test_fields_may_come_behind_the_file(setting: Setting, clip: Path) -> None:
    body = (
        file_part(clip.name, clip.read_bytes())
        + f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\ntiny\r\n'.encode()
        + f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="language"\r\n\r\nde\r\n'.encode()
        + END
    )
    lines = (FORM, f"Content-Length: {len(body)}", "Connection: close")
    answer = raw(setting.service.port, head(setting.key, *lines, path=PATH) + body, wait_s=60)
    assert answer.startswith(b"HTTP/1.1 200"), answer[:500]
    assert setting.jobs()[0].options["language"] == "de"


@pytest.mark.speech
def test_a_recording_that_is_not_to_be_stored_goes(setting: Setting, clip: Path) -> None:
    service = setting.service.service
    with setting.http() as http:
        kept = http.post(PATH, data={"model": "tiny"}, files=sent(clip))
        gone = http.post(PATH, data={"model": "tiny", "store": "false"}, files=sent(clip))
    assert gone.json()["text"] == kept.json()["text"]
    assert "x-lingting-recording" not in gone.headers
    assert [one.id for one in setting.jobs()] == [kept.headers["x-lingting-job"]]
    assert len(service.store.recordings()) == 1
    assert service.store.recordings(is_deleted=True) == []
    assert len(setting.service.blobs()) == 1  # the audio of the one that stays


# Streams -----------------------------------------------------------------------------------------


@pytest.mark.speech
def test_a_long_recording_streams_its_text_as_it_is_heard(setting: Setting, talk: Path) -> None:
    tell(setting.folder, "slow", "0.3")
    at_s: list[float] = []
    deltas: list[str] = []
    done = None
    with setting.sdk() as client:
        stream = client.audio.transcriptions.create(
            model="gpt-4o-transcribe", file=talk, stream=True
        )
        for event in stream:
            at_s.append(time.monotonic())
            if event.type == "transcript.text.delta":
                deltas.append(event.delta)
            else:
                done = event
    assert done is not None
    assert done.type == "transcript.text.done"
    assert "".join(deltas) == done.text == stored_text(setting, setting.jobs()[0].id)
    assert len(deltas) >= 2
    assert at_s[-1] - at_s[0] > 0.2  # the first came while the others were heard


@pytest.mark.speech
def test_the_old_name_is_never_streamed(setting: Setting, clip: Path) -> None:
    with setting.http() as http:
        answer = http.post(PATH, data={"model": "whisper-1", "stream": "true"}, files=sent(clip))
    assert answer.headers["content-type"] == "application/json"


def test_an_error_in_a_stream_is_an_event(setting: Setting) -> None:
    with setting.sdk() as client, pytest.raises(openai.APIError) as caught:
        for _ in client.audio.transcriptions.create(
            model="gpt-4o-transcribe", file=("a.mp3", b"no audio at all" * 100), stream=True
        ):
            pass
    assert caught.value.code == "audio.not_media"
    assert caught.value.param == "file"


# Again -------------------------------------------------------------------------------------------


@pytest.mark.speech
def test_the_same_request_again_is_the_same_job(setting: Setting, clip: Path) -> None:
    def ask(key: str | None = None, **fields: str) -> httpx.Response:
        with setting.http(key) as http:
            return http.post(PATH, data={"model": "tiny", **fields}, files=sent(clip))

    tell(setting.folder, "slow", "0.5")
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(lambda _: ask(), range(3)))
    later = ask()
    assert len({one.headers["x-lingting-job"] for one in (*together, later)}) == 1
    assert len({one.text for one in (*together, later)}) == 1
    other_options = ask(language="fr")
    other_key = ask(setting.service.key("write", "read", user="li"))
    jobs = {one.headers["x-lingting-job"] for one in (later, other_options, other_key)}
    assert len(jobs) == 3
    service = setting.service.service
    service.store.delete(later.headers["x-lingting-recording"])
    assert ask().headers["x-lingting-job"] not in jobs


@pytest.mark.speech
def test_an_idempotency_key_stands_for_its_request(setting: Setting, clip: Path) -> None:
    with setting.http() as http:

        def ask(**fields: str) -> httpx.Response:
            return http.post(
                PATH,
                data={"model": "tiny", **fields},
                files=sent(clip),
                headers={"Idempotency-Key": "talk-1"},
            )

        first, again, other = ask(), ask(), ask(language="fr")
    assert again.headers["x-lingting-job"] == first.headers["x-lingting-job"]
    assert (other.status_code, error_of(other)["code"]) == (409, "request.conflict")


def go_away(setting: Setting, form: dict[str, str], talk: Path) -> None:
    """As a client that has had enough when the first group was heard."""
    body = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in form.items()
    )
    body += file_part(talk.name, talk.read_bytes()) + END
    data = head(setting.key, FORM, f"Content-Length: {len(body)}", path=PATH) + body
    with socket.create_connection(("127.0.0.1", setting.service.port)) as connection:
        connection.sendall(data)
        wait_until(lambda: bool(setting.jobs()) and setting.jobs()[0].done_s > 0, 60)


@pytest.mark.speech
@pytest.mark.parametrize("is_streamed", [False, True])
def test_who_goes_away_takes_the_job_along_and_goes_on_later(
    setting: Setting, talk: Path, is_streamed: bool
) -> None:
    tell(setting.folder, "slow", "0.6")
    form = {"model": "tiny", "stream": str(is_streamed).lower()}
    going = threading.Thread(target=go_away, args=(setting, form, talk))
    going.start()
    wait_until(lambda: bool(setting.jobs()) and setting.jobs()[0].done_s > 0, 60)
    going.join(30)
    wait_until(lambda: setting.jobs()[0].state == "cancelled")
    tell(setting.folder, "slow", None)
    heard_s = setting.jobs()[0].done_s
    with setting.http() as http:
        answer = http.post(PATH, data=form, files=sent(talk))
    (job,) = setting.jobs()
    assert (job.state, job.attempts) == ("done", 2)
    assert answer.status_code == 200
    told = setting.service.service.desk.events(job_id=job.id)
    kinds = [one.kind for one in told]
    later = [one for one in told[kinds.index("job.cancelled") :] if "done_s" in one.data]
    assert all(one.data["done_s"] > heard_s for one in later)  # what is stored is not heard again


@pytest.mark.speech
def test_who_goes_away_leaves_the_job_to_who_still_waits(setting: Setting, talk: Path) -> None:
    tell(setting.folder, "slow", "0.4")
    found: list[httpx.Response] = []

    def stay() -> None:
        with setting.http() as http:
            found.append(http.post(PATH, data={"model": "tiny"}, files=sent(talk)))

    staying = threading.Thread(target=stay)
    staying.start()
    wait_until(lambda: bool(setting.jobs()))
    with setting.http() as http, pytest.raises(httpx.ReadTimeout):
        http.post(PATH, data={"model": "tiny"}, files=sent(talk), timeout=0.5)
    staying.join(60)
    assert found[0].status_code == 200
    (job,) = setting.jobs()
    assert (job.state, job.attempts) == ("done", 1)


@pytest.mark.speech
def test_a_web_process_that_ends_loses_nothing(
    tmp_path: Path, vad_folder: Path, talk: Path
) -> None:
    data, folder = tmp_path / "data", tmp_path / "engine"
    folder.mkdir()
    tell(folder, "slow", "0.4")
    with worker(data, folder):
        with running(data) as first:
            key = first.key("read", "write", user="li")
            headers = {"Authorization": f"Bearer {key}"}

            def ask(url: str, timeout_s: float = 60) -> httpx.Response:
                return httpx.post(
                    f"{url}{PATH}", data={"model": "tiny"}, files=sent(talk),
                    headers=headers, timeout=timeout_s,
                )  # fmt: skip

            with ThreadPoolExecutor(1) as threads:
                waiting = threads.submit(ask, first.url)
                wait_until(lambda: first.service.broker.looks > 0)
                first.service.broker.end()  # as at a stop: whoever waits is sent away
                refused = waiting.result()
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
            assert error_of(refused)["type"] == "server_error"
        with running(data) as second:
            answer = ask(second.url)
            (job,) = second.service.desk.jobs()
    assert answer.status_code == 200
    assert (job.state, job.attempts) == ("done", 1)


# Refusals ----------------------------------------------------------------------------------------


def test_errors_arrive_as_the_clients_exceptions(setting: Setting, tiny_wav: Path) -> None:
    with setting.sdk() as client:
        create = client.audio.transcriptions.create
        with pytest.raises(openai.NotFoundError) as unknown:
            create(model="gpt-9", file=tiny_wav)
        with pytest.raises(openai.BadRequestError) as format:
            create(model="tiny", file=tiny_wav, response_format="xml")  # type: ignore[call-overload]
        with pytest.raises(openai.BadRequestError) as speakers:
            create(model="tiny", file=tiny_wav, response_format="diarized_json")
        with pytest.raises(openai.BadRequestError) as probabilities:
            create(model="tiny", file=tiny_wav, include=["logprobs"])
        with pytest.raises(openai.BadRequestError) as empty:
            create(model="tiny", file=("a.wav", b""))
        with pytest.raises(openai.APIStatusError) as media:
            create(model="tiny", file=("a.wav", b"not at all" * 500))
        with pytest.raises(openai.AuthenticationError) as nobody:
            client.with_options(api_key="lk_no").models.list()
        only_reads = client.with_options(api_key=setting.service.key("read", user="li"))
        with pytest.raises(openai.PermissionDeniedError) as reader:
            only_reads.audio.transcriptions.create(model="tiny", file=tiny_wav)
    wrong = "invalid_request_error"
    found = {
        name: (one.value.status_code, one.value.type, one.value.param, one.value.code)
        for name, one in {
            "unknown": unknown, "format": format, "speakers": speakers, "empty": empty,
            "probabilities": probabilities, "media": media, "nobody": nobody, "reader": reader,
        }.items()
    }  # fmt: skip
    assert found == {
        "unknown": (404, wrong, "model", "model_not_found"),
        "format": (400, wrong, "response_format", "invalid_value"),
        "speakers": (400, wrong, "response_format", "unsupported_value"),
        "probabilities": (400, wrong, "include", "unsupported_value"),
        "empty": (400, wrong, "file", "audio.empty"),
        "media": (415, wrong, "file", "audio.not_media"),
        "nobody": (401, wrong, None, "invalid_api_key"),
        "reader": (403, wrong, None, "insufficient_permissions"),
    }
    assert setting.service.incoming() == []


def test_every_error_below_v1_has_openais_shape(setting: Setting) -> None:
    with setting.http() as http:
        assert error_of(http.get("/v1/nothing"))["code"] == "unknown_url"
        assert error_of(http.get(PATH))["code"] == "method_not_supported"
        assert error_of(http.post(PATH, json={}))["code"] == "request.body_invalid"
        no_file = http.post(PATH, data={"model": "tiny"}, files={"other": b"x"})
        assert (no_file.status_code, error_of(no_file)["param"]) == (400, "file")
        assert "next_step" in http.get("/api/v1/nothing").json()["error"]
    with httpx.Client(base_url=setting.service.url) as nobody:
        answer = nobody.get("/v1/models")
        assert (answer.status_code, error_of(answer)["code"]) == (401, "invalid_api_key")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_file_that_is_too_large_is_413(tmp_path: Path) -> None:
    with running(tmp_path / "data", max_upload_bytes=2_000) as service:
        headers = {"Authorization": f"Bearer {service.key()}"}
        with httpx.Client(base_url=service.url, headers=headers) as http:
            answer = http.post(PATH, data={"model": "x"}, files={"file": b"1" * 3_000})
        assert (answer.status_code, error_of(answer)["code"]) == (413, "audio.too_long")
        assert service.incoming() == []


@pytest.mark.speech
def test_what_was_said_is_in_no_error_and_no_log(
    setting: Setting, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with setting.http() as http:
        for fields in ({"language": "Blaubeere"}, {"keywords[]": "<Blaubeere>"}):
            answer = http.post(
                PATH, data={"model": "tiny", "prompt": "Blaubeere", **fields},
                files={"file": ("Blaubeere.wav", clip.read_bytes())},
            )  # fmt: skip
            assert answer.status_code == 400
            assert "Blaubeere" not in answer.text or "language" in fields
        answer = http.post(
            PATH, data={"model": "tiny", "prompt": "Blaubeere", "hotwords": "Blaubeere"},
            files={"file": ("Blaubeere.wav", clip.read_bytes())},
        )  # fmt: skip
        assert answer.status_code == 200
    text = answer.json()["text"]
    for record in caplog.records:
        told = json.dumps(record.__dict__, default=str)
        assert "Blaubeere" not in told
        assert text not in told


def test_nothing_that_works_is_503_and_the_job_stays(
    tmp_path: Path, tiny_wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lingting.server.openai import waiting

    monkeypatch.setattr(waiting, "LOOK_S", 0.1)
    monkeypatch.setattr(waiting, "_DEAD_AFTER_S", 0.3)
    with running(tmp_path / "data") as service:
        headers = {"Authorization": f"Bearer {service.key()}"}
        with httpx.Client(base_url=service.url, headers=headers, timeout=30) as http:
            answer = http.post(PATH, data={"model": "x"}, files=sent(tiny_wav))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert error_of(answer)["type"] == "server_error"
        assert service.service.desk.jobs()[0].state == "queued"


# Models ------------------------------------------------------------------------------------------


def test_models_are_listed_and_shown(setting: Setting) -> None:
    with setting.sdk() as client:
        listed = {one.id: one for one in client.models.list()}
        assert {"tiny", "org/big", "auto", "whisper-1", "gpt-transcribe"} <= set(listed)
        assert {one.object for one in listed.values()} == {"model"}
        assert client.models.retrieve("org/big").owned_by == "us"
        assert client.models.retrieve("whisper-1").owned_by == "lingting"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gpt-9")


@pytest.mark.speech
def test_both_channels_of_a_call_are_speakers(
    setting: Setting, tmp_path: Path, spoken: list[Path]
) -> None:
    from lingting.audio.decode import read_all

    left, right = (read_all(one)[0] for one in spoken[:2])
    samples = np.zeros((len(left) + len(right), 2), np.float32)
    samples[: len(left), 0], samples[len(left) :, 1] = left, right
    path = tmp_path / "call.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes())
    with setting.sdk() as client:
        found = client.audio.transcriptions.create(
            model="gpt-4o-transcribe-diarize",
            file=path,
            response_format="diarized_json",
            extra_body={"channels": "split"},
        )
    assert [one.speaker for one in found.segments] == ["A", "B"]
    assert found.task == "transcribe"
