"""The CTC branch: its spelling against the library the file is made for, its sums by hand."""

from __future__ import annotations

import base64
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lingting.engines.nano.ctc import CtcBranch
from lingting.engines.nano.ctc_spelling import CtcSpelling
from lingting.errors import WeightsInvalid

MERGES = ["th", "the", " the", "你", "好", "你好", "11", "  ", "in", "ing", " b", "er", "一", "é"]
FILE = "multilingual.tiktoken"
# As openai/whisper and funasr cut text before they look for pairs; only the reference needs it.
WHISPER_PIECES = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def ranks() -> dict[bytes, int]:
    tokens = [bytes([value]) for value in range(256)]
    for merge in MERGES:
        spelt = merge.encode()
        for end in range(2, len(spelt) + 1):
            if spelt[:end] not in tokens:
                tokens.append(spelt[:end])
    return {token: rank for rank, token in enumerate(tokens)}


def write(path: Path, table: dict[bytes, int]) -> Path:
    lines = [f"{base64.b64encode(token).decode()} {rank}" for token, rank in table.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def spelling(tmp_path_factory: pytest.TempPathFactory) -> CtcSpelling:
    return CtcSpelling(write(tmp_path_factory.mktemp("spelling") / FILE, ranks()))


@given(text=st.text(alphabet="ther ing'sdl你好一1１², .!_\né-", max_size=25))
def test_ids_are_those_of_the_library(spelling: CtcSpelling, text: str) -> None:
    import tiktoken

    reference = tiktoken.Encoding(
        name="test", pat_str=WHISPER_PIECES, mergeable_ranks=ranks(), special_tokens={}
    )
    ids = spelling.encode(text)
    assert ids == reference.encode(text, disallowed_special=())
    assert spelling.decode(ids) == text


def test_marks_above_the_vocabulary_spell_nothing(spelling: CtcSpelling) -> None:
    ids = spelling.encode("你好")
    assert spelling.decode([*ids, len(spelling), 60_514]) == "你好"
    assert spelling.spelt(len(spelling) + 3) == b""


def test_half_a_character_is_shown_as_such(spelling: CtcSpelling) -> None:
    assert spelling.decode(["你".encode()[0]]) == "\ufffd"


@pytest.mark.parametrize(
    "content",
    ["", "no base64!! 0\n", "aGk= zero\n", "aGk=\n", "aGk= 0\n"],
    ids=["empty", "not base64", "no number", "one column", "lacks bytes"],
)
def test_a_file_that_is_no_vocabulary(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(WeightsInvalid, match=FILE):
        CtcSpelling(tmp_path / FILE)


def test_a_vocabulary_with_a_gap(tmp_path: Path) -> None:
    table = ranks()
    table[b"the"] = len(table) + 5
    with pytest.raises(WeightsInvalid, match="whole"):
        CtcSpelling(write(tmp_path / FILE, table))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match=FILE):
        CtcSpelling(tmp_path / FILE)


class Decoder(nn.Module):
    """Stands for the transformer in front of the class layer."""

    def forward(self, encoded: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return encoded * 2


def branch(blank: int | None = None) -> CtcBranch:
    torch.manual_seed(1)
    return CtcBranch(Decoder(), width=8, classes=11, blank=blank).eval()


@pytest.mark.parametrize("blank", [None, 3])
@torch.inference_mode()
def test_emissions_are_plain_log_probabilities(blank: int | None) -> None:
    made = branch(blank)
    hidden = made(torch.randn(1, 300, 8), torch.tensor([300]))[0]  # more than one step of frames
    found = made.emissions(hidden, [7, 0, 7])
    plain = torch.log_softmax(made.ctc.ctc_lo(hidden), dim=-1).numpy()
    at = 10 if blank is None else blank
    np.testing.assert_allclose(found.tokens, plain[:, [7, 0, 7]], atol=1e-5)
    np.testing.assert_allclose(found.blank, plain[:, at], atol=1e-5)
    np.testing.assert_allclose(found.best, np.delete(plain, at, axis=1).max(axis=1), atol=1e-5)


@torch.inference_mode()
def test_what_is_heard_is_the_collapsed_argmax() -> None:
    made = branch()
    hidden = torch.randn(300, 8) * 3
    labels = made.ctc.ctc_lo(hidden).argmax(dim=-1).tolist()
    assert 10 in labels
    assert made.heard(hidden) == [label for label, _ in groupby(labels) if label != 10]


def test_parameters_have_the_names_of_the_checkpoint() -> None:
    assert set(branch().state_dict()) == {"ctc.ctc_lo.weight", "ctc.ctc_lo.bias"}
