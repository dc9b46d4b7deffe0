"""A published checkpoint as one safetensors file in the original's names, with its companions.

``model.pt`` is a pickle, which many houses do not allow on their machines, and the published one
holds the output layer twice. The result loads like any other checkpoint. It is written beside its
place, read back, compared tensor by tensor, and only then put there by a rename.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from lingting.engines.nano.layout import open_checkpoint
from lingting.engines.nano.names import naming_of
from lingting.engines.neural.checkpoints import Tensors, invalid, open_tensors
from lingting.engines.neural.safetensor_files import converted, write_safetensors
from lingting.errors import OptionInvalid, OutputUnwritable

DTYPES: dict[str, torch.dtype | None] = {
    "keep": None,
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
}
WEIGHTS = "model.safetensors"
# What a model needs beside its weights is data: configuration, vocabulary, normalisation, licence.
_COMPANIONS = frozenset({".json", ".yaml", ".txt", ".tiktoken", ".model", ".mvn", ".jinja", ".md"})
_NO_COMPANIONS = frozenset({"model.safetensors.index.json"})
_MOST_COMPANION_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written."""

    folder: Path
    tensors: int
    size_bytes: int
    """Of the weight file."""
    notes: tuple[str, ...] = ()


def convert(model: Path | str, out: Path, dtype: str = "keep") -> Converted:
    """Convert a catalogue model or a model folder into the new folder ``out``.

    ``dtype`` is ``keep``, ``bf16`` or ``fp32`` and is for floating-point tensors. Fun-ASR-Nano in
    any layout and every model whose weights are a ``model.pt`` (SenseVoice, Paraformer) can be
    converted. Raises OptionInvalid, OutputUnwritable, ModelUnknown, ModelNotInstalled or
    WeightsInvalid; ``out`` then does not exist.
    """
    if dtype not in DTYPES:
        raise OptionInvalid(f"dtype is {dtype}; allowed are {', '.join(DTYPES)}.")
    wanted = DTYPES[dtype]
    out = out.absolute()
    if out.exists() or out.is_symlink():
        raise OutputUnwritable("The folder to convert into exists already.", "Give a new folder.")
    folder, tensors, notes = _source(model)
    with _staged(out, _size_bytes(tensors, wanted)) as stage:
        _copy_companions(folder, stage)
        made = {"made_by": "lingting", "dtype": dtype}
        size_bytes = write_safetensors(stage / WEIGHTS, tensors, wanted, metadata=made)
        _check(stage, tensors, wanted)
    return Converted(out, len(tensors), size_bytes, notes)


def _source(model: Path | str) -> tuple[Path, Tensors, tuple[str, ...]]:
    """The folder, its tensors under the original's names, and what it lacks."""
    if isinstance(model, str):
        from lingting import models

        folder = models.resolve(model).path
    else:
        folder = model
    tensors = open_tensors(folder)
    if naming_of(tensors.names()) is None:
        return folder, tensors, ()
    checkpoint = open_checkpoint(folder)
    return folder, checkpoint.tensors, checkpoint.notes


def _size_bytes(tensors: Tensors, dtype: torch.dtype | None) -> int:
    return sum(
        tensors.size_bytes(name)
        // tensors.dtype(name).itemsize
        * converted(tensors.dtype(name), dtype).itemsize
        for name in tensors.names()
    )


@contextmanager
def _staged(out: Path, needed_bytes: int) -> Iterator[Path]:
    """A hidden folder beside ``out`` that becomes ``out`` when all went well, and else goes."""
    stage = out.parent / f".{out.name}.{os.getpid()}.converting"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(out.parent).free
        if free_bytes < needed_bytes:
            raise OutputUnwritable(
                f"The result needs {needed_bytes >> 20} MiB and {free_bytes >> 20} MiB are free."
            )
        stage.mkdir()
        yield stage
        stage.rename(out)
    except OSError as exc:
        raise OutputUnwritable(
            f"The result cannot be written: {exc.strerror or 'unknown reason'}."
        ) from exc
    finally:
        with suppress(OSError):
            shutil.rmtree(stage)


def _copy_companions(folder: Path, stage: Path) -> None:
    """Small data files of the folder and of the folders in it; never weights, never code."""
    for found in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        inner = found.relative_to(folder)
        is_data = found.suffix in _COMPANIONS or found.name.upper().startswith("LICENSE")
        is_hidden = any(part.startswith(".") for part in inner.parts)
        if not is_data or is_hidden or found.name in _NO_COMPANIONS or not found.is_file():
            continue
        if found.stat().st_size <= _MOST_COMPANION_BYTES:
            (stage / inner).parent.mkdir(exist_ok=True)
            shutil.copyfile(found, stage / inner)


def _check(stage: Path, tensors: Tensors, dtype: torch.dtype | None) -> None:
    """Read everything back as it will be read. Raises WeightsInvalid."""
    written = open_tensors(stage)
    if set(written.names()) != set(tensors.names()):
        raise invalid(written.path, "it was not written whole")
    for name in tensors.names():
        meant = tensors.read(name).to(converted(tensors.dtype(name), dtype))
        found = written.read(name)
        # Bytes are compared, so that a NaN equals itself.
        if found.shape != meant.shape or not torch.equal(_bytes(found), _bytes(meant)):
            raise invalid(written.path, f"the tensor {name} was not written as it was read")
    if naming_of(written.names()) is not None:
        open_checkpoint(stage)


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(-1).view(torch.uint8)
