"""Fun-ASR-Nano from end to end: real speech, tiny random checkpoints of every layout.

The text is nonsense; that it is the *same* nonsense as the reference writes is the point. The
reference is transformers' own model (all rows), and the published recipe on top of it (first rows
only), one clip at a time in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lingting.audio.decode import read_all
from lingting.engines.base import Clip, Engine, Hypothesis, RecognizeOptions
from lingting.engines.guarded import GuardedEngine
from lingting.engines.nano import engine as engine_module
from lingting.engines.nano import work as work_module
from lingting.engines.nano.engine import NanoEngine
from lingting.engines.nano.generation import Generated, Generator
from lingting.engines.nano.networks import Networks
from lingting.engines.nano.prompt import PromptOptions, build
from lingting.engines.nano.tokenizer import QwenTokenizer
from lingting.engines.nano.work import trained_rows
from lingting.engines.neural import devices
from lingting.engines.neural.frontend import lfr_features
from lingting.errors import (
    AudioInvalid,
    AudioTooLong,
    EngineFailed,
    LanguageUnsupported,
    OptionInvalid,
    WeightsInvalid,
)
from lingting.transcript import ModelFacts
from tests.tiny_checkpoints import write_hf, write_original, write_vllm

pytestmark = pytest.mark.speech

NAMES = (
    "zh-aishell3-ssb02670376.flac",
    "en-cheetah-cv.flac",
    "zh-uberi-foot.flac",
    "ja-whisperkit.flac",
    "en-an4-an392-mjwl-b.flac",
    "zh-sensevoice-opening.mp3",
)
MOST_TOKENS = 12
engine_encode = engine_module._encode


@pytest.fixture(scope="module")
def clips(speech_dir: Path) -> list[NDArray[np.float32]]:
    return [read_all(speech_dir / name)[0] for name in NAMES]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("checkpoints")
    write_original(base / "original", ctc=True, seed=3)
    write_original(base / "textonly", ctc=False, seed=3)
    write_vllm(base / "vllm", seed=3)
    write_hf(base / "flat", "flat", seed=3)
    write_hf(base / "split", "split", seed=3)
    return {path.name: path for path in base.iterdir()}


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random models never end by themselves; the tests need not wait for 500 tokens."""
    monkeypatch.setattr(work_module, "_TOKENS_MOST", MOST_TOKENS)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Tokens of every clip, in the order in which the engine asks the decoder."""
    seen: list[list[int]] = []

    class Recording(Generator):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs, detects_loops=False)

        def generate(self, requests: Sequence[Any]) -> list[Generated]:
            found = super().generate(requests)
            seen.extend(one.tokens for one in found)
            return found

    monkeypatch.setattr(engine_module, "Generator", Recording)
    return seen


def load(folder: Path, **options: Any) -> NanoEngine:
    """One thread: on tiny matrices, two spend their time waiting for each other."""
    options = {"threads": 1, **options}
    return NanoEngine(folder, device="cpu", compute="float32", **options)


def heard(engine: Engine, clips: Sequence[NDArray[np.float32]], **options: Any) -> list[Hypothesis]:
    asked = RecognizeOptions(**options)
    return engine.recognize([Clip(samples, asked) for samples in clips])


class Reference:
    """transformers' model and the documented recipe; one clip at a time."""

    def __init__(self, folder: Path) -> None:
        import transformers

        self.model = transformers.FunAsrNanoForConditionalGeneration.from_pretrained(
            folder, attn_implementation="sdpa", dtype=torch.float32
        ).eval()
        self.tokenizer = QwenTokenizer(folder)

    @torch.inference_mode()
    def tokens(
        self, samples: NDArray[np.float32], options: PromptOptions, *, rows: str, most: int
    ) -> list[int]:
        features = torch.from_numpy(lfr_features(samples))[None]
        mask = torch.ones(1, features.shape[1], dtype=torch.long)
        audio = self.model.get_audio_features(features, mask).pooler_output
        prompt = build(options)
        embed = self.model.get_input_embeddings()
        before = embed(torch.tensor(self.tokenizer.encode(prompt.before)))
        after = embed(torch.tensor(self.tokenizer.encode(prompt.after)))
        kept = audio if rows == "all" else audio[: self.published_rows(len(audio))]
        inputs = torch.cat([before, kept, after])[None]
        found = self.model.generate(
            inputs_embeds=inputs,
            attention_mask=torch.ones(inputs.shape[:2], dtype=torch.long),
            max_new_tokens=most,
            do_sample=False,
            eos_token_id=sorted(self.tokenizer.eos_ids),
            pad_token_id=0,
        )[0].tolist()
        ends = [at for at, token in enumerate(found) if token in self.tokenizer.eos_ids]
        return found[: ends[0]] if ends else found

    @staticmethod
    def published_rows(frames: int) -> int:
        """As the publisher writes it."""
        olens = 1 + (frames - 3 + 2 * 1) // 2
        olens = 1 + (olens - 3 + 2 * 1) // 2
        return (olens - 1) // 2 + 1

    @torch.inference_mode()
    def tokens_by_placeholders(
        self, samples: NDArray[np.float32], options: PromptOptions, most: int
    ) -> list[int]:
        """All rows through the port's own path: one placeholder per row in the token ids."""
        features = torch.from_numpy(lfr_features(samples))[None]
        prompt = build(options)
        ids = [
            *self.tokenizer.encode(prompt.before),
            *[self.model.config.audio_token_id] * features.shape[1],
            *self.tokenizer.encode(prompt.after),
        ]
        found = self.model.generate(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            input_features=features,
            input_features_mask=torch.ones(1, features.shape[1], dtype=torch.long),
            max_new_tokens=most,
            do_sample=False,
            eos_token_id=sorted(self.tokenizer.eos_ids),
            pad_token_id=0,
        )[0].tolist()
        return found[len(ids) :]


