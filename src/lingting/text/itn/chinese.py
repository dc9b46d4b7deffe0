"""Chinese: numbers, money, measures, ranges, digit strings. Dates and clock times are next door.

Rules read folded text (``chinese_numbers.fold``), so one grammar serves both scripts; they only
ever replace numerals and the few words that belong to them (百分之, 负, the 号 of a date).

The style: from ten on numbers are written in digits; single ones stay (三个人) unless a unit of
measure, money, percent, time or date follows (三公里 → 3公里). Approximations stay spoken (三五个,
十几个, 二十来岁). What is no well-formed number stays.
"""

from __future__ import annotations

import re

from lingting.text.edits import Change
from lingting.text.itn.chinese_calendar import CALENDAR_RULES
from lingting.text.itn.chinese_numbers import (
    COUNTED,
    WORDS,
    Number,
    fold,
    is_digits,
    is_vague,
    number_at,
    run_end,
)
from lingting.text.itn.numerals import DIGIT, NUMERAL, parse_cardinal, write_digits
from lingting.text.itn.scan import Match, Rule, scan

_ASCENDING = "一二三四五六七八九"

_COUNTED_AFTER_CHANGE = frozenset("个位人名条只张件种天年")
# Units that turn even a single numeral into a digit.
_UNIT = re.compile(
    r"公里|千米|厘米|毫米|微米|纳米|分米|英里|英尺|英寸|海里|公斤|千克|毫克|公顷|毫升|平方|立方|平米|摄氏度"
    r"|华氏度|小时|分钟|秒钟|毫秒|赫兹|千赫|兆赫|千瓦|毫安|伏特|字节|比特|美元|欧元|日元|英镑|港币|港元"
    r"|人民币|韩元|卢布|块钱|毛钱|角钱|分钱|周岁|单元|个百分点|吉字节|吨|磅|亩"
    r"|元(?![论化旦宵素首气件老帅勋凶音芳次])|米(?![饭粉线兰勒其字老色])|升(?![级学职旗温高天华])"
    r"|度(?![过假夏日蜜数])|克(?![服隆拉里制])|室(?![一二两三]厅)|折(?![磨腾断叠射扣])|号(?![称召令码])"
    r"|楼(?!梦)|斤(?!斤)|岁(?!月)|秒(?!杀)|毛(?![病孩线])|兆(?!头)"
)
_MONEY_TAIL = re.compile(r"块(?=钱|[，。！？、,.!?]|$|左右|人民币)")
_PERIOD = re.compile("小时|分钟|秒")
_SPECIFIC = frozenset("每这那另某后何上下前同")  # 每一分钟, 最后一秒
_LISTED = ("月", "年级", "等", "线", "班", "档", "期", "层", "楼", "号楼", "把手")
_NUMBER_OF = ("尾号", "号码", "密码", "编号", "房间", "验证码", "车牌", "代码")


def changes(spoken: str) -> list[Change]:
    """Replacements that write ``spoken``, in order."""
    text = fold(spoken)
    found = scan(text, RULES, STARTS, WORDS)
    return found if text == spoken else [_in_script_of(spoken, change) for change in found]


def _in_script_of(spoken: str, change: Change) -> Change:
    """Units kept inside a replacement stay traditional where they were."""
    text = change.text
    for simplified, traditional in ("亿億", "万萬"):
        if traditional in spoken[change.start : change.end]:
            text = text.replace(simplified, traditional)
    return change._replace(text=text)


def _percent(text: str, start: int) -> Match | None:
    """百分之九十五点五 → 95.5%, 千分之三 → 3‰; a range keeps its 到."""
    sign = {"百分之": "%", "千分之": "‰", "万分之": ""}.get(text[start : start + 3])
    if sign is None:
        return None
    begin = start + 3
    minus = "-" if text.startswith("负", begin) else ""
    number = _hundred_or_number(text, begin + len(minus))
    if number is None or not sign or is_vague(text, number.start, number.end):
        return Match(run_end(text, begin) if run_end(text, begin) > begin else begin)
    found = [Change(start, number.end, f"{minus}{number.text}{sign}")]
    end = number.end
    if text[end : end + 1] in {"到", "至"}:
        upper = number_at(text, end + 1)
        if upper is not None and text[upper.end : upper.end + 1] not in COUNTED | {"点"}:
            end = upper.end
            found.append(upper.change._replace(text=upper.text + sign))
    return Match(end, tuple(found))


