"""The FunASR toolkit behind our protocol: tiny random models in its own layouts, real speech."""

from __future__ import annotations

import importlib.util
import itertools
import json
import logging
import os
import pickle
import random
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_toolkit as tiny
from numpy.typing import NDArray

from lingting.audio.decode import read_all
from lingting.engines.base import Clip, Engine, Hypothesis, RecognizeOptions
from lingting.engines.funasr import (
    Embedder,
    FunasrEngine,
    Punctuator,
    is_toolkit_folder,
    load,
    load_embedder,
    load_punctuator,
)
from lingting.engines.funasr.fence import FENCE, NetworkRefused
from lingting.errors import (
    AudioEmpty,
    AudioInvalid,
    AudioTooLong,
    EngineFailed,
    ExtraMissing,
    LanguageUnsupported,
    OptionInvalid,
    WeightsInvalid,
)
from lingting.transcript import ModelFacts

Samples = NDArray[np.float32]
RECOGNISERS = ("SeacoParaformer", "BiCifParaformer", "Paraformer", "ParaformerStreaming")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("toolkit")
    made = {kind: tiny.write_paraformer(base / kind, kind) for kind in RECOGNISERS}
    made["SenseVoiceSmall"] = tiny.write_sensevoice(base / "sensevoice")
    made["CTTransformer"] = tiny.write_punctuator(base / "punctuation")
    made["CAMPPlus"] = tiny.write_voices(base / "voices")
    return made


@pytest.fixture(scope="module")
def speech(speech_dir: Path) -> list[Samples]:
    """Five beginnings of real recordings, all of other lengths."""
    names = sorted(speech_dir.glob("zh-*.flac"))[:3] + sorted(speech_dir.glob("en-*.flac"))[:2]
    lengths = (41_000, 16_000, 30_500, 52_345, 20_001)
    return [read_all(name)[0][..., :n] for name, n in zip(names, lengths, strict=True)]


def clips(speech: Sequence[Samples], **options: Any) -> list[Clip]:
    return [Clip(samples, RecognizeOptions(**options)) for samples in speech]


def texts(hypotheses: Sequence[Hypothesis]) -> list[str]:
    assert [one.error for one in hypotheses] == [None] * len(hypotheses)
    return [one.text for one in hypotheses]


def engine_of(folder: Path, **options: Any) -> FunasrEngine:
    return FunasrEngine(folder, device="cpu", threads=1, **options)


Inference = Callable[..., Any]


def bend(engine: FunasrEngine, change: Callable[[Inference, Any], Any]) -> list[int]:
    """Let every call of the toolkit's model go through ``change``; the clips of each call."""
    assert engine._model is not None
    module = engine._model.module
    usual = module.inference
    calls: list[int] = []

    def bent(**given: Any) -> Any:
        calls.append(len(given["data_in"]))
        return change(usual, given)

    module.inference = bent
    return calls


# What comes back


@pytest.mark.speech
@pytest.mark.parametrize("kind", [*RECOGNISERS, "SenseVoiceSmall"])
def test_every_clip_has_its_text_and_times(
    kind: str, folders: dict[str, Path], speech: list[Samples]
) -> None:
    engine = load(folders[kind], ModelFacts("x"), "cpu", "auto", 1)
    assert isinstance(engine, Engine)
    assert engine.facts.model.compute == f"funasr {kind} float32"
    heard = engine.recognize(clips(speech, words=True))
    plain = texts(engine.recognize(clips(speech)))
    assert texts(heard) == plain
    assert len(set(plain)) == len(speech)
    for hypothesis, samples in zip(heard, speech, strict=True):
        assert hypothesis.words_source in {"toolkit", "spread"}
        times = [t for word in hypothesis.words for t in (word.start_s, word.end_s)]
        assert times == sorted(times)
        assert 0 <= times[0] <= times[-1] <= len(samples) / 16_000
        spelt = "".join(word.text for word in hypothesis.words)
        assert "".join(spelt.split()) == "".join(hypothesis.text.split())
    if kind.endswith("Paraformer"):
        assert {one.words_source for one in heard} == {"toolkit"}


