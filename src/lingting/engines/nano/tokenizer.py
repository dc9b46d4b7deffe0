"""Qwen's byte-level tokenizer, as published in ``tokenizer.json``; nothing of it is code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from lingting.engines.neural.tensors import invalid

FILE = "tokenizer.json"
_TURN, _END, _END_OF_TEXT = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
_PROBE = "语音转写成中文，不进行文本规整："


class QwenTokenizer:
    """Text to token ids and back. The chat markers in a text become their own tokens."""

    def __init__(self, folder: Path, *, rows: int | None = None) -> None:
        """``rows`` of the embedding: no token may lie outside it.

        Raises WeightsInvalid when the file is missing, damaged, or belongs to another model.
        """
        path = folder / FILE
        if not path.is_file():
            raise invalid(path, "it is missing")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as exc:  # the library raises nothing narrower
            raise invalid(path, "it cannot be read") from exc
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._check(path, rows)
        self.eos_ids: frozenset[int] = frozenset(
            found
            for found in map(self._tokenizer.token_to_id, (_END, _END_OF_TEXT))
            if found is not None
        )
        """A turn ends with either of them."""

    def encode(self, text: str) -> list[int]:
        """Token ids, nothing added at either end."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens; markers are left out, broken characters become U+FFFD."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def ends(self, ids: Sequence[int], text: str) -> list[int] | None:
        """Where each token ends in ``text``, their text without outer space; None for another text.

        A token that ends inside a character ends before it.
        """
        whole = self.decode(ids)
        leading = len(whole) - len(whole.lstrip())
        if whole.strip() != text:
            return None
        written = (self.decode(ids[:count]) for count in range(1, len(ids) + 1))
        lengths = (len(part.rstrip("\ufffd")) - leading for part in written)
        return [min(max(0, length), len(text)) for length in lengths]

    def __len__(self) -> int:
        """One more than the highest token id."""
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        return max(vocabulary.values(), default=-1) + 1

    def _check(self, path: Path, rows: int | None) -> None:
        """Another model's tokenizer would load as well and give nonsense; ask it a few things."""
        for marker in (_TURN, _END):
            if self.encode(marker) != [self._tokenizer.token_to_id(marker)]:
                raise invalid(path, f"it does not know the chat marker {marker}")
        if rows is not None and len(self) > rows:
            raise invalid(path, f"it has {len(self)} tokens for {rows} rows of the embedding")
        if self.decode(self.encode(_PROBE)) != _PROBE:
            raise invalid(path, "it does not give Chinese text back unchanged")
