"""What the toolkit's models answer, as our hypotheses.

SenseVoice writes language, emotion and events as tags into its text; they become fields.
Paraformer writes its times beside a text that has a space between all characters; the text is
joined again and each of its units gets its time. Where a model gives no times, or other numbers of
times and units, words are spread over what is loud in the clip, and say so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lingting.engines.base import SAMPLE_RATE_HZ
from lingting.engines.piece_times import spread_words, words_of_pieces
from lingting.engines.sensevoice.labels import read_labels
from lingting.joining import join
from lingting.transcript import Word

_TAG = re.compile(r"<\|([^|<>]*)\|>")


@dataclass(frozen=True, slots=True)
class Answer:
    """One clip's answer in plain values."""

    text: str
    language: str | None = None
    emotion: str | None = None
    events: tuple[str, ...] = ()
    words: tuple[Word, ...] = ()
    words_source: str | None = None
    is_blank: bool = False
    """The model said nothing at all, not even a tag."""


BLANK = Answer("", is_blank=True)


def parse(
    item: Mapping[str, Any], languages: frozenset[str], samples: NDArray[np.float32], words: bool
) -> Answer:
    """An entry of the toolkit's list. ``languages`` are the codes it tags."""
    raw = str(item["text"])
    tags = _TAG.findall(raw)
    labels = read_labels(tags)
    plain = _TAG.sub("", raw).strip()
    units = [str(one) for one in item.get("words") or plain.split()]
    # Only Paraformer's own spacing is undone: its units are whole words or single characters.
    text = plain if languages else join(plain.split())
    duration_s = len(samples) / SAMPLE_RATE_HZ
    pairs = _pairs_ms(item.get("timestamp"))
    timed: tuple[Word, ...] = ()
    if words and len(pairs) == len(units):
        pieces = [
            (unit, begin / 1000, end / 1000)
            for unit, (begin, end) in zip(units, pairs, strict=True)
        ]
        timed = words_of_pieces(text, pieces, duration_s)
    source = "toolkit" if timed else None
    if words and text and not timed:
        timed, source = spread_words(text, samples), "spread"
    return Answer(
        text=text,
        language=labels.language if labels.language in languages else None,
        emotion=labels.emotion,
        events=labels.events,
        words=timed,
        words_source=source if timed else None,
        is_blank=not raw.strip(),
    )


def _pairs_ms(times: Any) -> list[tuple[float, float]]:
    if not isinstance(times, list | tuple):
        return []
    try:
        return [(float(begin), float(end)) for begin, end in times]
    except (TypeError, ValueError):
        return []
