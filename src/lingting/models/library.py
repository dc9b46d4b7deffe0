"""The models of one machine: what is installed, where it lies, whether it is still what it was.

::

    <home>/models/
      whisper-base/            a finished model and its receipt; appears by a rename, whole or not
      .staging/whisper-base/   a pull or import under way, or cut; the next pull resumes from it
      .locks/whisper-base.lock held while a model's files are being changed

Nothing here opens a connection; :mod:`lingting.models.install` does.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Literal

from lingting.errors import ModelNotInstalled, WeightsInvalid
from lingting.models.catalogue import Catalogue, Model, ModelFile
from lingting.models.receipt import (
    Entry,
    Pin,
    Receipt,
    read_receipt,
    sha256_of,
    write_receipt,
)

FileState = Literal["ok", "missing", "changed", "unpinned"]

# In the order in which engines look for them: the digest is that of the file that is loaded.
_MAIN_FILES = (
    "model.bin",
    "model.safetensors",
    "model.safetensors.index.json",
    "model.pt",
    "model.onnx",
)


class Status(StrEnum):
    """What a glance tells; no file is read."""

    MISSING = "missing"
    PARTIAL = "partial"
    """Some files, or a pull that was cut."""
    CHANGED = "changed"
    """A size or time differs from the receipt: hashed again before it is loaded."""
    INSTALLED = "installed"


@dataclass(frozen=True, slots=True)
class FileReport:
    """What :meth:`Library.verify` found for one file."""

    path: str
    state: FileState
    expected_sha256: str | None
    actual_sha256: str | None
    size_bytes: int | None
    pin: Pin | None
    """Who vouches for the digest; None when nobody does yet."""


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that can be loaded: its folder, its name, and the digest of its main file."""

    path: Path
    id: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Library:
    """A catalogue and the folder its models live in."""

    catalogue: Catalogue
    folder: Path

    def model(self, model: Model | str) -> Model:
        return model if isinstance(model, Model) else self.catalogue.get(model)

    def home_of(self, model: Model | str) -> Path:
        """Where the model lives, or would."""
        return self.folder / self.model(model).id

    def staging_of(self, model: Model | str) -> Path:
        return self.folder / ".staging" / self.model(model).id

    def lock_of(self, model: Model | str) -> Path:
        return self.folder / ".locks" / f"{self.model(model).id}.lock"

    def status(self, model: Model | str) -> Status:
        """A few ``stat`` calls, whatever the model's size."""
        model = self.model(model)
        home = self.home_of(model)
        receipt = read_receipt(home)
        sizes = {file.path: _stat(home / file.path) for file in model.files}
        if receipt is None or any(found is None for found in sizes.values()):
            is_begun = any(sizes.values()) or self.staging_of(model).is_dir()
            return Status.PARTIAL if is_begun else Status.MISSING
        if all(_is_unchanged(receipt, file, sizes[file.path]) for file in model.files):
            return Status.INSTALLED
        return Status.CHANGED

    def path(self, model: Model | str) -> Path:
        """The model's folder, ready to load.

        Raises ModelNotInstalled, or WeightsInvalid when a file is no longer what was installed.
        """
        model = self.model(model)
        status = self.status(model)
        if status is Status.CHANGED:
            self._recheck(model)
        elif status is not Status.INSTALLED:
            state = "only partly installed" if status is Status.PARTIAL else "not installed"
            raise ModelNotInstalled(
                f"The model {model.id} is {state}.", f"Run `lingting models pull {model.id}`."
            )
        return self.home_of(model)

    def resolve(self, name_or_folder: str | Path) -> ResolvedModel:
        """A model of the catalogue by id, or any folder that holds a model.

        Raises ModelUnknown, ModelNotInstalled or WeightsInvalid.
        """
        name = str(name_or_folder)
        if isinstance(name_or_folder, str) and name in self.catalogue:
            model = self.catalogue.get(name)
            path = self.path(model)
            receipt = read_receipt(path)
            if receipt is None:  # taken away this very moment
                raise ModelNotInstalled(f"The model {model.id} is not installed.")
            return ResolvedModel(path, model.id, receipt.files[model.main].sha256)
        folder = Path(name).expanduser()
        if not folder.is_dir():
            self.catalogue.get(name)  # raises ModelUnknown with what was probably meant
        return _plain_folder(folder.absolute())

    def verify(self, model: Model | str) -> list[FileReport]:
        """Hash every file and compare; nothing is changed, nothing is raised."""
        model = self.model(model)
        home = self.home_of(model)
        receipt = read_receipt(home)
        return [_report(home, file, receipt) for file in model.files]

    def expected(self, model: Model | str) -> tuple[ModelFile, ...]:
        """The model's files, with local pins filled in where the catalogue has no digest."""
        model = self.model(model)
        receipt = read_receipt(self.home_of(model))
        pins = {} if receipt is None else receipt.files
        return tuple(
            file
            if file.sha256 or file.path not in pins
            else replace(file, sha256=pins[file.path].sha256, size_bytes=pins[file.path].size_bytes)
            for file in model.files
        )

    def _recheck(self, model: Model) -> None:
        """Hash what changed; when the bytes are the same, remember the new times."""
        home = self.home_of(model)
        receipt = read_receipt(home)
        if receipt is None:
            raise ModelNotInstalled(f"The model {model.id} is not installed.")
        entries = dict(receipt.files)
        for file in self.expected(model):
            found = _stat(home / file.path)
            if _is_unchanged(receipt, file, found):
                continue
            if found is None or sha256_of(home / file.path) != file.sha256:
                raise WeightsInvalid(
                    f"{file.path} of the model {model.id} is not the file that was installed.",
                    f"Run `lingting models pull {model.id} --force`.",
                )
            pin: Pin = entries[file.path].pin if file.path in entries else "catalogue"
            entries[file.path] = Entry(found.st_size, found.st_mtime_ns, str(file.sha256), pin)
        with contextlib.suppress(OSError):  # a read-only library just hashes again next time
            write_receipt(home, Receipt(receipt.model, receipt.source, entries))


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _is_unchanged(receipt: Receipt, file: ModelFile, found: os.stat_result | None) -> bool:
    entry = receipt.files.get(file.path)
    if entry is None or found is None:
        return False
    if file.sha256 is not None and entry.sha256 != file.sha256:
        return False  # the catalogue lists other bytes than it did when this was installed
    return (entry.size_bytes, entry.mtime_ns) == (found.st_size, found.st_mtime_ns)