@pytest.mark.speech
@pytest.mark.parametrize("kind", ["SeacoParaformer", "ParaformerStreaming", "SenseVoiceSmall"])
def test_the_text_is_the_toolkits_own(
    kind: str, folders: dict[str, Path], speech: list[Samples]
) -> None:
    from funasr import AutoModel

    folder = folders[kind]
    with FENCE.loading():
        reference = AutoModel(
            model=str(folder), disable_update=True, device="cpu", ncpu=1, disable_pbar=True
        )
        reference._base_kwargs_map["kwargs"]["frontend"].dither = 0.0  # what it goes back to
        options: dict[str, Any] = {"use_itn": True, "language": "auto"}
        if kind == "ParaformerStreaming":
            options |= {"chunk_size": [0, 10, 5], "encoder_chunk_look_back": 4}
            options |= {"decoder_chunk_look_back": 1, "is_final": True}
        theirs = [reference.generate(input=[one], cache={}, **options)[0] for one in speech]
    ours = texts(engine_of(folder).recognize(clips(speech)))
    strip = "".join
    if kind == "SenseVoiceSmall":
        import re

        assert [re.sub(r"<\|[^|]*\|>", "", one["text"]).strip() for one in theirs] == ours
    else:
        assert [strip(one["text"].split()) for one in theirs] == [strip(o.split()) for o in ours]


@pytest.mark.speech
def test_the_same_samples_give_the_same_text(
    folders: dict[str, Path], speech: list[Samples]
) -> None:
    """The toolkit's features have noise of another draw in them at every call."""
    engine = engine_of(folders["Paraformer"])
    first = engine.recognize(clips(speech, words=True))
    assert engine.recognize(clips(speech, words=True)) == first


@pytest.mark.speech
def test_a_batch_of_sensevoice_changes_no_text(
    folders: dict[str, Path], speech: list[Samples]
) -> None:
    folder = folders["SenseVoiceSmall"]
    together = engine_of(folder, batch_clips=8)
    calls = bend(together, lambda usual, given: usual(**given))
    assert texts(together.recognize(clips(speech))) == texts(
        engine_of(folder).recognize(clips(speech))
    )
    assert calls == [len(speech)]


@pytest.mark.speech
def test_options_reach_the_model_clip_by_clip(
    folders: dict[str, Path], speech: list[Samples]
) -> None:
    engine = engine_of(folders["SenseVoiceSmall"], batch_clips=8)
    asked: list[tuple[str, bool]] = []
    caches: list[dict[str, Any]] = []

    def look(usual: Inference, given: Any) -> Any:
        caches.append(given["cache"])
        asked.extend((given["language"], given["use_itn"]) for _ in given["data_in"])
        return usual(**given)

    bend(engine, look)
    one = speech[0]
    wanted = [("ja", True), ("auto", False), ("zh", True)]
    heard = engine.recognize(
        [
            Clip(one, RecognizeOptions(language="ja")),
            Clip(one, RecognizeOptions(itn=False)),
            Clip(one, RecognizeOptions(language="wuu")),
            Clip(one, RecognizeOptions(language="fr")),
        ]
    )
    assert sorted(asked) == sorted(wanted)
    assert caches == [{}] * 3
    assert len({id(one) for one in caches}) == 3  # nothing goes from one caller to the next
    assert heard[0].language == "ja"
    assert "language.wuu_as_zh" in heard[2].notes
    assert isinstance(heard[3].error, LanguageUnsupported)


@pytest.mark.speech
def test_hotwords_reach_paraformer(folders: dict[str, Path], speech: list[Samples]) -> None:
    engine = engine_of(folders["SeacoParaformer"])
    texts(engine.recognize(clips(speech[:1], hotwords=("中国", "hello world"))))
    assert engine._model is not None
    lists = engine._model.module.hotword_list
    assert [len(one) for one in lists] == [1, 1, 1, 1]  # 中国 is one token here, and <s> the last
    texts(engine.recognize(clips(speech[:1])))
    assert engine._model.module.hotword_list is None  # nothing stays for the next caller
    (heard,) = engine_of(folders["Paraformer"]).recognize(clips(speech[:1], hotwords=("中",)))
    assert heard.notes == ("hotwords.unsupported",)


# What goes wrong


