"""The Whisper engine with its real weights on real speech."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lingting.audio.decode import read_all
from lingting.engines.base import Clip, Hypothesis, RecognizeOptions
from lingting.engines.whisper import WhisperEngine, _Heard, _View
from lingting.errors import (
    AudioEmpty,
    AudioInvalid,
    AudioTooLong,
    EngineFailed,
    LanguageUnsupported,
    OptionInvalid,
    WeightsInvalid,
)
from lingting.joining import join
from lingting.transcript import ModelFacts

pytestmark = [pytest.mark.model, pytest.mark.speech]

Floats = NDArray[np.float32]
RATE = 16_000

SHORT = (
    ("en-an4-an392-mjwl-b.flac", "en"),
    ("en-cheetah-cv.flac", "en"),
    ("en-jfk.flac", "en"),
    ("zh-aishell1-s0002w0124.flac", "zh"),
    ("zh-aishell3-ssb00330433.flac", "zh"),
    ("it-cheetah-cv.flac", "it"),
)


@pytest.fixture(scope="module")
def engine(whisper_folder: Path) -> Iterator[WhisperEngine]:
    engine = WhisperEngine(whisper_folder)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def audio(speech_dir: Path) -> dict[str, Floats]:
    names = [name for name, _ in SHORT]
    names += ["ja-fleurs-1837.flac", "yue-ws-03.flac", "fr-fleurs-003.flac"]
    return {name: read_all(speech_dir / name)[0] for name in names}


def short_clips(audio: dict[str, Floats], **options: bool) -> list[Clip]:
    return [Clip(audio[name], RecognizeOptions(code, **options)) for name, code in SHORT]


def heard(found: list[Hypothesis]) -> list[tuple[str, str | None, float | None]]:
    return [(one.text, one.language, one.confidence) for one in found]


def test_a_clip_alone_and_in_any_batch_gives_the_same(
    engine: WhisperEngine, audio: dict[str, Floats]
) -> None:
    clips = short_clips(audio)
    together = engine.recognize(clips)
    assert heard([engine.recognize([clip])[0] for clip in clips]) == heard(together)
    assert heard(engine.recognize(clips[::-1])) == heard(together)[::-1]
    assert "my fellow Americans" in together[2].text
    assert all(one.error is None and one.text for one in together)


@pytest.fixture
def hearings(
    engine: WhisperEngine, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[float | None, int]]:
    """What stood behind the clips each time some were encoded, and how many they were."""
    seen: list[tuple[float | None, int]] = []
    encode = engine._encode

    def encode_seen(tasks: Sequence[Any], *, fill: float | None) -> Any:
        seen.append((fill, len(tasks)))
        return encode(tasks, fill=fill)

    monkeypatch.setattr(engine, "_encode", encode_seen)
    return seen


def hard_to_hear(audio: dict[str, Floats], name: str) -> Floats:
    clear = audio[name]
    noise = np.random.default_rng(7).normal(0, 1, len(clear)).astype(np.float32)
    return clear + noise * 0.3 * np.sqrt(np.mean(np.square(clear)))


def test_what_is_hard_to_hear_is_heard_twice(
    engine: WhisperEngine, audio: dict[str, Floats], hearings: list[tuple[float | None, int]]
) -> None:
    clear = Clip(audio["en-jfk.flac"], RecognizeOptions("en"))
    hard = replace(clear, samples=hard_to_hear(audio, "en-cheetah-cv.flac"))
    found = engine.recognize([clear])
    assert found[0].confidence is not None
    assert found[0].confidence > 0.8
    assert hearings == [(None, 1)]

    hearings.clear()
    first = engine.recognize([hard])[0]
    assert first.confidence is not None
    assert first.confidence < 0.78
    assert hearings == [(None, 1), (0.0, 1)]
    assert heard(engine.recognize([clear, hard, clear, hard])) == heard([found[0], first] * 2)

    hearings.clear()
    for wish in ({"beam_size": 1}, {"careful": True}, {"translate": True}, {"temperature": 0.2}):
        engine.recognize([replace(hard, options=replace(hard.options, **wish))])
    assert hearings == [(None, 1)] * 4


def test_the_text_stays_that_both_hearings_find_likelier(
    engine: WhisperEngine, audio: dict[str, Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bool] = []
    better = engine._better

    def better_seen(first: Any, second: Any) -> Any:
        chosen = better(first, second)
        (view, row, one), (other_view, other_row, other) = first, second
        if one.ids != other.ids:
            sums = (
                one.score + engine._score(other_view, other_row, one.ids),
                engine._score(view, row, other.ids) + other.score,
            )
            assert chosen.ids == (one.ids if sums[0] >= sums[1] else other.ids)
            assert chosen.score == pytest.approx(engine._score(view, row, chosen.ids), abs=0.1)
            taken.append(chosen.ids == other.ids)
        return chosen

    monkeypatch.setattr(engine, "_better", better_seen)
    codes = dict(SHORT) | {"ja-fleurs-1837.flac": "ja", "fr-fleurs-003.flac": "fr"}
    clips = [
        Clip(hard_to_hear(audio, name), RecognizeOptions(code)) for name, code in codes.items()
    ]
    found = engine.recognize(clips)
    assert set(taken) == {True, False}
    assert all(one.text and one.error is None for one in found)


def test_a_loop_never_wins(
    engine: WhisperEngine, audio: dict[str, Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However probable it is: here everything is, in any view."""
    monkeypatch.setattr(engine, "_score", lambda *_: 0.0)
    task = engine._task(0, Clip(audio["en-jfk.flac"], RecognizeOptions("en")))
    view = _View([task], engine._encode([task], fill=None), ["en"], [""], [[]])
    said, looped = ([*range(500, 500 + length)] * times for length, times in ((12, 1), (2, 30)))
    sound = _Heard(said, score=-1.0, no_speech=0.1, is_cut=False)
    loop = _Heard(looped, score=-0.01, no_speech=0.2, is_cut=True)
    assert engine._better((view, 0, sound), (view, 0, loop)) == sound
    assert engine._better((view, 0, loop), (view, 0, sound)).ids == said
    nothing = replace(sound, ids=[])
    assert engine._better((view, 0, loop), (view, 0, nothing)) == loop