@pytest.fixture(scope="module")
def reference(folders: dict[str, Path]) -> Iterator[Reference]:
    with devices.using_threads(1):
        yield Reference(folders["flat"])


def test_rows_are_those_of_the_publisher() -> None:
    assert [trained_rows(frames) for frames in (1, 17, 83, 167, 500)] == [1, 3, 11, 21, 63]
    assert all(
        trained_rows(frames) == Reference.published_rows(frames) for frames in range(1, 3000)
    )


@pytest.mark.parametrize("rows", ["trained", "all"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"language": "ja", "itn": False},
        {"language": "zh", "hotwords": ("开放时间", "Lingting"), "prompt": "关于博物馆。"},
    ],
    ids=["plain", "language and no ITN", "everything"],
)
def test_tokens_are_those_of_the_reference(
    rows: Any,
    options: dict[str, Any],
    folders: dict[str, Path],
    clips: list[NDArray[np.float32]],
    reference: Reference,
    written: list[list[int]],
) -> None:
    found = heard(load(folders["flat"], audio_rows=rows), clips, **options)
    asked = PromptOptions(
        language=options.get("language"),
        itn=options.get("itn", True),
        hotwords=options.get("hotwords", ()),
        context=options.get("prompt", ""),
    )
    expected = [
        reference.tokens(samples, asked, rows=rows, most=work_module.most_tokens(Clip(samples)))
        for samples in clips
    ]
    assert written == expected
    assert len({tuple(tokens) for tokens in expected}) > len(clips) // 2  # they hear the audio
    tokenizer = reference.tokenizer
    for hypothesis, tokens in zip(found, expected, strict=True):
        assert hypothesis.text == engine_module._plain(tokenizer.decode(tokens))
        assert hypothesis.error is None


def test_all_rows_are_what_the_port_itself_does(
    folders: dict[str, Path],
    clips: list[NDArray[np.float32]],
    reference: Reference,
    written: list[list[int]],
) -> None:
    heard(load(folders["flat"], audio_rows="all"), clips[:2], language="zh")
    for tokens, samples in zip(written, clips[:2], strict=True):
        most = work_module.most_tokens(Clip(samples))
        asked = PromptOptions(language="zh")
        assert tokens == reference.tokens_by_placeholders(samples, asked, most)


