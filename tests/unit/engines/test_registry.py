"""Names to engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingting import models
from lingting.engines import registry
from lingting.engines.guarded import GuardedEngine
from lingting.engines.registry import RECOGNISERS, choose_device, load_engine
from lingting.errors import ModelNotInstalled, ModelUnknown, OptionInvalid, WeightsInvalid


def test_every_recogniser_is_in_the_catalogue_once() -> None:
    names = [recogniser.model for recogniser in RECOGNISERS]
    assert len(set(names)) == len(names)
    for name in names:
        models.status(name)  # raises ModelUnknown for a name that is not there


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


def test_a_model_without_an_engine(tmp_path: Path) -> None:
    (tmp_path / "weights.txt").write_text("none")
    with pytest.raises(ModelUnknown, match="no engine"):
        registry._loader("somebody", tmp_path)


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
