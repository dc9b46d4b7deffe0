"""Int8 layers: near the exact ones, and a row never depends on its neighbours."""

import pytest
import torch
from torch import Tensor

from lingting.engines.neural import lowbit
from lingting.engines.neural.filling import Taker
from lingting.engines.neural.lowbit import Int8Embedding, Int8Linear, quantised_rows


def _layer(weight: Tensor, bias: Tensor | None) -> Int8Linear:
    layer = Int8Linear(weight.shape[1], weight.shape[0], bias is not None)
    layer.take("weight", weight)
    if bias is not None:
        layer.take("bias", bias)
    return layer


@pytest.fixture(params=["onednn", "plain"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "plain":
        monkeypatch.setattr(lowbit, "_has_onednn", lambda: False)
    return str(request.param)


@pytest.fixture(params=[127, 63])
def levels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(lowbit, "_levels", lambda: request.param)
    return int(request.param)


def _error(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


def test_near_the_exact_layer(kernel: str, levels: int) -> None:
    torch.manual_seed(0)
    weight, bias, x = torch.randn(96, 512), torch.randn(96), torch.randn(2, 20, 512)
    exact = torch.nn.functional.linear(x, weight, bias)
    found = _layer(weight, bias)(x)
    assert found.shape == exact.shape
    assert _error(found, exact) < 1.5 * 1.27 / levels


def test_after_relu_is_finer_than_the_general_way(levels: int) -> None:
    torch.manual_seed(0)
    weight, x = torch.randn(64, 256), torch.randn(50, 256).relu()
    exact = x @ weight.t()
    layer = _layer(weight, None)
    general, own = layer(x), layer.after_relu(x.clone())
    assert _error(own, exact) < _error(general, exact)


def test_a_row_is_the_same_in_any_company(kernel: str, levels: int) -> None:
    torch.manual_seed(0)
    layer = _layer(torch.randn(70, 96), torch.randn(70))
    x = torch.randn(33, 96) * torch.logspace(-3, 3, 33)[:, None]
    together, relu_together = layer(x), layer.after_relu(x.relu())
    for count in (1, 2, 16, 32):
        assert torch.equal(layer(x[:count]), together[:count])
        assert torch.equal(layer.after_relu(x[:count].relu()), relu_together[:count])


def test_zeros_and_great_numbers_stay_numbers(kernel: str) -> None:
    torch.manual_seed(0)
    weight = torch.randn(8, 32)
    weight[3] = 0.0
    layer = _layer(weight, torch.ones(8))
    x = torch.stack([torch.zeros(32), torch.full((32,), 1e30), torch.full((32,), 1e-35)])
    found = layer(x)
    assert torch.equal(found[0], torch.ones(8))
    assert torch.isfinite(found).all()
    assert torch.equal(found[:, 3], torch.ones(3))
    assert torch.equal(layer.after_relu(torch.zeros(1, 32)), torch.ones(1, 8))


def test_both_kernels_give_equal_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    weight, x = torch.randn(40, 64), torch.randn(9, 64)
    quick = _layer(weight, None)(x)
    monkeypatch.setattr(lowbit, "_has_onednn", lambda: False)
    assert torch.equal(_layer(weight, None)(x), quick)


def test_full_bytes_do_not_overflow(kernel: str, levels: int) -> None:
    """The greatest sums there can be; without VNNI they leave 16 bits unless bytes are smaller."""
    layer = _layer(torch.ones(4, 2048), None)
    assert torch.allclose(layer(torch.ones(2, 2048)), torch.full((2, 4), 2048.0), rtol=1e-5)
    assert torch.allclose(layer(-torch.ones(2, 2048)), torch.full((2, 4), -2048.0), rtol=1e-5)
    assert torch.allclose(
        layer.after_relu(torch.ones(2, 2048)), torch.full((2, 4), 2048.0), rtol=1e-5
    )


def test_embedding_and_its_tied_head() -> None:
    torch.manual_seed(0)
    weight = torch.randn(9_000, 64)  # more rows than are quantised at a time
    layer = Int8Embedding(9_000, 64)
    layer.take("weight", weight.to(torch.bfloat16))
    ids = torch.tensor([[0, 8_999], [8_191, 8_192]])
    assert layer(ids).shape == (2, 2, 64)
    assert _error(layer(ids), weight[ids]) < 0.015
    x = torch.randn(5, 64)
    assert _error(layer.logits(x), x @ weight.t()) < 0.02
    assert torch.equal(layer.logits(x[:1]), layer.logits(x)[:1])


def test_what_they_ask_for_when_they_are_filled() -> None:
    with torch.device("meta"):
        layer, embedding = Int8Linear(3, 5, True), Int8Embedding(7, 2)
    assert isinstance(layer, Taker)
    assert isinstance(embedding, Taker)
    assert dict(layer.wanted()) == {"weight": (5, 3), "bias": (5,)}
    assert dict(Int8Linear(3, 5, False).wanted()) == {"weight": (5, 3)}
    assert dict(embedding.wanted()) == {"weight": (7, 2)}
    with pytest.raises(RuntimeError):
        layer(torch.zeros(1, 3))
    with pytest.raises(RuntimeError):
        embedding(torch.zeros(1, dtype=torch.int64))


def test_weights_use_the_whole_byte() -> None:
    rows, scales = quantised_rows(torch.tensor([[0.5, -1.0], [0.0, 0.0], [3.0, 1.5]]))
    assert rows.tolist() == [[64, -127], [0, 0], [127, 64]]
    assert torch.allclose(scales[[0, 2]] * 127, torch.tensor([1.0, 3.0]))


def test_few_different_shapes_reach_the_kernels() -> None:
    """Each one is compiled and kept."""
    shapes = {lowbit.shape_rows(count) for count in range(1, 2_001)}
    assert len(shapes) < 90
    for count in (1, 16, 17, 100, 255, 256, 257, 504, 1_999):
        assert count <= lowbit.shape_rows(count) <= max(count + 15, 1.07 * count)
