"""Markdown (CommonMark with a pipe table): title, facts, paragraphs with their times."""

from __future__ import annotations

import re

from lingting.text.writers.options import WriteOptions, clock, encode
from lingting.text.writers.reading import Paragraph, facts, label, paragraphs, title
from lingting.transcript import Transcript

# CommonMark: a backslash before ASCII punctuation makes it literal.
_SPECIAL = re.compile(r"[\\`*_\[\]<>|#&~$]")


def write_md(transcript: Transcript, options: WriteOptions) -> bytes:
    """What was said is escaped: it never becomes markup."""
    blocks = [f"# {_escaped(title(transcript, options.title))}"]
    table = [f"| {label(transcript, 'fact')} | {label(transcript, 'value')} |", "| --- | --- |"]
    table += [f"| {name} | {_escaped(value)} |" for name, value in facts(transcript)]
    blocks.append("\n".join(table))
    blocks += [_block(transcript, paragraph) for paragraph in paragraphs(transcript)]
    return encode("\n\n".join(blocks) + "\n")


def _block(transcript: Transcript, paragraph: Paragraph) -> str:
    head = f"**{clock(paragraph.start_s)}**"
    if paragraph.speaker:
        head += f" **{_escaped(paragraph.speaker)}**"
    text = _escaped(paragraph.text) or f"*({label(transcript, 'unrecognised')})*"
    return f"{head} {text}"  # on the same line nothing can become a list or a heading


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)
