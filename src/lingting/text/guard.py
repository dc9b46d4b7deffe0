"""Does a hypothesis look like speech that was said, or like a decoder that lost its way?

Pure judgements on one clip's text and figures. What to do about a doubt is decided in
``engines.guarded``; here is only what makes text doubtful, and how a loop is cut back.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from lingting.joining import is_unspaced

_MAX_UNSPACED_PER_S = 14.0  # the fastest Mandarin newsreaders stay below 9 characters a second
_MAX_SPACED_PER_S = 38.0  # fast English is 25 letters a second
_RATE_SLACK_CHARS = 10  # short clips round badly
_FAINT = 0.22  # mean token probability below which text on non-speech lies, and little else
_HOPELESS = 0.10
_SURE_OF_SILENCE = 0.45
_UNSURE = 0.6
_WEAK_SPEECH = 0.68  # speech has 0.73 and more, even a single word
_FILLED_S = 3.0  # with more speech than this, an empty text is suspicious

# A phrase of so many units (characters, or words) may follow itself so often before it is a loop.
# People do say "no no no no" and 哈哈哈哈; nobody says a clause three times running.
_ALLOWED_REPEATS = ((1, 6), (2, 4), (4, 3))
_ALLOWED_REPEATS_LONG = 2
_LONGEST_PHRASE = 60
_NUMERALS = frozenset("零〇一二三四五六七八九幺0123456789")
_LONGEST_NUMBER = 11

_LEAK_UNITS = 6  # so many characters or words of the prompt in a row are no coincidence

# One alternative per kind of bracket, none of which can match what another one does: linear time.
_SOUND_NOTE = re.compile(r"[\[(（【][^\[\](（）)【】]*[\])）】]|\*[^*]*\*|♪[^♪]*♪")


@dataclass(frozen=True, slots=True)
class Heard:
    """What is judged: one clip's text and what is known about the clip."""

    text: str
    duration_s: float
    speech_s: float
    """Seconds of speech the detector found in it."""
    speech_score: float | None = None
    """The detector's mean probability of speech over that time."""
    confidence: float | None = None
    no_speech: float | None = None
    is_cut: bool = False
    prompt: str = ""
    """What the decoder was told came before."""


def doubts(heard: Heard) -> tuple[str, ...]:
    """Names of everything wrong with the text, empty when it looks sound.

    ``loop``: a phrase follows itself too often. ``twice``: the whole text is said two or more
    times. ``rate``: more characters than anyone can say in the time. ``cut``: the decoder hit its
    length limit. ``prompt``: it repeats what the decoder was told. ``faint``: so improbable that
    it is probably no speech. ``empty``: nothing, though there is speech.
    """
    found = []
    units = _units(heard.text)
    if find_loop(units) is not None:
        found.append("loop")
    if repeats_whole(units) > 1:
        found.append("twice")
    if _too_fast(heard):
        found.append("rate")
    if heard.is_cut:
        found.append("cut")
    if leaks(heard.prompt, heard.text):
        found.append("prompt")
    if heard.text and heard.confidence is not None and heard.confidence < _FAINT:
        found.append("faint")
    if not heard.text and heard.speech_s > _FILLED_S:
        found.append("empty")
    return tuple(found)


def is_looping(text: str) -> bool:
    """True where a phrase follows itself too often, or the whole text is said again."""
    units = _units(text)
    return find_loop(units) is not None or repeats_whole(units) > 1


def is_non_speech(heard: Heard, *, is_suspect: bool = False) -> bool:
    """True for text that a decoder writes on music, noise or silence.

    ``is_suspect``: another hearing of the clip was that already, so this one must be surer.
    """
    if not heard.text.strip():
        return False
    if _is_sound_note(heard.text):
        return True
    if heard.confidence is None:
        return False
    if heard.confidence < _HOPELESS:
        return True
    if heard.no_speech is None or heard.no_speech < _SURE_OF_SILENCE:
        return False
    # The decoder doubts that anybody speaks; whoever else doubts it settles the matter.
    is_weak = heard.speech_score is not None and heard.speech_score < _WEAK_SPEECH
    return heard.confidence < (_UNSURE if is_weak or is_suspect else _FAINT)


def _is_sound_note(text: str) -> bool:
    """Nothing but notes on sound: [Music], (applause), ♪ la la ♪."""
    rest, notes = _SOUND_NOTE.subn("", text)
    return notes > 0 and not any(char.isalnum() for char in rest)


