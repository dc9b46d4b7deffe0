"""Transcript to subtitle cues: what is read together, on which lines, from when to when.

Cues have at most two lines of :data:`~lingting.text.breaking.LINE_WIDTH`, last 1 to 7 seconds, and
stay long enough to be read (9 wide or 20 narrow characters a second) where the silence that follows
allows it. They never overlap and keep the order of the segments' starts.

Exceptions, all for want of time: a cue is shorter than a second or faster than its reader when the
next one has to appear; it is shown at most half a second before it is spoken to win that time.
Speech so dense that cues would begin in the same millisecond is spread a millisecond apart.

Segments of one speaker less than a second apart are read on as one text, so a short answer shares
a cue with what follows. Where to part them is found by dynamic programming: sentence ends cost
nothing, clause ends little, words more, the middle of a Chinese clause most.

Times inside a segment come from its words; without words from the weight of the characters.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from lingting.joining import join
from lingting.text.breaking import (
    CLAUSE_ENDS,
    LINE_WIDTH,
    NO_START,
    OPENERS,
    SENTENCE_ENDS,
    clean,
    is_wide,
    pieces,
    width,
)
from lingting.text.breaking import (
    SPACE_WIDTH as _SPACE,
)
from lingting.text.edits import Written
from lingting.text.words import written_words as words_of
from lingting.transcript import Segment, Transcript, Word

MIN_CUE_MS = 1_000
MAX_CUE_MS = 7_000
WIDE_PER_S = 9
NARROW_PER_S = 20
_EARLY_MS = 500
_NEW_TEXT_GAP_S = 1.0
_PAUSE_S = 0.5
_LABEL_WIDTH = 160

# Costs of the search, in "one more cue" = 2.
_CUE = 2.0
_INNER_SENTENCE = 2.5
_INNER_SILENCE = 20.0
_AFTER_SENTENCE = 0.0
_AFTER_CLAUSE = 2.0
_AFTER_WORD = 5.0
_AFTER_CHARACTER = 8.0
_INSIDE_WORD = 30.0
_FORBIDDEN = 1000.0
_SHORT_TIME = 10.0
_SHORT_TEXT = 6.0
_SHORT_WIDTH = 100
_UNEVEN = 10.0

WrittenWords = Callable[[Segment], tuple[Word, ...]]


@dataclass(frozen=True, slots=True)
class Timed:
    """A piece of text with its time, milliseconds in the file."""

    text: str
    has_space: bool
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: ``start_ms < end_ms``, one or two lines of timed pieces."""

    start_ms: int
    end_ms: int
    pieces: tuple[tuple[Timed, ...], ...]
    speaker: str | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(_text(line) for line in self.pieces)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A timed piece in the search; ``cost`` is that of ending a line or cue after
    it, ``inner_cost`` that of not ending a cue there."""

    timed: Timed
    width: int
    cost: float
    inner_cost: float


def cues(
    transcript: Transcript,
    *,
    labels: bool = False,
    written_words: WrittenWords | None = None,
) -> list[Cue]:
    """All cues of ``transcript``.

    ``labels`` writes the speaker's name in front of the first cue of each turn. ``written_words``
    gives the words of a segment's written text with their times; by default they come from the
    segment's spoken words through its edits.
    """
    found: list[Cue] = []
    last_speaker: str | None = None
    for group in _groups(transcript.segments):
        units = _units(group, written_words)
        speaker = group[0].speaker
        if labels and speaker and speaker != last_speaker:
            units = _labelled(speaker, units)
        last_speaker = speaker
        found.extend(_cue(part, speaker) for part in _parts(units))
    return _timed(found, transcript.duration_s)


# --- text with times --------------------------------------------------------------------------


def _groups(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Runs of segments that are read as one text."""
    group: list[Segment] = []
    for segment in sorted(segments, key=lambda one: one.start_s):
        if not clean(segment.text):
            continue
        if group and not _reads_on(group[-1], segment):
            yield group
            group = []
        group.append(segment)
    if group:
        yield group


def _reads_on(left: Segment, right: Segment) -> bool:
    same = (left.speaker, left.channel) == (right.speaker, right.channel)
    return same and 0 <= right.start_s - left.end_s < _NEW_TEXT_GAP_S


def _units(group: Sequence[Segment], written_words: WrittenWords | None) -> list[_Unit]:
    timed: list[Timed] = []
    cuts: set[int] = set()
    ends: set[int] = set()
    for segment in group:
        words = (written_words or _through_edits)(segment)
        text = clean(segment.text)
        clock = _Clock(text, segment, words)
        for piece in pieces(text):
            has_space = piece.has_space
            if piece.begin == 0 and timed:
                has_space = " " in join((timed[-1].text[-1], piece.text[0]))
            if piece.is_cut:
                cuts.add(len(timed))
            start_ms, end_ms = clock.start_ms(piece.begin), clock.end_ms(piece.end)
            timed.append(Timed(piece.text, has_space, start_ms, max(start_ms, end_ms)))
        ends.add(len(timed) - 1)
    return [
        _Unit(
            timed=one,
            width=width(one.text),
            cost=_INSIDE_WORD if at in cuts else _cost_after(timed, at, is_end=at in ends),
            inner_cost=_inner_cost(timed, at),
        )
        for at, one in enumerate(timed)
    ]


