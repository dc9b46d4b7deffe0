"""The manifest: one JSON object a line, one recording each.

Fields: ``file`` (relative to the manifest), ``language`` (a BCP 47 tag, ``zxx`` for no speech,
``mul`` or ``und`` for unknown), ``text`` (the reference; null or absent when there is none: the
clip counts for speed only; "" says that nothing is spoken), ``duration_s`` (optional). Other fields
are kept by whoever needs them and ignored here.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingting.errors import LanguageUnknown, ManifestInvalid
from lingting.languages import parse_language

NO_SPEECH = "zxx"
_NO_LANGUAGE = frozenset({NO_SPEECH, "mul", "und", "mis"})


@dataclass(frozen=True, slots=True)
class Row:
    """One recording of the manifest."""

    file: str
    """As written in the manifest; the clip's id in reports."""
    path: Path
    language: str
    """The full tag, ``zh-x-sichuan`` and not ``zh``."""
    text: str | None
    """The reference; None when there is none, "" when nothing is spoken."""
    duration_s: float | None
    line: int

    @property
    def is_scored(self) -> bool:
        return bool(self.text)

    @property
    def is_silent(self) -> bool:
        """Nothing is spoken here, so any text is an error."""
        return self.text == ""

    @property
    def engine_language(self) -> str | None:
        """The code to give an engine; None for ``zxx``, ``mul`` and the like."""
        return None if self.language in _NO_LANGUAGE else parse_language(self.language)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All rows, and the digest that names them in a report."""

    rows: tuple[Row, ...]
    sha256: str


def read_manifest(path: Path, *, limit: int | None = None) -> Manifest:
    """Read and check a manifest; ``limit`` keeps its first rows only.

    The digest is that of the manifest's bytes. Raises :class:`ManifestInvalid` with the number of
    the first line that cannot be used.
    """
    try:
        data = path.read_bytes()
        lines = data.decode("utf-8-sig").splitlines()
    except OSError as exc:
        raise ManifestInvalid(
            f"The manifest cannot be read: {exc.strerror}.", "Check the path."
        ) from exc
    except UnicodeDecodeError as exc:
        raise ManifestInvalid("The manifest is not UTF-8.", "Save it as UTF-8.") from exc
    rows = tuple(_rows(lines, path.parent))
    if not rows:
        raise ManifestInvalid("The manifest has no rows.", "Give one JSON object a line.")
    return Manifest(rows[:limit], hashlib.sha256(data).hexdigest())


def _rows(lines: list[str], folder: Path) -> Iterator[Row]:
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = _row(_object(line, number), number, folder)
        if row.file in seen:
            raise _invalid(number, f"names the same file as line {seen[row.file]}")
        seen[row.file] = number
        yield row


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as exc:
        raise _invalid(number, "is not JSON") from exc
    if not isinstance(value, dict):
        raise _invalid(number, "is not a JSON object")
    return value


def _row(value: dict[str, Any], number: int, folder: Path) -> Row:
    file = value.get("file")
    if not isinstance(file, str) or not file:
        raise _invalid(number, "has no file")
    path = folder / file
    if not path.is_file():
        raise _invalid(number, "names a file that does not exist")
    text = value.get("text")
    if text is not None and not isinstance(text, str):
        raise _invalid(number, "has a text that is neither a string nor null")
    return Row(file, path, _tag(value, number), text, _duration_s(value, number), number)


def _tag(value: dict[str, Any], number: int) -> str:
    tag = value.get("language")
    if not isinstance(tag, str) or not tag:
        raise _invalid(number, "has no language")
    if tag not in _NO_LANGUAGE:
        try:
            known = parse_language(tag)
        except LanguageUnknown as exc:
            raise _invalid(number, f"has a language that is not known: {tag[:40]!r}") from exc
        if known is None:
            raise _invalid(number, "has no language")
    return tag


def _duration_s(value: dict[str, Any], number: int) -> float | None:
    duration_s = value.get("duration_s")
    if duration_s is None:
        return None
    if isinstance(duration_s, bool) or not isinstance(duration_s, int | float):
        raise _invalid(number, "has a duration_s that is no number")
    if not math.isfinite(duration_s) or duration_s < 0:
        raise _invalid(number, f"has a duration_s of {duration_s}; 0 or more is allowed")
    return float(duration_s)


def _invalid(number: int, what: str) -> ManifestInvalid:
    return ManifestInvalid(f"Line {number} of the manifest {what}.", "Mend that line.")
