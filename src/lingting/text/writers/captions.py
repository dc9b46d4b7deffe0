"""SubRip and WebVTT.

WebVTT follows the W3C recommendation: ``&``, ``<`` and ``>`` are escaped, which also takes care of
``-->``; speakers are voice spans; with ``words`` each piece after the first has its timestamp, for
players that show karaoke. SubRip has no standard and no escapes: ``-->`` becomes ``→`` because
parsers take it for a time line, speakers stand in front of the first cue of their turn. Cue text
never has an empty line, which would end the cue.
"""

from __future__ import annotations

from lingting.text.breaking import clean
from lingting.text.subtitles import Cue, Timed, cues
from lingting.text.writers.options import WriteOptions, encode
from lingting.transcript import Transcript


def write_srt(transcript: Transcript, options: WriteOptions) -> bytes:
    """Numbered cues, ``HH:MM:SS,mmm`` times."""
    found = cues(transcript, labels=True, written_words=options.written_words)
    blocks = []
    for number, cue in enumerate(found, 1):
        text = "\n".join(line.replace("-->", "→") for line in cue.lines)
        times = f"{_time(cue.start_ms, ',')} --> {_time(cue.end_ms, ',')}"
        blocks.append(f"{number}\n{times}\n{text}\n")
    return encode("\n".join(blocks))


def write_vtt(transcript: Transcript, options: WriteOptions) -> bytes:
    """A ``WEBVTT`` file, ``HH:MM:SS.mmm`` times."""
    blocks = ["WEBVTT\n"]
    for cue in cues(transcript, written_words=options.written_words):
        text = _words(cue) if options.words else "\n".join(map(_escaped, cue.lines))
        voice = f"<v {_escaped(clean(cue.speaker))}>" if cue.speaker else ""
        times = f"{_time(cue.start_ms, '.')} --> {_time(cue.end_ms, '.')}"
        blocks.append(f"{times}\n{voice}{text}\n")
    return encode("\n".join(blocks))


def _words(cue: Cue) -> str:
    """The cue's lines with timestamps, which must grow and lie inside the cue."""
    lines: list[str] = []
    last_ms = cue.start_ms
    for line in cue.pieces:
        text = ""
        for at, piece in enumerate(line):
            if at and piece.has_space:
                text += " "
            if last_ms < piece.start_ms < cue.end_ms and not _is_first(cue, piece):
                text += f"<{_time(piece.start_ms, '.')}>"
                last_ms = piece.start_ms
            text += _escaped(piece.text)
        lines.append(text)
    return "\n".join(lines)


def _is_first(cue: Cue, piece: Timed) -> bool:
    return piece is cue.pieces[0][0]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(time_ms: int, separator: str) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{separator}{milliseconds:03d}"
