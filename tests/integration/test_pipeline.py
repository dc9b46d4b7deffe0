"""Recordings to transcripts: real reading and speech detection, a scripted or a real engine."""

from __future__ import annotations

import gc
import io
import json
import threading
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lingting.audio.decode import read_all
from lingting.engines.base import Clip, Hypothesis
from lingting.engines.guarded import GuardedEngine
from lingting.engines.scripted import ScriptedEngine
from lingting.engines.whisper import WhisperEngine
from lingting.errors import (
    AudioEmpty,
    AudioError,
    AudioInvalid,
    AudioNotFound,
    AudioNotMedia,
    AudioPathUnreadable,
    AudioTooLong,
    EngineFailed,
    LanguageUnknown,
    OptionInvalid,
)
from lingting.pipeline import (
    Group,
    Hearing,
    Outcome,
    PipelineOptions,
    Progress,
    Source,
    Transcriber,
    open_reading,
)
from lingting.pipeline.transcriber import ReadAhead
from lingting.text.edits import Written, is_linked
from lingting.transcript import Segment, Transcript, Word
from lingting.vad.fsmn import FsmnVad
from lingting.vad.pack import PackOptions

RATE = 16_000
Floats = NDArray[np.float32]
Script = Callable[[Clip], Hypothesis]

pytestmark = [pytest.mark.model, pytest.mark.speech]

PLAIN = PipelineOptions(language="en", itn=False)
SMALL_CLIPS = PackOptions(target_s=4.0)


@pytest.fixture(scope="module")
def vad(vad_folder: Path) -> FsmnVad:
    return FsmnVad(vad_folder)


@pytest.fixture(scope="module")
def clips(speech_dir: Path) -> dict[str, Floats]:
    """A few recordings of different people, at 16 kHz."""
    names = {
        "jfk": "en-jfk.flac",
        "platforms": "en-cheetah-cv.flac",
        "aishell": "zh-aishell1-s0002w0124.flac",
        "italian": "it-cheetah-cv.flac",
        "fleurs": "en-fleurs-002.flac",
    }
    return {key: read_all(speech_dir / name)[0] for key, name in names.items()}


@pytest.fixture(scope="module")
def long_speech(speech_dir: Path) -> Floats:
    """About five minutes of different recordings with pauses between; no clip comes twice."""
    manifest = (speech_dir / "manifest.jsonl").read_text("utf-8")
    rows = [json.loads(row) for row in manifest.splitlines()]
    names = [row["file"] for row in rows if row["text"] and 4 < row["duration_s"] < 16]
    pause = np.zeros(RATE, np.float32)
    parts = [part for name in names[::4] for part in (read_all(speech_dir / name)[0], pause)]
    samples = np.concatenate(parts)[: 300 * RATE]
    assert len(samples) == 300 * RATE
    return samples


def silence(seconds: float) -> Floats:
    return np.zeros(round(seconds * RATE), np.float32)


def wav(samples: Floats) -> bytes:
    """16 bit WAV of ``[n]`` or ``[channels, n]`` samples."""
    rows = np.atleast_2d(samples)
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(len(rows))
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((rows.T * 32_000).astype("<i2").tobytes())
    return data.getvalue()


def length_of(clip: Clip) -> Hypothesis:
    """Says how long the clip is: tells which audio became which text."""
    return Hypothesis(f"{clip.duration_s:.2f}", clip.options.language, confidence=0.9)


def scripted(vad: FsmnVad, script: Script = length_of, options: PipelineOptions = PLAIN) -> Any:
    """A transcriber, and its engine's record of batches."""
    engine = ScriptedEngine(script)
    return Transcriber(engine, vad, options), engine


def reader_threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "lingting-read"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    gc.collect()
    deadline = time.monotonic() + 5
    while reader_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not reader_threads()


# Recordings


def test_outcomes_come_in_the_order_of_the_sources(vad: FsmnVad, clips: dict[str, Floats]) -> None:
    transcriber, _ = scripted(vad)
    order = ["fleurs", "platforms", "jfk", "italian", "aishell"]
    sources = [Source(clips[name], name) for name in order]
    outcomes = list(transcriber.transcribe_many(sources))
    assert [one.key for one in outcomes] == order
    alone = [transcriber.transcribe(clips[name]) for name in order]
    assert [one.unwrap() for one in outcomes] == alone
    assert all(one.segments and one.duration_s > 0 for one in alone)
    assert [one.duration_s for one in alone] == [round(len(clips[n]) / RATE, 3) for n in order]


