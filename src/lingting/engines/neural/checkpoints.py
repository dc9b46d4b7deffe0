"""Any weight file of the field as tensors by name: safely, and one at a time.

What a file is decides what is in it, not its name: the zip of ``torch.save`` (``model.pt``) and
safetensors, whole or in shards with an index. Nothing of a file is ever executed.
"""

from __future__ import annotations

from pathlib import Path

from lingting.engines.neural.safetensor_files import open_safetensors, open_shards
from lingting.engines.neural.tensors import NEXT_STEP, Stored, Tensors, invalid, joined
from lingting.engines.neural.torch_files import open_torch
from lingting.errors import WeightsInvalid
from lingting.models.receipt import sha256_of

__all__ = [
    "WEIGHT_FILES",
    "Stored",
    "Tensors",
    "check_digest",
    "invalid",
    "joined",
    "open_tensors",
    "weight_file",
]

WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "model.pt")
"""The names a checkpoint's weights go by, in the order they are looked for in a folder."""


def open_tensors(path: Path, *, sha256: str | None = None) -> Tensors:
    """The tensors of a weight file, or of the weight file in a folder.

    ``sha256`` (lower case hex) is compared with the file's own first; of a checkpoint in shards
    it is that of the index. Raises WeightsInvalid naming the file and the tensor.
    """
    path = weight_file(path) if path.is_dir() else path
    if not path.is_file():
        raise WeightsInvalid(f"{path.name} is missing.", NEXT_STEP)
    try:
        if sha256 is not None:
            check_digest(path, sha256)
        if path.suffix == ".json":
            return open_shards(path)
        with path.open("rb") as stream:
            is_zip = stream.read(4) == b"PK\x03\x04"
        return open_torch(path) if is_zip else open_safetensors(path)
    except OSError as exc:
        raise invalid(path, "it cannot be read") from exc


def weight_file(folder: Path) -> Path:
    """The weight file of a folder. Raises WeightsInvalid with the names that were looked for."""
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    raise WeightsInvalid(
        f"The model folder holds none of {', '.join(WEIGHT_FILES)}.",
        "Give the folder the model's files lie in, or a name from `lingting models list`.",
    )


def check_digest(path: Path, sha256: str) -> None:
    """Raises WeightsInvalid when the file's bytes are not the ones meant."""
    if sha256_of(path) != sha256.lower():
        raise invalid(path, "its SHA-256 is not the expected one")