@pytest.mark.parametrize("layout", ["original", "textonly", "vllm", "split"])
def test_every_layout_writes_the_same(
    layout: str, folders: dict[str, Path], clips: list[NDArray[np.float32]]
) -> None:
    expected = [one.text for one in heard(load(folders["flat"]), clips[:3])]
    assert [one.text for one in heard(load(folders[layout]), clips[:3])] == expected
    assert any(expected)


def test_a_batch_changes_nothing(
    folders: dict[str, Path], clips: list[NDArray[np.float32]], written: list[list[int]]
) -> None:
    engine = load(folders["original"])
    together = heard(engine, clips, words=True)
    in_batch = list(written)
    written.clear()
    alone = [heard(engine, [samples], words=True)[0] for samples in clips]
    assert written == in_batch
    assert [one.text for one in together] == [one.text for one in alone]
    assert [one.words for one in together] == [one.words for one in alone]
    backwards = heard(engine, clips[::-1], words=True)[::-1]
    assert [one.text for one in backwards] == [one.text for one in alone]


def test_small_encoder_batches_change_nothing(
    folders: dict[str, Path],
    clips: list[NDArray[np.float32]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = load(folders["original"])
    expected = [one.text for one in heard(engine, clips)]
    monkeypatch.setitem(engine_module._BATCH_FRAMES, "cpu", 70)
    monkeypatch.setattr(engine_module, "_GROUP_CLIPS", 2)
    assert [one.text for one in heard(engine, clips)] == expected
    monkeypatch.setattr(engine_module, "_GROUP_CLIPS", 99)
    before = torch.get_num_threads()
    beside = load(folders["original"], threads=2)  # a batch on each core
    assert [one.text for one in heard(beside, clips)] == expected
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("compute", ["bfloat16", "int8"])
def test_other_numbers_hear_the_same_clips(
    compute: str, folders: dict[str, Path], clips: list[NDArray[np.float32]]
) -> None:
    engine = NanoEngine(folders["original"], device="cpu", compute=compute, threads=1)
    assert engine.facts.model.compute == f"torch {compute}"
    first = heard(engine, clips, words=True)
    assert all(one.error is None for one in first)
    assert any(one.text for one in first)
    assert [one.text for one in heard(engine, clips, words=True)] == [one.text for one in first]


def test_one_bad_clip_of_each_kind_and_good_ones_between(
    folders: dict[str, Path], clips: list[NDArray[np.float32]], speech_dir: Path
) -> None:
    engine = load(folders["original"])
    good = [one.text for one in heard(engine, clips[:2])]
    unreadable = clips[0].copy()
    unreadable[100] = np.nan
    silent = np.zeros(48_000, np.float32)
    long = read_all(speech_dir / "en-librivox-twocities.flac")[0][: 40 * 16_000]
    found = heard(engine, [unreadable, clips[0], silent, clips[0][:320], clips[1], long])
    assert [one.text for one in found] == ["", good[0], "", "", good[1], ""]
    assert isinstance(found[0].error, AudioInvalid)
    assert isinstance(found[5].error, AudioTooLong)
    assert [one.notes for one in found if not one.error] == [
        (), ("gate.silence",), ("gate.short",), (),
    ]  # fmt: skip


def test_what_a_detector_found_no_speech_in_is_not_decoded(
    folders: dict[str, Path], clips: list[NDArray[np.float32]]
) -> None:
    (found,) = load(folders["original"]).recognize([Clip(clips[0], speech_s=0.0)])
    assert (found.text, found.notes) == ("", ("gate.silence",))


def test_no_clips(folders: dict[str, Path]) -> None:
    assert load(folders["original"]).recognize([]) == []


def test_word_times_come_from_the_branch_or_are_spread(
    folders: dict[str, Path], clips: list[NDArray[np.float32]]
) -> None:
    sources = []
    for layout in ("original", "textonly"):
        for samples, one in zip(
            clips, heard(load(folders[layout]), clips, words=True), strict=True
        ):
            if one.words:
                sources.append((layout, one.words_source))
            edges = [edge for word in one.words for edge in (word.start_s, word.end_s)]
            assert edges == sorted(edges)
            assert all(0.0 <= edge <= len(samples) / 16_000 + 1e-3 for edge in edges)
            cursor = 0
            for word in one.words:
                cursor = one.text.index(word.text, cursor) + len(word.text)
    assert {source for layout, source in sources if layout == "textonly"} == {"spread"}
    assert ("original", "ctc") in sources  # a random text may need more frames than there are
    assert all(one.words == () for one in heard(load(folders["original"]), clips[:1]))


def test_word_confidences_are_those_of_the_tokens(
    folders: dict[str, Path], clips: list[NDArray[np.float32]]
) -> None:
    found = heard(load(folders["textonly"]), clips, words=True)
    known = [word.confidence for one in found for word in one.words if word.confidence]
    assert known
    assert all(0.0 < confidence <= 1.0 for confidence in known)
    assert all(one.confidence is not None and 0.0 < one.confidence <= 1.0 for one in found)


def test_the_language_is_the_callers_or_what_the_script_tells(
    folders: dict[str, Path], clips: list[NDArray[np.float32]]
) -> None:
    engine = load(folders["original"], model=ModelFacts("fun-asr-nano"))
    assert engine.facts.languages == {
        "zh", "en", "ja", "yue", "wuu", "nan", "hak", "gan", "hsn", "cjy",
    }  # fmt: skip
    given = heard(engine, clips[:2], language="yue")
    assert [one.language for one in given] == ["yue", "yue"]
    judged = heard(engine, clips)
    assert {one.language for one in judged} <= {"zh", "ja", "en", None}
    assert all(one.language_confidence is None for one in judged)
    (refused,) = heard(engine, clips[:1], language="de")
    assert isinstance(refused.error, LanguageUnsupported)


def test_mandarin_stands_in_for_a_chinese_variety_the_model_was_not_told(
    folders: dict[str, Path], clips: list[NDArray[np.float32]], written: list[list[int]]
) -> None:
    engine = load(folders["original"], model=ModelFacts("fun-asr-mlt-nano"))
    assert engine.facts.languages is not None
    assert {"zh", "yue", "wuu", "nan", "de"} & engine.facts.languages == {"zh", "yue", "wuu", "nan"}
    (stood_in,) = heard(engine, clips[:1], language="wuu")
    assert (stood_in.language, stood_in.notes) == ("wuu", ("language.wuu_as_zh",))
    (mandarin,) = heard(engine, clips[:1], language="zh")
    assert (mandarin.language, mandarin.notes) == ("zh", ())
    assert written[0] == written[1]
    (own,) = heard(engine, clips[:1], language="yue")
    assert own.notes == ()
    (refused,) = heard(engine, clips[:1], language="de")
    assert isinstance(refused.error, LanguageUnsupported)


def test_what_cannot_be_done_is_said(
    folders: dict[str, Path], clips: list[NDArray[np.float32]]
) -> None:
    engine = load(folders["original"])
    (sampled,) = heard(engine, clips[:1], temperature=0.5)
    assert isinstance(sampled.error, OptionInvalid)
    (searched,) = heard(engine, clips[:1], beam_size=4)
    assert "option.beam_size_unused" in searched.notes
    with pytest.raises(OptionInvalid, match="!!!!"):
        NanoEngine(folders["original"], device="cpu", compute="float16")
    with pytest.raises(OptionInvalid, match="trained and all"):
        NanoEngine(folders["original"], audio_rows="some")  # type: ignore[arg-type]


def test_hotwords_are_few_and_told_by_number(
    folders: dict[str, Path], clips: list[NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[PromptOptions] = []

    def recording(options: PromptOptions, *rest: Any) -> Any:
        asked.append(options)
        return build(options, *rest)

    monkeypatch.setattr(engine_module, "build", recording)
    many = tuple(f"secretword{at}" for at in range(60))

    def used(layout: str, **clip: Any) -> tuple[int, tuple[str, ...]]:
        asked.clear()
        options = RecognizeOptions(hotwords=clip.pop("hotwords", many))
        (found,) = load(folders[layout]).recognize([Clip(clips[0], options, **clip)])
        return len(asked[-1].hotwords), found.notes

    assert used("textonly") == (20, ("hotwords.first_20_of_60",))
    count, notes = used("original")
    assert count <= 20
    assert notes == (f"hotwords.chosen_{count}_of_60",)
    assert used("original", hotwords=many[:3]) == (3, ())
    assert used("original", speech_score=0.3) == (0, ("hotwords.none_on_weak_speech",))


def test_the_prompt_of_the_caller_can_be_recognised_as_a_leak(
    folders: dict[str, Path], clips: list[NDArray[np.float32]]
) -> None:
    (found,) = heard(load(folders["original"]), clips[:1], prompt="About tax law.", hotwords=("x",))
    assert found.prompt == "About tax law."


def test_of_a_very_long_prompt_the_end_is_taken(
    folders: dict[str, Path], clips: list[NDArray[np.float32]], written: list[list[int]]
) -> None:
    engine = load(folders["original"])
    end = "关于博物馆。" * 400
    (whole,) = heard(engine, clips[:1], prompt=end[-2_000:])
    (cut,) = heard(engine, clips[:1], prompt="税法。" * 10_000 + end)
    assert written[0] == written[1]
    assert (whole.notes, cut.notes) == ((), ("prompt.cut",))


class _Scarce:
    """Encoding fails as out of memory for more than ``most`` clips at once."""

    def __init__(self, most: int, bad: int | None = None) -> None:
        self.most, self.bad, self.sizes = most, bad, []  # type: tuple[int, int | None, list[int]]
        self._real = Networks.encode

    def __call__(self, networks: Networks, features: Sequence[Any], *rest: Any) -> Any:
        self.sizes.append(len(features))
        if len(features) > self.most or any(len(one) == self.bad for one in features):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self._real(networks, features, *rest)


def test_too_little_memory_halves_the_batch_and_is_told(
    folders: dict[str, Path], clips: list[NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(folders["original"])
    expected = [one.text for one in heard(engine, clips)]
    scarce = _Scarce(most=2)
    monkeypatch.setitem(engine_module._BATCH_FRAMES, "cpu", 2_000)
    monkeypatch.setattr(Networks, "encode", lambda self, *args: scarce(self, *args))
    found = heard(engine, clips)
    assert [one.text for one in found] == expected
    assert all("memory.halved" in one.notes for one in found)
    assert max(scarce.sizes) > 2


def test_a_clip_that_never_fits_fails_alone(
    folders: dict[str, Path], clips: list[NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(folders["original"])
    expected = [one.text for one in heard(engine, clips)]
    scarce = _Scarce(most=99, bad=len(lfr_features(clips[2])))
    monkeypatch.setattr(Networks, "encode", lambda self, *args: scarce(self, *args))
    found = heard(engine, clips)
    assert isinstance(found[2].error, EngineFailed)
    assert [one.text for at, one in enumerate(found) if at != 2] == [
        text for at, text in enumerate(expected) if at != 2
    ]


def test_what_does_not_fit_on_a_gpu_runs_on_the_cpu(
    folders: dict[str, Path], clips: list[NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CUDA device in name only: all that it is asked for fails as out of memory."""
    engine = load(folders["original"])
    expected = [(one.text, one.words) for one in heard(engine, clips[:2], words=True)]
    full = Networks(
        torch.device("cuda"), *(getattr(engine._networks, name) for name in (
            "compute", "encoder", "adaptor", "decoder", "ctc",
        )),
    )  # fmt: skip
    real = Networks.encode

    def encode(networks: Networks, *rest: Any) -> Any:
        if networks.device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(networks, *rest)

    def generate(networks: Networks, works: Any) -> Any:
        if networks.device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return NanoEngine._generate(engine, networks, works)

    monkeypatch.setattr(devices, "release", lambda device: None)
    monkeypatch.setattr(
        devices, "choose_compute",
        lambda *args: devices.Compute("float32", torch.float32),
    )  # fmt: skip
    monkeypatch.setattr(Networks, "encode", encode)
    monkeypatch.setattr(engine, "_generate", generate)
    monkeypatch.setattr(engine, "_networks", full)
    found = heard(engine, clips[:2], words=True)
    assert [(one.text, one.words) for one in found] == expected
    assert all({"memory.halved", "memory.cpu"} <= set(one.notes) for one in found)


def test_clips_encoded_in_other_numbers_go_on_in_the_decoders(
    folders: dict[str, Path], clips: list[NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a lack of memory: float32 from the CPU, and a bfloat16 model to go on."""
    engine = NanoEngine(folders["original"], device="cpu", compute="bfloat16", threads=1)
    other = load(folders["original"])
    monkeypatch.setattr(
        engine_module, "_encode", lambda _, works: engine_encode(other._networks, works)
    )
    found = heard(engine, clips[:2], words=True)
    assert [one.error for one in found] == [None, None]
    assert any(one.words_source == "ctc" for one in found)


def test_one_decoder_serves_every_call(
    folders: dict[str, Path], clips: list[NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it keeps on a GPU is of use; a lack of memory makes it let go."""
    made, forgotten = [], []

    class Counted(Generator):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

        def forget(self) -> None:
            super().forget()
            forgotten.append(self)

    monkeypatch.setattr(engine_module, "Generator", Counted)
    engine = load(folders["original"])
    heard(engine, clips[:2])
    heard(engine, clips[2:4])
    assert len(made) == 1
    assert forgotten == []
    scarce = _Scarce(most=1)
    monkeypatch.setitem(engine_module._BATCH_FRAMES, "cpu", 2_000)
    monkeypatch.setattr(Networks, "encode", lambda self, *args: scarce(self, *args))
    heard(engine, clips[:2])
    assert forgotten == made


def test_a_fault_inside_a_batch_stays_with_its_clip(
    folders: dict[str, Path], clips: list[NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(folders["original"])
    expected = [one.text for one in heard(engine, clips[:3])]
    real, bad = Networks.encode, len(lfr_features(clips[1]))

    def encode(networks: Networks, features: Sequence[Any], *rest: Any) -> Any:
        if any(len(one) == bad for one in features):
            raise RuntimeError("a kernel gave up")
        return real(networks, features, *rest)

    monkeypatch.setattr(Networks, "encode", encode)
    found = heard(engine, clips[:3])
    assert [one.text for one in found] == [expected[0], "", expected[2]]
    assert isinstance(found[1].error, EngineFailed)
    assert found[1].error.__cause__ is not None


def test_one_bad_clip_among_many_costs_few_tries() -> None:
    works = [work_module.Work(at, Clip(np.zeros(9)), np.zeros((1, 1)), 1, False, None)
             for at in range(64)]  # fmt: skip
    tries: list[int] = []

    def run(part: Sequence[work_module.Work]) -> None:
        tries.append(len(part))
        if any(work.at == 41 for work in part):
            raise RuntimeError("a kernel gave up")

    work_module.contained(run, works)
    assert [work.at for work in works if work.hypothesis is not None] == [41]
    assert len(tries) == 13  # two for each of six halvings, and the whole
    work_module.contained(run, [])


def test_what_is_cut_by_length_is_split_by_the_guard(
    folders: dict[str, Path], speech_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random model always runs into its limit: the guard tries again and then in parts."""
    engine = load(folders["original"])
    samples = read_all(speech_dir / "zh-sensevoice-opening.mp3")[0]
    (plain,) = heard(engine, [samples])
    assert plain.is_cut
    lengths: list[float] = []
    recognize = engine.recognize

    def counted(clips: Sequence[Clip]) -> list[Hypothesis]:
        lengths.extend(clip.duration_s for clip in clips)
        return recognize(clips)

    monkeypatch.setattr(engine, "recognize", counted)
    (found,) = heard(GuardedEngine(engine), [samples])
    assert {"guard.retried", "guard.split"} & set(found.notes)
    assert min(lengths) < max(lengths) == pytest.approx(len(samples) / 16_000)


def test_threads_are_as_the_caller_set_them(
    folders: dict[str, Path], clips: list[NDArray[np.float32]]
) -> None:
    before = torch.get_num_threads()
    engine = load(folders["original"], threads=1)
    heard(engine, clips[:1])
    assert torch.get_num_threads() == before


def test_a_closed_engine_says_so(folders: dict[str, Path]) -> None:
    engine = load(folders["original"])
    engine.close()
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        engine.recognize([])


def test_a_folder_that_is_no_such_model(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match=r"config\.yaml"):
        load(tmp_path)
