"""Loading costs the finished model and one tensor: measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lingting.engines.neural.safetensor_files import write_safetensors
from lingting.engines.neural.tensors import Stored, Tensors

LAYERS, WIDTH = 62, 1024  # 62 × 4 MiB in float32, 248 MiB
MIB = 1 << 20
LOAD = """
import sys
from pathlib import Path
import torch
from torch import nn
from lingting.engines.neural.checkpoints import open_tensors
from lingting.engines.neural.filling import fill

def peak_kib():
    # ru_maxrss would begin with what the parent had.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])

class Quarter(nn.Module):
    def wanted(self):
        return {"weight": (1024, 1024)}
    def take(self, name, tensor):
        self.kept = (tensor * 100).round().to(torch.int8)

with torch.device("meta"):
    make = Quarter if sys.argv[2] == "int8" else lambda: nn.Linear(1024, 1024, bias=False)
    model = nn.ModuleList(make() for _ in range(62))
before = peak_kib()
tensors = open_tensors(Path(sys.argv[1]))
fill(model, tensors, dtype=torch.bfloat16 if sys.argv[2] == "bf16" else None)
print(peak_kib() - before)
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    state = {f"{at}.weight": torch.randn(WIDTH, WIDTH) for at in range(LAYERS)}
    torch.save(state, folder / "model.pt")
    from lingting.engines.neural.checkpoints import open_tensors

    write_safetensors(folder / "model.safetensors", open_tensors(folder / "model.pt"))
    return {"torch": folder / "model.pt", "safetensors": folder / "model.safetensors"}


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(
    ("kind", "form", "target_mib"), [("torch", "int8", 62), ("safetensors", "bf16", 124)]
)
def test_the_peak_of_a_load_is_near_the_finished_model(
    weights: dict[str, Path], kind: str, form: str, target_mib: int
) -> None:
    assert weights[kind].stat().st_size > 247 * MIB
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(weights[kind]), form],
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    )
    peak_mib = int(done.stdout) / 1024
    assert target_mib * 0.9 < peak_mib < target_mib + 80  # 255 more when freed pages stay


def test_choosing_and_renaming_reads_nothing(tmp_path: Path) -> None:
    """A checkpoint of a terabyte is described in a moment, and never touched."""
    piece = Stored(tmp_path / "none", 0, torch.float32, (1 << 19, 1 << 19), (1 << 19, 1))
    tensors = Tensors(tmp_path / "none", {"a.x": (piece,), "a.y": (piece,)})
    found = tensors.under("a.").renamed({"xy": ("x", "y")}).without("z")
    assert found.size_bytes("xy") == 2 << 40
