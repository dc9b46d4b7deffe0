"""Transcript to a file's bytes: plain text, subtitles, data, documents.

>>> data = write(transcript, "srt")
>>> save(Path("talk.srt"), data)

Every writer is a pure function of the transcript and its options: the same input gives the same
bytes. Text is UTF-8 and ends with a line feed; the formats' own rules are in their modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lingting.errors import OptionInvalid
from lingting.text.subtitles import WrittenWords
from lingting.text.writers import captions, data, document, markdown, plain
from lingting.text.writers.files import save
from lingting.text.writers.options import WriteOptions
from lingting.transcript import Transcript

__all__ = ["FORMATS", "Format", "parse_format", "save", "write"]


@dataclass(frozen=True, slots=True)
class Format:
    """One output format; ``has_words`` when it has a place for word times."""

    name: str
    suffix: str
    mime: str
    has_words: bool
    writer: Callable[[Transcript, WriteOptions], bytes]


_DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format("txt", ".txt", "text/plain; charset=utf-8", False, plain.write_txt),
        Format("srt", ".srt", "application/x-subrip; charset=utf-8", False, captions.write_srt),
        Format("vtt", ".vtt", "text/vtt; charset=utf-8", True, captions.write_vtt),
        Format("json", ".json", "application/json", True, data.write_json),
        Format("csv", ".csv", "text/csv; charset=utf-8", False, data.write_csv),
        Format("md", ".md", "text/markdown; charset=utf-8", False, markdown.write_md),
        Format("docx", ".docx", _DOCX, False, document.write_docx),
    )
}


def parse_format(name: str) -> Format:
    """``SRT`` or ``.srt`` → the format. Raises :class:`OptionInvalid` for another name."""
    found = FORMATS.get(name.strip().removeprefix(".").lower())
    if found is None:
        raise OptionInvalid(
            f"The format is {name[:20]!r}; allowed are {', '.join(FORMATS)}.",
            "Choose one of these formats.",
        )
    return found


def write(
    transcript: Transcript,
    format: str,
    *,
    words: bool = False,
    title: str | None = None,
    written_words: WrittenWords | None = None,
) -> bytes:
    """The bytes of ``transcript`` as ``format``, one of :data:`FORMATS`.

    ``words`` asks for word times: VTT gets inline timestamps, JSON has them in any case, the other
    formats have no place for them and are the same with and without. ``title`` heads md and docx.
    ``written_words`` gives subtitles the times of the written words of a segment.
    """
    options = WriteOptions(words=words, title=title, written_words=written_words)
    return parse_format(format).writer(transcript, options)
