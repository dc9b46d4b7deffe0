"""Chinese and Japanese numerals: 一千二百三十四 → 1234.

Everything here takes folded text: simplified numerals 万 and 亿, as the grammars hand it over.
"""

from __future__ import annotations

import re
from typing import NamedTuple

DIGITS = {char: str(value) for value, char in enumerate("零一二三四五六七八九")} | {
    "〇": "0",
    "幺": "1",
}
DIGIT = "零〇一二三四五六七八九幺"
NUMERAL = DIGIT + "两十百千万亿"

_VALUES = {char: int(digit) for char, digit in DIGITS.items() if char != "幺"} | {"两": 2}
_LONGEST = 32  # 9999万9999亿9999万9999 takes 31; a recogniser in a loop writes thousands
_SECTION = re.compile(
    r"(?:(?P<thousands>[一二两三四五六七八九]?)千(?P<gap1>零)?)?"
    r"(?:(?P<hundreds>[一二两三四五六七八九]?)百(?P<gap2>零)?)?"
    r"(?:(?P<tens>[一二三四五六七八九]?)(?P<ten>十))?"
    r"(?P<ones>[一二两三四五六七八九])?"
)


class Cardinal(NamedTuple):
    value: int
    is_short: bool
    """The last unit was left out: 三千五 for 3500."""


def parse_cardinal(run: str, *, is_japanese: bool = False) -> Cardinal | None:
    """The value of a whole run of numerals; None when it is no well-formed number.

    Runs such as 三五 or 七八十 are not well-formed: they are approximations. In Japanese a bare
    百 or 千 counts one and no unit is ever left out.
    """
    if not 0 < len(run) <= _LONGEST or (run[0] == "两" and run[1:2] == "十"):
        return None
    if len(run) == 1:
        return Cardinal(_VALUES[run], False) if run in _VALUES else _parse_section(run, is_japanese)
    high, unit, low = run.rpartition("亿")
    if unit:
        return _scaled(high, low, 10**8, is_japanese)
    high, unit, low = run.rpartition("万")
    if unit:
        return _scaled(high, low, 10**4, is_japanese)
    return _parse_section(run, is_japanese)


def _scaled(high: str, low: str, scale: int, is_japanese: bool) -> Cardinal | None:
    """``high`` times the unit, plus ``low``."""
    above = parse_cardinal(high, is_japanese=is_japanese)
    if above is None or above.is_short or above.value == 0 or "亿" in low:
        return None
    if above.value >= 10**4 and scale == 10**4:
        return None
    if not low:
        return Cardinal(above.value * scale, False)
    if len(low) == 1 and low in _VALUES and low != "零" and not is_japanese:
        return Cardinal(above.value * scale + _VALUES[low] * scale // 10, True)
    below = parse_cardinal(low.removeprefix("零"), is_japanese=is_japanese)
    if below is None or below.value >= scale or below.value == 0:
        return None
    return Cardinal(above.value * scale + below.value, below.is_short)


def _parse_section(run: str, is_japanese: bool) -> Cardinal | None:
    """A number below 10,000."""
    match = _SECTION.fullmatch(run)
    if match is None or run.endswith("零"):
        return None
    part = match.groupdict()
    thousands, hundreds, tens, ones = (
        part["thousands"],
        part["hundreds"],
        part["tens"],
        part["ones"],
    )
    if not is_japanese and "" in (thousands, hundreds):
        return None
    if thousands is None and hundreds is None and part["ten"] is None:
        return None
    value = 1000 * _times(thousands) + 100 * _times(hundreds)
    value += 10 * _times(tens if part["ten"] else None)
    has_gap = any(part[name] for name in ("gap1", "gap2"))
    last = _VALUES[ones] if ones else 0
    if last and not part["ten"] and not has_gap and not is_japanese:
        # 三百五 is 350 and 三千五 is 3500; 两 is never said there.
        return None if ones == "两" else Cardinal(value + last * (10 if hundreds else 100), True)
    return Cardinal(value + last, False)


def _times(digit: str | None) -> int:
    if digit is None:
        return 0
    return _VALUES[digit] if digit else 1


def write_digits(run: str) -> str:
    """幺三八 → 138."""
    return "".join(DIGITS[char] for char in run)


def write_chinese(value: int, run: str) -> str:
    """Digits, with 万 and 亿 kept where what is left below them is round.

    120万, 1.2万 and 3.5亿, but 12345: below 亿 at most one decimal of 万, above it whole 万.
    """
    if value < 10**4 or not ("万" in run or "亿" in run):
        return str(value)
    if value % 10**12 == 0 and value >= 10**12:
        return f"{value // 10**12}万亿"
    if value >= 10**8 and value % 10**4 == 0:
        return f"{_quotient(value, 8)}亿"
    if value < 10**8 and value % 10**3 == 0:
        return f"{_quotient(value, 4)}万"
    return str(value)


def write_japanese(value: int) -> str:
    """Digits in groups under 兆, 億 and 万, as newspapers write: 1億2000万, 3万5000."""
    pieces = []
    for exponent, unit in ((12, "兆"), (8, "億"), (4, "万"), (0, "")):
        count, value = divmod(value, 10**exponent)
        if count:
            pieces.append(f"{count}{unit}")
    return "".join(pieces) or "0"


def _quotient(value: int, exponent: int) -> str:
    """``value / 10**exponent``, exact, without trailing zeros."""
    whole, rest = divmod(value, 10**exponent)
    decimals = f"{rest:0{exponent}d}".rstrip("0")
    return f"{whole}.{decimals}" if decimals else str(whole)
