"""The form of a transcription: one file, and fields before or behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from lingting.server.openai.fields import FORMATS, Fields
from lingting.server.uploads import Part

_FILES = frozenset({"file", "file[]"})
_TEXTS = {"type": "array", "items": {"type": "string"}}
_COMMON: dict[str, Any] = {
    "file": {"type": "string", "format": "binary"},
    "model": {"type": "string", "example": "whisper-1"},
    "prompt": {"type": "string"},
    "temperature": {"type": "number", "minimum": 0, "maximum": 1},
}
_FIELDS: dict[str, Any] = {
    **_COMMON,
    "response_format": {"enum": list(FORMATS), "default": "json"},
    "language": {"type": "string", "example": "zh"},
    "languages[]": _TEXTS,
    "keywords[]": _TEXTS,
    "timestamp_granularities[]": {"type": "array", "items": {"enum": ["word", "segment"]}},
    "stream": {"type": "boolean"},
    "chunking_strategy": {"type": "string", "example": "auto"},
    "hotwords": {"type": "string", "description": "One a line, or joined by commas."},
    "glossary": {"type": "string"},
    "itn": {"type": "boolean"},
    "script": {"enum": ["simplified", "traditional", "as-is"]},
    "channels": {"enum": ["mix", "split"]},
    "beam_size": {"type": "integer", "minimum": 1, "maximum": 20},
    "store": {"type": "boolean", "default": True},
}


def _body(fields: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": ["file", "model"], "properties": fields}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


TRANSCRIPTION_FORM = _body(_FIELDS)
TRANSLATION_FORM = _body({**_COMMON, "response_format": {"enum": list(FORMATS[:-1])}})


async def file_of(parts: AsyncGenerator[Part], fields: Fields) -> Part | None:
    """The next file, whose content is still to be read, and all fields before it."""
    async for part in parts:
        if part.name in _FILES:
            return part
        if part.filename is None:  # a file nobody asked for is skipped
            fields.add(part.name, await part.text())
    return None
