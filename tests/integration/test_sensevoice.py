"""SenseVoice from end to end on tiny random weights, beside the funasr package's own classes."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from lingting.audio.decode import read_all
from lingting.audio.features import read_cmvn
from lingting.engines.base import Clip, Engine, Hypothesis, RecognizeOptions
from lingting.engines.neural.devices import Compute
from lingting.engines.neural.frontend import lfr_features, lfr_frames
from lingting.engines.neural.sanm import SanmConfig, SanmEncoder
from lingting.engines.sensevoice import engine as engine_module
from lingting.engines.sensevoice import load
from lingting.engines.sensevoice.labels import queries
from lingting.engines.sensevoice.network import load_network
from lingting.errors import (
    AudioEmpty,
    AudioInvalid,
    AudioTooLong,
    EngineFailed,
    LanguageUnsupported,
    OptionInvalid,
    WeightsInvalid,
)
from tests.tiny_checkpoints import (
    SENSEVOICE_TAGS,
    mvn_text,
    sentence_piece_count,
    sentence_pieces,
    write_sensevoice,
    write_sensevoice_yaml,
)

VOCABULARY = "chn_jpn_yue_eng_ko_spectok.bpe.model"
CPU = torch.device("cpu")
FLOAT = Compute("float32", torch.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sensevoice")
    write_sensevoice(path)
    return path


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Engine]:
    made = load(folder, None, "cpu", "float32", 2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def speech(speech_dir: Path) -> list[np.ndarray]:
    """A few seconds each of Mandarin, English and Japanese, of different length."""
    names = ("zh-aishell3-ssb02670376.flac", "en-cheetah-cv.flac", "ja-whisperkit.flac")
    return [
        read_all(speech_dir / name)[0][: seconds * 16_000]
        for name, seconds in zip(names, (9, 4, 6), strict=True)
    ]


def _noise(seconds: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.standard_normal(round(seconds * 16_000)) * 0.1).astype(np.float32)


def _clip(samples: np.ndarray, **options: Any) -> Clip:
    return Clip(samples, RecognizeOptions(**options))


# Beside the funasr package ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def funasr() -> Any:
    import funasr as toolkit

    return toolkit


@pytest.fixture(scope="module")
def reference(folder: Path, funasr: Any) -> Any:
    """The package's model with the same weights, its frontend without dither, its tokenizer."""
    from funasr.frontends.wav_frontend import WavFrontend
    from funasr.models.sense_voice.model import SenseVoiceSmall
    from funasr.tokenizer.sentencepiece_tokenizer import SentencepiecesTokenizer

    document = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    model = SenseVoiceSmall(
        encoder="SenseVoiceEncoderSmall",
        encoder_conf=document["encoder_conf"],
        input_size=560,
        vocab_size=sentence_piece_count(sentence_pieces()),
        **document["model_conf"],
    ).eval()
    model.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    settings = document["frontend_conf"] | {"cmvn_file": str(folder / "am.mvn"), "dither": 0.0}
    return model, WavFrontend(**settings), SentencepiecesTokenizer(str(folder / VOCABULARY))


def _reference_run(reference: Any, samples: np.ndarray, **options: Any) -> tuple[str, Any]:
    """The package's text with its tags, and the logits behind it."""
    model, frontend, tokenizer = reference
    kept: list[Any] = []
    hook = model.ctc.ctc_lo.register_forward_hook(lambda *call: kept.append(call[2]))
    try:
        with torch.no_grad():
            results, _ = model.inference(
                [torch.from_numpy(samples)],
                key=["clip"],
                tokenizer=tokenizer,
                frontend=frontend,
                device="cpu",
                fs=16_000,
                **options,
            )
    finally:
        hook.remove()
    return results[0]["text"], kept[0][0]


@pytest.mark.parametrize("frames", [1, 2, 11, 64, 257])
def test_the_encoder_is_the_packages(frames: int, funasr: Any) -> None:
    from funasr.models.sense_voice.model import SenseVoiceEncoderSmall

    torch.manual_seed(frames)
    reference = SenseVoiceEncoderSmall(560, 32, 4, 64, num_blocks=4, tp_blocks=2).eval()
    config = SanmConfig(560, 32, 4, 64, num_blocks=4, tp_blocks=2)
    ours = SanmEncoder(config).eval()
    ours.load_state_dict(reference.state_dict())
    features, lengths = torch.randn(1, frames, 560), torch.tensor([frames])
    with torch.no_grad():
        found = ours(features, lengths)
        expected, _ = reference(features.clone(), lengths)
    assert torch.allclose(found, expected, rtol=0, atol=5e-6)


