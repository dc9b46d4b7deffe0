"""FunASR's call shape: one dict per input, in order, whatever the inputs are."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lingting import AutoModel
from lingting.audio.decode import read_all
from lingting.errors import (
    LanguageUnknown,
    ManifestInvalid,
    ModelUnknown,
    OptionInvalid,
    OptionUnknown,
)
from lingting.vad.fsmn import FsmnVad
from lingting.vad.options import VadOptions

pytestmark = [pytest.mark.model, pytest.mark.speech]

EN = "en-cheetah-cv.flac"
ZH = "zh-aishell3-ssb02670376.flac"
MISSING = "there-is-no-such-file.wav"


@pytest.fixture(scope="module")
def model(whisper_folder: Path, vad_folder: Path) -> AutoModel:
    return AutoModel(model="whisper-base", vad_model="fsmn-vad", device="cpu", disable_update=True)


@pytest.fixture(scope="module")
def detector(vad_folder: Path) -> AutoModel:
    return AutoModel(model="fsmn-vad")


@pytest.fixture(scope="module")
def texts(model: AutoModel, speech_dir: Path) -> dict[str, str]:
    """What the model says of each clip in its language."""
    found = {
        name: model.generate(input=str(speech_dir / name), language=language)[0]["text"]
        for name, language in ((EN, "en"), (ZH, "zh"))
    }
    assert "platforms" in found[EN]
    assert "相信" in found[ZH]
    return found


def test_the_shape_of_one_result(model: AutoModel, speech_dir: Path, texts: dict[str, str]) -> None:
    (found,) = model.generate(
        input=speech_dir / EN, cache={}, language="英文", batch_size_s=60, itn=True, merge_vad=True
    )
    assert set(found) == {"key", "text", "text_tn", "language"}
    assert found["key"] == "en-cheetah-cv"
    assert found["text"] == texts[EN]
    assert found["language"] == "en"
    json.dumps(found)


def test_one_dict_per_input_in_order_with_bad_ones_between(
    model: AutoModel, speech_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no recording\n" * 9)
    inputs: list[Any] = [
        str(speech_dir / EN),
        MISSING,
        speech_dir / ZH,
        b"",
        "https://example.org/a/b.wav",
        (speech_dir / EN).read_bytes(),
        tmp_path / "notes.txt",
        np.zeros((1, 2, 3)),
        object(),
        np.zeros(16_000, np.float32),
        io.BytesIO((speech_dir / EN).read_bytes()),
    ]
    found = model.generate(input=inputs)
    assert [one["key"] for one in found] == [
        "en-cheetah-cv",
        "there-is-no-such-file",
        "zh-aishell3-ssb02670376",
        "audio_3",
        "b.wav",
        "audio_5",
        "notes",
        "audio_7",
        "audio_8",
        "audio_9",
        "audio_10",
    ]
    assert [at for at, one in enumerate(found) if "error" in one] == [1, 3, 4, 6, 7, 8]
    for one in found:
        if "error" in one:
            assert set(one) == {"key", "text", "error"}
            assert one["text"] == ""
            assert set(one["error"]) == {"code", "message"}
            assert MISSING not in one["error"]["message"]
    assert [found[at]["error"]["code"] for at in (1, 3, 4, 6, 7)] == [
        "audio.not_found",
        "audio.empty",
        "audio.not_found",
        "audio.not_media",
        "audio.invalid",
    ]
    assert "nothing is fetched" in found[4]["error"]["message"]
    assert found[0]["text"] == found[5]["text"] == found[10]["text"]
    assert "platforms" in found[0]["text"]
    assert found[9]["text"] == ""
    assert [found[at]["language"] for at in (0, 2)] == ["en", "zh"]


@pytest.mark.parametrize("language", ["中文", "Chinese", "zh", "ZH-cn", "普通话"])
def test_language_by_any_name(
    model: AutoModel, speech_dir: Path, texts: dict[str, str], language: str
) -> None:
    (found,) = model.generate(input=str(speech_dir / ZH), language=language)
    assert (found["language"], found["text"]) == ("zh", texts[ZH])


def test_auto_is_no_language(model: AutoModel, speech_dir: Path) -> None:
    (found,) = model.generate(input=str(speech_dir / EN), language="auto")
    assert found["language"] == "en"


def test_times_of_words_and_sentences(model: AutoModel, speech_dir: Path) -> None:
    (found,) = model.generate(
        input=str(speech_dir / EN), language="en", output_timestamp=True, sentence_timestamp=True
    )
    assert set(found) == {
        "key", "text", "text_tn", "language", "timestamps", "timestamp", "sentence_info",
    }  # fmt: skip
    duration_s = len(read_all(speech_dir / EN)[0]) / 16_000
    tokens = found["timestamps"]
    assert " ".join(one["token"] for one in tokens) == found["text_tn"]
    assert all(set(one) == {"token", "start_time", "end_time", "score"} for one in tokens)
    assert all(0 <= one["start_time"] <= one["end_time"] <= duration_s for one in tokens)
    assert found["timestamp"] == [
        [round(1000 * one["start_time"]), round(1000 * one["end_time"])] for one in tokens
    ]
    assert all(a[1] <= b[0] for a, b in pairwise(found["timestamp"]))
    sentences = found["sentence_info"]
    assert " ".join(one["text"] for one in sentences) == found["text"]
    assert [pair for one in sentences for pair in one["timestamp"]] == found["timestamp"]
    for one in sentences:
        assert set(one) == {"text", "start", "end", "timestamp", "raw_text"}
        assert isinstance(one["start"], int)
        assert 0 <= one["start"] <= one["timestamp"][0][0]
        assert one["timestamp"][-1][1] <= one["end"] <= round(1000 * duration_s)


def test_only_the_times_that_were_asked_for(model: AutoModel, speech_dir: Path) -> None:
    (found,) = model.generate(input=str(speech_dir / EN), language="en", sentence_timestamp=True)
    assert "sentence_info" in found
    assert "timestamp" not in found
    assert "timestamps" not in found


@pytest.mark.parametrize("separator", [" ", "\t", "   "])
def test_scp_lists(
    model: AutoModel, speech_dir: Path, texts: dict[str, str], tmp_path: Path, separator: str
) -> None:
    spaced = tmp_path / "with a space.flac"
    spaced.write_bytes((speech_dir / ZH).read_bytes())
    rows = [("a", speech_dir / EN), ("b", "with a space.flac"), ("c", MISSING)]
    lines = [f"{key}{separator}{file}" for key, file in rows]
    wav_scp = tmp_path / "wav.scp"
    wav_scp.write_text("\ufeff" + "\r\n".join([*lines, "d https://example.org/d.wav", "", ""]))
    found = model.generate(input=str(wav_scp))
    assert [one["key"] for one in found] == ["a", "b", "c", "d"]
    assert [one["text"] for one in found] == [texts[EN], texts[ZH], "", ""]
    assert "nothing is fetched" in found[3]["error"]["message"]


def test_jsonl_lists(
    model: AutoModel, speech_dir: Path, texts: dict[str, str], tmp_path: Path
) -> None:
    rows = [
        {"key": "eins", "source": str(speech_dir / EN), "note": "line\u2028separator"},
        {"source": str(speech_dir / ZH)},
        {"key": 3, "source": MISSING},
    ]
    manifest = tmp_path / "list.jsonl"
    manifest.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    found = model.generate(input=manifest)
    assert [one["key"] for one in found] == ["eins", "zh-aishell3-ssb02670376", "3"]
    assert [one["text"] for one in found] == [texts[EN], texts[ZH], ""]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.scp", "one\n", "Line 1"),
        ("a.jsonl", '{"source": "x"}\n{"key": "x"}\n', "Line 2"),
        ("a.jsonl", "[1]\n", "Line 1"),
        ("a.jsonl", '{"source": 5}\n', "Line 1"),
        ("a.jsonl", "no json\n", "Line 1"),
    ],
)
def test_lists_that_cannot_be_read(
    detector: AutoModel, tmp_path: Path, name: str, content: str, line: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ManifestInvalid, match=line):
        detector.generate(input=str(tmp_path / name))


def test_a_list_that_is_not_there(detector: AutoModel, tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid):
        detector.generate(input=tmp_path / "missing.scp")
    (tmp_path / "binary.scp").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ManifestInvalid):
        detector.generate(input=tmp_path / "binary.scp")


def test_the_address_of_a_list_is_refused_like_any_other(detector: AutoModel) -> None:
    (found,) = detector.generate(input="https://example.org/list/wav.scp")
    assert (found["key"], found["error"]["code"]) == ("wav.scp", "audio.not_found")


def test_keys_of_the_caller(detector: AutoModel, speech_dir: Path) -> None:
    inputs = [str(speech_dir / EN), MISSING]
    assert [one["key"] for one in detector.generate(input=inputs, key=["x", "y"])] == ["x", "y"]
    assert detector.generate(input=inputs[0], key="x")[0]["key"] == "x"
    with pytest.raises(OptionInvalid, match="1 names for 2 inputs"):
        detector.generate(input=inputs, key=["x"])


def test_nothing_given(model: AutoModel) -> None:
    assert model.generate(input=[]) == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"langauge": "zh"}, OptionUnknown),
        ({"hotwrod": "x"}, OptionUnknown),
        ({"cache": {"state": 1}}, OptionInvalid),
        ({"language": "elbisch"}, LanguageUnknown),
        ({"hotword": [1, 2]}, OptionInvalid),
        ({"beam_size": 99}, OptionInvalid),
        ({"merge_length_s": "long"}, OptionInvalid),
        ({"merge_length_s": 99}, OptionInvalid),
        ({"script": "runes"}, OptionInvalid),
        ({"max_end_silence_time": -1}, OptionInvalid),
    ],
)
def test_options_that_do_not_exist(
    model: AutoModel, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        model.generate(input=np.zeros(1600, np.float32), **options)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"model": "whisper-bass"}, ModelUnknown),
        ({"model": "whisper-base", "device": "cpu", "dtype": "bf16"}, OptionInvalid),
        ({"model": "whisper-base", "dtype": "fp8"}, OptionInvalid),
        ({"model": "whisper-base", "hub": "somewhere"}, OptionInvalid),
        ({"model": "whisper-base", "quantize": True}, OptionUnknown),
        ({"model": "whisper-base", "vad_model": "silero-vad"}, OptionInvalid),
        ({"model": "whisper-base", "vad_kwargs": {"max_silence": 3}}, OptionUnknown),
        ({"model": "whisper-base", "device": "cuda:1"}, OptionInvalid),
        ({"model": "whisper-base", "device": "mps"}, OptionInvalid),
    ],
)
def test_models_that_cannot_be_made(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        AutoModel(**options)


@pytest.mark.parametrize(
    "options", [{"hotword": "小提琴 沧浪之歌"}, {"hotwords": ["小提琴", "沧浪之歌"]}]
)
def test_hotwords_as_string_or_list(
    model: AutoModel, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    seen: list[tuple[str, ...]] = []
    transcriber = model._transcriber
    assert transcriber is not None
    real = transcriber.transcribe_many

    def spying(sources: Any) -> Iterator[Any]:
        seen.extend(source.options.hotwords for source in sources)
        return real(sources)

    monkeypatch.setattr(transcriber, "transcribe_many", spying)
    model.generate(input=np.zeros(1600, np.float32), **options)
    assert seen == [("小提琴", "沧浪之歌")]


def test_the_detector_gives_its_spans_in_ms(
    detector: AutoModel, vad_folder: Path, speech_dir: Path
) -> None:
    names = [EN, "ar-one-to-six.flac", "zxx-esc50-1-100032-a-0.flac", "en-jfk.flac"]
    found = detector.generate(input=[str(speech_dir / name) for name in names])
    vad = FsmnVad(vad_folder)
    for name, one in zip(names, found, strict=True):
        spans = vad.analyse(read_all(speech_dir / name)[0]).spans
        assert set(one) == {"key", "value"}
        assert one["value"] == [[round(s.start_s * 1000), round(s.end_s * 1000)] for s in spans]
    assert len(found[1]["value"]) > 1


def test_the_detectors_options_apply_at_making_and_at_the_call(
    detector: AutoModel, vad_folder: Path, speech_dir: Path
) -> None:
    file = str(speech_dir / "en-jfk.flac")
    quick = VadOptions(max_end_silence_ms=200)
    spans = FsmnVad(vad_folder, options=quick).analyse(read_all(file)[0]).spans
    expected = [[round(s.start_s * 1000), round(s.end_s * 1000)] for s in spans]
    assert detector.generate(input=file, max_end_silence_time=200)[0]["value"] == expected
    made = AutoModel(model="fsmn-vad", vad_kwargs={"max_end_silence_time": 200})
    assert made.generate(input=file)[0]["value"] == expected
    assert detector.generate(input=file)[0]["value"] != expected
    with pytest.raises(OptionUnknown):
        detector.generate(input=file, language="en")


def test_bad_inputs_of_the_detector_stand_in_their_place(
    detector: AutoModel, speech_dir: Path
) -> None:
    found = detector.generate(input=[MISSING, str(speech_dir / EN), b"x" * 99])
    assert ["error" in one for one in found] == [True, False, True]
    assert found[1]["value"]


def test_the_longest_recording_is_a_setting(
    model: AutoModel, detector: AutoModel, speech_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINGTING_MAX_DURATION_S", "2")
    for one in (model, detector):
        (found,) = one.generate(input=str(speech_dir / EN))
        assert found["error"]["code"] == "audio.too_long"


def test_threads_take_turns_and_hear_the_same(
    model: AutoModel, speech_dir: Path, texts: dict[str, str]
) -> None:
    def generate(at: int) -> str:
        name, language = ((EN, "en"), (ZH, "zh"))[at % 2]
        return str(model.generate(input=str(speech_dir / name), language=language)[0]["text"])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(generate, range(4)))
    assert found == [texts[EN], texts[ZH]] * 2