def _through_edits(segment: Segment) -> tuple[Word, ...]:
    """Words as they stand in the written text: 1234元 when 一千二百三十四元 was said."""
    return words_of(segment.spoken, segment.words, Written(segment.text, segment.edits))


def _cost_after(timed: Sequence[Timed], at: int, *, is_end: bool) -> float:
    """What it costs to end a line or cue after ``timed[at]``; ``is_end``: a segment ends here."""
    if at == len(timed) - 1:
        return _AFTER_SENTENCE
    here, following = timed[at], timed[at + 1]
    if following.text[0] in NO_START or here.text[-1] in OPENERS:
        return _FORBIDDEN  # only where two segments meet
    last = _last(here.text)
    has_pause = following.start_ms - here.end_ms >= 1000 * _PAUSE_S
    if last in SENTENCE_ENDS or (has_pause and is_end):
        return _AFTER_SENTENCE
    if last in CLAUSE_ENDS or has_pause or is_end:
        return _AFTER_CLAUSE
    return _AFTER_WORD if following.has_space else _AFTER_CHARACTER


def _inner_cost(timed: Sequence[Timed], at: int) -> float:
    """What it costs to read on after ``timed[at]`` in the same cue."""
    if at + 1 < len(timed) and timed[at + 1].start_ms - timed[at].end_ms >= 1000 * _NEW_TEXT_GAP_S:
        return _INNER_SILENCE
    return _INNER_SENTENCE if _last(timed[at].text) in SENTENCE_ENDS else 0.0


def _last(text: str) -> str:
    """The last character that says something about the sentence: 他说“好。” ends one."""
    return text.rstrip("’”\"')）]】》」』»›")[-1:] or text[-1]


def _labelled(speaker: str, units: list[_Unit]) -> list[_Unit]:
    """``units`` with ``Anna:`` or ``小明：`` in front, a name that is too long cut short."""
    name = clean(speaker)
    while width(name) > _LABEL_WIDTH:
        name = name[:-1]
    if not name:
        return units
    first = units[0].timed
    name += "：" if is_wide(name[-1]) else ":"
    label = Timed(name, False, first.start_ms, first.start_ms)
    spaced = replace(first, has_space=" " in join((name, first.text[0])))
    return [
        _Unit(label, width(name), cost=_FORBIDDEN, inner_cost=0.0),
        replace(units[0], timed=spaced),
        *units[1:],
    ]


class _Clock:
    """Times of places in a segment's text, from anchors (spoken weight, milliseconds)."""

    def __init__(self, text: str, segment: Segment, words: Sequence[Word]) -> None:
        self._weights = _weights(text)
        start_ms, end_ms = _ms(segment.start_s), _ms(segment.end_s)
        anchors = [(0.0, start_ms)]
        for begin, end, word in _found(text, words):
            for place, time_s in ((begin, word.start_s), (end, word.end_s)):
                time_ms = min(max(_ms(time_s), anchors[-1][1]), end_ms)
                anchors.append((self._weights[place], time_ms))
        anchors.append((self._weights[-1], end_ms))
        self._at = [weight for weight, _ in anchors]
        self._ms = [time_ms for _, time_ms in anchors]

    def start_ms(self, place: int) -> int:
        """When the text from ``place`` on begins: after a pause, if there is one."""
        weight = self._weights[place]
        after = bisect_right(self._at, weight)
        return self._between(after - 1, weight)

    def end_ms(self, place: int) -> int:
        """When the text before ``place`` ends: before a pause, if there is one."""
        weight = self._weights[place]
        before = bisect_left(self._at, weight)
        return self._between(before - 1, weight) if self._at[before] != weight else self._ms[before]

    def _between(self, left: int, weight: float) -> int:
        if left == len(self._at) - 1 or self._at[left] == weight:
            return self._ms[left]
        share = (weight - self._at[left]) / (self._at[left + 1] - self._at[left])
        return round(self._ms[left] + share * (self._ms[left + 1] - self._ms[left]))


def _weights(text: str) -> list[float]:
    """Cumulative spoken weight: a wide character or digit is a syllable, a letter less than half,
    punctuation and spaces nothing."""
    total, sums = 0.0, [0.0]
    for char in text:
        if char.isalnum():
            total += 1.0 if is_wide(char) or char.isdecimal() else 0.4
        sums.append(total)
    return sums


def _found(text: str, words: Sequence[Word]) -> Iterator[tuple[int, int, Word]]:
    """Words with their place in ``text``, in order; one that is not near the last is left out."""
    at = 0
    for word in words:
        wanted = clean(word.text)
        if not wanted:
            continue
        begin = text.find(wanted, at, at + len(wanted) + 24)
        if begin >= 0:
            at = begin + len(wanted)
            yield begin, at, word


