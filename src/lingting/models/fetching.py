"""What every source has in common: where it puts files, how it checks them, how it fails."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lingting.models.catalogue import ModelFile
from lingting.models.receipt import sha256_of


class SourceFailed(Exception):
    """One source could not deliver; the reason is one line fit to be shown."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Staging:
    """The working folder of one model's pull. It survives a cut, so that the next pull resumes."""

    folder: Path

    @property
    def files(self) -> Path:
        """Laid out as the model folder will be; renamed to it at the end."""
        return self.folder / "files"

    @property
    def wheels(self) -> Path:
        return self.folder / "wheels"

    @property
    def scratch(self) -> Path:
        """Emptied at the start of every pull."""
        return self.folder / "scratch"

    def target(self, file: ModelFile) -> Path:
        target = self.files / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def has(self, file: ModelFile) -> bool:
        """Whether a cut pull already brought exactly this file. Costs a hash when it might."""
        target = self.files / file.path
        if file.sha256 is None or not target.is_file():
            return False
        if file.size_bytes is not None and target.stat().st_size != file.size_bytes:
            return False
        return sha256_of(target) == file.sha256


def mismatch(file: ModelFile, size_bytes: int, sha256: str) -> str:
    """Empty when the bytes are those listed; otherwise what is wrong with them, in one clause."""
    if file.size_bytes is not None and size_bytes != file.size_bytes:
        return f"{file.path} has {size_bytes} bytes, {file.size_bytes} are listed"
    if file.sha256 is not None and sha256 != file.sha256:
        return f"{file.path} has SHA-256 {sha256[:12]}…, {file.sha256[:12]}… is listed"
    return ""
