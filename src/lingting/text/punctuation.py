"""Full-width marks in Chinese and Japanese text: 你好,世界. → 你好，世界。

A mark is widened when the character before it is Chinese, Japanese or a closing mark of theirs;
marks inside numbers, Latin words and addresses stay. The one space that Western habit puts behind
a mark goes with it.
"""

from __future__ import annotations

from lingting.joining import is_unspaced
from lingting.text.edits import Change, Written, apply_changes

_WIDE = {",": "，", "?": "？", "!": "！", ";": "；", ":": "：", ".": "。"}


def widen(text: str) -> Written:
    """``text`` with full-width marks, and edits of kind ``punctuation``."""
    changes: list[Change] = []
    for at, char in enumerate(text):
        wide = _WIDE.get(char)
        if wide is None or at == 0 or not is_unspaced(text[at - 1]):
            continue
        following = text[at + 1 : at + 2]
        if char in ".:" and following and not (following.isspace() or is_unspaced(following)):
            continue  # 第3.5节 keeps its point; so does 网址:8080
        end = at + 1
        if following == " " and is_unspaced(text[at + 2 : at + 3] or " "):
            end += 1
        changes.append(Change(at, end, wide))
    return apply_changes(text, changes, "punctuation")
