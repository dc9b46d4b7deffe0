"""What the toolkit's models answer, as our hypotheses.

SenseVoice writes language, emotion and events as tags into its text; they become fields.
Paraformer writes its times beside a text that has a space between all characters; the text is
joined again and each of its units gets its time. Where a model gives no times, or other numbers of
times and units, words are spread over what is loud in the clip, and say so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lingting.engines.base import SAMPLE_RATE_HZ
from lingting.engines.neural.alignment import spread
from lingting.joining import join
from lingting.text.units import word_units
from lingting.transcript import Word

_TAG = re.compile(r"<\|([^|<>]*)\|>")
_EMOTIONS = {
    "HAPPY": "happy",
    "SAD": "sad",
    "ANGRY": "angry",
    "NEUTRAL": "neutral",
    "FEARFUL": "fearful",
    "DISGUSTED": "disgusted",
    "SURPRISED": "surprised",
}
_EVENTS = {
    "BGM": "music",
    "Applause": "applause",
    "Laughter": "laughter",
    "Cry": "crying",
    "Sneeze": "sneeze",
    "Cough": "cough",
    "Breath": "breath",
}


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
    plain = _TAG.sub("", raw).strip()
    times = item.get("timestamp")
    units = [str(one) for one in item.get("words") or plain.split()]
    # Only Paraformer's own spacing is undone: its units are whole words or single characters.
    text = plain if tags else join(plain.split())
    timed = _timed(units, times, len(samples) / SAMPLE_RATE_HZ) if words and text else ()
    source = "toolkit" if timed else None
    if words and text and not timed:
        timed, source = spread_words(text, samples), "spread"
    return Answer(
        text=text,
        language=next((tag for tag in tags if tag in languages), None),
        emotion=next((_EMOTIONS[tag] for tag in tags if tag in _EMOTIONS), None),
        events=tuple(dict.fromkeys(_EVENTS[tag] for tag in tags if tag in _EVENTS)),
        words=timed,
        words_source=source if timed else None,
        is_blank=not raw.strip(),
    )


def spread_words(text: str, samples: NDArray[np.float32]) -> tuple[Word, ...]:
    """Words of ``text`` over what is loud, each as long as it has characters."""
    units = word_units(text)
    times = spread([float(len(unit.text)) for unit in units], samples, SAMPLE_RATE_HZ)
    return tuple(
        Word(unit.text, round(begin, 3), round(end, 3))
        for unit, (begin, end) in zip(units, times, strict=True)
    )


def _timed(units: Sequence[str], times: Any, duration_s: float) -> tuple[Word, ...]:
    """Milliseconds per unit as words, in order and inside the clip; () when they do not match."""
    pairs = _pairs_ms(times)
    if not units or len(pairs) != len(units):
        return ()
    words: list[Word] = []
    last = 0.0
    for unit, (begin_ms, end_ms) in zip(units, pairs, strict=True):
        begin = min(max(begin_ms / 1000, last), duration_s)
        last = min(max(end_ms / 1000, begin), duration_s)
        words.append(Word(unit, round(begin, 3), round(last, 3)))
    return tuple(words)


def _pairs_ms(times: Any) -> list[tuple[float, float]]:
    if not isinstance(times, list | tuple):
        return []
    try:
        return [(float(begin), float(end)) for begin, end in times]
    except (TypeError, ValueError):
        return []
