"""Japanese: 二千二十五年三月十五日 → 2025年3月15日, 三万五千円 → 3万5000円.

The style is that of newspapers: digits before counters, 万 and 億 kept as units. 一人, 二人, 一つ
and 一 before the counters of everyday speech stay; approximations (数十人, 五六人, 三、四人) stay.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lingting.text.edits import Change
from lingting.text.itn.lexicon import read_lexicon
from lingting.text.itn.numerals import NUMERAL, parse_cardinal, write_digits, write_japanese
from lingting.text.itn.scan import Match, scan

WORDS = read_lexicon("ja")

_FOLDING = str.maketrans({"億": "亿"})
_KANJI = NUMERAL.replace("幺", "").replace("两", "")
_DIGIT = "(?:ゼロ|[〇零一二三四五六七八九])"
_RUN = re.compile(f"[{_KANJI}]+")
_DIGITS = re.compile(f"{_DIGIT}+")
_DECIMALS = re.compile(f"点({_DIGIT}+)(?![{_KANJI}])")
_PHONE = re.compile(f"({_DIGIT}{{2,4}})の({_DIGIT}{{1,4}})の({_DIGIT}{{3,4}})")
_DATE = re.compile(
    "(?P<month>十[一二]?|[一二三四五六七八九])月(?P<day>三十一?|二?十[一二三四五六七八九]?|[一二三四五六七八九])日"
)
_CLOCK = re.compile(
    f"(?P<hour>零|二?十[一二三四五六七八九]?|[一二三四五六七八九])時"
    f"(?:(?P<minute>[二三四五]?十[一二三四五六七八九]?|[一二三四五六七八九])分(?!の)|(?P<half>半))?(?![間{_KANJI}的])"
)
_TEN_MINUTES = re.compile("十分(?=間|後|前|ほど|くらい|ぐらい|以内|おき|ごと|以上|程度)")
_APPROXIMATE = re.compile(
    "[一二三四五六七八九]、[二三四五六七八九][十百千万]?(?=[人個回本枚台日年月時分つ度名])"
)
_PERCENT = ("パーセント", "%", "％")

# Units that make even 一 a figure.
_MEASURES = (
    "円|時間|分(?!の)|秒|階|歳|才|キロ|メートル|センチ|ミリ|グラム|トン|リットル|ヘクタール|ドル|ユーロ|ポンド|週間"
    "|[かカヵケヶ]月|[かカヵケヶ]国|丁目|番地|番目|位|月|割|年生|年間|兆|ギガ|メガ|ワット|ボルト|パーセント"
)
_MEASURE = re.compile(_MEASURES)
_COUNTER = re.compile(
    _MEASURES + "|人|個|回|本|枚|台|冊|匹|杯|時|年|日|度|号|番|点|件|名|社|店|倍|泊"
    "|条|章|話|巻|曲|問|頭|羽|組|桁"
    "|[かカヵケヶ]所|箇所|平方|代|世紀|世代|部|戸|軒|通|袋|箱|着|票|勝|敗|機|隻|両|周年|打席|試合"
)
_STAYS_TWO = ("人", "度")
_ORDINAL_COUNTER = re.compile("回|条|章|位|号|話|巻|期|節|部|世代|四半期|試合|戦|版")
_BEFORE_MINUTES = ("あと", "約", "およそ", "たった", "わずか")


class Number(NamedTuple):
    """A number in digits for ``[start:end]``."""

    start: int
    end: int
    text: str
    value: int
    is_decimal: bool

    @property
    def change(self) -> Change:
        return Change(self.start, self.end, self.text)


def changes(spoken: str) -> list[Change]:
    """Replacements that write ``spoken``, in order."""
    return scan(spoken.translate(_FOLDING), RULES, STARTS, WORDS)


def number_at(text: str, start: int) -> Number | None:
    """A well-formed number at ``start``, with decimals when they follow; ゼロ counts."""
    if text.startswith("ゼロ", start):
        value, end = 0, start + 2
    else:
        match = _RUN.match(text, start)
        cardinal = parse_cardinal(match.group(), is_japanese=True) if match else None
        if match is None or cardinal is None:
            return None
        value, end = cardinal.value, match.end()
    decimals = _DECIMALS.match(text, end)
    written = write_japanese(value)
    if decimals:
        return Number(start, decimals.end(), f"{written}.{_digits_of(decimals[1])}", value, True)
    return Number(start, end, written, value, False)


def is_vague(text: str, start: int, end: int) -> bool:
    """数十, 何百, 十数人: an approximation, which stays spoken."""
    return text[start - 1 : start] in {"数", "何", "幾"} or text[end : end + 1] in {
        "数",
        "何",
        "幾",
    }


def _digits_of(run: str) -> str:
    return write_digits(run.replace("ゼロ", "零"))


def _value(run: str) -> str:
    cardinal = parse_cardinal(run, is_japanese=True)
    return str(cardinal.value) if cardinal else run


def _groups(match: re.Match[str], *names: str) -> tuple[Change, ...]:
    """The named groups that took part, as numbers."""
    return tuple(
        Change(match.start(name), match.end(name), _value(match[name]))
        for name in names
        if match[name]
    )


def _approximate(text: str, start: int) -> Match | None:
    """三、四人 stays."""
    match = _APPROXIMATE.match(text, start)
    return Match(match.end()) if match else None


def _percent(text: str, start: int) -> Match | None:
    """九十五パーセント → 95%."""
    number = number_at(text, start)
    if number is None or is_vague(text, start, number.end):
        return None
    sign = next((sign for sign in _PERCENT if text.startswith(sign, number.end)), None)
    if sign is None:
        return None
    end = number.end + len(sign)
    return Match(end, (Change(start, end, f"{number.text}%"),))


def _fraction(text: str, start: int) -> Match | None:
    """三分の一 → 3分の1."""
    lower = number_at(text, start)
    if lower is None or not text.startswith("分の", lower.end):
        return None
    upper = number_at(text, lower.end + 2)
    return Match(upper.end, (lower.change, upper.change)) if upper else Match(lower.end + 2)


def _phone(text: str, start: int) -> Match | None:
    """〇三の一二三四の五六七八 → 03-1234-5678."""
    match = _PHONE.match(text, start)
    if match is None:
        return None
    number = "-".join(_digits_of(part) for part in match.groups())
    return Match(match.end(), (Change(start, match.end(), number),))


def _date(text: str, start: int) -> Match | None:
    match = _DATE.match(text, start)
    return Match(match.end(), _groups(match, "month", "day")) if match else None


def _clock(text: str, start: int) -> Match | None:
    """三時十分 → 3時10分; 一時 alone (for a while) only after 午前 or 午後."""
    match = _CLOCK.match(text, start)
    if match is None:
        return None
    is_alone = not match["minute"] and not match["half"]
    if match["hour"] == "一" and is_alone and not text.endswith(("午前", "午後"), 0, start):
        return None
    return Match(match.end(), _groups(match, "hour", "minute"), beats_words=True)


def _ten_minutes(text: str, start: int) -> Match | None:
    """十分 is "enough", but 十分間 and あと十分 are ten minutes."""
    if not text.startswith("十分", start):
        return None
    if _TEN_MINUTES.match(text, start) or text.endswith(_BEFORE_MINUTES, 0, start):
        return Match(start + 2, (Change(start, start + 1, "10"),), beats_words=True)
    return None


def _score(text: str, start: int) -> Match | None:
    """三対二 → 3対2."""
    left = number_at(text, start)
    right = number_at(text, left.end + 1) if left and text.startswith("対", left.end) else None
    return Match(right.end, (left.change, right.change)) if left and right else None


def _ordinal(text: str, start: int) -> Match | None:
    """第三回 → 第3回; 第一 and 第二 alone stay."""
    if text[start] != "第":
        return None
    number = number_at(text, start + 1)
    if number is None:
        return None
    if number.value < 10 and not _ORDINAL_COUNTER.match(text, number.end):
        return Match(number.end)
    return Match(number.end, (number.change,), beats_words=True)


def _negative(text: str, start: int) -> Match | None:
    """マイナス五度 → -5度."""
    if not text.startswith("マイナス", start):
        return None
    number = number_at(text, start + 4)
    if number is None:
        return None
    return Match(number.end, (Change(start, number.end, f"-{number.text}"),))


def _digit_string(text: str, start: int) -> Match | None:
    """一一〇 → 110; two numerals only with a zero, for 五六 is an approximation."""
    match = _DIGITS.match(text, start)
    if match is None or text[match.end() : match.end() + 1] in tuple("十百千万亿点"):
        return None
    digits = _digits_of(match.group())
    if len(digits) < 2 or (len(digits) == 2 and "0" not in digits):
        return None
    return Match(match.end(), (Change(start, match.end(), digits),))


def _plain(text: str, start: int) -> Match | None:
    """Numbers from ten on, decimals, and single numerals before a counter."""
    number = number_at(text, start)
    if number is None or is_vague(text, start, number.end):
        run = _RUN.match(text, start)
        return Match(run.end()) if run else None
    spoken = text[start : number.end]
    if number.is_decimal or (len(spoken) > 1 and number.value >= 10):
        return Match(number.end, (number.change,))
    counter = _COUNTER.match(text, number.end)
    if counter is None or spoken == "ゼロ":
        return None
    if spoken == "一" and not _MEASURE.match(text, number.end):
        return None
    if spoken == "二" and counter.group() in _STAYS_TWO:
        return None
    return Match(counter.end(), (number.change,))


STARTS = frozenset(_KANJI + "第マゼ")
RULES = (
    _approximate,
    _percent,
    _fraction,
    _phone,
    _date,
    _clock,
    _ten_minutes,
    _score,
    _ordinal,
    _negative,
    _digit_string,
    _plain,
)