@pytest.mark.speech
def test_features_are_the_packages_without_dither(
    folder: Path, reference: Any, speech: list[np.ndarray]
) -> None:
    _, frontend, _ = reference
    cmvn = read_cmvn(folder / "am.mvn")
    for samples in speech:
        ours = lfr_features(samples, cmvn)
        theirs, _ = frontend(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
        assert theirs[0].shape == ours.shape
        assert np.allclose(ours, theirs[0].numpy(), rtol=0, atol=2e-3)


@pytest.mark.speech
@pytest.mark.parametrize(("language", "itn"), [("auto", True), ("ja", False)])
def test_log_probabilities_and_text_are_the_packages(
    language: str,
    itn: bool,
    folder: Path,
    engine: Engine,
    reference: Any,
    speech: list[np.ndarray],
) -> None:
    network = load_network(folder, len(engine._spelling), CPU, FLOAT)  # type: ignore[attr-defined]
    cmvn = read_cmvn(folder / "am.mvn")
    features = [lfr_features(samples, cmvn) for samples in speech]
    asked = torch.tensor([queries(language, itn)] * len(speech))
    with torch.inference_mode():
        logits = network(
            torch.from_numpy(np.concatenate(features)), [len(one) for one in features], asked
        )
    options = {"language": None if language == "auto" else language, "itn": itn}
    heard = engine.recognize([_clip(samples, **options) for samples in speech])
    clips = logits.split([len(one) + 4 for one in features])
    texts = []
    for samples, found, hypothesis in zip(speech, clips, heard, strict=True):
        text, expected = _reference_run(reference, samples, language=language, use_itn=itn)
        assert torch.allclose(found.log_softmax(1), expected.log_softmax(1), rtol=0, atol=2e-3)
        expected_text = re.sub(r"<\|[^|]*\|>", "", text).strip()
        is_silent = text.startswith("<|nospeech|>")
        assert hypothesis.text == ("" if is_silent else expected_text)
        texts.append(hypothesis.text)
    assert any(texts)


def test_padded_as_on_a_gpu_or_packed_as_on_a_cpu(folder: Path, engine: Engine) -> None:
    network = load_network(folder, len(engine._spelling), CPU, FLOAT)  # type: ignore[attr-defined]
    torch.manual_seed(0)
    clips = [torch.randn(count, 560) for count in (9, 1, 30)]
    asked = network.embed(torch.tensor([queries("auto", True)] * 3))
    with torch.inference_mode():
        packed, padded = network._packed(asked, clips), network._padded(asked, clips)
    assert packed.shape == (9 + 1 + 30 + 3 * 4, 32)
    assert torch.allclose(packed, padded, rtol=0, atol=1e-6)


# Behaviour ----------------------------------------------------------------------------------------


def _facts(one: Hypothesis) -> tuple[object, ...]:
    return (one.text, one.language, one.emotion, one.events, one.words, one.confidence)


@pytest.mark.parametrize("compute", ["int8", "float32"])
def test_alone_as_in_a_batch(compute: str, folder: Path) -> None:
    engine = load(folder, None, "cpu", compute, 2)
    lengths = (0.1, 3.0, 0.5, 16.0, 7.3, 1.0, 1.0)
    clips = [_clip(_noise(n, seed), words=True) for seed, n in enumerate(lengths)]
    together = engine.recognize(clips)
    alone = [engine.recognize([clip])[0] for clip in clips]
    for one, other in zip(together, alone, strict=True):
        assert one.error is None
        assert (one.text, one.language, one.events) == (other.text, other.language, other.events)
        if compute == "int8":
            assert _facts(one) == _facts(other)
        else:
            assert one.confidence == pytest.approx(other.confidence, rel=1e-4)


def test_four_clips_four_results(engine: Engine) -> None:
    unreadable = np.full(16_000, np.nan, np.float32)
    clips = [unreadable, np.zeros(16_000, np.float32), _noise(0.02), _noise(40.0), _noise(2.0)]
    results = engine.recognize([_clip(samples, words=True) for samples in clips])
    assert [type(one.error) for one in results] == [
        AudioInvalid, type(None), type(None), AudioTooLong, type(None),
    ]  # fmt: skip
    assert [one.text for one in results[:4]] == [""] * 4
    assert [one.notes for one in results] == [(), ("gate.silence",), ("gate.short",), (), ()]
    assert results[4].text
    assert engine.recognize([]) == []


def test_what_is_no_clip(engine: Engine) -> None:
    clips = [
        _clip(np.zeros(100, np.float32)),
        _clip(np.zeros((2, 16_000), np.float32)),
        _clip(_noise(1.0), language="fr"),
        _clip(_noise(1.0), temperature=0.5),
    ]
    errors = [one.error for one in engine.recognize(clips)]
    assert [type(one) for one in errors] == [
        AudioEmpty, AudioInvalid, LanguageUnsupported, OptionInvalid,
    ]  # fmt: skip


def test_word_times_are_in_order_and_inside_the_clip(engine: Engine) -> None:
    clips = [_clip(_noise(seconds, 9), words=True) for seconds in (0.1, 0.3, 2.0, 11.0)]
    found = engine.recognize(clips)
    assert any(one.words for one in found)
    for clip, one in zip(clips, found, strict=True):
        assert one.words_source == ("ctc" if one.words else None)
        assert "".join(word.text for word in one.words) == one.text.replace(" ", "")
        last = 0.0
        for word in one.words:
            assert last <= word.start_s <= word.end_s <= clip.duration_s
            assert word.confidence is not None
            assert 0.0 <= word.confidence <= 1.0
            last = word.end_s
    plain = engine.recognize([Clip(clips[2].samples)])[0]
    assert (plain.words, plain.words_source) == ((), None)


def test_a_token_is_timed_by_its_frame(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole answers put into the network's mouth: tags at the four queries, then two words."""
    engine = load(folder, None, "cpu", "float32", 1)
    spelling = engine._spelling  # type: ignore[attr-defined]
    tokens = spelling._pieces.encode("语音")
    tags = [spelling.token(tag) for tag in ("yue", "HAPPY", "BGM", "withitn")]
    frames = {0: tags[0], 1: tags[1], 2: tags[2], 3: tags[3]}
    assert spelling.spell(tokens[:1]).text == ""  # the space in front, which nobody hears
    frames |= {4 + 5 + 4 * at: token for at, token in enumerate(tokens)}

    def answer(features: Any, lengths: list[int], _: Any) -> Any:
        logits = torch.zeros(lengths[0] + 4, len(spelling))
        logits[:, 0] = 10.0
        for frame, token in frames.items():
            logits[frame, token] = 20.0
        return logits

    monkeypatch.setattr(engine, "_network", answer)
    heard = engine.recognize([_clip(_noise(3.0), words=True)])[0]
    assert (heard.text, heard.language, heard.emotion, heard.events) == (
        "语音", "yue", "happy", ("music",),
    )  # fmt: skip
    assert heard.language_confidence == pytest.approx(1.0, abs=1e-3)
    assert heard.confidence == pytest.approx(1.0, abs=1e-3)
    assert heard.words[0].start_s == pytest.approx((5 + 4) * 0.06)
    assert heard.words[-1].end_s == pytest.approx((5 + 4 * (len(tokens) - 1) + 1) * 0.06 + 0.3)
    given = engine.recognize([_clip(_noise(3.0), language="zh")])[0]
    assert (given.language, given.language_confidence) == ("zh", None)

    frames[0] = spelling.token("nospeech")
    silent = engine.recognize([_clip(_noise(3.0), words=True)])[0]
    assert (silent.text, silent.words, silent.emotion, silent.language) == ("", (), None, None)
    assert silent.events == ("music",)
    assert silent.no_speech == pytest.approx(1.0, abs=1e-3)


def test_tags_never_stand_in_the_text(engine: Engine) -> None:
    for seed in range(5):
        text = engine.recognize([_clip(_noise(5.0, seed))])[0].text
        assert not any(f"<|{tag}|>" in text for tag in SENSEVOICE_TAGS)


def test_what_it_cannot_use_is_noted(engine: Engine) -> None:
    options = {"hotwords": ("灵听",), "prompt": "before", "language": "wuu"}
    found = engine.recognize([_clip(_noise(1.0), **options)])[0]
    assert set(found.notes) == {
        "hotwords.unsupported", "prompt.unsupported", "language.wuu_as_zh",
    }  # fmt: skip
    assert found.language == "wuu"


def test_itn_and_language_change_what_is_asked(engine: Engine) -> None:
    samples = _noise(6.0)
    asked = [{}, {"itn": False}, {"language": "ko"}]
    found = engine.recognize([_clip(samples, **options) for options in asked])
    assert len({one.confidence for one in found}) == 3


def test_a_failing_batch_spoils_only_its_own_clip(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(folder, None, "cpu", "float32", 2)
    network = engine._network  # type: ignore[attr-defined]

    def breaks(features: Any, lengths: list[int], asked: Any) -> Any:
        if lfr_frames(32_000) in lengths:
            raise RuntimeError("out of luck")
        return network(features, lengths, asked)

    monkeypatch.setattr(engine, "_network", breaks)
    results = engine.recognize([_clip(_noise(n)) for n in (1.0, 2.0, 1.5)])
    assert [type(one.error) for one in results] == [type(None), EngineFailed, type(None)]


def test_the_callers_threads_are_left_alone(folder: Path) -> None:
    before = torch.get_num_threads()
    engine = load(folder, None, "cpu", "int8", 1 if before > 1 else 2)
    engine.recognize([_clip(_noise(20.0, seed)) for seed in range(4)])
    engine.recognize([_clip(_noise(1.0))])
    assert torch.get_num_threads() == before


def test_facts_and_closing(folder: Path) -> None:
    engine = load(folder, None, "cpu", "auto", None)
    facts = engine.facts
    assert facts.model.compute == "torch int8"
    assert facts.languages is not None
    assert {"zh", "yue", "en", "ja", "ko"} <= facts.languages
    assert (facts.has_words, facts.has_detection, facts.writes_numbers, facts.device) == (
        True, True, True, "cpu",
    )  # fmt: skip
    engine.close()
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        engine.recognize([_clip(_noise(1.0))])


@pytest.mark.parametrize("compute", ["bfloat16", "bf16", "fp32"])
def test_other_numbers_stay_near(compute: str, folder: Path, engine: Engine) -> None:
    clip = _clip(_noise(4.0))
    exact = engine.recognize([clip])[0]
    found = load(folder, None, "cpu", compute, 1).recognize([clip])[0]
    assert found.confidence == pytest.approx(exact.confidence, rel=0.1)


# Folders that are no such model -------------------------------------------------------------------


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_converted_weights_are_taken(copy: Path, engine: Engine) -> None:
    save_file(torch.load(copy / "model.pt", weights_only=True), copy / "model.safetensors")
    (copy / "model.pt").unlink()
    clip = _clip(_noise(2.0))
    assert load(copy, None, "cpu", "float32", 2).recognize([clip]) == engine.recognize([clip])


@pytest.mark.parametrize("name", ["model.pt", "config.yaml", "am.mvn", VOCABULARY])
def test_a_missing_file(name: str, copy: Path) -> None:
    (copy / name).unlink()
    with pytest.raises(WeightsInvalid, match=re.escape(name)):
        load(copy, None, "cpu", "int8", 1)


@pytest.mark.parametrize("compute", ["int8", "float32"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("missing", "encoders.1.norm1.weight"),
        ("extra", "encoder.encoders.9.norm1.weight"),
        ("shape", "ctc.ctc_lo.weight"),
    ],
)
def test_wrong_tensors(change: str, words: str, compute: str, copy: Path) -> None:
    state = torch.load(copy / "model.pt", weights_only=True)
    if change == "missing":
        del state["encoder.encoders.1.norm1.weight"]
    elif change == "extra":
        state["encoder.encoders.9.norm1.weight"] = torch.zeros(3)
    else:
        state["ctc.ctc_lo.weight"] = state["ctc.ctc_lo.weight"][:-1]
    torch.save(state, copy / "model.pt")
    with pytest.raises(WeightsInvalid, match=r"model\.pt") as caught:
        load(copy, None, "cpu", compute, 1)
    assert words in str(caught.value)


class _Hostile:
    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (self.marker,))


def test_code_in_the_weights_is_not_run(copy: Path, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    torch.save({"encoder.after_norm.weight": _Hostile(str(marker))}, copy / "model.pt")
    with pytest.raises(WeightsInvalid, match=r"model\.pt"):
        load(copy, None, "cpu", "int8", 1)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "Paraformer"}, "no SenseVoiceSmall"),
        ({"encoder_conf": None}, "encoder_conf is missing"),
        ({"encoder_conf": {"num_blocks": "many"}}, "num_blocks"),
        ({"encoder_conf": {"attention_heads": 0}}, "is 0"),
        ({"encoder_conf": {"output_size": 30, "attention_heads": 4}}, "divide"),
        ({"frontend_conf": {"fs": 8000}}, "fs is not 16000"),
    ],
)
def test_a_configuration_of_something_else(changes: dict[str, Any], words: str, copy: Path) -> None:
    write_sensevoice_yaml(copy, **changes)
    with pytest.raises(WeightsInvalid, match=words):
        load(copy, None, "cpu", "int8", 1)


def test_normalisation_of_another_size(copy: Path) -> None:
    (copy / "am.mvn").write_text(mvn_text([0.0] * 80, [1.0] * 80), "utf-8")
    with pytest.raises(WeightsInvalid, match="80 values"):
        load(copy, None, "cpu", "int8", 1)


def test_wanted_numbers_that_are_not_had(folder: Path) -> None:
    for compute in ("float16", "int4"):
        with pytest.raises(OptionInvalid, match=compute):
            load(folder, None, "cpu", compute, 1)


def test_batches_hold_no_more_than_they_may() -> None:
    lengths = [0.02, 1.0, 1.0, 30.0, 5.0, 9.0, 29.0] * 3
    tasks = [
        engine_module._Task(at, _clip(_noise(seconds)), "auto")
        for at, seconds in enumerate(lengths)
    ]
    batches = list(engine_module._batches(tasks, 256))
    assert sorted(task.at for batch in batches for task in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(task.frames for task in batch) <= 256
