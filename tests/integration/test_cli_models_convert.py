"""``lingting models convert`` as a program."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lingting.engines import sensevoice
from lingting.engines.base import Clip
from lingting.engines.nano.layout import open_checkpoint
from lingting.transcript import ModelFacts
from tests.integration.test_cli_program import lingting
from tests.tiny_checkpoints import canonical_state, write_original, write_sensevoice


def test_a_folder_is_converted_once(tmp_path: Path) -> None:
    write_original(tmp_path / "in")
    done = lingting("models", "convert", tmp_path / "in", tmp_path / "out", "--dtype", "bf16")
    assert (done.returncode, done.stdout) == (0, "")
    assert "215 tensors, " in done.stderr
    assert open_checkpoint(tmp_path / "out").has_ctc
    again = lingting("models", "convert", tmp_path / "in", tmp_path / "out")
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_what_cannot_be_converted_is_explained(tmp_path: Path) -> None:
    unknown = lingting("models", "convert", "fun-asr-nanoo", tmp_path / "out")
    assert (unknown.returncode, "fun-asr-nano" in unknown.stderr) == (2, True)
    missing = lingting("models", "convert", tmp_path, tmp_path / "out")
    assert missing.returncode == 1
    assert "model.pt" in missing.stderr
    dtype = lingting("models", "convert", tmp_path, tmp_path / "out", "--dtype", "fp16")
    assert dtype.returncode == 2
    assert "keep, bf16, fp32" in dtype.stderr


def test_an_incomplete_branch_is_left_out_aloud(tmp_path: Path) -> None:
    state = canonical_state(ctc=True)
    del state["ctc.ctc_lo.bias"]
    write_original(tmp_path / "in", state=state)
    done = lingting("models", "convert", tmp_path / "in", tmp_path / "out", "-q")
    assert done.returncode == 0
    assert "CTC branch is incomplete" in done.stderr


def test_sensevoice_loads_from_what_was_made_of_it(tmp_path: Path) -> None:
    write_sensevoice(tmp_path / "in")
    done = lingting("models", "convert", tmp_path / "in", tmp_path / "out")
    assert done.returncode == 0
    assert not (tmp_path / "out" / "model.pt").exists()
    samples = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    texts = []
    for folder in (tmp_path / "in", tmp_path / "out"):
        engine = sensevoice.load(folder, ModelFacts(id="tiny"), "cpu", "fp32", 1)
        texts.append(engine.recognize([Clip(samples)])[0])
        engine.close()
    assert texts[0] == texts[1]
    assert texts[0].error is None
