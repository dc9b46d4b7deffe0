"""Whisper's vocabulary: prompts in, text and words out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lingting.errors import WeightsInvalid
from lingting.text.units import joins_previous, split_unspaced

_REPLACEMENT = "�"  # what incomplete UTF-8 decodes to


@dataclass(frozen=True, slots=True)
class Piece:
    """A word, or one character of an unspaced script, and the tokens that spell it."""

    text: str
    first: int
    last: int
    """Tokens ``first .. last - 1`` of the sequence."""


class WhisperTokens:
    """Reads ``tokenizer.json`` of a multilingual Whisper checkpoint."""

    def __init__(self, file: Path) -> None:
        import tokenizers

        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(file))
        except Exception as exc:  # the library raises bare Exception
            raise WeightsInvalid("The model's tokenizer.json cannot be read.") from exc
        self.start = self._id("<|startoftranscript|>")
        self.end = self._id("<|endoftext|>")
        self._previous = self._id("<|startofprev|>")
        self._no_times = self._id("<|notimestamps|>")
        self._transcribe = self._id("<|transcribe|>")
        self._translate = self._id("<|translate|>")

    def _id(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise WeightsInvalid(f"The model's tokenizer.json has no {token}: it is no Whisper.")
        return int(found)

    @cached_property
    def languages(self) -> frozenset[str]:
        """Codes as Whisper spells them, among them ``jw`` and ``tl``."""
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        codes = (token[2:-2] for token in vocabulary if token.startswith("<|"))
        return frozenset(code for code in codes if 2 <= len(code) <= 3 and code.isalpha())

    def start_sequence(self, language: str, *, translate: bool = False) -> list[int]:
        """What every transcript begins with: start, language, task."""
        task = self._translate if translate else self._transcribe
        return [self.start, self._id(f"<|{language}|>"), task]

    def prompt(self, language: str, context: str, *, translate: bool = False) -> list[int]:
        """The whole prompt for text without time tokens; ``context`` may be empty."""
        before: list[int] = []
        if context:
            ids = self._tokenizer.encode(" " + context.strip(), add_special_tokens=False).ids
            before = [self._previous, *ids[-223:]]  # half of the text window, as the original
        return [*before, *self.start_sequence(language, translate=translate), self._no_times]

    def text(self, ids: Sequence[int]) -> str:
        """Text of the ordinary tokens; a character cut in half at the end is dropped."""
        ordinary = [token for token in ids if token < self.end]
        text = str(self._tokenizer.decode(ordinary, skip_special_tokens=True))
        return text.rstrip(_REPLACEMENT).strip()

    def words(self, ids: Sequence[int]) -> list[Piece]:
        """Split into words at spaces, and into characters where a script has no spaces.

        Punctuation joins the word before it (an opening mark the word after it). The pieces stand
        in the text in order, and nothing but white space is between them; a mark set off by a
        space, as in ``Ça va ?``, keeps that space inside its piece.
        """
        pieces: list[Piece] = []
        space = ""
        for text, first, last in self._characters(ids):
            bare = text.strip()
            space += text[: len(text) - len(text.lstrip())]
            if not bare:
                continue
            if pieces and joins_previous(pieces[-1].text, bare, space):
                held = pieces[-1]
                pieces[-1] = Piece(held.text + space + bare, held.first, last)
            else:
                pieces.append(Piece(bare, first, last))
            space = text[len(text.rstrip()) :]
        return pieces

    def _characters(self, ids: Sequence[int]) -> list[tuple[str, int, int]]:
        """Shortest runs of tokens that decode to whole characters: (text, first, last)."""
        runs: list[tuple[str, int, int]] = []
        first = 0
        for last in range(1, len(ids) + 1):
            text = self._tokenizer.decode(list(ids[first:last]), skip_special_tokens=True)
            if _REPLACEMENT in text and last < len(ids):
                continue
            runs.extend(_split(text.replace(_REPLACEMENT, ""), first, last))
            first = last
        return runs


def _split(text: str, first: int, last: int) -> list[tuple[str, int, int]]:
    """A token such as 语音 holds several characters; all of them take its tokens."""
    return [(part, first, last) for part in split_unspaced(text)]
