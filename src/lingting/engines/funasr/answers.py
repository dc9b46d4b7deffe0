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
    units = [str(one) for one in item.get("words") or plain.split()]
    # Only Paraformer's own spacing is undone: its units are whole words or single characters.
    text = plain if languages else join(plain.split())
    duration_s = len(samples) / SAMPLE_RATE_HZ
    timed = _timed(text, units, _pairs_ms(item.get("timestamp")), duration_s) if words else ()
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
    duration_s = len(samples) / SAMPLE_RATE_HZ
    return tuple(
        _word(unit.text, begin, end, duration_s)
        for unit, (begin, end) in zip(units, times, strict=True)
    )


def _word(text: str, begin_s: float, end_s: float, duration_s: float) -> Word:
    """Milliseconds are enough, and rounding must not leave the clip."""
    return Word(text, min(round(begin_s, 3), duration_s), min(round(end_s, 3), duration_s))


def _timed(
    text: str, units: Sequence[str], times_ms: Sequence[tuple[float, float]], duration_s: float
) -> tuple[Word, ...]:
    """The words of ``text`` with the times of the units that spell them.

    () when there is not one time for each unit, or the units spell another text. Times are put in
    order and inside the clip.
    """
    spelt = [unit.replace("▁", "").strip() for unit in units]
    if len(times_ms) != len(spelt) or "".join(spelt) != "".join(text.split()):
        return ()
    begins = [begin for unit, (begin, _) in zip(spelt, times_ms, strict=True) for _ in unit]
    ends = [end for unit, (_, end) in zip(spelt, times_ms, strict=True) for _ in unit]
    words: list[Word] = []
    at, last = 0, 0.0
    for word in word_units(text):
        letters = len("".join(word.text.split()))
        begin = min(max(begins[at] / 1000, last), duration_s)
        last = min(max(ends[at + letters - 1] / 1000, begin), duration_s)
        words.append(_word(word.text, begin, last, duration_s))
        at += letters
    return tuple(words)


def _pairs_ms(times: Any) -> list[tuple[float, float]]:
    if not isinstance(times, list | tuple):
        return []
    try:
        return [(float(begin), float(end)) for begin, end in times]
    except (TypeError, ValueError):
        return []
