"""``lingting.transcribe``: one text, however the recording is handed over."""

from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lingting
from lingting.api import transcribing
from lingting.audio.decode import read_all
from lingting.errors import (
    AudioNotFound,
    AudioTooLong,
    LanguageUnknown,
    ModelUnknown,
    OptionInvalid,
)
from lingting.pipeline import PipelineOptions

pytestmark = [pytest.mark.model, pytest.mark.speech]

CLIP = "en-cheetah-cv.flac"


@pytest.fixture(autouse=True)
def _installed(whisper_folder: Path, vad_folder: Path) -> None:
    """Both models are there, or the tests are skipped aloud."""


@pytest.fixture(scope="module")
def path(speech_dir: Path) -> Path:
    return speech_dir / CLIP


@pytest.fixture(scope="module")
def text(path: Path) -> str:
    found = lingting.transcribe(path, language="en").text
    assert "platforms" in found
    return found


@pytest.mark.parametrize(
    "form", ["str", "bytes", "bytearray", "file", "stream", "int16", "float32"]
)
def test_every_form_of_a_recording_gives_the_same_text(path: Path, text: str, form: str) -> None:
    samples = read_all(path)[0]
    content = path.read_bytes()
    given: dict[str, Any] = {
        "str": str(path),
        "bytes": content,
        "bytearray": bytearray(content),
        "stream": io.BytesIO(content),
        "int16": np.round(samples * 32_768).astype(np.int16),
        "float32": samples,
    }
    if form == "file":
        with path.open("rb") as file:
            found = lingting.transcribe(file, language="en")
    else:
        found = lingting.transcribe(given[form], language="en")
    assert found.text == text


def test_stereo_and_another_rate_give_the_same_words(path: Path, text: str) -> None:
    """48 kHz is made of 16 kHz by holding each sample: the speech band is the same."""
    samples = read_all(path)[0]
    stereo = np.stack([samples, samples])
    assert lingting.transcribe(stereo, language="en").text == text
    held = np.repeat(samples, 3)
    found = lingting.transcribe(held, language="en", sample_rate_hz=48_000)
    assert found.sample_rate_hz == 48_000
    assert found.duration_s == pytest.approx(len(samples) / 16_000, abs=0.01)
    assert found.text.split()[:4] == text.split()[:4]


def test_words_and_language(path: Path) -> None:
    found = lingting.transcribe(path, words=True)
    assert found.language == "en"
    assert [word for segment in found.segments for word in segment.words]
    assert not [w for s in lingting.transcribe(path).segments for w in s.words]


def test_the_model_is_loaded_once(path: Path, text: str) -> None:
    kept = dict(transcribing._loaded)
    assert len(kept) == 1
    assert lingting.transcribe(path, language="English").text == text
    assert transcribing._loaded == kept


def test_threads_take_turns_and_hear_the_same(path: Path, text: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: lingting.transcribe(path, language="en").text, range(4)))
    assert found == [text] * 4


def test_one_hotword_may_be_a_string(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[PipelineOptions] = []
    kept = next(iter(transcribing._loaded.values()))
    real = kept.transcribe_many

    def spying(sources: Any, *rest: Any) -> Any:
        seen.extend(source.options for source in sources)
        return real(sources, *rest)

    monkeypatch.setattr(kept, "transcribe_many", spying)
    lingting.transcribe(np.zeros(16_000, np.float32), hotwords="开放时间")
    lingting.transcribe(np.zeros(16_000, np.float32), hotwords=["开放", "时间"])
    assert [options.hotwords for options in seen] == [("开放时间",), ("开放", "时间")]


def test_the_longest_recording_is_a_setting(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINGTING_MAX_DURATION_S", "2")
    with pytest.raises(AudioTooLong, match="LINGTING_MAX_DURATION_S"):
        lingting.transcribe(path)


def test_what_is_wrong_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(AudioNotFound):
        lingting.transcribe(tmp_path / "missing.wav")
    with pytest.raises(LanguageUnknown):
        lingting.transcribe(tmp_path / "missing.wav", language="elbisch")
    with pytest.raises(OptionInvalid):
        lingting.transcribe(tmp_path / "missing.wav", script="runes")  # type: ignore[arg-type]
    with pytest.raises(ModelUnknown):
        lingting.load("whisper-bass")


def test_silence_is_an_empty_transcript() -> None:
    found = lingting.transcribe(np.zeros(16_000, np.float32))
    assert (found.text, found.segments, found.duration_s) == ("", (), 1.0)


def test_a_loaded_transcriber_gives_segments_as_they_come(path: Path, text: str) -> None:
    loaded = lingting.load("whisper-base", device="cpu", options=PipelineOptions(language="en"))
    assert " ".join(segment.text for segment in loaded.segments(path)) == text
    loaded.close()


def test_importing_the_package_imports_no_model_library() -> None:
    heavy = "{'torch', 'ctranslate2', 'onnxruntime', 'av', 'numpy', 'tokenizers'}"
    code = f"import sys, lingting; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names() -> None:
    assert set(lingting.__all__) <= set(dir(lingting))
    assert all(getattr(lingting, name) for name in lingting.__all__)
    with pytest.raises(AttributeError, match="no attribute"):
        lingting.transcripe  # type: ignore[attr-defined]  # noqa: B018
