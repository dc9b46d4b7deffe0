"""A real model through the host: exactly what the guarded engine says in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_host import Hosted, hosting

from lingting.audio.decode import read_all
from lingting.engines.base import Clip, Engine, RecognizeOptions
from lingting.engines.registry import load_engine
from lingting.engines.remote import load
from lingting.engines.remote.host import HostEngine
from lingting.pipeline import PipelineOptions, Transcriber
from lingting.vad.fsmn import FsmnVad

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def guarded(whisper_folder: Path) -> Iterator[Engine]:
    engine = load_engine("whisper-base", device="cpu", compute="int8")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def hosted(guarded: Engine) -> Iterator[Hosted]:
    """A host that holds the very engine of the test, which asks it only in turns."""
    with hosting(guarded, models=("whisper-base",)) as found:
        yield found


@pytest.fixture(scope="module")
def caller(hosted: Hosted) -> HostEngine:
    engine = load(hosted.address)
    assert isinstance(engine, HostEngine)
    hosted.engines.append(engine)
    return engine


def real_clips(speech_dir: Path) -> list[Clip]:
    """Short speech in several languages, and options of every kind."""
    lines = (speech_dir / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    asked = {
        "zh": RecognizeOptions(language="zh", words=True),
        "en": RecognizeOptions(hotwords=("Watson", "weather"), prompt="A call."),
        "ja": RecognizeOptions(language="ja", itn=False, beam_size=2),
        "yue": RecognizeOptions(language="yue"),
    }
    clips = []
    for language, options in asked.items():
        row = next(
            row
            for row in rows
            if row["language"].split("-")[0] == language and 1.5 <= float(row["duration_s"]) <= 6
        )
        samples, _ = read_all(speech_dir / row["file"])
        speech_s = len(samples) / 16_000 * 0.8
        clips.append(Clip(samples.astype(np.float32), options, speech_s, 0.9))
    noise = np.random.default_rng(3).normal(0, 0.05, 48_000).astype(np.float32)
    clips.append(Clip(noise, RecognizeOptions(words=True), 0.2, 0.4))
    clips.append(Clip(np.zeros(16_000, np.float32), RecognizeOptions(language="en")))
    return clips


@pytest.mark.speech
def test_a_clip_gives_the_same_hypothesis_there_and_here(
    speech_dir: Path, guarded: Engine, caller: HostEngine
) -> None:
    clips = real_clips(speech_dir)
    here = [guarded.recognize([one])[0] for one in clips]
    there = [caller.recognize([one])[0] for one in clips]
    assert there == here
    assert sum(bool(one.text) for one in here) >= 4
    assert here[0].words
    assert caller.facts == guarded.facts


@pytest.mark.speech
def test_all_at_once_gives_the_same_too(
    speech_dir: Path, guarded: Engine, caller: HostEngine
) -> None:
    clips = real_clips(speech_dir)
    assert caller.recognize(clips) == guarded.recognize(clips)


@pytest.mark.speech
def test_neighbours_in_a_batch_change_nothing(
    speech_dir: Path, guarded: Engine, caller: HostEngine
) -> None:
    """Clips of 12 to 13 s fit beside another one, and have another context than it."""
    lines = (speech_dir / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    long = [row for row in rows if 12.0 < float(row["duration_s"]) < 13.0][:4]
    short = [row for row in rows if 9.0 < float(row["duration_s"]) < 11.0][:3]
    clips = [
        Clip(read_all(speech_dir / row["file"])[0].astype(np.float32)) for row in (*long, *short)
    ]
    assert caller.recognize(clips) == [guarded.recognize([one])[0] for one in clips]


def test_a_transcript_is_the_same_whoever_recognises(
    samples_folder: Path, vad_folder: Path, guarded: Engine, caller: HostEngine
) -> None:
    options = PipelineOptions(language="zh", words=True)
    vad = FsmnVad(vad_folder)
    recording = samples_folder / "asr_example.wav"
    here = Transcriber(guarded, vad, options).transcribe(recording)
    there = Transcriber(caller, vad, options).transcribe(recording)
    assert here.text
    assert there == here