# --- parting the text into cues -----------------------------------------------------------------


def _parts(units: Sequence[_Unit]) -> list[Sequence[_Unit]]:
    """The cheapest way to part ``units`` into cues. Every unit by itself is one, so one exists."""
    count = len(units)
    best = [0.0] + [math.inf] * count
    come_from = [0] * (count + 1)
    widths, inner = _sums(units)
    for begin in range(count):
        line_end = begin + 1
        for end in range(begin + 1, count + 1):
            used = _line_width(units, widths, begin, end)
            if used <= LINE_WIDTH:
                line_end = end
            elif _line_width(units, widths, line_end, end) > LINE_WIDTH:
                break
            start_ms = units[begin].timed.start_ms
            if end > begin + 1 and units[end - 1].timed.end_ms - start_ms > MAX_CUE_MS:
                break
            next_ms = units[end].timed.start_ms if end < count else units[-1].timed.end_ms
            cost = best[begin] + _CUE + units[end - 1].cost
            cost += inner[end - 1] - inner[begin]
            cost += _SHORT_TIME * max(0, MIN_CUE_MS - (next_ms - start_ms)) / MIN_CUE_MS
            cost += _SHORT_TEXT * max(0, _SHORT_WIDTH - used) / _SHORT_WIDTH
            if cost < best[end]:
                best[end], come_from[end] = cost, begin
    parts: list[Sequence[_Unit]] = []
    end = count
    while end:
        parts.append(units[come_from[end] : end])
        end = come_from[end]
    return parts[::-1]


def _sums(units: Sequence[_Unit]) -> tuple[list[int], list[float]]:
    """Cumulative widths (with spaces) and inner costs, one longer than ``units``."""
    widths, inner = [0], [0.0]
    for unit in units:
        widths.append(widths[-1] + unit.width + (_SPACE if unit.timed.has_space else 0))
        inner.append(inner[-1] + unit.inner_cost)
    return widths, inner


def _line_width(units: Sequence[_Unit], widths: Sequence[int], begin: int, end: int) -> int:
    return widths[end] - widths[begin] - (_SPACE if units[begin].timed.has_space else 0)


def _cue(part: Sequence[_Unit], speaker: str | None) -> Cue:
    at = _line_break(part)
    lines = [part] if at is None else [part[:at], part[at:]]
    return Cue(
        start_ms=part[0].timed.start_ms,
        end_ms=part[-1].timed.end_ms,
        pieces=tuple(tuple(unit.timed for unit in line) for line in lines),
        speaker=speaker,
    )


def _line_break(part: Sequence[_Unit]) -> int | None:
    """Where the second line begins: both fit, at a good place, and about as long as each other."""
    widths, _ = _sums(part)
    count = len(part)
    if _line_width(part, widths, 0, count) <= LINE_WIDTH:
        return None

    def cost(at: int) -> float:
        first = _line_width(part, widths, 0, at)
        second = _line_width(part, widths, at, count)
        if max(first, second) > LINE_WIDTH:
            return math.inf
        return part[at - 1].cost + _UNEVEN * abs(first - second) / LINE_WIDTH

    return min(range(1, count), key=cost)


def _text(line: Sequence[Timed]) -> str:
    return "".join(
        f" {one.text}" if one.has_space and at else one.text for at, one in enumerate(line)
    )


# --- showing them long enough -------------------------------------------------------------------


def _timed(found: Sequence[Cue], duration_s: float) -> list[Cue]:
    """Cues that do not overlap and stay as long as they may."""
    starts = _starts(found)
    last_ms = _ms(duration_s)
    shown: list[Cue] = []
    for at, cue in enumerate(found):
        start_ms = starts[at]
        spoken_ms = max(cue.end_ms, start_ms + 1)
        limit_ms = starts[at + 1] if at + 1 < len(found) else max(last_ms, spoken_ms)
        end_ms = max(spoken_ms, start_ms + max(MIN_CUE_MS, _reading_ms(cue)))
        end_ms = min(end_ms, limit_ms, start_ms + MAX_CUE_MS)
        free_ms = shown[-1].end_ms if shown else 0
        start_ms = max(min(start_ms, end_ms - MIN_CUE_MS), start_ms - _EARLY_MS, free_ms)
        shown.append(replace(cue, start_ms=start_ms, end_ms=end_ms))
    return shown


def _starts(found: Sequence[Cue]) -> list[int]:
    """Starts that strictly grow, by a millisecond where speech overlaps."""
    starts: list[int] = []
    for cue in found:
        starts.append(max(cue.start_ms, starts[-1] + 1) if starts else cue.start_ms)
    return starts


def _reading_ms(cue: Cue) -> int:
    text = "".join(cue.lines)
    wide = sum(map(is_wide, text))
    return round(1000 * (wide / WIDE_PER_S + (len(text) - wide) / NARROW_PER_S))


def _ms(time_s: float) -> int:
    return round(1000 * time_s)
