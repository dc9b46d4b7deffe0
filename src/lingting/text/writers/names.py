"""Names of files that are written for somebody, made of names that somebody gave."""

from __future__ import annotations

from pathlib import Path

_MAX_NAME_CHARS = 80


def file_name(name: str) -> tuple[str, str]:
    """Stem and suffix fit for any folder: no separators, no control characters, not too long.

    ``../a\\nb.mp3`` → ``("a_b", ".mp3")``
    """
    base = Path(name.replace("\\", "/").replace("\0", "")).name
    clean = "".join(char if char.isprintable() else "_" for char in base).strip(". ")
    path = Path(clean or "recording")
    return path.stem[:_MAX_NAME_CHARS], path.suffix[:10]
