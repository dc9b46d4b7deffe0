"""Transcripts as resources: plain text with times, read without a tool."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lingting.errors import RecordingNotFound
from lingting.mcp.shapes import MAX_NAME_CHARS, ReadTranscript
from lingting.mcp.tools import read_transcript

if TYPE_CHECKING:
    from lingting.answers import RecordingPage
    from lingting.mcp.tools import Asker

TEMPLATE = "lingting://transcripts/{recording_id}"
MAX_CHARS = 100_000
LISTED = 50
_ADDRESS = re.compile(r"lingting://transcripts/([0-9A-Za-z]{1,40})")


def address_of(recording_id: str) -> str:
    return TEMPLATE.format(recording_id=recording_id)


async def listed(asker: Asker, after: str | None) -> RecordingPage:
    """A page of the recordings that may have a transcript."""
    return await asker.ask(lambda client: client.recordings(limit=LISTED, after=after))


async def text_of(asker: Asker, address: str) -> str:
    """At most about ``MAX_CHARS``; then it says how to go on. Raises RecordingNotFound."""
    matched = _ADDRESS.fullmatch(address)
    if matched is None:
        raise RecordingNotFound("This address is none of a transcript.", f"They are {TEMPLATE}.")
    lines: list[str] = []
    chars, start, revision = 0, 0, None
    while True:
        page = await read_transcript(
            asker,
            ReadTranscript(recording_id=matched[1], start=start, limit=200, revision=revision),
        )
        for one in page.segments:
            speaker = f"{one.speaker[:MAX_NAME_CHARS]}: " if one.speaker else ""
            lines.append(f"[{_clock(one.start_s)}] {speaker}{one.text}")
            chars += len(lines[-1]) + 1
        if page.next is None:
            break
        start, revision = page.next, page.revision
        if chars > MAX_CHARS:
            lines.append(
                f"… {page.total - start} more segments: read_transcript, start={start}, "
                f"revision={revision}."
            )
            break
    return "\n".join(lines)


def _clock(at_s: float) -> str:
    whole = int(at_s)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