def _hundred_or_number(text: str, start: int) -> Number | None:
    if text.startswith("百", start):
        return Number(start, start + 1, "100", 100.0, False)
    return number_at(text, start)


def _fraction(text: str, start: int) -> Match | None:
    """三分之一 → 1/3, 一又二分之一 → 1又1/2."""
    lower = number_at(text, start)
    if lower is None:
        return None
    if text.startswith("又", lower.end):
        rest = _proper_fraction(text, number_at(text, lower.end + 1))
        return rest and Match(rest.end, (lower.change, *rest.changes))
    return _proper_fraction(text, lower)


def _proper_fraction(text: str, lower: Number | None) -> Match | None:
    """``lower`` 分之 a number; without that number the words are skipped."""
    if lower is None or not text.startswith("分之", lower.end):
        return None
    upper = number_at(text, lower.end + 2)
    if upper is None:
        return Match(lower.end + 2)
    return Match(upper.end, (Change(lower.start, upper.end, f"{upper.text}/{lower.text}"),))


_VERSION = re.compile(f"[{DIGIT}]+(?:点[{DIGIT}]+){{2,}}(?![点分半整钟十百千{DIGIT}])")


def _version(text: str, start: int) -> Match | None:
    """二点三点一 → 2.3.1, 一九二点一六八点一点一 → 192.168.1.1."""
    match = _VERSION.match(text, start)
    if match is None:
        return None
    parts = ".".join(write_digits(part) for part in match.group().split("点"))
    return Match(match.end(), (Change(start, match.end(), parts),))


def _pair(text: str, start: int, between: frozenset[str]) -> tuple[Number, Number] | None:
    left = number_at(text, start)
    if left is None or text[left.end : left.end + 1] not in between:
        return None
    right = number_at(text, left.end + 1)
    return (left, right) if right is not None else None


def _score(text: str, start: int) -> Match | None:
    """三比二 → 3比2."""
    pair = _pair(text, start, frozenset("比"))
    return Match(pair[1].end, (pair[0].change, pair[1].change)) if pair else None


def _range(text: str, start: int) -> Match | None:
    """三到五个 → 3到5个; both ends change together or not at all."""
    pair = _pair(text, start, frozenset("到至"))
    if pair is None:
        return None
    low, high = pair
    if is_vague(text, low.start, low.end) or is_vague(text, high.start, high.end):
        return Match(high.end)
    if low.is_single and high.value >= 100 and high.text.isdecimal():
        return Match(high.end)  # 三到五百: the first end means hundreds too
    is_counted = (
        text[high.end : high.end + 1] in COUNTED
        or _UNIT.match(text, high.end) is not None
        or high.text.endswith(("万", "亿"))
    )
    if (low.is_single or high.is_single) and not is_counted:
        return None
    return Match(high.end, (low.change, high.change))


def _ordinal(text: str, start: int) -> Match | None:
    """第十三 → 第13; from 第一 to 第九 they stay."""
    if text[start] != "第":
        return None
    end = run_end(text, start + 1)
    cardinal = parse_cardinal(text[start + 1 : end])
    if cardinal is None or cardinal.value < 10:
        return Match(max(end, start + 1))
    return Match(end, (Change(start + 1, end, str(cardinal.value)),))


_SMALL_CHANGE = re.compile(
    "块(?P<jiao>[一二三四五六七八九])(?:(?=[毛角])[毛角](?:(?P<fen>[一二三四五六七八九])分)?)?"
)


def _money(text: str, start: int) -> Match | None:
    """三块五 → 3块5, 三块五毛二分 → 3块5毛2分, 三块。 → 3块。"""
    number = number_at(text, start)
    if number is None or is_vague(text, start, number.end):
        return None
    match = _SMALL_CHANGE.match(text, number.end)
    if match is None:
        tail = _MONEY_TAIL.match(text, number.end)
        return Match(tail.end(), (number.change,)) if tail else None
    follows = text[match.end() : match.end() + 1]
    if follows in _COUNTED_AFTER_CHANGE and len(match.group()) == 2:
        return None
    found = [number.change]
    for name in ("jiao", "fen"):
        if match[name]:
            found.append(Change(match.start(name), match.end(name), write_digits(match[name])))
    return Match(match.end(), tuple(found))


