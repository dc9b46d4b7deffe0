"""The encoder: one clip never hears another, in whichever layout it lies."""

import pytest
import torch

from lingting.engines.neural import sanm
from lingting.engines.neural.lowbit import Int8Linear
from lingting.engines.neural.sanm import SanmConfig, SanmEncoder

CONFIG = SanmConfig(
    input_size=56, output_size=32, attention_heads=4, linear_units=64, num_blocks=3, tp_blocks=2
)
LENGTHS = (50, 1, 23, 7, 160)


@pytest.fixture(autouse=True)
def _no_gradients() -> object:
    with torch.inference_mode():
        yield


def _encoder(config: SanmConfig = CONFIG) -> SanmEncoder:
    torch.manual_seed(0)
    return SanmEncoder(config).eval()


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(len(LENGTHS), max(LENGTHS), 56), torch.tensor(LENGTHS)


def _int8(encoder: SanmEncoder) -> SanmEncoder:
    own = SanmEncoder(encoder.config, Int8Linear).eval()
    state = encoder.state_dict()
    for name, module in own.named_modules():
        if isinstance(module, Int8Linear):
            module.take("weight", state.pop(f"{name}.weight"))
            module.take("bias", state.pop(f"{name}.bias"))
    own.load_state_dict(state)
    return own


def test_alone_as_in_a_batch() -> None:
    encoder, (features, lengths) = _encoder(), _batch()
    together = encoder(features, lengths)
    for row, count in enumerate(LENGTHS):
        alone = encoder(features[row : row + 1, :count], lengths[row : row + 1])
        assert torch.allclose(together[row, :count], alone[0], rtol=0, atol=1e-6)


def test_int8_alone_as_in_a_batch_to_the_bit() -> None:
    encoder, (features, lengths) = _int8(_encoder()), _batch()
    together = encoder(features, lengths)
    for row, count in enumerate(LENGTHS):
        alone = encoder(features[row : row + 1, :count], lengths[row : row + 1])
        assert torch.equal(together[row, :count], alone[0])


def test_int8_is_near_the_exact_encoder() -> None:
    encoder, (features, lengths) = _encoder(), _batch()
    exact, found = encoder(features, lengths), _int8(encoder)(features, lengths)
    assert (found - exact).norm() / exact.norm() < 0.05


@pytest.mark.parametrize("shift", [0, 3])
def test_the_padded_layout_is_the_same_encoder(shift: int) -> None:
    config = SanmConfig(56, 32, 4, 64, 3, 2, kernel_size=11, sanm_shift=shift)
    encoder, (features, lengths) = _encoder(config), _batch()
    packed = encoder(features, lengths)
    features[1, 1:] = 1e6  # what lies behind a clip is never heard
    layout = sanm._Padded(lengths, features.shape[1])
    padded = encoder._run(encoder._placed(features), layout)
    for row, count in enumerate(LENGTHS):
        assert torch.allclose(padded[row, :count], packed[row, :count], rtol=0, atol=1e-5)


def test_what_lies_behind_a_clip_is_not_heard() -> None:
    encoder, (features, lengths) = _encoder(), _batch()
    before = encoder(features, lengths)
    features[2, LENGTHS[2] :] = torch.nan
    assert torch.equal(encoder(features, lengths)[2], before[2])


def test_clips_one_below_the_other() -> None:
    encoder, (features, lengths) = _encoder(), _batch()
    packed = torch.cat([clip[:count] for clip, count in zip(features, LENGTHS, strict=True)])
    rows = encoder.forward_packed(packed, LENGTHS)
    padded = encoder(features, lengths)
    for row, clip in enumerate(rows.split(LENGTHS)):
        assert torch.equal(clip, padded[row, : len(clip)])


def test_bfloat16_stays_near() -> None:
    encoder, (features, lengths) = _encoder(), _batch()
    exact = encoder(features, lengths)
    found = encoder.to(torch.bfloat16)(features, lengths)
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).norm() / exact.norm() < 0.05


@pytest.mark.parametrize("count", [1, 5, 128, 129, 300])
def test_parts_of_nearly_one_size(count: int) -> None:
    parts = sanm._even_parts(count, 128)
    assert sum(parts) == count
    assert max(parts) <= 128
    assert max(parts) - min(parts) <= 1
