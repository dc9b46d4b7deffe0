"""Files on this machine that a language model may name: only those below some folders.

A model acts on what it reads, and what it reads may come from anybody. So a path is resolved first,
links and all; then it must lie below an allowed folder, with no hidden folder or file on the way
(``.ssh``, ``.config``), and be a regular file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lingting.errors import AudioNotFound, NotAllowed, OptionInvalid


class Files:
    def __init__(self, folders: Iterable[Path]) -> None:
        """Raises OptionInvalid for a folder that is none."""
        self._folders = tuple(_resolved(one) for one in folders)
        if not all(one is not None and one.is_dir() for one in self._folders):
            raise OptionInvalid("A folder for files is none.", "Give one that is there.")

    def checked(self, given: str) -> Path:
        """The file itself, without links. Raises NotAllowed and AudioNotFound."""
        found = _resolved(Path(given).expanduser())
        if found is None or not any(_is_below(one, found) for one in self._folders if one):
            raise NotAllowed(
                "The file is not in a folder that may be read, or is hidden.",
                "Start lingting mcp with --folder for its folder.",
            )
        if not found.is_file():
            raise AudioNotFound("There is no such file.")
        return found


def _resolved(path: Path) -> Path | None:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a NUL
        return None


def _is_below(folder: Path, path: Path) -> bool:
    if not path.is_relative_to(folder):
        return False
    return not any(part.startswith(".") for part in path.relative_to(folder).parts)
