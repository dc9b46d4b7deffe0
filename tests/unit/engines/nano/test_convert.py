"""A published checkpoint as one safetensors file: the same model, or nothing at all."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from lingting.engines.nano import convert as converting
from lingting.engines.nano.convert import convert
from lingting.engines.nano.layout import open_checkpoint
from lingting.engines.neural.checkpoints import Tensors, open_tensors
from lingting.errors import OptionInvalid, OutputUnwritable, WeightsInvalid
from tests.tiny_checkpoints import (
    canonical_state,
    write_hf,
    write_original,
    write_sensevoice,
    write_vllm,
)


@pytest.mark.parametrize("layout", ["original", "hf", "hf-split", "vllm"])
def test_any_layout_becomes_the_same_model(tmp_path: Path, layout: str) -> None:
    source = tmp_path / "in"
    if layout == "original":
        write_original(source)
    elif layout == "vllm":
        write_vllm(source)
    else:
        write_hf(source, "split" if layout == "hf-split" else "flat", shards=2)
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    made = convert(source, tmp_path / "out")
    old, new = open_checkpoint(source), open_checkpoint(tmp_path / "out")
    assert (made.folder, made.tensors) == (tmp_path / "out", len(old.tensors))
    assert made.size_bytes == (tmp_path / "out" / "model.safetensors").stat().st_size
    assert new.config == old.config
    assert (new.has_ctc, new.notes) == (old.has_ctc, ())
    assert set(new.tensors.names()) == set(old.tensors.names())
    for name in old.tensors.names():
        assert torch.equal(new.tensors.read(name), old.tensors.read(name)), name
    assert new.open_tokenizer().encode("你好") == old.open_tokenizer().encode("你好")
    assert len(open_tensors(tmp_path / "out")) == made.tensors
    assert before == {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}


def test_the_copy_of_the_output_layer_goes(tmp_path: Path) -> None:
    write_original(tmp_path / "in")
    convert(tmp_path / "in", tmp_path / "out")
    assert "llm.lm_head.weight" in open_tensors(tmp_path / "in")
    assert "llm.lm_head.weight" not in open_tensors(tmp_path / "out")


@pytest.mark.parametrize(("dtype", "wanted"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_numbers_are_converted(tmp_path: Path, dtype: str, wanted: torch.dtype) -> None:
    write_original(tmp_path / "in", dtype=torch.float16)
    convert(tmp_path / "in", tmp_path / "out", dtype)
    old, new = open_checkpoint(tmp_path / "in").tensors, open_tensors(tmp_path / "out")
    for name in new.names():
        assert torch.equal(new.read(name), old.read(name).to(wanted)), name
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "made_by": "lingting", "dtype": dtype}


def test_only_data_is_taken_along(tmp_path: Path) -> None:
    source = tmp_path / "in"
    write_original(source)
    for name in ("model.py", "run.sh", ".lingting.json", "LICENSE", "README.md", "am.mvn"):
        (source / name).write_text("x", "utf-8")
    (source / "example").mkdir()
    (source / "example" / "zh.mp3").write_text("x", "utf-8")
    convert(source, tmp_path / "out")
    out = tmp_path / "out"
    found = [path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()]
    assert sorted(found) == [
        "LICENSE", "Qwen3-0.6B/config.json", "Qwen3-0.6B/tokenizer.json", "README.md", "am.mvn",
        "config.yaml", "model.safetensors", "multilingual.tiktoken",
    ]  # fmt: skip


def test_sensevoice_is_converted_under_its_own_names(tmp_path: Path) -> None:
    state = write_sensevoice(tmp_path / "in")
    made = convert(tmp_path / "in", tmp_path / "out")
    found = open_tensors(tmp_path / "out")
    assert made.tensors == len(state)
    assert set(found.names()) == set(state)
    assert all(torch.equal(found.read(name), tensor) for name, tensor in state.items())
    for path in (tmp_path / "in").iterdir():
        if path.name != "model.pt":
            assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    state = canonical_state(ctc=True)
    del state["ctc.ctc_lo.bias"]
    write_original(tmp_path / "in", state=state)
    made = convert(tmp_path / "in", tmp_path / "out")
    assert made.notes == ("checkpoint.ctc_incomplete",)
    assert open_checkpoint(tmp_path / "out").notes == ()


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "dangling link"])
def test_nothing_is_overwritten(tmp_path: Path, kind: str) -> None:
    write_original(tmp_path / "in")
    out = tmp_path / "out"
    if kind.endswith("folder"):
        out.mkdir()
        if kind == "folder":
            (out / "mine").write_text("x", "utf-8")
    elif kind == "file":
        out.write_text("x", "utf-8")
    else:
        out.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputUnwritable, match="exists already"):
        convert(tmp_path / "in", out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_an_unknown_dtype_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionInvalid, match="dtype is fp16; allowed are keep, bf16, fp32"):
        convert(tmp_path, tmp_path / "out", "fp16")


def test_a_broken_checkpoint_leaves_nothing_behind(tmp_path: Path) -> None:
    write_original(tmp_path / "in")
    path = tmp_path / "in" / "model.pt"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(WeightsInvalid, match=r"model\.pt"):
        convert(tmp_path / "in", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_result_that_differs_from_its_source_is_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_hf(tmp_path / "in")
    own = Tensors.read

    def flawed(self: Tensors, name: str) -> torch.Tensor:
        """A bit that flips on the way to the disk."""
        tensor = own(self, name)
        is_source = self.path.parent.name == "in"
        return tensor + 1 if is_source and name == "audio_encoder.tp_norm.bias" else tensor

    monkeypatch.setattr(Tensors, "read", flawed)
    written = converting.write_safetensors

    def writes_well(*arguments: object, **options: object) -> int:
        with monkeypatch.context() as patch:
            patch.setattr(Tensors, "read", own)
            return written(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(converting, "write_safetensors", writes_well)
    with pytest.raises(WeightsInvalid, match=r"tp_norm\.bias was not written as it was read"):
        convert(tmp_path / "in", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_full_disk_is_noticed_before_and_while_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_hf(tmp_path / "in")
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 1000))
        with pytest.raises(OutputUnwritable, match="MiB are free"):
            convert(tmp_path / "in", tmp_path / "out")

    def full(*arguments: object, **options: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(converting, "write_safetensors", full)
    with pytest.raises(OutputUnwritable, match="No space left on device"):
        convert(tmp_path / "in", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