_MEASURE_TAIL = re.compile(
    rf"(?:(?:米|度|尺)(?P<tail>[零一二三四五六七八九]{{1,2}})|秒(?P<tail2>[{DIGIT}]{{1,3}})"
    rf"|斤(?P<tail3>[一二两三四五六七八九])(?=两))(?![{NUMERAL}点])"
)


def _measure(text: str, start: int) -> Match | None:
    """一米七五 → 1米75, 三十七度五 → 37度5, 三斤二两 → 3斤2两."""
    number = number_at(text, start)
    match = _MEASURE_TAIL.match(text, number.end) if number else None
    if number is None or match is None:
        return None
    if (
        text[match.end() : match.end() + 1] in COUNTED
        or WORDS.match(text, match.end() - 1) > match.end()
    ):
        return None
    begin, end = match.span(match.lastgroup or 0)
    digits = write_digits(text[begin:end].replace("两", "二"))
    return Match(match.end(), (number.change, Change(begin, end, digits)))


def _negative(text: str, start: int) -> Match | None:
    """负五度 → -5度; 负一层 and 肩负三十项 stay."""
    if text[start] != "负":
        return None
    number = number_at(text, start + 1)
    if number is None or (text[start - 1 : start] in tuple("肩欺辜抱自胜担背") and start):
        return None
    if text[number.end : number.end + 1] in {"层", "楼"}:
        return Match(number.end)
    if number.is_single and not _UNIT.match(text, number.end):
        return None
    return Match(number.end, (Change(start, number.end, f"-{number.text}"),))


def _digits(text: str, start: int) -> Match | None:
    """幺三八零零一三八零零零 → 13800138000; of two numerals only what must be a number (幺三)."""
    end = run_end(text, start)
    run = text[start:end]
    if not run or not is_digits(run) or text.startswith("点", end):
        return None
    before = text[start - 1 : start]
    if len(run) <= 2 and before.isascii() and before.isupper():  # T三航站楼, A四纸
        if text[end : end + 1] in frozenset("个下样起些点直定般位种次名条对家"):
            return None
    elif len(run) == 2:
        is_discount = text.startswith("折", end) and run not in _ASCENDING
        is_number = is_discount or any(char in "零〇幺" for char in run)
        if not is_number and not text.endswith(_NUMBER_OF, 0, start):
            return None
    elif len(run) < 2:
        return None
    elif len(run) <= 4 and run in _ASCENDING and text.startswith(_LISTED, end):
        return Match(end)  # 一二三等奖, 四五六月
    return Match(end, (Change(start, end, write_digits(run)),))


def _plain(text: str, start: int) -> Match | None:
    """Any number from ten on, any decimal, and single numerals before a unit."""
    if text[start] not in NUMERAL:
        return None
    number = number_at(text, start)
    if number is None or is_vague(text, start, number.end):
        if text[start] in "百千万亿" and WORDS.match(text, start) > start:
            return None  # 万一三点钟: the word, then a number
        # 三五, 七八十, 几百: skip the whole run, so that no part of it is taken for a number.
        end = number.end if number else run_end(text, start)
        return Match(end)
    end = number.end
    if number.is_single:
        unit = _UNIT.match(text, end)
        if unit is None:
            return None
        before = text[start - 1 : start] if start else ""
        if text[start] == "一" and before in _SPECIFIC and _PERIOD.match(unit.group()):
            return None
        return Match(unit.end(), (number.change,))
    if text[start:end] == "十":
        unit = _UNIT.match(text, end)
        if unit is None and text[end : end + 1] not in COUNTED | {"多", "余"}:
            return None
        end = unit.end() if unit else end + 1
    return Match(end, (number.change,))


STARTS = frozenset(NUMERAL + "第负差农阴旧周星礼")
RULES: tuple[Rule, ...] = (
    _percent,
    _fraction,
    _version,
    *CALENDAR_RULES,
    _score,
    _range,
    _ordinal,
    _money,
    _measure,
    _negative,
    _digits,
    _plain,
)