def test_bad_recordings_disturb_no_neighbour(
    vad: FsmnVad, clips: dict[str, Floats], tmp_path: Path
) -> None:
    transcriber, _ = scripted(vad)
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.mp3").write_text("no recording at all\n" * 50)
    bad: list[tuple[object, type[Exception]]] = [
        (tmp_path / "missing.wav", AudioNotFound),
        (tmp_path / "empty.wav", AudioEmpty),
        (tmp_path / "text.mp3", AudioNotMedia),
        (tmp_path, AudioPathUnreadable),
        (np.zeros((2, 2, 2), np.float32), AudioInvalid),
        (b"", AudioEmpty),
        (object(), AudioError),
        (BrokenFile(), EngineFailed),
    ]
    sources = [
        source
        for at, (given, _) in enumerate(bad)
        for source in (Source(clips["jfk"], f"good{at}"), Source(given, f"bad{at}"))
    ]
    outcomes = list(transcriber.transcribe_many([*sources, Source(clips["jfk"], "last")]))
    alone = transcriber.transcribe(clips["jfk"])
    assert [one.key for one in outcomes] == [*(s.key for s in sources), "last"]
    assert [one.transcript for one in outcomes[::2]] == [alone] * (len(bad) + 1)
    for outcome, (_, kind) in zip(outcomes[1::2], bad, strict=True):
        assert isinstance(outcome.error, kind)
        assert outcome.transcript is None
        with pytest.raises(kind):
            outcome.unwrap()


class BrokenFile(io.BytesIO):
    """A stream whose owner has a bug."""

    def read(self, size: int | None = -1) -> bytes:
        raise ZeroDivisionError


def test_a_recording_that_turns_out_too_long_is_an_error_of_its_own(
    vad: FsmnVad, clips: dict[str, Floats]
) -> None:
    transcriber, _ = scripted(vad)
    tight = PipelineOptions(language="en", max_duration_s=8)
    sources = [Source(wav(clips["jfk"]), "a", options=tight), Source(clips["jfk"], "b")]
    first, second = transcriber.transcribe_many(sources)
    assert isinstance(first.error, AudioTooLong)
    assert second.unwrap().segments


@pytest.mark.parametrize("given", ["silence", "noise"])
def test_a_recording_without_speech_is_an_empty_transcript(vad: FsmnVad, given: str) -> None:
    noise = np.random.default_rng(3).standard_normal(5 * RATE).astype(np.float32) / 1000
    transcriber, engine = scripted(vad)
    transcript = transcriber.transcribe(silence(5) if given == "silence" else noise)
    assert transcript.segments == ()
    assert (transcript.text, transcript.language) == ("", "en")
    assert (transcript.duration_s, transcript.speech_s) == (5.0, 0.0)
    assert transcript.failures == ()
    assert engine.batches == []


def test_nothing_at_all(vad: FsmnVad) -> None:
    transcriber, _ = scripted(vad)
    assert list(transcriber.transcribe_many([])) == []
    with pytest.raises(AudioEmpty):
        transcriber.transcribe(np.zeros(0, np.float32))


def test_facts_of_a_recording(vad: FsmnVad, clips: dict[str, Floats]) -> None:
    transcriber, _ = scripted(vad)
    transcript = transcriber.transcribe(wav(np.stack([clips["jfk"], clips["jfk"]])))
    assert (transcript.sample_rate_hz, transcript.channels) == (16_000, 2)
    assert 6 < transcript.speech_s < 11
    assert not transcript.damage
    assert transcript.model is not None
    assert transcript.model.id == "scripted"
    assert Transcript.from_dict(json.loads(json.dumps(transcript.as_dict()))) == transcript


# Errors of the engine


def test_an_error_of_one_clip_marks_its_segment_only(
    vad: FsmnVad, clips: dict[str, Floats]
) -> None:
    def script(clip: Clip) -> Hypothesis:
        if clip.duration_s > 5:
            raise EngineFailed("Broken.", "Try again.")
        return length_of(clip)

    samples = np.concatenate(
        [clips["platforms"], silence(12), clips["jfk"], silence(12), clips["italian"]]
    )
    transcriber, _ = scripted(vad, script)
    first, second = transcriber.transcribe_many([Source(samples), Source(clips["platforms"])])
    segments = first.unwrap().segments
    assert [bool(one.failure) for one in segments] == [False, True, False]
    assert segments[1].failure is not None
    assert segments[1].failure.code == "engine.failed"
    assert segments[1].failure.message == "Broken. Try again."
    assert (segments[1].text, segments[1].duration_s > 5) == ("", True)
    assert len(first.unwrap().failures) == 1
    assert second.unwrap().failures == ()


