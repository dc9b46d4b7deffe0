"""OpenAI's own clients, of several versions and languages, on a running service with a real model.

Versions that are not installed here are fetched into a cache folder of the user, once; without a
registry these tests are skipped aloud.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import srt
import webvtt

from bench.running import RunningService, running_service
from lingting.joining import join

HERE = Path(__file__).parent
OLD_PYTHON = "openai==1.109.1"
JAVASCRIPT = "openai@7.55.0"
_FETCHED_WITHIN_S = 240.0
_ANSWERED_WITHIN_S = 240.0

Run = Callable[[str, str, Path], dict[str, Any]]


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, whisper_folder: Path, vad_folder: Path
) -> Iterator[RunningService]:
    place = tmp_path_factory.mktemp("service")
    with running_service(place / "data", place / "log", {"LINGTING_MODEL": "whisper-base"}) as one:
        one.wait_ready()
        yield one


def cache(name: str) -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "lingting-tests" / name.replace("==", "-").replace("@", "-npm-")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fetched(command: list[str], folder: Path) -> None:
    """Run it once; what is half there is fetched anew."""
    stamp = folder / ".complete"
    if stamp.exists():
        return
    shutil.rmtree(folder)
    folder.mkdir()
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, timeout=_FETCHED_WITHIN_S
        )
    except (OSError, subprocess.SubprocessError) as exc:
        pytest.skip(f"{command[-1]} cannot be fetched here ({type(exc).__name__})")
    stamp.touch()


def answered(command: list[str], folder: Path | None, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=_ANSWERED_WITHIN_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def current_python(url: str, key: str, file: Path) -> dict[str, Any]:
    return answered([sys.executable, str(HERE / "openai_client.py"), url, key, str(file)], None)


def old_python(url: str, key: str, file: Path) -> dict[str, Any]:
    folder = cache(OLD_PYTHON)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
    fetched([*pip, OLD_PYTHON], folder)
    found = answered(
        [sys.executable, str(HERE / "openai_client.py"), url, key, str(file)], None,
        PYTHONPATH=str(folder),
    )  # fmt: skip
    assert found["version"] == OLD_PYTHON.partition("==")[2]
    return found


def javascript(url: str, key: str, file: Path) -> dict[str, Any]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not on this machine")
    folder = cache(JAVASCRIPT)
    fetched([npm, "install", "--no-audit", "--no-fund", "--prefix", ".", JAVASCRIPT], folder)
    return answered([node, str(HERE / "openai_client.mjs"), url, key, str(file)], folder)


@pytest.fixture(params=[current_python, old_python, javascript])
def run(request: pytest.FixtureRequest) -> Run:
    found: Run = request.param
    return found


@pytest.mark.model
@pytest.mark.parametrize(
    ("name", "language", "said"),
    [("asr_example.wav", "chinese", "出现交易"), ("en-jfk.flac", "english", "country")],
)
def test_a_client_gets_every_format(
    run: Run,
    service: RunningService,
    samples_folder: Path,
    speech_dir: Path,
    name: str,
    language: str,
    said: str,
) -> None:
    file = next(one / name for one in (samples_folder, speech_dir) if (one / name).is_file())
    found = run(f"{service.url}/v1", service.key(), file)
    text = found["json"]
    assert said in text
    assert found["text"] == text + "\n"
    verbose = found["verbose"]
    assert (verbose["text"], verbose["language"]) == (text, language)
    assert join(one for _, _, one in verbose["segments"]) == text
    words = verbose["words"]
    assert len(words) > 3
    assert all(0 <= begin <= end <= verbose["duration"] + 0.1 for begin, end, _ in words)
    assert [begin for begin, _, _ in words] == sorted(begin for begin, _, _ in words)
    subtitles = list(srt.parse(found["srt"]))
    captions = webvtt.from_string(found["vtt"])
    assert [one.content for one in subtitles] == [one.text for one in captions]
    assert said in "".join(one.content for one in subtitles).replace("\n", "")
    assert "".join(found["stream"]["deltas"]) == found["stream"]["done"]
    assert said in found["stream"]["done"]
    assert {"whisper-base", "whisper-1", "gpt-transcribe"} <= set(found["models"])
    wrong = "invalid_request_error"
    assert found["errors"] == {
        "model": [404, wrong, "model", "model_not_found"],
        "format": [400, wrong, "response_format", "invalid_value"],
        "file": [415, wrong, "file", "audio.not_media"],
        "key": [401, wrong, None, "invalid_api_key"],
    }


@pytest.mark.model
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_a_translation_is_in_english(service: RunningService, samples_folder: Path) -> None:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.key()) as client:
        found = client.audio.translations.create(
            model="whisper-1", file=samples_folder / "asr_example.wav",
            response_format="verbose_json",
        )  # fmt: skip
    assert (found.language, found.text.isascii()) == ("english", True)
    assert len(found.text.split()) > 5
    assert join(one.text for one in found.segments or ()) == found.text
