"""What the script of a text tells about its language, and what it does not."""

from __future__ import annotations

import pytest

from lingting.engines.nano.prompt import MLT_LANGUAGES, NANO_LANGUAGES
from lingting.text.judging import language_of_text


@pytest.mark.parametrize(
    ("text", "nano", "mlt"),
    [
        ("开放时间早上九点至下午五点。", "zh", "zh"),
        ("我们用 Python 写 code，再跑 test。", "zh", "zh"),
        ("開催時間は午前九時から午後五時までです。", "ja", "ja"),
        ("東京タワーへ行きました", "ja", "ja"),
        ("Opening hours are nine to five.", "en", None),
        ("Her name is 李.", "en", None),
        ("영업시간은 아홉시부터입니다.", None, "ko"),
        ("เวลาทำการเก้าโมงเช้า", None, "th"),
        ("ساعات العمل", None, "ar"),
        ("खुलने का समय", None, "hi"),
        ("Ώρες λειτουργίας", None, "el"),
        ("Работно време", None, "bg"),
        ("שעות פתיחה", None, None),
        ("12:30, 45%", None, None),
        ("", None, None),
    ],
)
def test_language_by_script(text: str, nano: str | None, mlt: str | None) -> None:
    assert language_of_text(text, NANO_LANGUAGES) == nano
    assert language_of_text(text, MLT_LANGUAGES) == mlt


def test_only_what_the_model_knows() -> None:
    assert language_of_text("开放时间", frozenset({"en"})) is None
    assert language_of_text("Работно време", frozenset({"bg", "ru"})) is None
