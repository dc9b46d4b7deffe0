"""Chinese dates and clock times, on folded text."""

from __future__ import annotations

import re

from lingting.text.edits import Change
from lingting.text.itn.chinese_numbers import decimals_at
from lingting.text.itn.lexicon import vocabulary
from lingting.text.itn.numerals import DIGIT, NUMERAL, parse_cardinal, write_digits
from lingting.text.itn.scan import Match, Rule

_MONTH = "(?P<month>十[一二]?|[一二三四五六七八九])月"
_DAY = "(?P<day>三十一?|二?十[一二三四五六七八九]?|[一二三四五六七八九])"
_DATE = re.compile(
    f"(?:(?P<year>[{DIGIT}]{{4}}|[{DIGIT}]{{2}})年)?{_MONTH}(?:{_DAY}(?P<mark>[日号]))?"
)
_UNTIL_DAY = re.compile(f"[到至]{_DAY}(?P<mark>[日号])")
_YEAR = re.compile(f"(?P<year>[{DIGIT}]{{4}}|[{DIGIT}]{{2}})年(?!级)")
_COHORT = re.compile("(?P<year>[五六七八九零一]零)后")
_LUNAR = re.compile(f"(?:农历|阴历|旧历)(?:正月|腊月|冬月|十?[{NUMERAL}]月)?初?[{NUMERAL}]*")
_WEEKDAY = re.compile("(?P<week>周|星期|礼拜)[一二三四五六](?P<more>[十百千])?")
_YEAR_FOLLOWED = re.compile(f"[{NUMERAL}]+月|[初底末生出的春夏秋冬]")
_HOUSE = ("楼", "线", "院", "房", "门")
_ASCENDING = "零一二三四五六七八九"

_DAYPARTS = tuple(
    vocabulary(
        "早上 上午 中午 下午 晚上 凌晨 傍晚 夜里 半夜 清晨 早晨 今早 明早 今晚 明晚 昨晚 当晚"
        " 每天 今天 明天 昨天 后天 前天 每晚 每早 周一 周二 周三 周四 周五 周六 周日"
        " 星期一 星期二 星期三 星期四 星期五 星期六 星期天 星期日 日 号"
    )
)
_CLOCK_FOLLOWED = re.compile(
    "左右|多(?![种个条])|之前|以前|前|以后|之后|后|见|开始|开会|出发|起床|上班|下班|集合|起飞|开门|关门|睡|准时|放学"
    "|上课|下课|吃|才|就"
)
_HOUR = "(?P<hour>零|二?十[一二三四五六七八九]?|[一二两三四五六七八九])点"
_CLOCK = re.compile(
    f"{_HOUR}(?:(?P<exact>半|整|钟|[一三]刻)"
    "|(?P<minute>[二三四五]?十[一二三四五六七八九]?|零[一二三四五六七八九]|[一二三四五六七八九](?=分))"
    f"(?P<unit>分(?!之))?(?![{NUMERAL}点]))?"
)
_COUNTDOWN = re.compile(
    "差(?P<minute>[二三四五]?十[一二三四五六七八九]?|[一二两三四五六七八九])分钟?" + _HOUR
)
_COUNTED = frozenset("个人名位条项年月元块度米公种件")


def _value(run: str) -> int:
    cardinal = parse_cardinal(run)
    return cardinal.value if cardinal else -1


def _replaced(match: re.Match[str], name: str, text: str) -> Change:
    return Change(match.start(name), match.end(name), text)


def _lunar(text: str, start: int) -> Match | None:
    """农历八月十五: the lunar calendar is written in Chinese numerals (GB/T 15835)."""
    match = _LUNAR.match(text, start)
    return Match(match.end()) if match else None


def _weekday(text: str, start: int) -> Match | None:
    """周三 stays; 周三十点 is ten o'clock on Wednesday, 每周三十个 is thirty a week."""
    match = _WEEKDAY.match(text, start)
    if match is None:
        return None
    if match["more"] and not _CLOCK.match(text, match.start("more")):
        return Match(match.end("week"))
    return Match(match.start("more") if match["more"] else match.end())


