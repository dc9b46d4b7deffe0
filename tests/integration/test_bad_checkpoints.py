"""Checkpoints that are not what they should be, through the ways in that everybody uses.

Each is refused with a typed error that names the file, and the tensor where one is wrong; nothing
of a checkpoint is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lingting.engines.registry import load_engine
from lingting.errors import WeightsInvalid
from lingting.models.receipt import Entry, Receipt, write_receipt
from tests.integration.test_cli_program import lingting
from tests.tiny_checkpoints import sentence_pieces, write_original, write_sensevoice

Spoil = Callable[[Path], None]

NAMES = {  # of a tensor that each model has, and its tokenizer
    "nano": ("audio_encoder.encoders.0.norm1.weight", "Qwen3-0.6B/tokenizer.json"),
    "sensevoice": ("encoder.encoders.1.norm1.weight", "chn_jpn_yue_eng_ko_spectok.bpe.model"),
}


def write(model: str, folder: Path) -> None:
    if model == "nano":
        write_original(folder)
    else:
        write_sensevoice(folder)


def changed(change: Callable[[dict[str, torch.Tensor], str], None]) -> Callable[[str], Spoil]:
    """A change of the tensors by name, as a change of the model file."""

    def spoil(model: str) -> Spoil:
        def apply(folder: Path) -> None:
            state = torch.load(folder / "model.pt", weights_only=True)
            state = state.get("state_dict", state)
            change(state, NAMES[model][0])
            torch.save(state, folder / "model.pt")

        return apply

    return spoil


def lose(state: dict[str, torch.Tensor], name: str) -> None:
    del state[name]


def add(state: dict[str, torch.Tensor], name: str) -> None:
    state[name.replace("norm1", "norm9")] = torch.zeros(3)


def reshape(state: dict[str, torch.Tensor], name: str) -> None:
    state[name] = state[name][:-1]


class Program:
    """A pickle that makes a folder when it is loaded carelessly."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.marker,)


def hide_code(folder: Path) -> None:
    state = torch.load(folder / "model.pt", weights_only=True)
    torch.save({**state, "more": Program(str(folder.parent / "executed"))}, folder / "model.pt")


def cut(folder: Path) -> None:
    content = (folder / "model.pt").read_bytes()
    (folder / "model.pt").write_bytes(content[: len(content) // 2])


def install_and_change(file: str) -> Spoil:
    """The receipt says what was installed; a byte of one file is another one since."""

    def apply(folder: Path) -> None:
        entries = {}
        for found in sorted(folder.rglob("*")):
            if found.is_file():
                digest = hashlib.sha256(found.read_bytes()).hexdigest()
                facts = found.stat()
                name = found.relative_to(folder).as_posix()
                entries[name] = Entry(facts.st_size, facts.st_mtime_ns, digest, "catalogue")
        write_receipt(folder, Receipt("tiny", "folder", entries))
        content = bytearray((folder / file).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / file).write_bytes(content)
        os.utime(folder / file, (1, 1))

    return apply


def other_tokenizer(model: str) -> Spoil:
    """One that can be read, and is not this model's."""

    def apply(folder: Path) -> None:
        path = folder / NAMES[model][1]
        if model == "nano":
            document = json.loads(path.read_text("utf-8"))
            known = [one for one in document["added_tokens"] if one["content"] != "<|im_end|>"]
            path.write_text(json.dumps({**document, "added_tokens": known}), "utf-8")
        else:
            path.write_bytes(sentence_pieces(200))

    return apply


def rubbish(file: str) -> Spoil:
    return lambda folder: (folder / file).write_bytes(b"\x00 not that") and None


def without(file: str) -> Spoil:
    return lambda folder: (folder / file).unlink()


def cases() -> list[tuple[str, str, Spoil, tuple[str, ...]]]:
    """Model, what is wrong, how it is made wrong, and what the error must name."""
    found: list[tuple[str, str, Spoil, tuple[str, ...]]] = []
    for model, (tensor, tokenizer) in NAMES.items():
        extra = tensor.replace("norm1", "norm9")
        own = Path(tokenizer).name
        found += [
            (model, "a missing tensor", changed(lose)(model), ("model.pt", tensor)),
            (model, "an extra tensor", changed(add)(model), ("model.pt", extra)),
            (model, "a mis-shaped tensor", changed(reshape)(model), ("model.pt", tensor)),
            (model, "code in the pickle", hide_code, ("model.pt", "mkdir")),
            (model, "half a file", cut, ("model.pt",)),
            (model, "no weights any more", rubbish("model.pt"), ("model.pt",)),
            (model, "another hash of weights", install_and_change("model.pt"),
             ("model.pt", "SHA-256")),
            (model, "another hash of the tokenizer", install_and_change(tokenizer),
             (own, "SHA-256")),
            (model, "another model's tokenizer", other_tokenizer(model),
             (own,) if model == "nano" else ("ctc.ctc_lo.weight",)),
            (model, "a broken tokenizer", rubbish(tokenizer), (own,)),
            (model, "no tokenizer", without(tokenizer), (own,)),
            (model, "no weights", without("model.pt"), ("model.pt",)),
            (model, "no configuration", without("config.yaml"), ("config.yaml",)),
        ]  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("model", "spoil", "named"),
    [pytest.param(m, s, n, id=f"{m}: {what}") for m, what, s, n in cases()],
)
@pytest.mark.parametrize("compute", ["float32", "int8"])
def test_what_is_wrong_is_named_and_nothing_is_run(
    compute: str, model: str, spoil: Spoil, named: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    write(model, folder)
    spoil(folder)
    with pytest.raises(WeightsInvalid) as caught:
        load_engine(str(folder), device="cpu", compute=compute, threads=1)
    for part in named:
        assert part in str(caught.value)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("model", sorted(NAMES))
def test_the_same_folders_load_while_they_are_whole(model: str, tmp_path: Path) -> None:
    write(model, tmp_path / "model")
    engine = load_engine(str(tmp_path / "model"), device="cpu", compute="int8", threads=1)
    assert engine.recognize([]) == []
    engine.close()


def test_the_code_would_run_elsewhere(tmp_path: Path) -> None:
    """The test above could fail."""
    write("nano", tmp_path / "model")
    hide_code(tmp_path / "model")
    torch.load(tmp_path / "model" / "model.pt", weights_only=False)
    assert (tmp_path / "executed").is_dir()


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match=r"model\.safetensors.*model\.pt"):
        load_engine(str(tmp_path), device="cpu")


@pytest.mark.model
@pytest.mark.usefixtures("vad_folder")
@pytest.mark.parametrize("model", sorted(NAMES))
def test_the_program_says_it_too(model: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write(model, folder)
    changed(lose)(model)(folder)
    (tmp_path / "speech.wav").write_bytes(b"RIFF")
    done = lingting("transcribe", tmp_path / "speech.wav", "--model", folder, "--device", "cpu")
    assert done.returncode != 0
    assert NAMES[model][0] in done.stderr
    assert "model.pt" in done.stderr
    assert "Traceback" not in done.stderr
