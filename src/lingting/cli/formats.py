"""The option that names forms of a transcript, for every command that writes some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        "-f",
        help="txt, srt, vtt, json, csv, md, docx; several with commas or repeated.",
    ),
]


def parse_formats(given: Sequence[str]) -> tuple[str, ...]:
    """``("srt,txt", "SRT")`` → ``("srt", "txt")``. Raises OptionInvalid."""
    from lingting.text.writers import parse_format

    names = [name for text in given for name in text.split(",") if name.strip()]
    return tuple(dict.fromkeys(parse_format(name).name for name in names))
