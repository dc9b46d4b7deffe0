"""English: numbers, dates, clock times, money, percentages, ordinals, digit strings.

The style: from ten on numbers are written in digits, one to nine stay words unless money, percent,
a clock time, a date or a unit of measure makes them a figure. Five digits and more take commas.
"""

from __future__ import annotations

from collections.abc import Callable

from lingting.text.edits import Change
from lingting.text.itn.english_numbers import (
    DENOMINATORS,
    MONTHS,
    Figure,
    Tokens,
    digit_string,
    figure_at,
    is_number_word,
    ordinal_at,
    two_digits_at,
    write_ordinal,
    year_at,
)
from lingting.text.itn.lexicon import read_phrases, vocabulary

PHRASES = read_phrases("en")

_AMBIGUOUS_MONTHS = frozenset({"may", "march"})
_BEFORE_DATES = vocabulary("on in by of since until till from this next last every before after")
_BEFORE_CLOCK = frozenset(["at", "until", "till", "around", "before", "after", "by"])
_BEFORE_ORDINALS = vocabulary("the my your his her its our their this every")
_BEFORE_CODES = vocabulary(
    "room flight route bus channel highway gate unit apartment suite extension code section page"
)
_OWNERS = vocabulary("my your his her its our their own both")
_CURRENCIES = {"dollar": "$", "dollars": "$", "euro": "€", "euros": "€"}
_MEASURES = vocabulary(
    "kilometers kilometres miles meters metres centimeters centimetres millimeters"
    " millimetres feet inches yards kilograms kilos grams milligrams pounds ounces tons tonnes"
    " liters litres milliliters gallons degrees watts kilowatts volts hertz megahertz"
    " gigahertz kilobytes megabytes gigabytes terabytes acres cents"
)
_HALVES = {"am": "a.m.", "a.m.": "a.m.", "a.m": "a.m.", "pm": "p.m.", "p.m.": "p.m.", "p.m": "p.m."}

Found = tuple[int, Change] | None
EnglishRule = Callable[[Tokens, int], Found]


def changes(spoken: str) -> list[Change]:
    """Replacements that write ``spoken``, in order."""
    tokens = Tokens(spoken)
    found: list[Change] = []
    index = 0
    while index < len(tokens.words):
        phrase_end = _phrase_end(tokens, index)
        if phrase_end > index:
            index = phrase_end
            continue
        step = next((hit for rule in RULES if (hit := rule(tokens, index))), None)
        if step is None:
            index = _skip(tokens, index)
        else:
            index, change = step
            found.append(change)
    return found


def _phrase_end(tokens: Tokens, index: int) -> int:
    start = tokens.starts[index]
    end = PHRASES.match(tokens.lower, start)
    if end == start or (end < len(tokens.lower) and tokens.lower[end].isalnum()):
        return index
    while index < len(tokens.words) and tokens.starts[index] < end:
        index += 1
    return index


def _skip(tokens: Tokens, index: int) -> int:
    """Past a run of number words that no rule understood, so that no part of it is taken alone."""
    if not is_number_word(tokens.word(index)):
        return index + 1
    while is_number_word(tokens.word(index + 1)) and tokens.is_joined(index):
        index += 1
    return index + 1


def _written(tokens: Tokens, start: int, end: int, text: str) -> tuple[int, Change]:
    return end, Change(tokens.starts[start], tokens.ends[end - 1], text)


def _date(tokens: Tokens, index: int) -> Found:
    """march fifteenth twenty twenty five → March 15, 2025; the fifteenth of march → March 15."""
    word = tokens.word(index)
    if word == "the":
        ordinal = ordinal_at(tokens, index + 1)
        if ordinal is None or tokens.word(ordinal[0]) != "of":
            return None
        end, day = ordinal
        month, end = tokens.word(end + 1), end + 2
        if month not in MONTHS or not 1 <= day <= 31:
            return None
        year_end, year = year_at(tokens, end) or (end, None)
        return _written(tokens, index, year_end, _write_date(month, day, year))
    if word not in MONTHS:
        return None
    year_hit = year_at(tokens, index + 1)
    if year_hit and year_hit[1] >= 1500:
        return _written(tokens, index, year_hit[0], f"{word.capitalize()} {year_hit[1]}")
    hit = ordinal_at(tokens, index + 1)
    is_ordinal = hit is not None
    hit = hit or two_digits_at(tokens, index + 1)
    if hit is None or not 1 <= hit[1] <= 31:
        return None
    end, day = hit
    year_end, year = year_at(tokens, end) or (end, None)
    if word in _AMBIGUOUS_MONTHS and year is None:
        before = tokens.word(index - 1) if index else "on"
        if not is_ordinal or before not in _BEFORE_DATES:
            return None
    if not is_ordinal and (is_number_word(tokens.word(end)) and year is None):
        return None
    return _written(tokens, index, year_end, _write_date(word, day, year))


def _write_date(month: str, day: int, year: int | None) -> str:
    date = f"{month.capitalize()} {day}"
    return date if year is None else f"{date}, {year}"


