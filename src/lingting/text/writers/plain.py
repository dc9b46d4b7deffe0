"""Plain text: one line per segment, with the speaker in front where he changes."""

from __future__ import annotations

from lingting.text.breaking import clean, is_wide
from lingting.text.writers.options import WriteOptions, encode
from lingting.transcript import Transcript


def write_txt(transcript: Transcript, options: WriteOptions) -> bytes:
    """Segments without text leave no line; an empty transcript is an empty file."""
    del options  # plain text has no title and no times
    lines: list[str] = []
    last_speaker: str | None = None
    for segment in transcript.segments:
        text = clean(segment.text)
        if not text:
            continue
        if segment.speaker and segment.speaker != last_speaker:
            name = clean(segment.speaker)
            text = f"{name}：{text}" if is_wide(name[-1:] or "a") else f"{name}: {text}"
        last_speaker = segment.speaker
        lines.append(f"{text}\n")
    return encode("".join(lines))
