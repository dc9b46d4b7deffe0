"""Files of ``torch.save``: reading where each tensor lies, without running anything of the file.

Such a file is a zip with one pickle, which says of each tensor in which member it lies, and one
stored (never compressed) member per storage. A pickle is a program. The one who reads it here may
only use the handful of names that tensors are made of, each of which is an inert record of ours;
every other name ends the reading with an error. PyTorch's own safe reader is not used because it
has no public way to learn where a tensor lies without loading all of them.
"""

from __future__ import annotations

import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch

from lingting.engines.neural.tensors import Stored, Tensors, are_sizes, invalid
from lingting.errors import WeightsInvalid

_STORAGE_DTYPES: dict[str, torch.dtype] = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
# Where trainers put the tensors inside what they save; the toolkit unwraps them in this order.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PARALLEL = "module."  # before every name, where several devices trained the model
_DTYPE_NAMES = frozenset(str(dtype).removeprefix("torch.") for dtype in _STORAGE_DTYPES.values())
_MOST_PICKLE_BYTES = 100_000_000  # 1,347 tensors take 0.2 MB
_LOCAL_HEADER_BYTES = 30  # of a zip member, before its name


class _Forbidden(Exception):
    """The pickle names something that is no part of a tensor."""


# What the pickle gets into its hands are tuples: its BUILD command sets attributes on anything that
# has some, and calls the __setstate__ that even a frozen dataclass with slots brings along.


class _StorageKind(NamedTuple):
    dtype: torch.dtype


class _Storage(NamedTuple):
    key: str
    dtype: torch.dtype


class _Laid(NamedTuple):
    """A tensor as the pickle describes it: elements counted inside its storage."""

    storage: _Storage
    offset: Any
    shape: Any
    strides: Any


class _Maker(NamedTuple):
    """What the pickle gets for a name it may use: it can be called, and not be changed."""

    kind: str

    def __call__(self, *arguments: Any) -> Any:
        if self.kind == "mapping":
            return OrderedDict(*arguments)
        if self.kind == "shape":
            return tuple(*arguments)
        if self.kind == "parameter":  # is the tensor it wraps
            return arguments[0]
        if self.kind == "tensor" and isinstance(arguments[0], _Storage):
            return _Laid(*arguments[:4])
        if self.kind == "device":  # says nothing about tensors
            return None
        raise _Forbidden("a tensor without a storage")


_MAKERS = {
    ("collections", "OrderedDict"): _Maker("mapping"),
    ("torch._utils", "_rebuild_tensor_v2"): _Maker("tensor"),
    ("torch._utils", "_rebuild_parameter"): _Maker("parameter"),
    ("torch", "Size"): _Maker("shape"),
    ("torch", "device"): _Maker("device"),
}


class _Reader(pickle.Unpickler):
    """An unpickler that gives out the makers above, PyTorch's storages, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        maker = _MAKERS.get((module, name))
        if maker is not None:
            return maker
        if module in ("torch", "torch.storage") and name in _STORAGE_DTYPES:
            return _StorageKind(_STORAGE_DTYPES[name])
        if module == "torch" and name in _DTYPE_NAMES:
            return None
        raise _Forbidden(f"{module}.{name}"[:80])

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", _StorageKind(dtype=dtype), str(key), *_) if key.isdigit():
                return _Storage(key, dtype)
        raise _Forbidden("a reference to something outside")


def open_torch(path: Path) -> Tensors:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            root = _archive_root(path, members)
            _check_order(path, archive, members, root)
            state = _unpickle(path, archive, members[f"{root}/data.pkl"])
    except (OSError, WeightsInvalid):
        raise
    except Exception as exc:  # zipfile raises many kinds for an archive that lies
        raise invalid(path, "the archive is damaged or cut short") from exc
    pieces: dict[str, tuple[Stored, ...]] = {}
    starts: dict[str, int] = {}
    with path.open("rb") as stream:
        for name, laid in _named_tensors(path, state).items():
            member = f"{root}/data/{laid.storage.key}"
            if member not in members:
                raise invalid(path, f"the data of the tensor {name} is missing")
            if member not in starts:
                starts[member] = _data_start(path, stream, members[member], name)
            pieces[name] = (_placed(path, name, laid, members[member], starts[member]),)
    return Tensors(path, pieces)


def _archive_root(path: Path, members: Mapping[str, zipfile.ZipInfo]) -> str:
    """The folder inside the zip; torch.save names it as it likes."""
    roots = [name[: -len("/data.pkl")] for name in members if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise invalid(path, "it is no archive of torch.save")
    return roots[0]


def _check_order(
    path: Path, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], root: str
) -> None:
    info = members.get(f"{root}/byteorder")
    if info is not None and (info.file_size > 16 or archive.read(info).strip() != b"little"):
        raise invalid(path, "it was written with another byte order")


def _unpickle(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    if info.file_size > _MOST_PICKLE_BYTES:
        raise invalid(path, "its list of tensors is too long to be one")
    try:
        with archive.open(info) as stream:
            return _Reader(stream).load()
    except _Forbidden as exc:
        raise invalid(
            path, f"it holds {exc}, which is no part of a tensor; nothing of it was run"
        ) from None
    except (OSError, zipfile.BadZipFile):
        raise
    except Exception as exc:  # a hostile pickle can fail in any way
        raise invalid(path, "its list of tensors cannot be read") from exc


def _named_tensors(path: Path, state: Any) -> dict[str, _Laid]:
    for wrapper in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict):
        raise invalid(path, "it holds no tensors by name")
    found = {str(name): value for name, value in state.items() if isinstance(value, _Laid)}
    if found and all(name.startswith(_PARALLEL) for name in found):
        return {name.removeprefix(_PARALLEL): value for name, value in found.items()}
    return found


def _data_start(path: Path, stream: IO[bytes], info: zipfile.ZipInfo, name: str) -> int:
    """Where a member's bytes begin: behind its local header, whose length only it knows."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise invalid(path, f"the data of the tensor {name} is compressed")
    stream.seek(info.header_offset)
    local = stream.read(_LOCAL_HEADER_BYTES)
    if len(local) != _LOCAL_HEADER_BYTES or local[:4] != b"PK\x03\x04":
        raise invalid(path, f"the archive is damaged at the tensor {name}")
    name_bytes, extra_bytes = struct.unpack("<HH", local[26:30])
    start: int = info.header_offset + _LOCAL_HEADER_BYTES + name_bytes + extra_bytes
    if start + info.file_size > path.stat().st_size:
        raise invalid(path, f"it ends inside the tensor {name}")
    return start


def _placed(path: Path, name: str, laid: _Laid, info: zipfile.ZipInfo, start: int) -> Stored:
    dtype = laid.storage.dtype
    is_laid_out = are_sizes(laid.shape) and are_sizes(laid.strides)
    if not is_laid_out or len(laid.shape) != len(laid.strides) or type(laid.offset) is not int:
        raise invalid(path, f"the tensor {name} is not described")
    piece = Stored(
        path,
        start + laid.offset * dtype.itemsize,
        dtype,
        tuple(laid.shape),
        tuple(laid.strides),
    )
    if laid.offset < 0 or (laid.offset + piece.span) * dtype.itemsize > info.file_size:
        raise invalid(path, f"the tensor {name} lies outside its data")
    if math.prod(piece.shape) > piece.span:  # strides that repeat elements
        raise invalid(path, f"the tensor {name} is larger than its data")
    return piece
