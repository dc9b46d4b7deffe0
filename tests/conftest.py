"""What every test can rely on: a clean environment, no way out to the network, real recordings.

A test that needs a model or the recordings of ``../shared/speech`` asks for the fixture and is
skipped aloud, with the command that brings it, where they are absent.
"""

import io
import os
import signal
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from xdist.scheduler import LoadScopeScheduling

from lingting import models
from lingting.errors import ModelNotInstalled

ROOT = Path(__file__).parents[1]
SPEECH = ROOT.parent / "shared" / "speech"
_KEPT = {"LINGTING_HOME"}  # where `make test` put the models
_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0", "::")  # noqa: S104 - addresses, not a binding


def pytest_configure() -> None:
    """Before any test module is imported: what it reads must not depend on who runs it."""
    for name in list(os.environ):
        upper = name.upper()
        is_ours = upper.startswith("LINGTING_") and upper not in _KEPT
        if is_ours or upper in {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}:
            del os.environ[name]
    # Importing Gradio takes seconds of each server that a test starts; tests/browser wants it.
    os.environ["LINGTING_PAGES"] = "0"
    sys.addaudithook(_refuse_network)
    # A shell's background job ignores SIGINT, and so would every program a test starts and stops.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Groups(LoadScopeScheduling):
    """What runs in one process when the tests are shared out: a file, and all that needs a browser.

    Two browsers at once, each with a service and its engine, would starve each other.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "tests/browser" if nodeid.startswith("tests/browser/") else nodeid.split("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Groups:
    return Groups(config, log)


class NetworkRefused(RuntimeError):
    """A test, or what it tests, wanted to leave this machine."""


def _refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    """Hears of connections of C code too, unlike a patched ``socket`` module."""
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a string is a Unix socket
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host and not str(host).startswith(_LOOPBACK):
        raise NetworkRefused(f"tests never leave this machine; {event} wanted to")


@pytest.fixture(scope="session")
def speech_dir() -> Path:
    """The folder of real recordings with transcripts beside the repository."""
    if not (SPEECH / "manifest.jsonl").is_file():
        pytest.skip("the recordings of ../shared/speech are not beside the repository")
    return SPEECH


def _installed(name: str) -> Path:
    try:
        return models.path(name)
    except ModelNotInstalled:
        pytest.skip(f"the model {name} is not installed: make models")


@pytest.fixture(scope="session")
def whisper_folder() -> Path:
    """The installed whisper-base."""
    return _installed("whisper-base")


@pytest.fixture(scope="session")
def vad_folder() -> Path:
    """The installed FSMN-VAD."""
    return _installed("fsmn-vad")


@pytest.fixture(scope="session")
def samples_folder() -> Path:
    """The installed sample recordings."""
    return _installed("sample-recordings")


@pytest.fixture
def tiny_wav(tmp_path: Path) -> Path:
    """Half a second of a 440 Hz tone: mono, 16 kHz, 16 bit."""
    tone = np.sin(2 * np.pi * 440 * np.arange(8_000) / 16_000)
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((tone * 12_000).astype("<i2").tobytes())
    path = tmp_path / "tiny.wav"
    path.write_bytes(data.getvalue())
    return path
