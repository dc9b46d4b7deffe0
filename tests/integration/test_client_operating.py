"""What an operator does from Python: speech, models, backups, system, on a real service."""

import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_parts import Running, running, wait_until
from small_host import hear, hosting

from lingting.answers import Backup, Machine, Speech
from lingting.client import Client
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import (
    AudioNotMedia,
    BackupNotFound,
    ModelUnknown,
    OptionInvalid,
    RequestConflict,
)
from lingting.store.backup import verify
from lingting.vad.parameters import PARAMETERS


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with (
        hosting(lambda *_: ScriptedEngine(hear)) as host,
        running(tmp_path / "data", engines=(host.address,)) as found,
    ):
        yield found


@pytest.fixture
def client(service: Running) -> Iterator[Client]:
    with Client(service.url, service.key()) as found:
        yield found


@pytest.mark.speech
@pytest.mark.model
def test_speech(client: Client, speech_dir: Path, vad_folder: Path) -> None:
    del vad_folder
    audio = speech_dir / "en-sonnet.mp3"
    told = client.speech_in(audio, max_single_segment_ms=5_000, silence_schedule=[[5_000, 400]])
    assert isinstance(told, Speech)
    assert told.spans[0].score > 0.5
    assert told.parameters["silence_schedule"] == [[5_000, 400]]
    assert not told.damage
    job = client.submit(audio)
    plain = client.speech(job.recording_id)
    assert plain.duration_s == told.duration_s
    assert len(plain.spans) < len(told.spans)
    assert [one.name for one in client.speech_parameters()] == [one.name for one in PARAMETERS]
    with pytest.raises(OptionInvalid):
        client.speech(job.recording_id, window_ms=5)
    with pytest.raises(AudioNotMedia):
        client.speech_in(io.BytesIO(b"nothing to hear"))


def test_models_and_settings(client: Client) -> None:
    admin = client.admin
    assert admin.load_model("tiny").id == "tiny"
    wait_until(lambda: admin.model("tiny").on[0].state == "ready")
    assert [one.name for one in admin.engines()] == ["unix"]
    assert admin.clear_engines() == ("unix",)
    admin.unload_model("tiny", engine="unix")
    wait_until(lambda: admin.model("tiny").on[0].state == "absent")
    assert "whisper-base" in [one.id for one in admin.models()]
    with pytest.raises(ModelUnknown):
        admin.load_model("nothing")
    told = {one.name: one for one in admin.change_settings(device="cpu", stored_bytes=5)}
    assert (told["device"].stored, told["device"].processes) == ("cpu", ("engine",))
    assert told["device"].changed_at is not None
    assert told["stored_bytes"].value == 5


def test_backups(client: Client, tmp_path: Path) -> None:
    admin = client.admin
    client.submit(io.BytesIO(b"sound"), name="a.wav")
    begun = admin.make_backup()
    until_s = time.monotonic() + 30
    while (found := admin.backup(begun.name)).state != "done":
        assert time.monotonic() < until_s
        time.sleep(0.05)
    assert isinstance(found, Backup)
    assert (found.verified, found.recordings) == (True, 1)
    assert found.verified_at is not None
    assert admin.backups() == [found]
    with (tmp_path / "taken.tar").open("wb") as file:
        admin.download_backup(found.name, file)
    assert verify(tmp_path / "taken.tar").recordings == 1
    admin.verify_backup(found.name)
    wait_until(lambda: admin.backup(found.name).state == "done")
    admin.delete_backup(found.name)
    with pytest.raises(BackupNotFound):
        admin.backup(found.name)


def test_the_system(client: Client) -> None:
    told = client.admin.system()
    assert isinstance(told.machine, Machine)
    assert [one.name for one in told.processes] == ["web", "engine"]
    assert told.processes[0].since is not None
    assert told.samples.every_s == 10
    with pytest.raises(RequestConflict):
        client.admin.restart("worker")