@pytest.mark.speech
@pytest.mark.parametrize("kind", ["SeacoParaformer", "Paraformer"])
@pytest.mark.parametrize("batch", [1, 8])
def test_a_clip_without_text_is_there_and_empty(
    kind: str, batch: int, folders: dict[str, Path], speech: list[Samples], tmp_path: Path
) -> None:
    """With no token predicted the toolkit gives an empty list, whatever the number of clips."""
    folder = copied(folders[kind], tmp_path)

    def mute(state: Any) -> None:
        state["predictor.cif_output.weight"].zero_()
        state["predictor.cif_output.bias"].fill_(-50.0)

    tiny.change_weights(folder, mute)
    heard = engine_of(folder, batch_clips=batch).recognize(clips(speech))
    assert [(one.text, one.error, one.notes) for one in heard] == [
        ("", None, ("toolkit.blank",))
    ] * len(speech)


@pytest.mark.speech
@pytest.mark.parametrize("fault", ["shorter", "swapped", "longer", "no text", "raises"])
def test_a_list_that_does_not_fit_is_asked_again_clip_by_clip(
    fault: str, folders: dict[str, Path], speech: list[Samples]
) -> None:
    engine = engine_of(folders["SenseVoiceSmall"], batch_clips=8)
    right = texts(engine.recognize(clips(speech)))

    def spoil(usual: Inference, given: Any) -> Any:
        entries, meta = usual(**given)
        if len(entries) == 1:
            return entries, meta
        if fault == "raises":
            raise IndexError("inside the toolkit")
        if fault == "no text":
            del entries[1]["text"]
        bent = {"shorter": entries[1:], "longer": [*entries, entries[0]]}
        bent["swapped"] = entries[::-1]
        return bent.get(fault, entries), meta

    calls = bend(engine, spoil)
    assert texts(engine.recognize(clips(speech))) == right
    assert calls == [len(speech), *[1] * len(speech)]


@pytest.mark.speech
def test_one_bad_clip_does_not_disturb_the_others(
    folders: dict[str, Path], speech: list[Samples]
) -> None:
    engine = engine_of(folders["SenseVoiceSmall"], batch_clips=8)
    right = texts(engine.recognize(clips(speech)))
    poisoned = len(speech[2])

    def choke(usual: Inference, given: Any) -> Any:
        if any(len(one) == poisoned for one in given["data_in"]):
            raise IndexError("index 7 is out of bounds")
        return usual(**given)

    bend(engine, choke)
    bad = [
        np.full(16_000, np.nan, np.float32),
        np.zeros(31 * 16_000, np.float32),
        np.zeros(10, np.float32),
        np.zeros((2, 8_000), np.float32),
        np.zeros(320, np.float32),  # 0.02 s
    ]
    heard = engine.recognize(clips([*speech, *bad]))
    assert len(heard) == len(speech) + len(bad)
    errors = [one.error for one in heard]
    assert isinstance(errors[2], EngineFailed)
    assert isinstance(errors[2].__cause__, IndexError)
    assert "bounds" not in str(errors[2])
    kinds = [type(error) for error in errors[5:]]
    assert kinds == [AudioInvalid, AudioTooLong, AudioEmpty, AudioInvalid, type(None)]
    assert [one.text for at, one in enumerate(heard[:5]) if at != 2] == right[:2] + right[3:]


@pytest.mark.speech
def test_times_that_fail_cost_no_text(folders: dict[str, Path], speech: list[Samples]) -> None:
    engine = engine_of(folders["SenseVoiceSmall"])

    def untimed(usual: Inference, given: Any) -> Any:
        if given["output_timestamp"]:
            raise RuntimeError("alignment")
        return usual(**given)

    bend(engine, untimed)
    for hypothesis in engine.recognize(clips(speech[:2], words=True)):
        assert hypothesis.text
        assert hypothesis.words_source == "spread"
        assert "words.failed" in hypothesis.notes