def _report(home: Path, file: ModelFile, receipt: Receipt | None) -> FileReport:
    entry = None if receipt is None else receipt.files.get(file.path)
    expected = file.sha256 or (entry.sha256 if entry else None)
    pin: Pin | None = "catalogue" if file.sha256 else ("local" if entry else None)
    found = _stat(home / file.path)
    if found is None:
        return FileReport(file.path, "missing", expected, None, None, pin)
    actual = sha256_of(home / file.path)
    state: FileState = "unpinned" if expected is None else "ok"
    if expected is not None and actual != expected:
        state = "changed"
    return FileReport(file.path, state, expected, actual, found.st_size, pin)


def _plain_folder(folder: Path) -> ResolvedModel:
    for name in _MAIN_FILES:
        found = _stat(folder / name)
        if found is not None:
            sha256 = _digest_once(folder / name, found.st_size, found.st_mtime_ns)
            return ResolvedModel(folder, folder.name, sha256)
    raise WeightsInvalid(
        f"The folder given as a model holds none of {', '.join(_MAIN_FILES)}.",
        "Give the folder the model's files lie in, or a name from `lingting models list`.",
    )


@lru_cache(maxsize=16)
def _digest_once(path: Path, size_bytes: int, mtime_ns: int) -> str:
    """Size and time are part of the key: a changed file is hashed again."""
    del size_bytes, mtime_ns
    return sha256_of(path)