def test_longer_neighbours_change_nothing(engine: WhisperEngine, audio: dict[str, Floats]) -> None:
    """The encoder hears the silence that a clip is filled up with, so that must be its own."""
    joined = np.concatenate([audio["en-jfk.flac"], audio["fr-fleurs-003.flac"]])
    clips = [Clip(joined[: round(length_s * RATE)]) for length_s in (21, 3, 12.1, 11, 16, 18.2)]
    together = engine.recognize(clips)
    assert heard([engine.recognize([clip])[0] for clip in clips]) == heard(together)
    assert len({one.text for one in together}) == len(clips)


def test_a_guessed_language_brings_no_prompt(engine: WhisperEngine) -> None:
    noise = np.random.default_rng(5).normal(0, 0.05, 3 * RATE).astype(np.float32)
    (found,) = engine.recognize([Clip(noise)])
    assert found.language_confidence is not None
    assert found.language_confidence < 0.8
    assert found.prompt == ""


def test_languages_are_detected_row_by_row(engine: WhisperEngine, audio: dict[str, Floats]) -> None:
    found = engine.recognize([Clip(audio[name]) for name, _ in SHORT[1:]])
    assert [one.language for one in found] == [code for _, code in SHORT[1:]]
    assert all(one.language_confidence and one.language_confidence > 0.5 for one in found)
    alone = engine.recognize([Clip(audio["en-jfk.flac"])])
    assert alone[0].text == found[1].text


def test_a_given_language_has_no_probability(
    engine: WhisperEngine, audio: dict[str, Floats]
) -> None:
    (found,) = engine.recognize(short_clips(audio)[1:2])
    assert (found.language, found.language_confidence) == ("en", None)


def test_clips_that_cannot_be_recognised_disturb_no_other(
    engine: WhisperEngine, audio: dict[str, Floats]
) -> None:
    good = short_clips(audio)[1]
    bad = [
        Clip(np.zeros(31 * 16_000, np.float32)),
        Clip(np.zeros(100, np.float32)),
        Clip(np.zeros(0, np.float32)),
        Clip(np.full(16_000, np.nan, np.float32)),
        Clip(np.zeros((2, 16_000), np.float32)),
        Clip(np.ones(16_000, np.int16)),  # type: ignore[arg-type]
        Clip(good.samples, RecognizeOptions("ga")),
    ]
    kinds = [
        AudioTooLong, AudioEmpty, AudioEmpty, AudioInvalid, AudioInvalid, AudioInvalid,
        LanguageUnsupported,
    ]  # fmt: skip
    found = engine.recognize([good, *bad[:4], good, *bad[4:], good])
    failed = [one for at, one in enumerate(found) if at not in (0, 5, 9)]
    assert [type(one.error) for one in failed] == kinds
    assert all(one.text == "" for one in failed)
    (alone,) = engine.recognize([good])
    assert [(found[at].text, found[at].error) for at in (0, 5, 9)] == [(alone.text, None)] * 3


def test_no_clips(engine: WhisperEngine) -> None:
    assert engine.recognize([]) == []