def test_an_engine_that_breaks_altogether_is_heard_of(
    vad: FsmnVad, clips: dict[str, Floats]
) -> None:
    transcriber, _ = scripted(vad)
    transcriber.close()
    with pytest.raises(EngineFailed, match="closed"):
        transcriber.transcribe(clips["jfk"])


def test_an_engine_that_loses_clips_is_caught(vad: FsmnVad, clips: dict[str, Floats]) -> None:
    class Losing(ScriptedEngine):
        def recognize(self, given: Any) -> list[Hypothesis]:
            return super().recognize(given)[:-1]

    with pytest.raises(EngineFailed, match="1 clips were given, 0 came back"):
        Transcriber(Losing(length_of), vad, PLAIN).transcribe(clips["jfk"])


# Windows and streaming


def test_windows_grow_and_span_recordings(vad: FsmnVad, long_speech: Floats) -> None:
    options = PipelineOptions(language="en", packing=SMALL_CLIPS)
    transcriber, engine = scripted(vad, options=options)
    pieces = np.array_split(long_speech, 30)
    outcomes = list(transcriber.transcribe_many(Source(p, str(i)) for i, p in enumerate(pieces)))
    assert [one.key for one in outcomes] == [str(i) for i in range(30)]
    assert all(one.error is None for one in outcomes)
    assert len(engine.batches) <= 5  # 30 + 60 + 120 s, and what is left
    assert engine.batches[0] < engine.batches[1] < engine.batches[2]
    assert engine.batches[0] > 3  # clips of several recordings


@pytest.mark.parametrize(
    ("batch_s", "limits_s"), [(120, [30, 60, 120, 120]), (240, [30, 60, 120, 240])]
)
def test_windows_grow_to_what_the_engine_wants(
    batch_s: float, limits_s: list[float], vad: FsmnVad, long_speech: Floats
) -> None:
    asked: list[float] = []

    class Timed(ScriptedEngine):
        def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
            asked.append(sum(clip.duration_s for clip in clips))
            return super().recognize(clips)

    longest_s = SMALL_CLIPS.hard_s
    options = PipelineOptions(language="en", packing=SMALL_CLIPS)
    engine = Timed(lambda _: Hypothesis("Yes.", "en", confidence=0.9), batch_s=batch_s)
    Transcriber(engine, vad, options).transcribe(wav(long_speech))
    for given_s, limit_s in zip(asked[:-1], limits_s, strict=False):
        assert limit_s <= given_s < limit_s + 2 * longest_s  # two groups may pass theirs
    assert asked[-1] < limits_s[min(len(asked), len(limits_s)) - 1] + longest_s
    assert len(asked) >= len(limits_s) - 1