def _date(text: str, start: int) -> Match | None:
    """二零二五年三月十五号 → 2025年3月15日. With a month spoken, the day's 号 is written 日."""
    match = _DATE.match(text, start)
    if match is None:
        return None
    found = [_replaced(match, "year", write_digits(match["year"]))] if match["year"] else []
    found.append(_replaced(match, "month", str(_value(match["month"]))))
    if match["day"]:
        found.append(_replaced(match, "day", str(_value(match["day"]))))
        if match["mark"] == "号" and not text.startswith(_HOUSE, match.end()):
            found.append(_replaced(match, "mark", "日"))
    until = _UNTIL_DAY.match(text, match.end()) if match["day"] else None
    if until is None:
        return Match(match.end(), tuple(found))
    found += (_replaced(until, "day", str(_value(until["day"]))), _replaced(until, "mark", "日"))
    return Match(until.end(), tuple(found))


def _year(text: str, start: int) -> Match | None:
    """一九八四年 → 1984年, 九八年 → 98年; 七八年 alone is seven or eight years."""
    match = _YEAR.match(text, start)
    if match is None:
        return None
    run = match["year"]
    if len(run) == 2:
        is_span = run in _ASCENDING or run[0] in "三四"
        if is_span and not _YEAR_FOLLOWED.match(text, match.end()):
            return Match(match.end())
    return Match(match.end(), (_replaced(match, "year", write_digits(run)),))


def _cohort(text: str, start: int) -> Match | None:
    """八零后 → 80后, 零零后 → 00后."""
    match = _COHORT.match(text, start)
    return match and Match(match.end(), (_replaced(match, "year", write_digits(match["year"])),))


def _clock(text: str, start: int) -> Match | None:
    """三点二十五分 → 3点25分; 三点五分 is a time after 下午 and 3.5分 elsewhere."""
    match = _CLOCK.match(text, start)
    hour = _value(match["hour"]) if match else -1
    if match is None or hour > 24:
        return None
    is_after_day = text.endswith(_DAYPARTS, 0, start) and not text.endswith("几号", 0, start)
    found = _clock_at(text, match, is_after_day)
    if found is None:
        return None
    if text[found.end : found.end + 1] in {"到", "至"}:
        until = _CLOCK.match(text, found.end + 1)
        rest = _clock_at(text, until, True) if until else None
        if rest is not None:
            return Match(rest.end, found.changes + rest.changes, beats_words=True)
    return found


def _clock_at(text: str, match: re.Match[str], is_after_day: bool) -> Match | None:
    hour = _value(match["hour"])
    changes = (_replaced(match, "hour", str(hour)),)
    if match["exact"]:
        return Match(match.end(), changes, beats_words=True)
    minute = match["minute"]
    if minute and _is_minute(text, match, is_after_day):
        written = f"{_value(minute.removeprefix('零')):0{2 if minute[0] == '零' else 1}d}"
        return Match(match.end(), (*changes, _replaced(match, "minute", written)), True)
    end = match.end("hour") + 1
    decimals = decimals_at(text, end - 1)
    if decimals and not (is_after_day and text[end + len(decimals)] in _COUNTED):
        return None
    if hour >= 10 or _is_hour_alone(text, match, end, is_after_day):
        return Match(end, changes, beats_words=True)
    return None


def _is_minute(text: str, match: re.Match[str], is_after_day: bool) -> bool:
    minute = match["minute"]
    if len(minute) == 1 and minute != "十":
        return is_after_day
    if minute[0] == "零":
        return is_after_day or bool(match["unit"])
    return bool(match["unit"]) or text[match.end() : match.end() + 1] not in _COUNTED


def _is_hour_alone(text: str, match: re.Match[str], end: int, is_after_day: bool) -> bool:
    """三点 alone: a time after 下午 or before 开会, three points elsewhere."""
    if match["hour"] == "一" and text[end : end + 1] in frozenset("都也儿点没不就才"):
        return False
    if is_after_day or _CLOCK_FOLLOWED.match(text, end):
        return True
    return text[end : end + 1] in {"到", "至"} and _CLOCK.match(text, end + 1) is not None


def _countdown(text: str, start: int) -> Match | None:
    """差五分三点 → 差5分3点."""
    match = _COUNTDOWN.match(text, start)
    if match is None:
        return None
    minute, hour = str(_value(match["minute"])), str(_value(match["hour"]))
    return Match(match.end(), (_replaced(match, "minute", minute), _replaced(match, "hour", hour)))


CALENDAR_RULES: tuple[Rule, ...] = (_lunar, _weekday, _date, _year, _cohort, _countdown, _clock)