def leaks(prompt: str, text: str) -> bool:
    """True when a good part of the prompt stands in the text word for word."""
    told, heard = _units(prompt), "\0".join(_units(text))
    for first in range(len(told) - _LEAK_UNITS + 1):
        if "\0".join(told[first : first + _LEAK_UNITS]) in heard:
            return True
    return False


def cut_loop(text: str) -> str:
    """The text with each loop said once; text without one is returned as it is."""
    for _ in range(8):  # several loops in one clip are rare, endless ones impossible
        spans = _unit_spans(text)
        units = [text[a:b].casefold() for a, b in spans]
        loop = find_loop(units)
        if loop is None:
            break
        start, period, count = loop
        kept_to = spans[start + period - 1][1]
        resumes_at = spans[start + period * count - 1][1]
        text = text[:kept_to] + text[resumes_at:]
    return text.strip()


def say_once(text: str) -> str:
    """The first of the equal parts of a text that is the same phrase several times."""
    spans = _unit_spans(text)
    times = repeats_whole([text[a:b].casefold() for a, b in spans])
    if times < 2:
        return text
    return text[: spans[len(spans) // times - 1][1]].strip() + _closing(text)


def find_loop(units: list[str]) -> tuple[int, int, int] | None:
    """First (start, period, count) of a phrase that repeats more often than people do."""
    total = len(units)
    for period in range(1, min(_LONGEST_PHRASE, total // 2) + 1):
        allowed = _allowed(period)
        run = 0
        for at in range(period, total):
            run = run + 1 if units[at] == units[at - period] else 0
            if run >= period * allowed and not _is_number(units[at], run):
                return _extent(units, at - run - period + 1, period)
    return None


def _is_number(unit: str, run: int) -> bool:
    """A telephone number may hold seven zeros; a loop of them has more."""
    return unit in _NUMERALS and run < _LONGEST_NUMBER


def repeats_whole(units: list[str]) -> int:
    """How many equal parts the whole text is made of; 1 when it is not a repetition."""
    total = len(units)
    for period in range(1, total // 2 + 1):
        if total % period == 0 and all(
            units[at] == units[at - period] for at in range(period, total)
        ):
            return total // period
    return 1


def _extent(units: list[str], start: int, period: int) -> tuple[int, int, int]:
    """The loop from ``start`` on, as far as it goes in whole periods."""
    end = start + period
    while end < len(units) and units[end] == units[end - period]:
        end += 1
    return start, period, (end - start) // period


def _allowed(period: int) -> int:
    """After so many repeats a phrase of ``period`` units is a loop."""
    for longest, repeats in _ALLOWED_REPEATS:
        if period <= longest:
            return repeats
    return _ALLOWED_REPEATS_LONG


def _too_fast(heard: Heard) -> bool:
    letters = [char for char in heard.text if char.isalnum()]
    dense = sum(is_unspaced(char) or "\uac00" <= char <= "\ud7a3" for char in letters)
    needed_s = dense / _MAX_UNSPACED_PER_S + (len(letters) - dense) / _MAX_SPACED_PER_S
    slack_s = _RATE_SLACK_CHARS / (_MAX_UNSPACED_PER_S if dense else _MAX_SPACED_PER_S)
    return needed_s > max(heard.speech_s, 0.5) + slack_s


def _units(text: str) -> list[str]:
    return [text[a:b].casefold() for a, b in _unit_spans(text)]


def _unit_spans(text: str) -> list[tuple[int, int]]:
    """Characters of unspaced scripts, words of the others; punctuation and spaces are no units.

    A run of letters without a space counts by itself in pieces too when it is long: a decoder
    loops inside words as well (ssssss).
    """
    spans: list[tuple[int, int]] = []
    inside = False
    for at, char in enumerate(text):
        if not (char.isalnum() or unicodedata.category(char)[0] == "M"):
            inside = False
        elif is_unspaced(char):
            spans.append((at, at + 1))
            inside = False
        elif inside:
            spans[-1] = (spans[-1][0], at + 1)
        else:
            spans.append((at, at + 1))
            inside = True
    return [part for span in spans for part in _pieces(span)]


_LONGEST_WORD = 40


def _pieces(span: tuple[int, int]) -> list[tuple[int, int]]:
    start, end = span
    if end - start <= _LONGEST_WORD:
        return [span]
    return [(at, at + 1) for at in range(start, end)]


def _closing(text: str) -> str:
    """The mark that ends the text, so that a shortened one keeps it."""
    last = text.rstrip()[-1:]
    return last if last in "。！？.!?" else ""