class Gate(io.BytesIO):
    """A file whose second half can be read only once ``open`` is set."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.open = threading.Event()
        self.waited_in_vain = False

    def read(self, size: int | None = -1) -> bytes:
        half = len(self.getbuffer()) // 2
        if self.tell() > half and not self.waited_in_vain:
            self.waited_in_vain = not self.open.wait(20)
        return super().read(size)


def test_the_first_segment_comes_before_the_file_is_read(vad: FsmnVad, long_speech: Floats) -> None:
    options = PipelineOptions(language="en", packing=SMALL_CLIPS)
    transcriber, _ = scripted(vad, options=options)
    file = Gate(wav(long_speech))
    segments = transcriber.segments(file)
    first = next(segments)
    assert first.end_s < 30
    file.open.set()
    rest = list(segments)
    assert not file.waited_in_vain
    found = [first, *rest]
    assert all(a.end_s <= b.start_s + 0.001 for a, b in pairwise(found))
    whole = transcriber.transcribe(wav(long_speech))
    assert [(s.text, s.start_s) for s in found] == [(s.text, s.start_s) for s in whole.segments]
    assert found[-1].end_s > 280


def test_segments_raise_what_is_wrong_with_the_recording(vad: FsmnVad, tmp_path: Path) -> None:
    transcriber, _ = scripted(vad)
    with pytest.raises(AudioNotFound):
        list(transcriber.segments(tmp_path / "missing.wav"))


def test_progress_only_grows(vad: FsmnVad, long_speech: Floats) -> None:
    stereo = np.stack([long_speech, np.roll(long_speech, 7 * RATE)])[:, : 120 * RATE]
    for channels in ("mix", "split"):
        options = PipelineOptions(language="en", packing=SMALL_CLIPS, channels=channels)
        transcriber, _ = scripted(vad, options=options)
        seen: list[Progress] = []
        sources = [Source(wav(stereo), "a"), Source(wav(stereo[0]), "b")]
        list(transcriber.transcribe_many(sources, seen.append))
        for key in ("a", "b"):
            done_s = [one.done_s for one in seen if one.key == key]
            assert len(done_s) >= 2  # a group each
            assert done_s == sorted(done_s)
            assert {one.total_s for one in seen if one.key == key} == {120.0}
            assert 100 < done_s[-1] <= 120


def test_closing_early_stops_the_reading_thread(vad: FsmnVad, long_speech: Floats) -> None:
    taken = 0

    def sources() -> Iterator[Source]:
        nonlocal taken
        for at in range(200):
            taken += 1
            yield Source(long_speech, str(at))

    options = PipelineOptions(language="en", packing=SMALL_CLIPS)
    transcriber, _ = scripted(vad, options=options)
    outcomes = transcriber.transcribe_many(sources())
    next(iter(outcomes))
    assert reader_threads()
    outcomes.close()  # type: ignore[attr-defined]
    assert not reader_threads()
    assert taken < 5
    segments = transcriber.segments(long_speech)
    next(segments)
    del segments
    assert not reader_threads()


def test_hours_without_speech_can_be_stopped(vad: FsmnVad) -> None:
    """Such a recording gives the reading thread nothing to hand over, and it must stop anyway."""
    hours = np.zeros(2 * 3600 * RATE, np.int16)
    with ReadAhead([Source(hours)], vad, PLAIN, most_s=240.0) as events:
        next(events)  # the recording itself, before any of its audio
        assert reader_threads()
    assert not reader_threads()


def test_a_source_that_blocks_does_not_hang_the_close(
    vad: FsmnVad, clips: dict[str, Floats]
) -> None:
    release = threading.Event()

    class Stuck(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            release.wait(60)
            return b""

    def sources() -> Iterator[Source]:
        for name in ("jfk", "fleurs", "aishell", "italian", "platforms"):
            yield Source(clips[name], name)
        yield Source(Stuck(b"RIFF"), "stuck")

    transcriber, _ = scripted(vad)
    outcomes = transcriber.transcribe_many(sources())
    assert next(iter(outcomes)).key == "jfk"
    begin = time.monotonic()
    outcomes.close()  # type: ignore[attr-defined]
    took_s = time.monotonic() - begin
    release.set()
    assert took_s < 10


def test_what_the_callers_own_sources_raise_reaches_the_caller(
    vad: FsmnVad, clips: dict[str, Floats]
) -> None:
    class Own(Exception):
        pass

    def sources() -> Iterator[Source]:
        yield Source(clips["jfk"], "first")
        raise Own

    transcriber, _ = scripted(vad)
    with pytest.raises(Own):
        list(transcriber.transcribe_many(sources()))


# Channels, times, words, language


def test_channels_apart(vad: FsmnVad, clips: dict[str, Floats]) -> None:
    """Two people on two channels, one after the other."""
    left = np.concatenate([clips["platforms"], silence(12)])
    right = np.concatenate([silence(len(clips["platforms"]) / RATE + 3), clips["italian"]])
    stereo = np.stack([np.pad(c, (0, 18 * RATE - len(c))) for c in (left, right)])
    split, mix = (PipelineOptions(language="en", channels=c, itn=False) for c in ("split", "mix"))
    transcriber, _ = scripted(vad)
    apart = transcriber.transcribe(wav(stereo), options=split)
    assert [one.channel for one in apart.segments] == [0, 1]
    assert apart.channels == 2
    starts = [one.start_s for one in apart.segments]
    assert starts == sorted(starts)
    assert apart.segments[0].end_s < apart.segments[1].start_s
    together = transcriber.transcribe(wav(stereo), options=mix)
    assert {one.channel for one in together.segments} == {None}


def test_times_are_those_of_the_file_across_pauses(vad: FsmnVad, clips: dict[str, Floats]) -> None:
    """Pauses of 3 s are cut out of a clip; what follows them must not come early."""
    a, b = clips["platforms"], clips["italian"]
    samples = np.concatenate([silence(20), a, silence(3), b, silence(30), a[::-1]])
    spans = vad.analyse(samples).spans

    def script(clip: Clip) -> Hypothesis:
        last = clip.duration_s
        words = (
            Word("first", 0.0, 0.4),
            Word("then", last - 1.0, last - 0.6),
            Word("last.", last - 0.4, last),
        )
        return Hypothesis("first then last.", "en", words=words, confidence=0.9)

    transcriber, _ = scripted(vad, script)
    segments = transcriber.transcribe(samples).segments
    words = [word for segment in segments for word in segment.words]
    second_start = 20 + len(a) / RATE + 3
    assert words[0].start_s == pytest.approx(spans[0].start_s, abs=0.3)
    assert words[0].start_s > 19.5
    assert words[2].end_s - words[1].start_s == pytest.approx(1.0, abs=0.002)
    assert words[2].end_s > second_start + 1
    assert words[2].end_s == pytest.approx(
        max(s.end_s for s in spans if s.end_s < second_start + len(b) / RATE + 1), abs=0.3
    )
    for segment in segments:
        assert segment.start_s <= segment.words[0].start_s
        assert segment.words[-1].end_s <= segment.end_s
    assert all(x.end_s <= y.start_s for x, y in pairwise(words))


def test_words_survive_written_numbers(vad: FsmnVad, clips: dict[str, Floats]) -> None:
    spoken = "花了一千二百三十四元。我還剩二十三個。"

    def script(clip: Clip) -> Hypothesis:
        step = clip.duration_s / len(spoken)
        chars = [c for c in spoken if c != "。"]
        words = tuple(
            Word(c + ("。" if c in "元個" else ""), i * step, (i + 1) * step)
            for i, c in enumerate(chars)
        )
        return Hypothesis(spoken, "zh", words=words, confidence=0.8)

    transcriber, _ = scripted(vad, script, PipelineOptions(language="zh", words=True))
    segments = transcriber.transcribe(clips["aishell"]).segments
    assert [one.spoken for one in segments] == ["花了一千二百三十四元。", "我還剩二十三個。"]
    assert [one.text for one in segments] == ["花了1234元。", "我还剩23个。"]
    for one in segments:
        assert is_linked(one.spoken, Written(one.text, one.edits))
        assert one.edits
        assert "".join(word.text for word in one.words) == one.spoken
    assert segments[0].words[-1].end_s <= segments[1].words[0].start_s


def test_scripts_and_numbers_as_asked(vad: FsmnVad, clips: dict[str, Floats]) -> None:
    def script(clip: Clip) -> Hypothesis:
        return Hypothesis("頭髮二十三根", "zh", confidence=0.9)

    transcriber, _ = scripted(vad, script)
    texts = {}
    for chosen in ("simplified", "traditional", "as-is"):
        for itn in (True, False):
            options = PipelineOptions(language="zh", script=chosen, itn=itn)  # type: ignore[arg-type]
            texts[chosen, itn] = transcriber.transcribe(clips["aishell"], options=options).text
    assert texts == {
        ("simplified", True): "头发23根",
        ("simplified", False): "头发二十三根",
        ("traditional", True): "頭髮23根",
        ("traditional", False): "頭髮二十三根",
        ("as-is", True): "頭髮23根",
        ("as-is", False): "頭髮二十三根",
    }


def detecting(uncertain: float) -> Script:
    """Hears German in what is long, Dutch with a given certainty in what is short."""

    def script(clip: Clip) -> Hypothesis:
        if clip.options.language is not None:
            return Hypothesis("asked again", clip.options.language, confidence=0.9)
        if clip.duration_s > 5:
            return Hypothesis("lang", "de", language_confidence=0.95, confidence=0.9)
        return Hypothesis("kurz", "nl", language_confidence=uncertain, confidence=0.9)

    return script


def test_short_clips_follow_the_language_of_their_recording(
    vad: FsmnVad, clips: dict[str, Floats]
) -> None:
    samples = np.concatenate([clips["jfk"], silence(12), clips["platforms"]])
    transcriber, engine = scripted(vad, detecting(0.99), PipelineOptions(itn=False))
    both, alone = transcriber.transcribe_many([Source(samples), Source(clips["platforms"])])
    assert both.unwrap().language == "de"
    assert [one.language for one in both.unwrap().segments] == ["de", "de"]
    assert [one.text for one in both.unwrap().segments] == ["lang", "asked again"]
    assert alone.unwrap().language == "nl", "a recording of its own has a vote of its own"
    assert engine.batches == [3, 1]


def test_a_failed_second_hearing_keeps_the_first(vad: FsmnVad, clips: dict[str, Floats]) -> None:
    def script(clip: Clip) -> Hypothesis:
        if clip.options.language is not None:
            raise EngineFailed("Broken.")
        return detecting(0.5)(clip)

    samples = np.concatenate([clips["jfk"], silence(12), clips["platforms"]])
    transcriber, _ = scripted(vad, script, PipelineOptions(itn=False))
    transcript = transcriber.transcribe(samples)
    assert [one.text for one in transcript.segments] == ["lang", "kurz"]
    assert transcript.failures == ()


def test_the_language_of_what_was_doubtful_throughout_is_known(
    vad: FsmnVad, clips: dict[str, Floats]
) -> None:
    """The guard's second hearing is told a language, so nobody votes."""

    def script(clip: Clip) -> Hypothesis:
        if clip.options.careful:
            return Hypothesis("sì", clip.options.language, confidence=0.9)
        return Hypothesis("sì " * 20, "it", language_confidence=0.9, confidence=0.9)

    engine = GuardedEngine(ScriptedEngine(script))
    transcript = Transcriber(engine, vad, PipelineOptions()).transcribe(clips["italian"])
    assert transcript.text == "sì"
    assert transcript.language == "it"
    assert "guard.retried x1" in transcript.notes


