"""Places in lists, as addresses carry them."""

import base64
from datetime import UTC, datetime

import pytest

from lingting.errors import OptionInvalid
from lingting.server.views import parse_cursor, parse_place, place_text
from lingting.store import Cursor
from lingting.store.records import NotePlace

TIME = datetime(2026, 11, 22, 1, 2, 3, 456789, UTC)


def packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("at_s", [None, 0.0, 1 / 3, 1e-9, 35_999.999])
def test_a_place_among_notes_is_read_back(at_s: float | None) -> None:
    place = NotePlace(at_s, TIME, "k7mqx2abcdef")
    text = place_text(place)
    assert parse_place(text) == place
    assert text.replace("-", "").replace("_", "").isalnum()


def test_no_place_is_the_beginning() -> None:
    assert parse_place(None) is None
    assert parse_cursor(None) is None


def test_a_place_in_another_zone() -> None:
    found = parse_cursor(packed("2026-11-22T02:02:03.456789+01:00|k7mqx2abcdef"))
    assert found == Cursor(TIME, "k7mqx2abcdef")


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "x|y", "2026-11-22T01:02:03|a", "2026-11-22T01:02:03+00:00|",
        "2026-11-22T01:02:03+00:00", "0001-01-01T00:00:00+23:59|a", "9999-12-31T23:59:59-23:59|a",
        "2026-11-22T01:02:03+00:00|\0",
    ],
)  # fmt: skip
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(OptionInvalid, match="no place"):
        parse_cursor(packed(text))
    for at_s in ("", "1.0"):
        with pytest.raises(OptionInvalid, match="no place"):
            parse_place(packed(f"{at_s}|{text}"))


@pytest.mark.parametrize("at_s", ["x", "nan", "inf", "-inf", "1_0_"])
def test_what_is_no_place_among_notes(at_s: str) -> None:
    with pytest.raises(OptionInvalid, match="no place"):
        parse_place(packed(f"{at_s}|{TIME.isoformat()}|a"))


@pytest.mark.parametrize("given", ["", "a", "\xff", "=" * 8, "\0"])
def test_what_was_never_packed(given: str) -> None:
    for parse in (parse_cursor, parse_place):
        with pytest.raises(OptionInvalid, match="no place"):
            parse(given)
