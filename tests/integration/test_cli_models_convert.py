"""``lingting models convert`` as a program."""

from __future__ import annotations

from pathlib import Path

from lingting.engines.nano.layout import open_checkpoint
from tests.integration.test_cli_program import lingting
from tests.tiny_checkpoints import canonical_state, write_original


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
