"""English number words: tokens, cardinals, ordinals, years, digit strings."""

from __future__ import annotations

import re
from typing import NamedTuple

from lingting.text.itn.lexicon import vocabulary

_TOKEN = re.compile(r"[ap]\.m\b\.?|[a-z]+(?:['’][a-z]+)?|\d[\d.,:]*", re.IGNORECASE)

_DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = [
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_DIGIT_VALUES = {word: value for value, word in enumerate(_DIGITS)} | {"oh": 0}
_SMALL = {word: value for value, word in enumerate(_DIGITS + _TEENS)}
_TEN_VALUES = {word: 10 * value for value, word in enumerate(_TENS, 2)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_LONGEST_ORDINAL = 16  # words; a recogniser in a loop writes thousands
_REPEATS = {"double": 2, "triple": 3}

_ORDINALS = {
    "first": "one",
    "second": "two",
    "third": "three",
    "fifth": "five",
    "eighth": "eight",
    "ninth": "nine",
    "twelfth": "twelve",
}
_ORDINALS |= {
    f"{word}th": word for word in [*_DIGITS[4:], *_TEENS] if word not in _ORDINALS.values()
}
_ORDINALS |= {ten[:-1] + "ieth": ten for ten in _TENS}
_ORDINALS |= {f"{scale}th": scale for scale in ("hundred", *_SCALES)}
_DECADES = {ten[:-1] + "ies": value for ten, value in _TEN_VALUES.items()}

DENOMINATORS: dict[tuple[str, bool], int] = {
    (word + ("s" if plural else ""), plural): _SMALL[cardinal]
    for word, cardinal in _ORDINALS.items()
    if cardinal in _SMALL and 3 <= _SMALL[cardinal] <= 10
    for plural in (False, True)
} | {("quarter", False): 4, ("quarters", True): 4}

MONTHS = vocabulary(
    "january february march april may june july august september october november december"
)


class Tokens:
    """Words of a sentence in lower case with their places; out of range a word is ""."""

    def __init__(self, text: str) -> None:
        matches = list(_TOKEN.finditer(text))
        # Lower case can change a character's length (İ); places must not move.
        self.lower = text.lower() if len(text.lower()) == len(text) else text
        self.words = [match.group().lower().replace("’", "'") for match in matches]
        self.starts = [match.start() for match in matches]
        self.ends = [match.end() for match in matches]

    def word(self, index: int) -> str:
        return self.words[index] if 0 <= index < len(self.words) else ""

    def is_joined(self, index: int) -> bool:
        """True when only white space or a hyphen lies between this word and the next."""
        if not 0 <= index < len(self.words) - 1:
            return False
        gap = self.lower[self.ends[index] : self.starts[index + 1]]
        return gap == "-" or (gap.isspace() and "\n" not in gap)


class Figure(NamedTuple):
    """A number in digits; ``end`` is the index of the word after it."""

    end: int
    text: str
    is_single: bool
    """One word below ten."""
    is_article: bool
    """"a hundred", "a million" and no more."""


def is_number_word(word: str) -> bool:
    return word in _SMALL or word in _TEN_VALUES or word == "hundred" or word in _SCALES


def two_digits_at(tokens: Tokens, index: int) -> tuple[int, int] | None:
    """A number below 100: the index after it and its value."""
    return _below_hundred(tokens, index)


def _below_hundred(tokens: Tokens, index: int) -> tuple[int, int] | None:
    word = tokens.word(index)
    if word in _SMALL:
        return index + 1, _SMALL[word]
    if word not in _TEN_VALUES:
        return None
    units = _SMALL.get(tokens.word(index + 1), 0)
    if 1 <= units <= 9 and tokens.is_joined(index):
        return index + 2, _TEN_VALUES[word] + units
    return index + 1, _TEN_VALUES[word]


def _below_thousand(tokens: Tokens, index: int) -> tuple[int, int] | None:
    """A number below 1,000, or hundreds counted up to 99 (twelve hundred)."""
    hit = _below_hundred(tokens, index)
    if hit is None:
        return None
    end, value = hit
    if tokens.word(end) != "hundred" or value == 0 or not tokens.is_joined(end - 1):
        return hit
    end, value = end + 1, value * 100
    return _with_rest(tokens, end, value)


def _with_rest(tokens: Tokens, end: int, value: int) -> tuple[int, int]:
    """[and] and a number below 100, when it is there."""
    if not tokens.is_joined(end - 1):
        return end, value
    rest_at = end + (tokens.word(end) == "and" and tokens.is_joined(end))
    rest = _below_hundred(tokens, rest_at)
    if rest is None or rest[1] == 0 or (tokens.word(rest[0]) in _SCALES and rest_at > end):
        return end, value
    return rest[0], value + rest[1]


def cardinal_at(tokens: Tokens, index: int) -> tuple[int, int] | None:
    """A whole number: the index after it and its value."""
    total, last_scale, end = 0, 10**15, index
    while True:
        at = end
        if total and tokens.word(end) == "and" and tokens.is_joined(end):
            at = end + 1
        group = _below_thousand(tokens, at)
        if group is None or (total and not tokens.is_joined(at - 1)):
            break
        group_end, value = group
        scale = _SCALES.get(tokens.word(group_end), 1) if tokens.is_joined(group_end - 1) else 1
        if (
            scale >= last_scale
            or (scale == 1 and total and value >= last_scale)
            or (total and not value)
        ):
            break
        total, last_scale = total + value * scale, scale
        end = group_end + (scale > 1)
        if scale == 1:
            break
    return (end, total) if end > index else None


def figure_at(tokens: Tokens, index: int) -> Figure | None:
    """A number as it is written: 1234, 12,345, 3 million, 3.14, 3.5 million."""
    if tokens.word(index) == "a":
        return _article_figure(tokens, index)
    hit = cardinal_at(tokens, index)
    if hit is None:
        return None
    end, value = hit
    decimals = _decimals(tokens, end)
    if not decimals:
        is_single = end == index + 1 and value < 10
        return Figure(end, write_number(value), is_single, False)
    text = f"{write_number(value)}.{decimals}"
    end += 1 + len(decimals)
    if tokens.word(end) in _SCALES and tokens.is_joined(end - 1):
        return Figure(end + 1, f"{text} {tokens.word(end)}", False, False)
    return Figure(end, text, False, False)


def _article_figure(tokens: Tokens, index: int) -> Figure | None:
    """a hundred (and twenty), a million."""
    scale = tokens.word(index + 1)
    if scale == "hundred":
        end, value = _with_rest(tokens, index + 2, 100)
    elif scale in _SCALES:
        end, value = index + 2, _SCALES[scale]
    else:
        return None
    return Figure(end, write_number(value), False, end == index + 2)


def _decimals(tokens: Tokens, index: int) -> str:
    """Digits after "point"; "" when there are none."""
    if tokens.word(index) != "point" or not tokens.is_joined(index - 1):
        return ""
    digits = ""
    while tokens.is_joined(index) and tokens.word(index + 1) in _DIGIT_VALUES:
        index += 1
        digits += str(_DIGIT_VALUES[tokens.word(index)])
    return digits


def write_number(value: int) -> str:
    """1234, 12,345, 3 million, 3.5 million."""
    for word in ("trillion", "billion", "million"):
        scale = _SCALES[word]
        if value >= scale and value % (scale // 10) == 0:
            whole, tenth = divmod(value // (scale // 10), 10)
            return f"{whole}.{tenth} {word}" if tenth else f"{whole} {word}"
    return f"{value:,}" if value >= 10_000 else str(value)


def ordinal_at(tokens: Tokens, index: int) -> tuple[int, int] | None:
    """twenty first → 21: the index after it and its value."""
    end = index
    while is_number_word(tokens.word(end)) or (end > index and tokens.word(end) == "and"):
        if not tokens.is_joined(end) or end - index >= _LONGEST_ORDINAL:
            return None
        end += 1
    last = _ORDINALS.get(tokens.word(end))
    if last is None:
        return None
    words = [*tokens.words[index:end], last]
    hit = cardinal_at(Tokens(" ".join(words)), 0)
    return (end + 1, hit[1]) if hit and hit[0] == len(words) else None


def write_ordinal(value: int) -> str:
    """21st, 22nd, 23rd, 11th."""
    last = value % 10 if value % 100 not in {11, 12, 13} else 0
    return f"{value}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }".replace(" ", "")


def year_at(tokens: Tokens, index: int, *, allow_decades: bool = False) -> tuple[int, int] | None:
    """nineteen eighty four, twenty oh five, two thousand (and) eight; 1600 to 2099."""
    century = _SMALL.get(tokens.word(index)) or _TEN_VALUES.get(tokens.word(index), 0)
    if not tokens.is_joined(index):
        return None
    if century == 2 and tokens.word(index + 1) == "thousand":
        hit = cardinal_at(tokens, index)
        return hit if hit and 2000 <= hit[1] <= 2099 else None
    if not 16 <= century <= 20:
        return None
    following = tokens.word(index + 1)
    if following == "oh":
        units = _SMALL.get(tokens.word(index + 2), 0)
        return (index + 3, century * 100 + units) if 1 <= units <= 9 else None
    if allow_decades and following in _DECADES:
        return index + 2, century * 100 + _DECADES[following]
    rest = _below_hundred(tokens, index + 1)
    if rest is None or rest[1] < 10:
        return None
    return rest[0], century * 100 + rest[1]


def digit_string(tokens: Tokens, index: int) -> tuple[int, str] | None:
    """one two three, double five six: the index after it and its digits."""
    digits = ""
    end = index
    while True:
        repeat = _REPEATS.get(tokens.word(end), 1)
        at = end + (repeat > 1)
        if tokens.word(at) not in _DIGIT_VALUES or (repeat > 1 and not tokens.is_joined(end)):
            break
        digits += str(_DIGIT_VALUES[tokens.word(at)]) * repeat
        end = at + 1
        if not tokens.is_joined(at):
            break
    if (
        not digits
        or tokens.word(end) in {"hundred", "thousand"}
        or is_number_word(tokens.word(end))
    ):
        return None
    return end, digits
