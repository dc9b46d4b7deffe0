"""Every tensor of a module comes from the checkpoint, or the module is not touched."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lingting.engines.neural.checkpoints import Tensors, open_tensors
from lingting.engines.neural.filling import fill
from lingting.errors import WeightsInvalid


class Halved(nn.Module):
    """Keeps its weight at half its size, as integer layers keep theirs in another form."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.halves = torch.empty(rows, columns)
        self.shape = (rows, columns)
        self.taken: list[str] = []

    def wanted(self) -> dict[str, tuple[int, ...]]:
        return {"weight": self.shape}

    def take(self, name: str, tensor: torch.Tensor) -> None:
        self.taken.append(name)
        self.halves = tensor / 2


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.own = Halved(2, 2)
        self.register_buffer("positions", torch.zeros(7), persistent=False)
        self.tied = nn.Linear(3, 4, bias=False)
        self.tied.weight = self.linear.weight


STATE = {
    "m.linear.weight": torch.arange(12.0).view(4, 3),
    "m.linear.bias": torch.ones(4),
    "m.norm.weight": torch.full((4,), 2.0),
    "m.norm.bias": torch.full((4,), 3.0),
    "m.norm.running_mean": torch.full((4,), 4.0),
    "m.norm.running_var": torch.full((4,), 5.0),
    "m.norm.num_batches_tracked": torch.tensor(6),
    "m.own.weight": torch.full((2, 2), 8.0),
    "m.tied.weight": torch.arange(12.0).view(4, 3),
    "other": torch.ones(1),
}


def saved(folder: Path, **changes: torch.Tensor | None) -> Tensors:
    state = STATE | {name.replace("__", "."): tensor for name, tensor in changes.items()}
    kept = {name: tensor.clone() for name, tensor in state.items() if tensor is not None}
    save_file(kept, folder / "model.safetensors")
    return open_tensors(folder)


def empty() -> Model:
    with torch.device("meta"):
        return Model()


def test_everything_is_filled(tmp_path: Path) -> None:
    model = empty()
    fill(model, saved(tmp_path), prefix="m.")
    assert torch.equal(model.linear.weight, STATE["m.linear.weight"])
    assert model.tied.weight is model.linear.weight
    assert model.norm.running_var is not None
    assert model.norm.running_var.tolist() == [5.0] * 4
    assert model.norm.num_batches_tracked is not None
    assert model.norm.num_batches_tracked.item() == 6
    assert model.own.taken == ["weight"]
    assert model.own.halves.tolist() == [[4.0, 4.0], [4.0, 4.0]]
    assert model.positions.is_meta  # no part of the state: whoever made it computes it
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_only_floating_point_tensors_change_their_type(tmp_path: Path) -> None:
    model = empty()
    fill(model, saved(tmp_path), prefix="m.", dtype=torch.bfloat16)
    assert model.linear.weight.dtype == torch.bfloat16
    assert model.norm.num_batches_tracked is not None
    assert model.norm.num_batches_tracked.dtype == torch.int64


@pytest.mark.parametrize(
    ("name", "tensor", "what"),
    [
        ("m__linear__bias", None, r"the tensor m\.linear\.bias is missing"),
        ("m__own__weight", None, r"the tensor m\.own\.weight is missing"),
        ("m__more", torch.ones(1), r"the tensor m\.more is no part of this model"),
        ("m__linear__bias", torch.ones(5), r"m\.linear\.bias has the shape \[5\] where \[4\]"),
        ("m__own__weight", torch.ones(4), r"m\.own\.weight has the shape \[4\] where \[2, 2\]"),
    ],
)
def test_a_tensor_that_is_wrong_is_named_and_nothing_is_filled(
    tmp_path: Path, name: str, tensor: torch.Tensor | None, what: str
) -> None:
    model = empty()
    with pytest.raises(WeightsInvalid, match=rf"model\.safetensors cannot be used: .*{what}"):
        fill(model, saved(tmp_path, **{name: tensor}), prefix="m.")
    assert model.linear.weight.is_meta
    assert model.own.taken == []


def test_many_wrong_tensors_are_counted(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match=r"linear\.bias, .* and 6 more are missing"):
        fill(empty(), saved(tmp_path), prefix="nowhere.")


def test_known_extras_are_ignored_by_name_or_by_prefix(tmp_path: Path) -> None:
    tensors = saved(tmp_path, m__more=torch.ones(1), m__old__a=torch.ones(1))
    fill(empty(), tensors, prefix="m.", ignore=("more", "old."))
    with pytest.raises(WeightsInvalid, match=r"m\.old\.a is no part"):
        fill(empty(), tensors, prefix="m.", ignore=("more", "old"))


def test_the_largest_tensor_is_read_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peak of a load is then the model and no more than its largest tensor."""
    read: list[int] = []
    own = Tensors.read

    def watched(self: Tensors, name: str) -> torch.Tensor:
        read.append(self.size_bytes(name))
        return own(self, name)

    monkeypatch.setattr(Tensors, "read", watched)
    fill(empty(), saved(tmp_path), prefix="m.")
    assert read == sorted(read, reverse=True)
