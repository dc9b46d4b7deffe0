"""Marks for engines that write none, such as Paraformer: FunASR's ``punc_model``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from lingting.engines.base import Clip, Engine, EngineFacts, Hypothesis
from lingting.engines.piece_times import words_of_pieces
from lingting.errors import EngineFailed


class Marker(Protocol):
    """What ct-punc is here (:class:`lingting.engines.funasr.Punctuator`)."""

    def punctuate(self, text: str) -> str:
        """The same words with marks. Raises EngineFailed."""
        ...

    def close(self) -> None: ...


class PunctuatedEngine:
    """The engine inside, its texts with marks. Words keep their times and get the marks."""

    def __init__(self, engine: Engine, marker: Marker) -> None:
        self._engine = engine
        self._marker = marker

    @property
    def facts(self) -> EngineFacts:
        return self._engine.facts

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """One hypothesis per clip, in order."""
        found = self._engine.recognize(clips)
        return [self._marked(one, clip.duration_s) for one, clip in zip(found, clips, strict=True)]

    def close(self) -> None:
        self._engine.close()
        self._marker.close()

    def _marked(self, heard: Hypothesis, duration_s: float) -> Hypothesis:
        if not heard.text:
            return heard
        try:
            text = self._marker.punctuate(heard.text)
        except EngineFailed:
            return replace(heard, notes=(*heard.notes, "punctuation.failed"))
        if not heard.words:
            return replace(heard, text=text)
        pieces = [(word.text, word.start_s, word.end_s) for word in heard.words]
        words = words_of_pieces(text, pieces, duration_s)
        if not words:  # its words cannot be found in it again: the times count for more
            return replace(heard, notes=(*heard.notes, "punctuation.failed"))
        return replace(heard, text=text, words=words)
