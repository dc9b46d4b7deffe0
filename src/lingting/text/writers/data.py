"""JSON and CSV: the transcript for other programs.

JSON is :meth:`Transcript.as_dict`, schema and all, in the order of its fields; it reads back to an
equal transcript. CSV is RFC 4180 with a byte order mark, because Excel takes a file without one for
the system's old code page and shows Chinese as rubbish; other readers know the mark. A cell that a
spreadsheet would run as a formula gets an apostrophe in front (OWASP, "CSV Injection").
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import IO

from lingting.text.writers.options import WriteOptions, encode
from lingting.transcript import Segment, Transcript

COLUMNS = ("start_s", "end_s", "speaker", "channel", "language", "text", "confidence", "error")
_BOM = "\ufeff"
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")


def write_json(transcript: Transcript, options: WriteOptions) -> bytes:
    """One JSON object; words are in it whether asked for or not."""
    del options
    return encode(json.dumps(transcript.as_dict(), ensure_ascii=False, indent=2) + "\n")


def write_csv(transcript: Transcript, options: WriteOptions) -> bytes:
    """One row per segment under :data:`COLUMNS`; failed ones have the error's code."""
    del options
    sheet = io.BytesIO()
    write_table(sheet, COLUMNS, map(_row, transcript.segments))
    return sheet.getvalue()


def write_table(
    file: IO[bytes], columns: Sequence[str], rows: Iterable[Sequence[str | float | None]]
) -> None:
    """A sheet with these columns; None is an empty cell."""
    file.write(encode(_BOM))
    line = io.StringIO()
    sheet = csv.writer(line, lineterminator="\r\n")
    for row in chain((columns,), rows):
        sheet.writerow([_cell(one) if isinstance(one, str) else one for one in row])
        file.write(encode(line.getvalue()))
        line.seek(0)
        line.truncate()


def _row(segment: Segment) -> tuple[str, ...]:
    return (
        f"{segment.start_s:.3f}",
        f"{segment.end_s:.3f}",
        segment.speaker or "",
        "" if segment.channel is None else str(segment.channel),
        segment.language or "",
        segment.text,
        "" if segment.confidence is None else f"{segment.confidence:.4f}",
        segment.failure.code if segment.failure else "",
    )


def _cell(text: str) -> str:
    text = text.replace("\x00", "")
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