def test_a_swallowed_exception_is_told_not_what_it_led_to(folders: dict[str, Path]) -> None:
    """The toolkit's own loader of audio logs that a file is missing and then trips over itself."""
    with FENCE.loading():
        from funasr.models.fun_asr_nano.model import FunASRNano
    contents = {
        "system": ["s"],
        "user": ["<|startofspeech|>!/no/such/sound.wav<|endofspeech|>"],
        "assistant": ["a"],
    }
    tokenizer = SimpleNamespace(encode=lambda text: [ord(c) for c in text])

    def trip(usual: Inference, given: Any) -> Any:
        return FunASRNano.data_load_speech(
            SimpleNamespace(use_low_frame_rate=True), contents, tokenizer, given["frontend"]
        )

    engine = engine_of(folders["Paraformer"])
    bend(engine, trip)
    (heard,) = engine.recognize([Clip(np.zeros(16_000, np.float32))])
    assert isinstance(heard.error, EngineFailed)
    assert "FileNotFoundError" in heard.error.sentence
    assert isinstance(heard.error.__cause__, UnboundLocalError)
    assert isinstance(heard.error.__cause__.__cause__, FileNotFoundError)
    assert "sound.wav" not in str(heard.error)


def test_empty_text_behind_a_swallowed_exception_is_an_error(folders: dict[str, Path]) -> None:
    engine = engine_of(folders["Paraformer"])

    def hide(usual: Inference, given: Any) -> Any:
        try:
            raise MemoryError("no room")
        except MemoryError:
            logging.error("failed, going on")
        return []

    bend(engine, hide)
    (heard,) = engine.recognize([Clip(np.zeros(16_000, np.float32))])
    assert isinstance(heard.error, EngineFailed)
    assert isinstance(heard.error.__cause__, MemoryError)


def test_a_closed_engine_says_so(folders: dict[str, Path]) -> None:
    engine = engine_of(folders["Paraformer"])
    engine.close()
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        engine.recognize([])


# What it does to the process


@pytest.mark.speech
def test_threads_share_a_model_without_mixing_options(
    folders: dict[str, Path], speech: list[Samples]
) -> None:
    engine = engine_of(folders["SenseVoiceSmall"])
    inside = 0
    most = 0

    def watched(usual: Inference, given: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            return usual(**given)
        finally:
            inside -= 1

    bend(engine, watched)
    wishes = [
        clips(speech[:3], language=language, itn=itn)
        for language, itn in itertools.product(("zh", "en", None), (True, False))
    ]
    alone = [texts(engine.recognize(wish)) for wish in wishes]
    assert len({tuple(one) for one in alone}) > 1
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda wish: texts(engine.recognize(wish)), wishes)) == alone
    assert most == 1


def process_state() -> dict[str, Any]:
    import torch

    root = logging.getLogger()
    return {
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),
        "torch": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "handlers": list(root.handlers),
        "level": root.level,
        "filters": list(root.filters),
        "warnings": list(warnings.filters),
        "streams": (sys.stdout, sys.stderr),
        "resolver": socket.getaddrinfo,
        "environment": dict(os.environ),
    }


@pytest.mark.speech
def test_nothing_of_the_process_is_left_changed(
    folders: dict[str, Path], speech: list[Samples], capfd: pytest.CaptureFixture[str]
) -> None:
    import torch

    before = process_state()
    engine = FunasrEngine(folders["SeacoParaformer"], threads=1)
    assert process_state() == before
    seen: list[int] = []

    def look(usual: Inference, given: Any) -> Any:
        seen.append(torch.get_num_threads())
        print("printed", file=sys.stderr)  # noqa: T201 - what the toolkit does
        logging.error("the transcript: %s", "某某")
        return usual(**given)

    bend(engine, look)
    texts(engine.recognize(clips(speech[:1], words=True, hotwords=("某某",))))
    after = process_state()
    # Its encoder draws a number for each layer. To rewind would repeat what other threads drew.
    assert after | {"torch": before["torch"]} == before
    assert seen == [1]
    assert capfd.readouterr() == ("", "")


def test_threads_outside_notice_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    there, done = threading.Event(), threading.Event()

    def visit() -> None:
        with FENCE.inside():
            print("from inside")  # noqa: T201
            logging.error("from inside")
            with pytest.raises(NetworkRefused):
                socket.create_connection(("127.0.0.1", 9))
            there.set()
            done.wait(20)

    thread = threading.Thread(target=visit)
    thread.start()
    assert there.wait(20)
    print("from outside")  # noqa: T201
    logging.error("also from outside")
    assert socket.getaddrinfo("127.0.0.1", 9)
    done.set()
    thread.join()
    assert capfd.readouterr().out == "from outside\n"
    assert [record.message for record in caplog.records] == ["also from outside"]