def test_words_have_times_in_order_inside_the_clip(
    engine: WhisperEngine, audio: dict[str, Floats]
) -> None:
    clips = [
        *short_clips(audio, words=True),
        Clip(audio["ja-fleurs-1837.flac"], RecognizeOptions("ja", words=True)),
        Clip(audio["fr-fleurs-003.flac"], RecognizeOptions("fr", words=True)),
    ]
    for clip, found in zip(clips, engine.recognize(clips), strict=True):
        assert found.words
        assert join(w.text for w in found.words).replace(" ", "") == found.text.replace(" ", "")
        at = 0
        for word in found.words:  # each stands in the text, behind the one before
            at = found.text.index(word.text, at) + len(word.text)
        assert all(0.0 <= w.start_s <= w.end_s <= clip.duration_s + 0.0005 for w in found.words)
        assert all(a.end_s <= b.start_s + 1e-9 for a, b in pairwise(found.words))
        assert all(w.confidence is not None and 0 <= w.confidence <= 1 for w in found.words)
        assert any(w.end_s > w.start_s for w in found.words)


def test_words_are_where_they_are_said(engine: WhisperEngine, audio: dict[str, Floats]) -> None:
    """ "ask not" is said after the pause at 3.2 s; with 3 s of silence in front all is later."""
    jfk = audio["en-jfk.flac"]
    later = np.concatenate([np.zeros(3 * 16_000, np.float32), jfk])
    options = RecognizeOptions("en", words=True)
    found, moved = engine.recognize([Clip(jfk, options), Clip(later, options)])
    firsts = [one.words[[w.text for w in one.words].index("not")] for one in (found, moved)]
    assert 3.4 < firsts[0].start_s < 5.0
    assert firsts[1].start_s - firsts[0].start_s == pytest.approx(3.0, abs=0.3)


def test_words_are_given_only_to_those_who_ask(
    engine: WhisperEngine, audio: dict[str, Floats]
) -> None:
    name = "en-cheetah-cv.flac"
    with_, without = (RecognizeOptions("en", words=words) for words in (True, False))
    found = engine.recognize([Clip(audio[name], with_), Clip(audio[name], without)])
    assert [bool(one.words) for one in found] == [True, False]
    assert found[0].text == found[1].text


def test_cantonese_is_asked_for_as_chinese_and_says_so(
    engine: WhisperEngine, audio: dict[str, Floats]
) -> None:
    (found,) = engine.recognize([Clip(audio["yue-ws-03.flac"], RecognizeOptions("yue"))])
    assert found.language == "yue"
    assert found.notes == ("language.yue_as_zh",)
    assert found.text


def test_unsupported_language_names_model_and_code(
    engine: WhisperEngine, audio: dict[str, Floats]
) -> None:
    (found,) = engine.recognize([Clip(audio["en-jfk.flac"], RecognizeOptions("ga"))])
    assert isinstance(found.error, LanguageUnsupported)
    assert "ga" in found.error.sentence
    assert engine.facts.languages is not None
    assert "ga" not in engine.facts.languages
    assert {"zh", "yue", "en", "fil", "jv"} <= engine.facts.languages


def test_a_prompt_is_given_and_reported(engine: WhisperEngine, audio: dict[str, Floats]) -> None:
    name = "zh-aishell3-ssb00330433.flac"
    options = (
        RecognizeOptions("zh"),
        RecognizeOptions("zh", prompt=""),
        RecognizeOptions("zh", prompt="", hotwords=("沧浪之歌", "小提琴")),
        RecognizeOptions("zh", prompt="请听音乐。", hotwords=("沧浪之歌",)),
    )
    found = engine.recognize([Clip(audio[name], one) for one in options])
    assert [one.prompt for one in found] == [
        "嗯，好的，谢谢。",
        "",
        "",
        "请听音乐。",
    ]
    # Our own prompt brings simplified characters.
    assert found[0].text.startswith("随便")
    assert found[1].text.startswith("隨便")


def test_careful_and_quick_agree_on_clear_speech(
    engine: WhisperEngine, audio: dict[str, Floats]
) -> None:
    quick, careful = (RecognizeOptions("en", careful=one) for one in (False, True))
    clips = [Clip(audio["en-jfk.flac"], one) for one in (quick, careful)]
    first, second = engine.recognize(clips)
    assert first.text.split()[:6] == second.text.split()[:6]
    assert first.no_speech is not None
    assert first.no_speech < 0.3


def test_thread_counts_change_no_text(whisper_folder: Path, audio: dict[str, Floats]) -> None:
    clips = short_clips(audio)[:3]
    texts = []
    for threads in (1, 3):
        engine = WhisperEngine(whisper_folder, threads=threads)
        texts.append([one.text for one in engine.recognize(clips)])
        engine.close()
    assert texts[0] == texts[1]
    assert all(texts[0])


