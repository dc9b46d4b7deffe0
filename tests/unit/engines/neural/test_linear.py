"""Linear layers: which one a model gets, and that rounding its rows changes nothing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lingting.engines.neural.devices import Compute
from lingting.engines.neural.linear import RoundedLinear, linear_for
from lingting.engines.neural.lowbit import Int8Linear

BFLOAT16 = Compute("bfloat16", torch.bfloat16)
FLOAT32 = Compute("float32", torch.float32)
INT8 = Compute("int8", torch.float32, int8=True)


@pytest.mark.parametrize(
    ("compute", "device", "kind"),
    [
        (INT8, "cpu", Int8Linear),
        (BFLOAT16, "cpu", RoundedLinear),
        (FLOAT32, "cpu", nn.Linear),
        (BFLOAT16, "cuda", nn.Linear),
        (FLOAT32, "mps", nn.Linear),
    ],
)
def test_each_gets_its_own(compute: Compute, device: str, kind: type[nn.Module]) -> None:
    assert linear_for(compute, torch.device(device)) is kind


@pytest.mark.parametrize("shape", [(1, 8), (17, 8), (0, 8), (3, 19, 8), (33, 8)])
def test_the_rows_come_back_as_they_were(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    rounded = RoundedLinear(8, 5)
    plain = nn.Linear(8, 5)
    plain.load_state_dict(rounded.state_dict())
    x = torch.randn(shape)
    found = rounded(x)
    assert found.shape == (*shape[:-1], 5)
    torch.testing.assert_close(found, plain(x))


def test_few_shapes_are_met(monkeypatch: pytest.MonkeyPatch) -> None:
    met: set[int] = set()
    real = F.linear

    def counted(x: Tensor, *rest: Tensor) -> Tensor:
        met.add(len(x))
        return real(x, *rest)

    monkeypatch.setattr(F, "linear", counted)
    layer = RoundedLinear(8, 5)
    for count in range(1, 600):
        layer(torch.zeros(count, 8))
    assert len(met) < 60
