"""Reading numbers from Chinese text: where one ends, what it is worth, whether it is one at all.

Everything takes folded text (:func:`fold`): simplified characters, the same length as the original.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lingting.text.edits import Change
from lingting.text.itn.lexicon import read_folding, read_lexicon
from lingting.text.itn.numerals import (
    DIGIT,
    NUMERAL,
    parse_cardinal,
    write_chinese,
    write_digits,
)

WORDS = read_lexicon("zh")
_FOLDING = read_folding("zh_traditional")
_RUN = re.compile(f"[{NUMERAL}]+")
_DECIMALS = re.compile("点([零〇一二三四五六七八九幺]+)(?![两十百千])")
_PER_ONE = re.compile("[百千万亿][一二三四五六七八九]一$")  # 一万二一平
# What ten and a range may count; single characters are enough to tell 十个 from 十足.
COUNTED = frozenset(
    "个位人名次年天周月日号只条张本件台辆架艘座栋层楼间套块元角毛秒米里家所项种类篇首部集场局轮届章节页行"
    "列排组队班级倍遍趟回顿份支枝瓶杯碗箱盒袋包桶颗粒棵株头匹双对副把口户门道题句字岁斤克吨升亩度折平"
)


class Number(NamedTuple):
    """A number in digits: ``text`` for ``[start:end]``; a range of one numeral is ``is_single``."""

    start: int
    end: int
    text: str
    value: float
    is_single: bool

    @property
    def change(self) -> Change:
        return Change(self.start, self.end, self.text)


def fold(text: str) -> str:
    """Simplified characters for matching, the same length as ``text``."""
    return text.translate(_FOLDING)


def run_end(text: str, start: int) -> int:
    """End of the run of numerals at ``start``, less a last one that begins a word (两百|一起)."""
    match = _RUN.match(text, start)
    if match is None:
        return start
    end = match.end()
    run = match.group()
    if len(run) > 1 and run[-1] in DIGIT and (run[-2] in "百千万亿" or is_digits(run)):
        is_word = WORDS.match(text, end - 1) > end
        counted = COUNTED if run[-1] == "一" else frozenset("个人位名条张")
        is_counted = run[-2] in "百千万亿" and text[end : end + 1] in counted
        if is_word or is_counted:
            return end - 1
    if _PER_ONE.search(run) and text[end : end + 1] in COUNTED:
        return end - 1
    return end


def number_at(text: str, start: int) -> Number | None:
    """A well-formed number at ``start``, with decimals when they follow."""
    end = run_end(text, start)
    run = text[start:end]
    if not run:
        return None
    cardinal = parse_cardinal(run)
    decimals = decimals_at(text, end)
    if cardinal is None:
        if len(run) < 3 or not is_digits(run):
            return None
        whole, value = write_digits(run), float(write_digits(run))
    else:
        whole, value = write_chinese(cardinal.value, run), float(cardinal.value)
    if decimals:
        fraction = write_digits(decimals)
        end += 1 + len(decimals)
        return Number(start, end, f"{whole}.{fraction}", value, False)
    return Number(start, end, whole, value, len(run) == 1 and value < 10)


def decimals_at(text: str, start: int) -> str:
    """The numerals after a 点 at ``start`` that is a decimal point; "" for any other 点."""
    match = _DECIMALS.match(text, start)
    if match is None:
        return ""
    numerals = match.group(1)
    if WORDS.match(text, match.end() - 1) > match.end():  # 九点一起, 三点一四一直
        numerals = numerals[:-1]
    elif numerals == "一" and text.startswith("是", match.end()):  # 三点一是…
        return ""
    return numerals


def is_vague(text: str, start: int, end: int) -> bool:
    """几十, 数百, 十几, 二十来岁: an approximation, which stays spoken."""
    if text[start - 1 : start] in {"几", "数"} or text.startswith(("几", "好几"), end):
        return True
    return text.startswith("来", end) and text[end + 1 : end + 2] in COUNTED


def is_digits(run: str) -> bool:
    return all(char in DIGIT for char in run)