def test_a_dropped_clip_is_a_segment_without_text_that_says_why(
    vad: FsmnVad, clips: dict[str, Floats]
) -> None:
    engine = GuardedEngine(ScriptedEngine(lambda _: Hypothesis("[Music]", "en", confidence=0.9)))
    transcript = Transcriber(engine, vad, PLAIN).transcribe(clips["italian"])
    assert transcript.text == ""
    (segment,) = transcript.segments
    assert segment.notes == ("guard.non_speech",)
    assert segment.failure is None


# Options


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"language": "klingonisch"}, LanguageUnknown),
        ({"script": "cursive"}, OptionInvalid),
        ({"channels": "left"}, OptionInvalid),
        ({"max_duration_s": 0}, OptionInvalid),
        ({"max_duration_s": float("nan")}, OptionInvalid),
        ({"beam_size": 0}, OptionInvalid),
    ],
)
def test_options_that_do_not_exist(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        PipelineOptions(**options)


@pytest.mark.parametrize("name", ["粤语", "Cantonese", "yue", "zh-yue"])
def test_language_by_any_name(name: str) -> None:
    assert PipelineOptions(language=name).language == "yue"


def test_hotwords_and_prompt_reach_the_engine(vad: FsmnVad, clips: dict[str, Floats]) -> None:
    seen: list[Clip] = []

    def script(clip: Clip) -> Hypothesis:
        seen.append(clip)
        return length_of(clip)

    options = PipelineOptions(language="中文", hotwords=("通义",), prompt="会议", beam_size=3)
    transcriber, _ = scripted(vad, script)
    transcriber.transcribe(clips["aishell"], options=options)
    asked = seen[0].options
    assert (asked.language, asked.hotwords, asked.prompt) == ("zh", ("通义",), "会议")
    assert asked.beam_size == 3
    assert seen[0].speech_s is not None
    assert 0.5 < (seen[0].speech_score or 0) <= 1


# The real thing


def test_real_recordings_with_a_real_engine(
    vad: FsmnVad, whisper_folder: Path, speech_dir: Path
) -> None:
    engine = GuardedEngine(WhisperEngine(whisper_folder))
    transcriber = Transcriber(engine, vad, PipelineOptions(words=True))
    names = ["en-jfk.flac", "zh-aishell3-ssb02670376.flac", "zxx-esc50-1-100032-a-0.flac"]
    outcomes = list(transcriber.transcribe_many(Source(speech_dir / n, n) for n in names))
    jfk, zh, dog = (one.unwrap() for one in outcomes)
    assert "what you can do for your country" in jfk.text
    assert (jfk.language, zh.language) == ("en", "zh")
    assert "相信" in zh.text
    assert dog.text == ""
    for transcript in (jfk, zh):
        for segment in transcript.segments:
            check_segment(segment, transcript.duration_s)
    transcriber.close()


def check_segment(segment: Segment, duration_s: float) -> None:
    assert segment.words
    assert is_linked(segment.spoken, Written(segment.text, segment.edits))
    assert 0 <= segment.start_s <= segment.words[0].start_s
    assert segment.words[-1].end_s <= segment.end_s <= duration_s
    at = 0
    for word in segment.words:
        at = segment.spoken.index(word.text, at) + len(word.text)


def test_an_outcome_is_one_or_the_other() -> None:
    with pytest.raises(AudioEmpty):
        Outcome("a", error=AudioEmpty("Nothing.")).unwrap()


# Groups


def numbered_groups(vad: FsmnVad, speech: Floats, options: PipelineOptions) -> list[Group]:
    with open_reading(wav(speech), vad, options) as reading:
        return list(reading.groups())


def test_groups_end_where_the_recording_says(vad: FsmnVad, long_speech: Floats) -> None:
    options = PipelineOptions(packing=SMALL_CLIPS)
    groups = numbered_groups(vad, long_speech, options)
    assert [group.number for group in groups] == list(range(len(groups)))
    for group, limit_s in zip(groups[:-1], [30, 60, 120, 120], strict=False):
        assert limit_s <= group.audio_s < limit_s + SMALL_CLIPS.hard_s
    ends = [[one.clip.end_s for one in group.clips] for group in groups]
    assert ends == [
        [one.clip.end_s for one in group.clips]
        for group in numbered_groups(vad, long_speech, options)
    ]


def test_silence_has_no_group(vad: FsmnVad) -> None:
    assert numbered_groups(vad, np.zeros(5 * RATE, np.float32), PLAIN) == []


def test_a_reading_can_be_paused_and_its_groups_are_the_same(
    vad: FsmnVad, clips: dict[str, Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    speech = np.concatenate([clips["jfk"], silence(60), clips["platforms"], silence(60)])
    groups = numbered_groups(vad, speech, PLAIN)
    monkeypatch.setattr("lingting.pipeline.reading.PAUSE_EVERY_S", 20.0)
    with open_reading(wav(speech), vad, PLAIN) as reading:
        steps = list(reading.steps())
    assert steps.count(None) > 3
    found = [step for step in steps if step is not None]
    assert [[one.clip.start_s for one in group.clips] for group in found] == [
        [one.clip.start_s for one in group.clips] for group in groups
    ]


def uneven(clip: Clip) -> Hypothesis:
    """Mandarin and Cantonese as the loudness of the clip falls, never quite sure."""
    if clip.options.language is not None:
        return Hypothesis(f"给定 {clip.options.language}", clip.options.language)
    language = "zh" if int(1e4 * float(np.abs(clip.samples).mean())) % 3 else "yue"
    return Hypothesis(f"检出 {language}", language, language_confidence=0.6)


def test_broken_off_between_groups_it_is_heard_the_same(vad: FsmnVad, long_speech: Floats) -> None:
    options = PipelineOptions(packing=SMALL_CLIPS)
    whole = Transcriber(ScriptedEngine(uneven), vad, options).transcribe(wav(long_speech))
    assert {one.spoken[:2] for one in whole.segments} == {"给定", "检出"}  # some were in doubt
    segments: list[Segment] = []
    state = Hearing(options).state()
    with open_reading(wav(long_speech), vad, options) as reading:
        for group in reading.groups():
            hearing = Hearing.from_state(options, json.loads(json.dumps(state)))
            segments += hearing.hear(ScriptedEngine(uneven), group)
            state = hearing.state()
        hearing = Hearing.from_state(options, state)
        assert hearing.transcript(segments, reading.facts, whole.model) == whole


def test_neighbours_change_nothing(vad: FsmnVad, long_speech: Floats) -> None:
    options = PipelineOptions(packing=SMALL_CLIPS)
    pieces = [wav(piece) for piece in np.array_split(long_speech, 5)]
    together = Transcriber(ScriptedEngine(uneven), vad, options).transcribe_many(
        Source(piece, str(at)) for at, piece in enumerate(pieces)
    )
    for piece, outcome in zip(pieces, together, strict=True):
        alone = Transcriber(ScriptedEngine(uneven), vad, options).transcribe(piece)
        assert outcome.unwrap() == alone
