"""Where results are written: beside the recording, or in one folder that keeps the sub-folders.

``talk.mp3`` becomes ``talk.srt``. Where another recording has the same name but for its suffix,
the suffix stays: ``talk.mp3.srt`` and ``talk.wav.srt``; so it does whichever of the two is given,
since what else lies in the folder is looked at as well. In one output folder, recordings of the
same full name from different folders keep the folders that tell them apart.

A result is finished when all files that were asked for are there and none is older than the
recording.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from lingting.cli.inputs import Input, is_media
from lingting.errors import OptionInvalid, OutputUnwritable

_STDIN_STEM = "stdin"
_Namer = Callable[[Input], Path]


def plan_targets(
    inputs: Sequence[Input], suffixes: Sequence[str], folder: Path | None
) -> list[tuple[Path, ...]]:
    """For each input its output files, one per suffix; no two inputs share one.

    ``folder`` None writes beside the recordings. Inputs with an error have none.
    """
    if not suffixes:
        return [()] * len(inputs)
    stems = _stems([one for one in inputs if one.error is None], suffixes, folder)
    return [
        ()
        if one.error is not None
        else tuple(stems[one].with_name(stems[one].name + suffix) for suffix in suffixes)
        for one in inputs
    ]


def without_outputs(
    inputs: Sequence[Input], targets: Sequence[tuple[Path, ...]]
) -> list[tuple[Input, tuple[Path, ...]]]:
    """Inputs that are no output of this very run: ``lingting transcribe *`` meets its own files."""
    written = {os.path.realpath(target) for row in targets for target in row}
    return [
        (one, row)
        for one, row in zip(inputs, targets, strict=True)
        if one.path is None or os.path.realpath(one.path) not in written
    ]


def is_finished(one: Input, targets: Sequence[Path]) -> bool:
    """All outputs are there and none is older than the recording."""
    if one.path is None or not targets:
        return False
    try:
        made_ns = os.stat(one.path).st_mtime_ns
        return all(target.is_file() and target.stat().st_mtime_ns >= made_ns for target in targets)
    except OSError:
        return False


def check_folder(folder: Path) -> None:
    """Make the output folder now: an hour of work must not end in a place that cannot be written.

    Raises OptionInvalid for a file, OutputUnwritable for a folder that cannot be made or used.
    """
    if folder.exists() and not folder.is_dir():
        raise OptionInvalid("--output names a file.", "Give a folder, or - for standard output.")
    make_folder(folder)
    check_writable(folder)


def make_folder(folder: Path) -> None:
    """With its parents. Raises OutputUnwritable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputUnwritable(f"The folder for results cannot be made: {exc.strerror}.") from exc


def check_writable(folder: Path) -> None:
    """Raises OutputUnwritable when this user may not write there, or nobody may."""
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        raise OutputUnwritable("The folder for results is not writable.")


def _stems(
    inputs: Sequence[Input], suffixes: Sequence[str], folder: Path | None
) -> dict[Input, Path]:
    """Output path without suffix: the plainest that no two inputs share."""
    namers = _namers(inputs, folder)
    siblings: dict[Path, Counter[str]] = {}
    level = {one: _first_level(one, suffixes, siblings) for one in inputs}
    while True:
        stems = {one: namers[level[one]](one) for one in inputs}
        count = Counter(_folded(stem) for stem in stems.values())
        shared = [one for one in inputs if count[_folded(stems[one])] > 1]
        rising = [one for one in shared if level[one] + 1 < len(namers)]
        if not rising:
            return stems
        for one in rising:
            level[one] += 1


def _folded(stem: Path) -> str:
    return str(stem).casefold()  # some file systems take talk and Talk for one name


def _namers(inputs: Sequence[Input], folder: Path | None) -> list[_Namer]:
    """From the plainest name to one that is certainly its own."""
    common = _common_folder(inputs)

    def place(one: Input) -> Path:
        if one.path is None:
            return folder or Path()
        if folder is None:
            return one.path.parent
        return folder / _below(one.path.parent, one.root or one.path.parent)

    def without_suffix(one: Input) -> Path:
        return place(one) / (one.path.stem if one.path else _STDIN_STEM)

    def with_suffix(one: Input) -> Path:
        return place(one) / (one.path.name if one.path else _STDIN_STEM)

    def with_folders(one: Input) -> Path:
        if one.path is None or folder is None:
            return with_suffix(one)
        return folder / _below(_absolute(one.path.parent), common) / one.path.name

    def with_digest(one: Input) -> Path:
        where = os.fsencode(_absolute(one.path or Path(one.name)))
        plain = with_suffix(one)
        return plain.with_name(f"{plain.name}-{hashlib.sha256(where).hexdigest()[:8]}")

    return [without_suffix, with_suffix, with_folders, with_digest]


def _first_level(one: Input, suffixes: Sequence[str], siblings: dict[Path, Counter[str]]) -> int:
    """1 keeps the suffix: another recording differs in nothing else, or it would be overwritten."""
    if one.path is None:
        return 0
    if one.path.suffix.lower() in suffixes:
        return 1
    folder = one.path.parent
    if folder not in siblings:
        siblings[folder] = _media_stems(folder)
    return int(siblings[folder][one.path.stem.casefold()] > int(is_media(one.path.name)))


def _media_stems(folder: Path) -> Counter[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return Counter()
    return Counter(os.path.splitext(name)[0].casefold() for name in names if is_media(name))


def _common_folder(inputs: Sequence[Input]) -> Path:
    folders = [_absolute(one.path.parent) for one in inputs if one.path is not None]
    return Path(os.path.commonpath(folders)) if folders else Path()


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _below(path: Path, root: Path) -> Path:
    """``path`` relative to ``root``; nothing when it lies elsewhere."""
    try:
        return path.relative_to(root)
    except ValueError:
        return Path()