def test_float32(whisper_folder: Path, audio: dict[str, Floats]) -> None:
    engine = WhisperEngine(
        whisper_folder, compute="float32", model=ModelFacts("mine", sha256="0" * 64)
    )
    assert engine.facts.model == ModelFacts("mine", "0" * 64, "ctranslate2 float32")
    clip = short_clips(audio)[1]
    alone, first, second = (*engine.recognize([clip]), *engine.recognize([clip, clip]))
    assert alone.text == first.text == second.text
    assert alone.confidence == pytest.approx(first.confidence, abs=1e-4)
    assert "platforms" in alone.text
    engine.close()


def test_a_closed_engine_refuses(whisper_folder: Path) -> None:
    engine = WhisperEngine(whisper_folder, threads=1)
    engine.close()
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        engine.recognize([Clip(np.zeros(16_000, np.float32))])


@pytest.mark.parametrize("compute", ["int4", "", "FLOAT32", "float16"])
def test_compute_types_that_are_not_there(whisper_folder: Path, compute: str) -> None:
    with pytest.raises(OptionInvalid):
        WhisperEngine(whisper_folder, compute=compute)


def linked(folder: Path, to: Path, without: str) -> Path:
    """The model folder, but for one file."""
    for file in folder.iterdir():
        if file.is_file() and file.name != without:
            (to / file.name).symlink_to(file)
    return to


@pytest.mark.parametrize("name", ["model.bin", "config.json", "tokenizer.json"])
def test_a_missing_file_is_named(whisper_folder: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsInvalid, match=name.replace(".", r"\.")):
        WhisperEngine(linked(whisper_folder, tmp_path, name))


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "text"])
def test_weights_that_were_damaged_are_never_loaded(
    whisper_folder: Path, tmp_path: Path, damage: str
) -> None:
    with (whisper_folder / "model.bin").open("rb") as file:
        start = file.read(3_000_000)
    content = {
        "empty": b"",
        "cut": start,
        "noise": np.random.default_rng(1).bytes(10_000),
        "text": b"version https://git-lfs.github.com/spec/v1\n" * 9,
    }[damage]
    folder = linked(whisper_folder, tmp_path, "model.bin")
    (folder / "model.bin").write_bytes(content)
    with pytest.raises(WeightsInvalid, match="cannot be loaded"):
        WhisperEngine(folder)


def test_a_damaged_tokenizer_is_never_loaded(whisper_folder: Path, tmp_path: Path) -> None:
    folder = linked(whisper_folder, tmp_path, "tokenizer.json")
    content = (whisper_folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_bytes(content[:100_000])
    with pytest.raises(WeightsInvalid, match=r"tokenizer\.json"):
        WhisperEngine(folder)


_MANY_LENGTHS = """
import sys
from pathlib import Path
import numpy as np
from lingting.engines.base import Clip
from lingting.engines.whisper import WhisperEngine

def resident_mib():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20

engine = WhisperEngine(Path(sys.argv[1]), threads=1)
encode = engine._model.encode
import ctranslate2
def run(frames):
    encode(ctranslate2.StorageView.from_array(np.zeros((1, 80, frames), np.float32)))
run(200), run(520)
before = resident_mib()
for frames in range(200, 520, 4):
    run(frames)
import os
print(resident_mib() - before, "ONEDNN_PRIMITIVE_CACHE_CAPACITY" in os.environ)
"""


def test_clips_of_many_lengths_do_not_fill_the_memory_with_kernels(whisper_folder: Path) -> None:
    """Without a bound the matrix library keeps 60 MiB of them here, a gigabyte in three hours."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ONEDNN")}
    found = subprocess.run(
        [sys.executable, "-c", _MANY_LENGTHS, str(whisper_folder)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    grown_mib, is_set = found.stdout.split()
    assert float(grown_mib) < 35
    assert is_set == "False"


def test_translation_is_english_and_has_no_word_times(
    engine: WhisperEngine, audio: dict[str, Floats]
) -> None:
    options = RecognizeOptions("ja", words=True)
    clip = Clip(audio["ja-fleurs-1837.flac"], options)
    translated = Clip(clip.samples, replace(options, translate=True))
    assert engine.facts.has_translation
    first, second = engine.recognize([clip, translated])
    assert not first.text.isascii()
    assert second.text.isascii()
    assert len(second.text.split()) > 5
    assert (bool(first.words), second.words, second.prompt) == (True, (), "")
    assert heard(engine.recognize([translated, clip])) == heard([second, first])
