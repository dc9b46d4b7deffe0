"""The real network on real speech: streams, options, clips, and what is no speech."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import vad_cases as cases
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lingting.errors import AudioInvalid, WeightsInvalid
from lingting.transcript import Span
from lingting.vad.decision import SpeechEnd, SpeechStart, VadEvent
from lingting.vad.fsmn import FsmnVad
from lingting.vad.options import VadOptions
from lingting.vad.pack import PackOptions, cut, pack
from lingting.vad.speech import ReadyClip, SpeechStream

RATE = 16_000

pytestmark = [pytest.mark.speech, pytest.mark.model]

Floats = NDArray[np.float32]


def blocks_of(samples: Floats, sizes: list[int]) -> list[Floats]:
    blocks, at = [], 0
    while at < len(samples):
        blocks.append(samples[at : at + sizes[len(blocks) % len(sizes)]])
        at += len(blocks[-1])
    return blocks


def ready(samples: Floats, sizes: list[int], packing: PackOptions) -> tuple[list[ReadyClip], float]:
    """Clips of a stream, and the most audio that it held."""
    stream, clips, held_s = SpeechStream(cases.vad(), packing), [], 0.0
    for block in blocks_of(samples, sizes):
        clips += stream.feed(block)
        held_s = max(held_s, stream.held_s)
    return clips + stream.finish(), held_s


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(1, 60_000), min_size=1, max_size=5))
def test_blocks_of_any_size_give_the_spans_and_scores_of_the_whole(sizes: list[int]) -> None:
    samples = cases.joined(70)
    whole = cases.vad().analyse(samples)
    stream = cases.vad().stream()
    events: list[VadEvent] = []
    for block in blocks_of(samples, [size + 300 for size in sizes]):
        events += stream.feed(block)
    events += stream.finish()
    frames = stream.take_frames()
    assert tuple(e.span for e in events if isinstance(e, SpeechEnd)) == whole.spans
    assert np.array_equal(frames.speech, whole.frames.speech)
    assert np.array_equal(frames.level_db, whole.frames.level_db)
    assert len(whole.spans) > 3


def test_single_samples_are_blocks_too() -> None:
    samples = cases.joined(70)[: 3 * RATE]
    stream = cases.vad().stream()
    events = [event for sample in samples for event in stream.feed(np.array([sample]))]
    events += stream.finish()
    assert [e.span for e in events if isinstance(e, SpeechEnd)] == cases.vad().spans(samples)
    assert [e.start_s for e in events if isinstance(e, SpeechStart)]


@pytest.mark.parametrize("length", [0, 160, 399, 400, 16_000, 160_000])
def test_silence_of_any_length_holds_no_speech(length: int) -> None:
    samples = np.zeros(length, np.float32)
    assert cases.vad().spans(samples) == []
    assert ready(samples, [4_000], PackOptions())[0] == []


def test_frames_cover_the_recording_and_tell_speech_from_silence() -> None:
    samples = np.concatenate((np.zeros(3 * RATE, np.float32), cases.recording("en-jfk.flac")))
    activity = cases.vad().analyse(samples)
    assert len(activity.frames) == 1 + (len(samples) - 400) // 160
    # The network needs its first second to settle.
    assert activity.frames.speech[100:250].max() < 0.2
    assert np.median(activity.frames.speech[300:]) > 0.9
    assert np.allclose(activity.frames.level_db[:200], -60.0)


def test_speech_may_touch_both_ends_of_the_file() -> None:
    whole = cases.recording("en-jfk.flac")
    span = max(cases.vad().spans(whole), key=lambda s: s.duration_s)
    inner = Span(span.start_s + 0.4, span.end_s - 0.6)
    samples = whole[round(inner.start_s * RATE) : round(inner.end_s * RATE)]
    (found,) = cases.vad().spans(samples)
    assert found.start_s == 0.0
    assert 0.0 <= len(samples) / RATE - found.end_s <= 0.025
    (clip,), _ = ready(samples, [8_000], PackOptions())
    assert np.array_equal(clip.samples, samples)


@pytest.mark.parametrize(
    "changed",
    [
        {"max_end_silence_ms": 300},
        {"silence_schedule": ((3_000, 1_000), (6_000, 400), (9_000, 200))},
        {"max_single_segment_ms": 3_000},
        {"speech_noise_threshold": 0.9},
        {"window_ms": 300},
        {"sil_to_speech_ms": 80},
        {"speech_to_sil_ms": 80},
        {"lookback_ms": 50},
        {"lookahead_ms": 250},
        {"min_level_db": 0.0},
        {"min_snr_db": 15.0},
        {"single_utterance": True},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_every_option_changes_the_spans_of_real_speech(changed: dict[str, object]) -> None:
    samples = cases.joined(40)
    spans = cases.vad().spans(samples)
    stream = cases.vad().stream(options=VadOptions(**changed))
    events = stream.feed(samples) + stream.finish()
    assert [e.span for e in events if isinstance(e, SpeechEnd)] != spans


def test_patience_for_the_first_word_ends() -> None:
    samples = np.concatenate((np.zeros(2 * RATE, np.float32), cases.recording("en-jfk.flac")))
    found = {}
    for patience_ms in (1_000, 4_000):
        options = VadOptions(single_utterance=True, max_start_silence_ms=patience_ms)
        stream = cases.vad().stream(options=options)
        events = stream.feed(samples) + stream.finish()
        found[patience_ms] = len([e for e in events if isinstance(e, SpeechEnd)])
    assert found == {1_000: 0, 4_000: 1}


@pytest.mark.parametrize("packing", [PackOptions(), PackOptions(target_s=10.0, max_pause_s=0.3)])
def test_a_streams_clips_are_those_of_the_whole_and_memory_is_bounded(packing: PackOptions) -> None:
    samples = cases.joined(6, pause_s=2.0)
    assert len(samples) > 500 * RATE
    activity = cases.vad().analyse(samples)
    expected = pack(activity.spans, activity.frames, len(samples) / RATE, packing)
    for sizes in ([RATE], [700_001], [11, 33_333, 160_000]):
        clips, held_s = ready(samples, sizes, packing)
        assert [clip.map.pieces for clip in clips] == [clip.pieces for clip in expected]
        for clip, planned in zip(clips, expected, strict=True):
            assert np.array_equal(clip.samples, cut(samples, planned))
        assert held_s < 70.0


def test_a_clip_tells_how_sure_and_how_loud_its_speech_is() -> None:
    samples = cases.recording("en-jfk.flac")
    (clip,), _ = ready(samples, [RATE], PackOptions())
    (quiet,), _ = ready(samples * np.float32(0.1), [RATE], PackOptions())
    assert 0.5 < clip.mean_score <= clip.peak_score <= 1.0
    assert clip.level_db - quiet.level_db == pytest.approx(20.0, abs=0.5)
    assert clip.level_db == pytest.approx(20 * np.log10(np.sqrt(np.mean(samples**2))), abs=1.5)
    assert clip.speech_s <= clip.map.duration_s


def test_minutes_of_speech_without_a_pause_are_cut_in_quiet_places() -> None:
    voices = [
        recording[round(span.start_s * RATE) + 4_000 : round(span.end_s * RATE) - 8_000]
        for name in cases.clip_names()
        if name.startswith(("aishell", "css10", "libri", "zh", "en"))
        for recording in (cases.recording(name),)
        for span in cases.vad().spans(recording)
        if span.duration_s > 3
    ]
    samples = np.concatenate(voices)[: 180 * RATE]
    assert len(samples) == 180 * RATE
    activity = cases.vad().analyse(samples)
    clips = pack(activity.spans, activity.frames, 180.0)
    assert max(clip.duration_s for clip in clips) <= 30.0
    assert sum(c.speech_s for c in clips) == pytest.approx(
        sum(s.duration_s for s in activity.spans)
    )
    level = activity.frames.level_db
    for left, right in pairwise(clips):
        if left.end_s == right.start_s:
            at = round(left.end_s * 100)
            assert level[at - 7 : at + 8].mean() < np.median(level)


def test_arrays_that_are_no_mono_floats_are_refused() -> None:
    stream = cases.vad().stream()
    with pytest.raises(AudioInvalid, match=r"float64 samples of shape \[2, 9\]"):
        stream.feed(np.zeros((2, 9)))
    with pytest.raises(AudioInvalid, match="int16"):
        stream.feed(np.zeros(9, np.int16))  # type: ignore[arg-type]
    stream.finish()
    with pytest.raises(AudioInvalid, match="after the end"):
        stream.feed(np.zeros(9, np.float32))


def test_a_folder_without_the_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match=r"am\.mvn"):
        FsmnVad(tmp_path)
    (tmp_path / "am.mvn").write_bytes((cases.vad_folder() / "am.mvn").read_bytes())
    with pytest.raises(WeightsInvalid, match=r"model\.onnx"):
        FsmnVad(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(WeightsInvalid, match=r"model\.onnx"):
        FsmnVad(tmp_path)
