"""The public Python API: ``transcribe``, ``load`` and FunASR's call shape ``AutoModel``.

``lingting`` re-exports these on first use, so that importing the package stays fast.
"""

from __future__ import annotations

from lingting.api.automodel import AutoModel
from lingting.api.transcribing import load, transcribe

__all__ = ["AutoModel", "load", "transcribe"]