def test_a_root_logger_without_handlers_stays_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """``logging.info`` configures it for the whole process, and the toolkit uses nothing else."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with FENCE.inside():
        logging.info("from inside")
        other = threading.Thread(target=lambda: logging.getLogger("other").warning("not inside"))
        other.start()
        other.join()
    assert logging.getLogger().handlers == []
    assert capfd.readouterr().err == "not inside\n"


def test_no_host_is_looked_up_for_what_looks_like_an_address(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[Any] = []

    def resolver(*arguments: Any, **_: Any) -> Any:
        looked_up.append(arguments)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    assert load_punctuator(folders["CTTransformer"]).punctuate("http://127.0.0.1:9/x")
    quiet = Clip(np.zeros(16_000, np.float32), RecognizeOptions(hotwords=("http://127.0.0.1:9/",)))
    engine = engine_of(folders["SeacoParaformer"])
    with FENCE.inside() as visit:
        (heard,) = engine.recognize([quiet])
    assert heard.error is None
    assert visit.cause is None
    assert looked_up == []


# Folders


def copied(folder: Path, target: Path) -> Path:
    import shutil

    return Path(shutil.copytree(folder, target / folder.name))


class Bomb:
    """A pickle that makes a folder when it is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("old", [False, True])
def test_code_in_the_weights_is_never_run(
    old: bool, folders: dict[str, Path], tmp_path: Path
) -> None:
    import torch

    folder = copied(folders["Paraformer"], tmp_path)
    bomb = {"x": Bomb(tmp_path / "ran")}
    if old:
        (folder / "model.pt").write_bytes(pickle.dumps(bomb, protocol=2))
    else:
        torch.save(bomb, folder / "model.pt")
    with pytest.raises(WeightsInvalid, match=r"model\.pt"):
        engine_of(folder)
    assert not (tmp_path / "ran").exists()


def test_code_beside_the_weights_is_never_run(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["Paraformer"], tmp_path)
    trace = tmp_path / "ran"
    (folder / "model.py").write_text(f"open({str(trace)!r}, 'w')", "utf-8")
    (folder / "requirements.txt").write_text("surely-not-a-package", "utf-8")
    break_config(folder, trust_remote_code=True, remote_code=str(folder / "model.py"))
    engine_of(folder).close()
    assert not trace.exists()


def drop(name: str) -> Callable[[Any], None]:
    return lambda state: state.pop(name)


def reshape(state: Any) -> None:
    state["encoder.after_norm.weight"] = state["encoder.after_norm.weight"][:-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop("encoder.after_norm.weight"), r"model\.pt .*encoder\.after_norm\.weight is missing"),
        (reshape, r"encoder\.after_norm\.weight is \[31\], not \[32\]"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(
    change: Callable[[Any], None], words: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    """The toolkit itself goes on with random values in its place."""
    folder = copied(folders["Paraformer"], tmp_path)
    tiny.change_weights(folder, change)
    with pytest.raises(WeightsInvalid, match=words):
        engine_of(folder)


@pytest.mark.speech
def test_prefixed_and_wrapped_weights_are_found(
    folders: dict[str, Path], speech: list[Samples], tmp_path: Path
) -> None:
    import torch

    folder = copied(folders["Paraformer"], tmp_path)
    state = torch.load(folder / "model.pt", weights_only=True)
    wrapped = {"state_dict": {f"module.{name}": value for name, value in state.items()}}
    torch.save(wrapped, folder / "model.pt", _use_new_zipfile_serialization=False)
    want = texts(engine_of(folders["Paraformer"]).recognize(clips(speech[:1])))
    assert texts(engine_of(folder).recognize(clips(speech[:1]))) == want


def break_config(folder: Path, **changes: Any) -> None:
    import yaml  # comes with the toolkit

    config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    (folder / "config.yaml").write_text(yaml.safe_dump(config | changes), "utf-8")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "config.yaml").unlink(), "no config.yaml"),
        (lambda f: (f / "config.yaml").write_text("a: [", "utf-8"), "cannot be read"),
        (lambda f: (f / "config.yaml").write_text("a: 1", "utf-8"), "names no model class"),
        (lambda f: (f / "model.pt").unlink(), "no file of weights"),
        (lambda f: (f / "model.pt").write_bytes(b"PK\x03\x04"), r"model\.pt"),
        (lambda f: (f / "configuration.json").write_text("{", "utf-8"), r"configuration\.json"),
        (lambda f: break_config(f, model="NoSuchModel"), "NoSuchModel"),
        (lambda f: break_config(f, encoder_conf={"output_size": "wide"}), "cannot build"),
    ],
)
def test_a_folder_that_is_no_model_is_refused(
    spoil: Callable[[Path], Any], words: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = copied(folders["Paraformer"], tmp_path)
    spoil(folder)
    with pytest.raises(WeightsInvalid, match=words):
        engine_of(folder)


def test_files_outside_the_folder_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["CAMPPlus"], tmp_path)
    metas = {"config": "config.yaml", "init_param": "../CAMPPlus/campplus_cn_common.bin"}
    (folder / "configuration.json").write_text(json.dumps({"file_path_metas": metas}), "utf-8")
    with pytest.raises(WeightsInvalid, match="outside its folder"):
        load_embedder(folder)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("Paraformer", {"device": "tpu"}, "cpu and cuda"),
        ("Paraformer", {"compute": "float16"}, "float32"),
        ("CTTransformer", {}, "recognises no speech"),
    ],
)
def test_wrong_wishes_are_refused(
    kind: str, options: dict[str, str], words: str, folders: dict[str, Path]
) -> None:
    with pytest.raises(OptionInvalid, match=words):
        FunasrEngine(folders[kind], **options)


