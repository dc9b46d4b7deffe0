"""What a note may say and where it may stand."""

import math

import pytest

from lingting.errors import OptionInvalid
from lingting.store.notes import MAX_TEXT_CHARS, check_times, parse_text


@pytest.mark.parametrize("text", ["", " \n\t", "x" * (MAX_TEXT_CHARS + 1)])
def test_texts_that_cannot_be(text: str) -> None:
    with pytest.raises(OptionInvalid, match=f"1 to {MAX_TEXT_CHARS}"):
        parse_text(text)


def test_as_much_as_may_be() -> None:
    assert parse_text(f" {'x' * MAX_TEXT_CHARS}\n") == "x" * MAX_TEXT_CHARS


def test_lines_stay_and_what_no_database_holds_is_replaced() -> None:
    assert parse_text("第一行\n\n\tb\0\ud800 ") == "第一行\n\n\tb\ufffd\ufffd"


@pytest.mark.parametrize(
    ("at_s", "end_s", "duration_s"),
    [
        (None, None, 60.0), (None, None, None), (0.0, None, 60.0), (0, 0.001, 60.0),
        (60.0, None, 60.0), (59.0, 60.0, 60.0), (1e6, 2e6, None), (60.9, None, 60.0),
        (0.0, None, 0.0),
    ],
)  # fmt: skip
def test_places_that_can_be(
    at_s: float | None, end_s: float | None, duration_s: float | None
) -> None:
    check_times(at_s, end_s, duration_s)


@pytest.mark.parametrize(
    ("at_s", "end_s", "told"),
    [
        (None, 3.0, "has a beginning too"),
        (-0.001, None, "0 or more"),
        (math.nan, None, "0 or more"),
        (math.inf, None, "0 or more"),
        (3.0, 3.0, "ends after it begins"),
        (3.0, 2.0, "ends after it begins"),
        (3.0, math.nan, "ends after it begins"),
        (3.0, math.inf, "ends after it begins"),
        (61.5, None, r"61\.500 s; the recording has 60\.000 s"),
        (3.0, 61.5, r"61\.500 s; the recording has 60\.000 s"),
    ],
)
def test_places_that_cannot_be(at_s: float | None, end_s: float | None, told: str) -> None:
    with pytest.raises(OptionInvalid, match=told):
        check_times(at_s, end_s, 60.0)
