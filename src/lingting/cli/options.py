"""Options that several commands have, each said once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Script(StrEnum):
    simplified = "simplified"
    traditional = "traditional"
    as_is = "as-is"


class Channels(StrEnum):
    mix = "mix"
    each = "split"  # str has a method split


# Of every command ------------------------------------------------------------------------------

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors on stderr.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Tracebacks of faults.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")]

# Of finding recordings -------------------------------------------------------------------------

Since = Annotated[
    str | None, typer.Option("--since", metavar="DATE", help="Kept then or later: 2026-11-01.")
]
Until = Annotated[str | None, typer.Option("--until", metavar="DATE", help="Kept before then.")]
Tag = Annotated[str | None, typer.Option("--tag", help="Recordings with this tag.")]
Owner = Annotated[str | None, typer.Option("--owner", help="Recordings of this user.")]
Department = Annotated[
    str | None, typer.Option("--department", help="Recordings of this department.")
]
MinLength = Annotated[
    float | None, typer.Option("--min-length", metavar="SECONDS", min=0, help="Not shorter.")
]
MaxLength = Annotated[
    float | None, typer.Option("--max-length", metavar="SECONDS", min=0, help="Not longer.")
]

# Of recognising --------------------------------------------------------------------------------

Language = Annotated[
    str | None,
    typer.Option("--language", "-l", help="zh, English, 粤语 …; detected when it is left out."),
]
Words = Annotated[bool, typer.Option("--words", help="Time every word.")]
Itn = Annotated[bool, typer.Option("--itn/--no-itn", help="Write spoken numbers as digits.")]
ScriptOption = Annotated[Script, typer.Option("--script", help="How Chinese is written.")]
Hotwords = Annotated[
    list[str] | None, typer.Option("--hotword", help="A name or term to expect; repeatable.")
]
HotwordsFile = Annotated[
    Path | None, typer.Option("--hotwords-file", help="The same, one a line, UTF-8.")
]
Prompt = Annotated[
    str | None, typer.Option("--prompt", help="What the recording is about, in its language.")
]
ChannelsOption = Annotated[
    Channels, typer.Option("--channels", help="split: each channel by itself, for calls.")
]
Translate = Annotated[
    bool,
    typer.Option("--translate", help="Write English, whatever is spoken; Whisper can."),
]
BeamSize = Annotated[
    int | None,
    typer.Option(
        "--beam-size", min=1, max=20, help="Search width; 1 is the fastest and hears nothing twice."
    ),
]
Recursive = Annotated[
    bool, typer.Option("--recursive/--no-recursive", help="Search folders inside folders.")
]
