"""What SenseVoice is asked, and what its tags say: language, emotion, sound events.

Four rows in front of the features ask: which language, which event, which emotion, and whether
numbers and punctuation are to be written. The model answers in tags such as ``<|zh|>`` at the
start of its output, and wherever something changes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lingting.errors import LanguageUnsupported
from lingting.languages import LANGUAGES, macro_language

# Rows of the query embedding, as the model was trained.
LANGUAGE_QUERIES = {"auto": 0, "zh": 3, "en": 4, "yue": 7, "ja": 11, "ko": 12, "nospeech": 13}
EVENT_QUERY, EMOTION_QUERY = 1, 2
WITH_ITN_QUERY, WITHOUT_ITN_QUERY = 14, 15
QUERIES = 16
QUERY_FRAMES = 4
"""Rows in front of the features, and so of the output."""

NO_SPEECH = "nospeech"
_SPOKEN = ("zh", "yue", "en", "ja", "ko")
LANGUAGES_KNOWN = frozenset(
    one.code for one in LANGUAGES if one.code in _SPOKEN or macro_language(one.code) == "zh"
)
"""Our codes that may be asked for, Chinese varieties among them."""

_TAG = re.compile(r"<\|(.*)\|>")
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
    "Breath": "breath",
    "Cough": "cough",
    "Sing": "singing",
    "Speech_Noise": "noise",
}


@dataclass(frozen=True, slots=True)
class Labels:
    """What the tags of one clip say."""

    language: str | None = None
    """A code, :data:`NO_SPEECH`, or None when the first tag is no language."""
    emotion: str | None = None
    events: tuple[str, ...] = ()


def tag_of(piece: str) -> str | None:
    """``<|zh|>`` → ``zh``; None for a piece of text."""
    match = _TAG.fullmatch(piece)
    return match[1] if match else None


def read_labels(tags: Sequence[str]) -> Labels:
    """The tags of a clip in order: its first language, its first emotion and every event."""
    languages = [tag for tag in tags if tag in LANGUAGE_QUERIES]
    emotions = [_EMOTIONS[tag] for tag in tags if tag in _EMOTIONS]
    return Labels(
        language=languages[0] if languages and tags[0] == languages[0] else None,
        emotion=emotions[0] if emotions else None,
        events=tuple(dict.fromkeys(_EVENTS[tag] for tag in tags if tag in _EVENTS)),
    )


def model_language(code: str | None, model: str) -> tuple[str, tuple[str, ...]]:
    """The model's name of a language, and a note where another one stands in.

    None is ``auto``. Chinese varieties are asked for as ``zh``. Raises LanguageUnsupported.
    """
    if code is None:
        return "auto", ()
    if code in LANGUAGE_QUERIES:
        return code, ()
    if code not in LANGUAGES_KNOWN:
        raise LanguageUnsupported(f"The model {model} does not know {code}.")
    return "zh", (f"language.{code}_as_zh",)


def queries(language: str, itn: bool) -> tuple[int, int, int, int]:
    """Rows of the query embedding that stand in front of a clip's features."""
    written = WITH_ITN_QUERY if itn else WITHOUT_ITN_QUERY
    return (LANGUAGE_QUERIES[language], EVENT_QUERY, EMOTION_QUERY, written)
