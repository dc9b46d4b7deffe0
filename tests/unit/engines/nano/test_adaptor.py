"""The adaptor beside the funasr package's own class, on the same random weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from lingting.engines.nano.adaptor import Adaptor, AdaptorConfig
from lingting.engines.neural import devices

CONFIGS = {
    "adaptor": AdaptorConfig(24, 40, 32, 4, 8, 2),
    "ctc decoder": AdaptorConfig(24, 56, 24, 8, 6, 5),
    "no blocks": AdaptorConfig(24, 40, 32, 4, 8, 0),
}
LENGTHS = (17, 1, 9, 16)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with devices.using_threads(1), torch.inference_mode():
        yield


@pytest.fixture(params=CONFIGS)
def config(request: pytest.FixtureRequest) -> AdaptorConfig:
    return CONFIGS[request.param]


@pytest.fixture
def adaptor(config: AdaptorConfig) -> Adaptor:
    torch.manual_seed(7)
    made = Adaptor(config)
    for parameter in made.parameters():
        parameter.uniform_(-0.5, 0.5)
    return made.eval()


@pytest.fixture
def encoded() -> torch.Tensor:
    """Behind each clip's end lies rubbish."""
    torch.manual_seed(8)
    clips = torch.randn(len(LENGTHS), max(LENGTHS), 24)
    for clip, length in zip(clips, LENGTHS, strict=True):
        clip[length:] = 1e3
    return clips


def test_as_the_package_computes_it(
    config: AdaptorConfig, adaptor: Adaptor, encoded: torch.Tensor
) -> None:
    from funasr.models.llm_asr import adaptor as module

    theirs: Any = module.Transformer(
        downsample_rate=1,
        encoder_dim=config.input_size,
        llm_dim=config.output_size,
        ffn_dim=config.projector_size,
        n_layer=config.num_blocks,
        attention_heads=config.attention_heads,
    ).eval()
    theirs.load_state_dict(adaptor.state_dict())  # every name is the same
    lengths = torch.tensor(LENGTHS)
    expected, _ = theirs(encoded, lengths)
    found = adaptor(encoded, lengths)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(found[row, :length], expected[row, :length])


def test_a_clip_does_not_hear_its_neighbours(adaptor: Adaptor, encoded: torch.Tensor) -> None:
    together = adaptor(encoded, torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        alone = adaptor(encoded[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(together[row, :length], alone[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 3, 17])
def test_only_the_first_rows(adaptor: Adaptor, encoded: torch.Tensor, rows: int) -> None:
    lengths = torch.tensor(LENGTHS)
    whole = adaptor(encoded, lengths)
    first = adaptor(encoded, lengths, rows)
    assert first.shape[1] == rows
    for row, length in enumerate(LENGTHS):
        most = min(rows, length)
        torch.testing.assert_close(first[row, :most], whole[row, :most], rtol=1e-5, atol=1e-6)
