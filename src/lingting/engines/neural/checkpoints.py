"""Any weight file of the field as tensors by name: safely, and one at a time.

What a file is decides what is in it, not its name: the zip of ``torch.save`` (``model.pt``) and
safetensors, whole or in shards with an index. Nothing of a file is ever executed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lingting.engines.neural.safetensor_files import open_safetensors, open_shards
from lingting.engines.neural.tensors import NEXT_STEP, Stored, Tensors, invalid, joined
from lingting.engines.neural.torch_files import open_torch
from lingting.errors import WeightsInvalid
from lingting.models.receipt import Receipt, read_receipt, sha256_of

__all__ = [
    "WEIGHT_FILES",
    "Stored",
    "Tensors",
    "check_companions",
    "check_digest",
    "check_receipt",
    "find_weights",
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
    it is that of the index. In the folder of an installed model only files of its receipt are
    opened, and those that changed since are hashed again. Raises WeightsInvalid naming the file
    and the tensor.
    """
    receipt = read_receipt(path) if path.is_dir() else None
    file = weight_file(path) if path.is_dir() else path
    if not file.is_file():
        raise WeightsInvalid(f"{file.name} is missing.", NEXT_STEP)
    try:
        if sha256 is not None:
            check_digest(file, sha256)
        tensors = _open(file)
        if receipt is not None:
            files = {stored.file for pieces in tensors.pieces.values() for stored in pieces}
            check_receipt(receipt, path, {file, *files})
    except OSError as exc:
        raise invalid(file, "it cannot be read") from exc
    return tensors


def _open(file: Path) -> Tensors:
    if file.suffix == ".json":
        return open_shards(file)
    with file.open("rb") as stream:
        is_zip = stream.read(4) == b"PK\x03\x04"
    return open_torch(file) if is_zip else open_safetensors(file)


def weight_file(folder: Path) -> Path:
    """The weight file of a folder. Raises WeightsInvalid with the names that were looked for."""
    found = find_weights(folder)
    if found is None:
        raise WeightsInvalid(
            f"The model folder holds none of {', '.join(WEIGHT_FILES)}.",
            "Give the folder the model's files lie in, or a name from `lingting models list`.",
        )
    return found


def find_weights(folder: Path) -> Path | None:
    """The weight file of a folder, if there is one; of an installed model, its own."""
    receipt = read_receipt(folder)
    for name in WEIGHT_FILES:
        if (receipt is None or name in receipt.files) and (folder / name).is_file():
            return folder / name
    return None


def check_receipt(receipt: Receipt, folder: Path, files: Iterable[Path]) -> None:
    """Files of an installed model are what they were. Raises WeightsInvalid, and OSError.

    That costs a glance; a file whose size or time changed is hashed.
    """
    for file in sorted(files):
        entry = receipt.files.get(file.relative_to(folder).as_posix())
        if entry is None:
            raise invalid(file, "it is not one of the files that were installed")
        found = file.stat()
        if (found.st_size, found.st_mtime_ns) != (entry.size_bytes, entry.mtime_ns):
            check_digest(file, entry.sha256)


def check_companions(folder: Path, files: Iterable[Path]) -> None:
    """What lies beside an installed model's weights is what was installed. Raises WeightsInvalid.

    Files of other folders are whatever they are; one that is absent is for its reader to miss.
    """
    receipt = read_receipt(folder)
    if receipt is None:
        return
    try:
        check_receipt(receipt, folder, [file for file in files if file.is_file()])
    except OSError as exc:
        raise WeightsInvalid("A file of the model cannot be read.", NEXT_STEP) from exc


def check_digest(path: Path, sha256: str) -> None:
    """Raises WeightsInvalid when the file's bytes are not the ones meant."""
    if sha256_of(path) != sha256.lower():
        raise invalid(path, "its SHA-256 is not the expected one")
