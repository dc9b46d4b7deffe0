"""From what was typed to a list of recordings, each once, in the order given.

- A file is taken whatever its name is; ``-`` is standard input.
- A folder is searched, with its sub-folders unless told otherwise, for names that recordings have.
  Hidden files and folders are left out, and a folder is entered once however many links lead to it.
- A pattern that the shell has not expanded is expanded here: ``*``, ``?``, ``[…]`` and ``**``.

What cannot be found is not an exception but an input with an error, so the others go on.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lingting.errors import AudioNotFound, AudioPathUnreadable, LingtingError

STDIN = "-"
_SUFFIXES = """
    .3g2 .3gp .aa3 .aac .ac3 .adts .aif .aifc .aiff .alac .amr .ape .asf .au .avi .awb .caf .dts
    .eac3 .f4v .flac .flv .g722 .gsm .m2ts .m4a .m4b .m4v .mka .mkv .mov .mp1 .mp2 .mp3 .mp4 .mpa
    .mpeg .mpg .mts .mxf .nist .oga .ogg .ogv .opus .qt .ra .rm .rmvb .sln .snd .sph .spx .tak .ts
    .tta .vob .voc .w64 .wav .wave .weba .webm .wma .wmv .wv
"""
MEDIA_SUFFIXES = frozenset(_SUFFIXES.split())


@dataclass(frozen=True, slots=True)
class Input:
    """One recording to be. ``name`` is what messages call it, ``root`` the folder searched."""

    name: str
    path: Path | None
    """None for standard input and for what was never found."""
    root: Path | None = None
    """Where the search that found it began: outputs keep the folders below it."""
    error: LingtingError | None = None

    @property
    def is_stdin(self) -> bool:
        return self.name == STDIN and self.path is None


def find_inputs(given: Iterable[str], *, recursive: bool = True) -> list[Input]:
    """Everything to transcribe. The same file named twice comes once."""
    found: list[Input] = []
    seen: set[str] = set()
    for argument in given:
        for one in _of_argument(argument, recursive):
            identity = _identity(one)
            if identity not in seen:
                seen.add(identity)
                found.append(one)
    return found


def is_media(name: str) -> bool:
    """True for a name that a folder search picks up."""
    return os.path.splitext(name)[1].lower() in MEDIA_SUFFIXES


def _of_argument(argument: str, recursive: bool) -> Iterator[Input]:
    if argument == STDIN:
        yield Input(STDIN, None)
    elif os.path.isdir(argument):
        yield from _of_folder(argument, recursive)
    elif os.path.lexists(argument) or not glob.has_magic(argument):
        yield Input(argument, Path(argument), Path(argument).parent)
    else:
        yield from _of_pattern(argument, recursive)


def _of_pattern(pattern: str, recursive: bool) -> Iterator[Input]:
    """A pattern that spells out a suffix means it; ``lectures/*`` means the recordings there."""
    matches = sorted(glob.glob(pattern, recursive=True))
    is_exact = not glob.has_magic(os.path.splitext(pattern)[1] or "*")
    kept = [one for one in matches if is_exact or is_media(one) or os.path.isdir(one)]
    if not kept:
        error = AudioNotFound("No recording matches this pattern.", "Check the pattern.")
        yield Input(pattern, None, error=error)
    root = _plain_part(pattern)
    for match in kept:
        if os.path.isdir(match):
            yield from _of_folder(match, recursive, root, must_hold=False)
        else:
            yield Input(match, Path(match), root)


def _plain_part(pattern: str) -> Path:
    """``a/b/*/c.wav`` → ``a/b``."""
    parts = Path(pattern).parts
    first = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first])


def _of_folder(
    folder: str, recursive: bool, root: Path | None = None, *, must_hold: bool = True
) -> Iterator[Input]:
    root = root or Path(folder)
    is_empty = True
    for one in _searched(folder, recursive, root, set()):
        is_empty = False
        yield one
    if is_empty and must_hold:
        error = AudioNotFound(
            "The folder holds no recordings.", "Check the folder, or name the files themselves."
        )
        yield Input(folder, None, error=error)


def _searched(
    folder: str, recursive: bool, root: Path, entered: set[tuple[int, int]]
) -> Iterator[Input]:
    """Files of a folder, then its folders, both by name."""
    try:
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in entered:
            return
        entered.add((here.st_dev, here.st_ino))
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as exc:
        error = AudioPathUnreadable(f"The folder cannot be searched: {exc.strerror}.")
        error.__cause__ = exc
        yield Input(folder, None, error=error)
        return
    visible = [entry for entry in listed if not entry.name.startswith(".")]
    folders = [entry for entry in visible if _is_folder(entry)]
    for entry in visible:
        if entry not in folders and is_media(entry.name):
            yield Input(entry.path, Path(entry.path), root)
    if recursive:
        for entry in folders:
            yield from _searched(entry.path, recursive, root, entered)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _identity(one: Input) -> str:
    """Two names of one folder are one folder; a link to a file keeps its own name."""
    if one.path is None:
        return f"\0{one.name}"
    return os.path.join(os.path.realpath(one.path.parent), one.path.name)
