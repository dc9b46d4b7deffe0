"""What all writers are given besides the transcript, and how they make bytes of text."""

from __future__ import annotations

from dataclasses import dataclass

from lingting.text.subtitles import WrittenWords


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """See :func:`lingting.text.writers.write`."""

    words: bool = False
    title: str | None = None
    written_words: WrittenWords | None = None


def encode(text: str) -> bytes:
    """UTF-8; half a surrogate pair, which UTF-8 cannot hold, becomes a question mark."""
    return text.encode("utf-8", "replace")


def clock(time_s: float) -> str:
    """``01:02:03`` from seconds, cut down to the whole second."""
    minutes, seconds = divmod(int(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}"