def _clock(tokens: Tokens, index: int) -> Found:
    """three twenty five pm → 3:25 p.m.; at three thirty → at 3:30; three o'clock → 3 o'clock."""
    hour_hit = two_digits_at(tokens, index)
    if hour_hit is None or not 1 <= hour_hit[1] <= 12:
        return None
    end, hour = hour_hit
    minute = ""
    if tokens.word(end) == "oh":
        units = two_digits_at(tokens, end + 1)
        if units and 1 <= units[1] <= 9:
            end, minute = units[0], f":0{units[1]}"
    else:
        minutes = two_digits_at(tokens, end)
        if minutes and 10 <= minutes[1] <= 59:
            end, minute = minutes[0], f":{minutes[1]}"
    follows = tokens.word(end)
    half = _HALVES.get(follows)
    if half and tokens.is_joined(end - 1) and tokens.word(end + 1) != "i":
        if tokens.lower[tokens.ends[end] : tokens.ends[end] + 1] == ".":
            half = half[:-1]  # the full stop of the sentence is the abbreviation's too
        return _written(tokens, index, end + 1, f"{hour}{minute} {half}")
    if follows == "o'clock":
        return _written(tokens, index, end, f"{hour}{minute}")
    is_amount = follows in _CURRENCIES or follows in _MEASURES or follows == "percent"
    if minute and tokens.word(index - 1) in _BEFORE_CLOCK and index and not is_amount:
        return None if is_number_word(follows) else _written(tokens, index, end, f"{hour}{minute}")
    return None


def _digits(tokens: Tokens, index: int) -> Found:
    """one two three → 123, double five six seven → 5567; room three fifteen → room 315."""
    hit = digit_string(tokens, index)
    if hit and len(hit[1]) >= 3:
        return _written(tokens, index, *hit)
    if index and tokens.word(index - 1) in _BEFORE_CODES:
        first = two_digits_at(tokens, index)
        second = two_digits_at(tokens, first[0]) if first and first[1] < 10 else None
        if first and second and second[1] >= 10:
            return _written(tokens, index, second[0], f"{first[1]}{second[1]}")
    return None


def _year(tokens: Tokens, index: int) -> Found:
    """nineteen eighty four → 1984, the nineteen eighties → the 1980s."""
    hit = year_at(tokens, index, allow_decades=True)
    if hit is None or (
        index and is_number_word(tokens.word(index - 1)) and tokens.is_joined(index - 1)
    ):
        return None
    end, year = hit
    if is_number_word(tokens.word(end)) or tokens.word(end) in _CURRENCIES:
        return None
    decade = "s" if tokens.word(end - 1).endswith("ies") else ""
    return _written(tokens, index, end, f"{year}{decade}")


def _ordinal(tokens: Tokens, index: int) -> Found:
    """twenty first → 21st; first to ninth stay, twenty second (timer) is no ordinal."""
    hit = ordinal_at(tokens, index)
    if hit is None or hit[1] < 10:
        return None
    end, value = hit
    if tokens.word(end - 1) == "second" and not (
        index and tokens.word(index - 1) in _BEFORE_ORDINALS
    ):
        return None
    return _written(tokens, index, end, write_ordinal(value))


def _fraction(tokens: Tokens, index: int) -> Found:
    """two thirds → 2/3."""
    upper = two_digits_at(tokens, index)
    if upper is None or upper[1] == 0:
        return None
    lower = DENOMINATORS.get((tokens.word(upper[0]), upper[1] > 1))
    if lower is None or not tokens.is_joined(upper[0] - 1):
        return None
    return _written(tokens, index, upper[0] + 1, f"{upper[1]}/{lower}")


def _amount(tokens: Tokens, index: int) -> Found:
    """Everything that is a number and what is counted: money, percent, measures, plain."""
    is_negative = tokens.word(index) in {"minus", "negative"}
    figure = figure_at(tokens, index + is_negative)
    if figure is None:
        return None
    if is_negative:
        return _written(tokens, index, figure.end, f"-{figure.text}")
    unit = tokens.word(figure.end) if tokens.is_joined(figure.end - 1) else ""
    if unit in _CURRENCIES:
        return _money(tokens, index, figure)
    if unit == "percent":
        return _written(tokens, index, figure.end + 1, f"{figure.text}%")
    if unit == "per" and tokens.word(figure.end + 1) == "cent":
        return _written(tokens, index, figure.end + 2, f"{figure.text}%")
    if is_number_word(unit):
        return None
    if figure.is_single:
        is_owned = index > 0 and tokens.word(index - 1) in _OWNERS
        if unit in _MEASURES and figure.text != "1" and not is_owned:
            return _written(tokens, index, figure.end, figure.text)
        return _range(tokens, index, figure)
    return None if figure.is_article else _written(tokens, index, figure.end, figure.text)


def _range(tokens: Tokens, index: int, low: Figure) -> Found:
    """five to ten people → 5 to 10 people."""
    if tokens.word(low.end) != "to" or not tokens.is_joined(low.end):
        return None
    high = figure_at(tokens, low.end + 1)
    if high is None or high.is_single or high.is_article or is_number_word(tokens.word(high.end)):
        return None
    return _written(tokens, index, high.end, f"{low.text} to {high.text}")


def _money(tokens: Tokens, index: int, figure: Figure) -> Found:
    """twenty five dollars and fifty cents → $25.50."""
    sign, end = _CURRENCIES[tokens.word(figure.end)], figure.end + 1
    after = end + (tokens.word(end) == "and")
    cents = two_digits_at(tokens, after)
    if (
        cents
        and figure.text.replace(",", "").isdecimal()
        and tokens.word(cents[0]) in {"cent", "cents"}
    ):
        return _written(tokens, index, cents[0] + 1, f"{sign}{figure.text}.{cents[1]:02d}")
    return _written(tokens, index, end, f"{sign}{figure.text}")


RULES: tuple[EnglishRule, ...] = (
    _date,
    _clock,
    _digits,
    _year,
    _ordinal,
    _fraction,
    _amount,
)
