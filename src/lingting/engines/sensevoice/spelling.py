"""Tokens of SenseVoice and the text they spell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingting.engines.neural.tensors import invalid
from lingting.engines.sensevoice.labels import tag_of

_SPACE = "▁"  # how sentencepiece writes a space


@dataclass(frozen=True, slots=True)
class Spelt:
    """A text, and what each token put into it."""

    text: str
    ends: tuple[int, ...]
    """Where each token ends in the text."""


class Spelling:
    """The sentence-piece model of a checkpoint."""

    def __init__(self, path: Path) -> None:
        """Raises WeightsInvalid when the file is absent or no such model."""
        import sentencepiece

        try:
            serialized = path.read_bytes()
            self._pieces: Any = sentencepiece.SentencePieceProcessor(model_proto=serialized)
        except OSError as exc:
            raise invalid(path, "it cannot be read") from exc
        except RuntimeError as exc:
            raise invalid(path, "it is no sentence-piece model") from exc

    def __len__(self) -> int:
        return int(self._pieces.get_piece_size())

    def tag(self, token: int) -> str | None:
        """``zh`` for the token ``<|zh|>``, None for one that spells text."""
        return tag_of(self._pieces.id_to_piece(token))

    def token(self, tag: str) -> int | None:
        """The token of ``<|tag|>``; None where this vocabulary has none."""
        piece = f"<|{tag}|>"
        token = int(self._pieces.piece_to_id(piece))
        return token if self._pieces.id_to_piece(token) == piece else None

    def spell(self, tokens: Sequence[int]) -> Spelt:
        """The text of tokens that are no tags; the space in front of it is left away."""
        text = b""
        ends: list[int] = []
        for token in tokens:
            text += self._bytes_of(token, is_first=not text)
            ends.append(len(text.decode("utf-8", "ignore")))
        whole = text.decode("utf-8", "replace")
        trimmed = whole.rstrip()
        return Spelt(trimmed, tuple(min(end, len(trimmed)) for end in ends))

    def _bytes_of(self, token: int, is_first: bool) -> bytes:
        if self._pieces.is_control(token) or self._pieces.is_unknown(token):
            return b""
        piece: str = self._pieces.id_to_piece(token)
        if self._pieces.is_byte(token):  # <0xE4>, a third of a rare character
            return bytes([int(piece[3:5], 16)])
        text = piece.replace(_SPACE, " ")
        return (text.lstrip() if is_first else text).encode("utf-8")
