"""safetensors files, whole or in shards with an index: reading where each tensor lies; writing.

The format is 8 bytes length, a JSON header of that length, then the bytes of all tensors. The
library of that name maps files into memory, which stays resident; the format is small enough to
read it here.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lingting.engines.neural.tensors import Stored, Tensors, are_sizes, contiguous_strides, invalid

DTYPES: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}

_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_MOST_HEADER_BYTES = 100_000_000  # what the library itself allows


def open_safetensors(path: Path) -> Tensors:
    header, start = _safetensors_header(path)
    data_bytes = path.stat().st_size - start
    pieces: dict[str, tuple[Stored, ...]] = {}
    ends: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        dtype, shape, begin, end = _safetensors_entry(path, name, entry)
        if not 0 <= begin <= end <= data_bytes:
            raise invalid(path, f"the tensor {name} lies outside the file; it is cut short")
        if end - begin != math.prod(shape) * dtype.itemsize:
            raise invalid(path, f"the tensor {name} has another size than its shape needs")
        ends.append((begin, end, name))
        pieces[name] = (Stored(path, start + begin, dtype, shape, contiguous_strides(shape)),)
    ends.sort()
    for (_, end, _), (begin, _, name) in itertools.pairwise(ends):
        if begin < end:
            raise invalid(path, f"the tensor {name} overlaps another")
    return Tensors(path, pieces)


def _safetensors_header(path: Path) -> tuple[dict[str, Any], int]:
    with path.open("rb") as stream:
        start = stream.read(8)
        if len(start) < 8:
            raise invalid(path, "it is neither a safetensors file nor one of torch.save")
        (length,) = struct.unpack("<Q", start)
        if length > min(_MOST_HEADER_BYTES, path.stat().st_size - 8):
            raise invalid(path, "it is neither a safetensors file nor one of torch.save")
        try:
            header = json.loads(stream.read(length).decode("utf-8"))
        except (ValueError, RecursionError):
            raise invalid(path, "its header cannot be read") from None
    if not isinstance(header, dict):
        raise invalid(path, "its header cannot be read")
    return header, 8 + length


def _safetensors_entry(
    path: Path, name: str, entry: Any
) -> tuple[torch.dtype, tuple[int, ...], int, int]:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise invalid(path, f"the tensor {name} is not described")
    dtype = DTYPES.get(str(entry["dtype"]))
    if dtype is None:
        raise invalid(path, f"the tensor {name} has an element type we do not read")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not are_sizes(shape) or not are_sizes(offsets) or len(offsets) != 2:
        raise invalid(path, f"the tensor {name} is not described")
    return dtype, tuple(shape), offsets[0], offsets[1]


def open_shards(path: Path) -> Tensors:
    """An index of shards; each lies beside it, under a plain name."""
    try:
        weights = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        by_shard = {str(name): str(shard) for name, shard in weights.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise invalid(path, "it is no index of shards") from None
    opened: dict[str, Tensors] = {}
    for name, shard in by_shard.items():
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors", shard):
            raise invalid(path, f"the tensor {name} is said to lie outside the model folder")
        if shard not in opened:
            if not (path.parent / shard).is_file():
                raise invalid(path, f"{shard}, which holds the tensor {name}, is missing")
            opened[shard] = open_safetensors(path.parent / shard)
        if name not in opened[shard]:
            raise invalid(path, f"the tensor {name} is not in {shard}")
    for shard, tensors in opened.items():
        for name in tensors.names():
            if by_shard.get(name) != shard:
                raise invalid(path, f"the tensor {name} of {shard} is not in the index")
    return Tensors(path, {name: opened[shard].pieces[name] for name, shard in by_shard.items()})


def write_safetensors(
    path: Path,
    tensors: Tensors,
    dtype: torch.dtype | None = None,
    *,
    metadata: Mapping[str, str] | None = None,
) -> int:
    """Write every tensor to a new file, one at a time, and return its size in bytes.

    ``dtype`` is for floating-point tensors, None keeps each one's own. Raises OSError, and
    WeightsInvalid for a tensor that cannot be read.
    """
    # Wide elements first, as the library orders them: every tensor is then aligned.
    dtypes = {name: converted(tensors.dtype(name), dtype) for name in tensors.names()}
    names = sorted(dtypes, key=lambda name: (-dtypes[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    end = 0
    for name in names:
        shape = tensors.shape(name)
        begin, end = end, end + math.prod(shape) * dtypes[name].itemsize
        header[name] = {
            "dtype": _NAMES[dtypes[name]],
            "shape": list(shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with path.open("xb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            tensor = tensors.read(name).to(dtypes[name])
            stream.write(tensor.reshape(-1).view(torch.uint8).numpy().data)
        stream.flush()
        os.fsync(stream.fileno())
    return 8 + len(text) + end


def converted(own: torch.dtype, wanted: torch.dtype | None) -> torch.dtype:
    """The type a tensor is written with: only floating-point ones change."""
    return wanted if wanted is not None and own.is_floating_point else own
