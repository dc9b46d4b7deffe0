"""What Fun-ASR-Nano takes of a GPU's memory, counted on a machine that has none.

    python bench/nano_memory.py [--clips 16] [--clip-s 30] [--json FILE]

Full size, random weights, bfloat16, recordings cut into equal clips, 3 tokens for each second. The
engine runs on the CPU, but batches, pads and keeps its cache as it does on CUDA, and every tensor
is counted from its making to its end, in steps of 512 bytes as CUDA's allocator takes them. Not in
the count is what only a GPU has: the context of CUDA, workspaces of its libraries, gaps between
tensors, and what recorded passes hold for themselves.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from lingting.engines.nano import engine, generation
from lingting.engines.nano.graphs import TokenWriter
from nano import RATE, SPEECH, Ours, clips, write_checkpoint
from systems import System

STEP_BYTES = 512
_LENT = (engine._BATCH_FRAMES, generation._MOST_ROWS, generation._PREFILL_TOKENS)


class Counting(TorchDispatchMode):
    """Bytes of all tensors that were made or named and are still there."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.most_bytes = 0
        self._known: dict[int, int] = {}

    def add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known[key] = -(-storage.nbytes() // STEP_BYTES) * STEP_BYTES
        self.bytes += self._known[key]
        self.most_bytes = max(self.most_bytes, self.bytes)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.bytes -= self._known.pop(key)

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        for one in tree_iter(found):
            if isinstance(one, torch.Tensor):
                self.add(one)
        return found


class Padding(TokenWriter):
    """Shapes as on CUDA, which records them."""

    def __init__(self, model: Any, cache: Any) -> None:
        super().__init__(model, cache, static=True)


def main() -> None:
    given = arguments()
    with tempfile.TemporaryDirectory(prefix="nano-bench-", dir=given.folder) as name:
        folder = Path(name)
        write_checkpoint(folder)
        found = counted(folder, heard(given))
    print(f"{given.clips} clips of {given.clip_s:g} s, bfloat16, batches as on CUDA:")
    for what, size in found.items():
        print(f"  {what:<8} {size / 2**30:6.2f} GiB")
    if given.json:
        facts = {"clips": given.clips, "clip_s": given.clip_s}
        given.json.write_text(json.dumps(facts | {f"{k}_bytes": v for k, v in found.items()}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Memory of Fun-ASR-Nano with CUDA's batches.")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--clip-s", type=float, default=30.0)
    parser.add_argument("--speech", type=Path, default=SPEECH, help="folder of recordings")
    parser.add_argument("--folder", type=Path, help="where 2 GB of weights may lie meanwhile")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    return parser.parse_args()


def heard(given: argparse.Namespace) -> list[Any]:
    length = int(given.clip_s * RATE)
    stream = np.concatenate(clips(given.speech, given.clips * given.clip_s))
    return [stream[at * length : (at + 1) * length] for at in range(given.clips)]


def counted(folder: Path, audio: Sequence[Any]) -> dict[str, int]:
    """Bytes of the weights, of the most at once, and of what stays for the next call."""
    for table in _LENT:
        table["cpu"] = table["cuda"]
    subject = Ours(System("ours", "bfloat16"), folder, "cpu")
    generation.TokenWriter = Padding  # type: ignore[misc]
    subject.engine._threads = 1  # one batch after another, in the thread that is counted
    assert subject.engine._generator is not None
    subject.engine._generator._stays = True
    counting = Counting()
    for tensor in weights(subject.engine):
        counting.add(tensor)
    found = {"weights": counting.bytes}
    with counting:
        subject.run(audio)
    return found | {"most": counting.most_bytes, "stays": counting.bytes}


def weights(nano: engine.NanoEngine) -> list[torch.Tensor]:
    networks = nano._loaded()
    parts = [getattr(networks, name) for name in networks.__dataclass_fields__]
    modules = [one for one in parts if isinstance(one, torch.nn.Module)]
    return [tensor for one in modules for tensor in (*one.parameters(), *one.buffers())]


if __name__ == "__main__":
    main()