def test_nano_is_sent_to_its_own_engine(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["Paraformer"], tmp_path)
    break_config(folder, model="FunASRNano")
    with pytest.raises(OptionInvalid, match="Fun-ASR-Nano"):
        engine_of(folder)


def test_without_the_toolkit_the_extra_is_named(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExtraMissing, match=r"lingting\[funasr\]"):
        engine_of(folders["Paraformer"])


def test_toolkit_folders_are_known(folders: dict[str, Path], tmp_path: Path) -> None:
    assert all(is_toolkit_folder(folder) for folder in folders.values())
    assert not is_toolkit_folder(tmp_path)


# Punctuation and voices


def test_punctuation_adds_marks_and_changes_no_word(folders: dict[str, Path]) -> None:
    punctuator = load_punctuator(folders["CTTransformer"])
    text = "你是我的人 hello world 这是说中国" * 12  # longer than its pieces of 20
    marked = punctuator.punctuate(text)
    assert any(mark in marked for mark in "，。？、,.?")
    bare = "".join(c for c in marked if c not in "，。？、,.? ").casefold()
    assert bare == "".join(text.split())
    assert punctuator.punctuate(text) == marked
    assert punctuator.punctuate(" \n") == ""
    punctuator.close()
    with pytest.raises(EngineFailed, match="closed"):
        punctuator.punctuate("你")


def test_punctuation_that_changes_words_is_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = copied(folders["CTTransformer"], tmp_path)

    def only_unknown(state: Any) -> None:
        state["decoder.bias"][0] = 1e9

    tiny.change_weights(folder, only_unknown)
    with pytest.raises(EngineFailed, match="changed the words"):
        Punctuator(folder).punctuate("你是我")


@pytest.mark.speech
def test_voices_are_the_toolkits(folders: dict[str, Path], speech: list[Samples]) -> None:
    from funasr import AutoModel

    folder = folders["CAMPPlus"]
    with FENCE.loading():
        reference = AutoModel(model=str(folder), disable_update=True, device="cpu", ncpu=1)
        theirs = reference.generate(input=[speech[0]], disable_pbar=True)[0]["spk_embedding"]
    embedder = load_embedder(folder, threads=1)
    ours = embedder.embed(speech[0])
    assert (ours.shape, ours.dtype) == ((192,), np.float32)
    np.testing.assert_allclose(ours, theirs.numpy().reshape(-1), rtol=1e-4)
    assert not np.allclose(ours, embedder.embed(speech[1]))
    for samples, error in [
        (np.zeros(100, np.float32), AudioEmpty),
        (np.zeros((2, 16_000), np.float32), AudioInvalid),
        (np.full(16_000, np.inf, np.float32), AudioInvalid),
    ]:
        with pytest.raises(error):
            embedder.embed(samples)
    with pytest.raises(OptionInvalid, match="CAMPPlus"):
        Embedder(folders["Paraformer"])
