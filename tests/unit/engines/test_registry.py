"""Names, folders and addresses to engines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lingting import models
from lingting.engines import registry
from lingting.engines.guarded import GuardedEngine
from lingting.engines.registry import (
    EMBEDDED,
    FUNASR,
    NANO,
    RECOGNISERS,
    SENSEVOICE,
    WHISPER,
    automatic_models,
    choose_device,
    is_address,
    kind_of,
    load_engine,
)
from lingting.errors import (
    ExtraMissing,
    ModelNotInstalled,
    ModelUnknown,
    OptionInvalid,
    WeightsInvalid,
)
from tests.tiny_checkpoints import write_hf, write_original, write_vllm


def test_every_recogniser_is_in_the_catalogue_once() -> None:
    names = [recogniser.model for recogniser in RECOGNISERS]
    assert len(set(names)) == len(names)
    for name in names:
        models.status(name)  # raises ModelUnknown for a name that is not there
    of_catalogue = {one.id for one in models.catalogue().models if one.kind == "recognition"}
    assert set(names) == of_catalogue  # nothing is listed that no engine can run


@pytest.mark.parametrize("device", ["", "gpu", "CPU", "cuda:1", "mps"])
def test_unknown_devices(device: str) -> None:
    with pytest.raises(OptionInvalid, match=r"auto, cpu and cuda"):
        choose_device(device)


def test_known_devices() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device("cuda") == "cuda"
    assert choose_device("auto") in ("cpu", "cuda")


def test_nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LINGTING_HOME", str(tmp_path))
    with pytest.raises(ModelNotInstalled, match="models pull whisper-base"):
        load_engine()
    with pytest.raises(ModelNotInstalled):
        load_engine("whisper-base")


def test_a_name_nobody_knows() -> None:
    with pytest.raises(ModelUnknown):
        load_engine("whisper-bass")


def test_best_first_on_each_device(monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu = automatic_models("cuda:0")
    nano = ["fun-asr-nano", "fun-asr-nano-textonly", "fun-asr-nano-hf", "fun-asr-nano-vllm"]
    assert on_gpu[:5] == [*nano, "fun-asr-mlt-nano"]
    on_cpu = automatic_models("cpu")
    assert on_cpu[:2] == ["sensevoice-small", "fun-asr-nano"]
    for order in (on_gpu, on_cpu):
        assert order[-2:] == ["whisper-base", "whisper-base-systran"]
        assert "paraformer-zh" not in order  # one language: nobody should get it unasked
    monkeypatch.setattr(registry, "sees_cuda", lambda: True)
    assert automatic_models("auto") == on_gpu
    monkeypatch.setattr(registry, "sees_cuda", lambda: False)
    assert automatic_models("auto") == on_cpu


def test_auto_leaves_out_what_cannot_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "torch" else object())
    assert automatic_models("cuda") == ["whisper-base", "whisper-base-systran"]
    assert EMBEDDED in automatic_models("cpu")


def test_a_machine_without_the_driver_has_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(registry.ctypes, "CDLL", no_library)
    assert not registry.sees_cuda()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("https://asr.example/v1#fun-asr-nano", True),
        ("unix:/run/lingting.sock", True),
        ("whisper-base", False),
        ("C:/models/nano", False),
        ("./folder", False),
    ],
)
def test_addresses(model: str, expected: bool) -> None:
    assert is_address(model) is expected


def test_folders_are_recognised_by_what_is_in_them(tmp_path: Path) -> None:
    write_original(tmp_path / "a")
    write_hf(tmp_path / "b", "flat")
    write_hf(tmp_path / "c", "split-first")
    write_vllm(tmp_path / "d")
    for name in "abcd":
        assert kind_of(name, tmp_path / name) is NANO
    (tmp_path / "whisper").mkdir()
    (tmp_path / "whisper" / "model.bin").write_bytes(b"")
    assert kind_of("whisper", tmp_path / "whisper") is WHISPER
    for model, kind in (("SenseVoiceSmall", SENSEVOICE), ("SeacoParaformer", FUNASR)):
        folder = tmp_path / model
        folder.mkdir()
        (folder / "config.yaml").write_text(f"model: {model}\nencoder: SenseVoiceEncoderSmall\n")
        (folder / "model.pt").write_bytes(b"")
        assert kind_of(model, folder) is kind


@pytest.mark.parametrize("file", ["weights.txt", "config.json", "model.onnx"])
def test_a_folder_nobody_can_run(file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelUnknown, match="no engine"):
        kind_of("somebody", tmp_path)


@pytest.mark.parametrize(
    ("model", "package", "extra"),
    [
        ("fun-asr-nano", "torch", "nano"),
        ("sensevoice-small", "sentencepiece", "nano"),
        ("paraformer-zh", "funasr", "funasr"),
    ],
)
def test_a_missing_package_names_its_extra(
    model: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is said that the model is not installed: two gigabytes would be of no use."""
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(ExtraMissing, match=rf"needs {package}, .*lingting\[{extra}\]"):
        load_engine(model)


def test_a_folder_whose_engine_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_original(tmp_path / "nano")
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(ExtraMissing, match="nano needs torch"):
        load_engine(str(tmp_path / "nano"))


WHAT_IS_LOADED = """
import sys
from lingting.engines.registry import load_engine
engine = load_engine(sys.argv[1], device="cpu", threads=1)
print(sorted({"torch", "ctranslate2", "transformers", "funasr", "tiktoken"} & set(sys.modules)))
"""


def _loaded_by(model: Path | str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WHAT_IS_LOADED, str(model)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_nano_loads_pytorch_and_nothing_else(tmp_path: Path) -> None:
    write_original(tmp_path / "nano")
    assert _loaded_by(tmp_path / "nano") == "['torch']"


@pytest.mark.model
def test_whisper_loads_ctranslate2_and_nothing_else(whisper_folder: Path) -> None:
    assert _loaded_by(whisper_folder) == "['ctranslate2']"


def test_a_nano_folder_by_path_is_guarded_and_has_a_digest(tmp_path: Path) -> None:
    write_hf(tmp_path / "my-nano", "flat")
    engine = load_engine(str(tmp_path / "my-nano"), device="cpu", compute="float32", threads=1)
    assert isinstance(engine, GuardedEngine)
    assert engine.facts.model.id == "my-nano"
    assert engine.facts.model.sha256
    assert engine.facts.model.compute == "torch float32"
    engine.close()


@pytest.mark.model
def test_a_name_and_auto_load_a_guarded_engine(whisper_folder: Path) -> None:
    for name in ("whisper-base", "auto"):
        engine = load_engine(name, device="cpu", threads=1)
        assert isinstance(engine, GuardedEngine)
        assert engine.facts.model.id == "whisper-base"
        assert engine.facts.model.sha256
        assert engine.facts.model.compute == "ctranslate2 int8"
        engine.close()


@pytest.mark.model
def test_a_model_folder_may_be_given_by_path(whisper_folder: Path) -> None:
    engine = load_engine(str(whisper_folder), device="cpu", threads=1)
    assert engine.facts.languages is not None
    assert "zh" in engine.facts.languages
    engine.close()


@pytest.mark.model
def test_a_folder_that_lacks_a_file(whisper_folder: Path, tmp_path: Path) -> None:
    for file in whisper_folder.iterdir():
        if file.name != "config.json" and file.is_file():
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(WeightsInvalid, match=r"config\.json"):
        load_engine(str(tmp_path))


def test_a_server_chooses_its_own_compute_type() -> None:
    with pytest.raises(OptionInvalid, match="a server chooses its own"):
        load_engine("http://127.0.0.1:9/v1", compute="int8")
