"""Lingting 聆听: speech to text on your own machines.

::

    import lingting

    transcript = lingting.transcribe("lecture.mp3", language="zh")
    print(transcript.text)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lingting.transcript import Segment, Span, Transcript, Word

if TYPE_CHECKING:
    from lingting.api import AutoModel, load, transcribe
    from lingting.client import Client

__version__ = "0.1.0"

__all__ = ["AutoModel", "Client", "Segment", "Span", "Transcript", "Word", "load", "transcribe"]

_LAZY = frozenset({"AutoModel", "load", "transcribe"})


def __getattr__(name: str) -> Any:
    """The parts that need numpy and the models' libraries are imported on first use."""
    if name in _LAZY:
        from lingting import api

        return getattr(api, name)
    if name == "Client":
        from lingting.client import Client

        return Client
    raise AttributeError(f"module 'lingting' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY, "Client"])
