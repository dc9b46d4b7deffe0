"""Places in lists, as addresses carry them."""

import base64
from datetime import UTC, datetime

import pytest

from lingting.errors import OptionInvalid
from lingting.server.views import history_text, parse_history, parse_place, place_text
from lingting.store import HistoryPlace
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
    assert parse_history(None) is None


@pytest.mark.parametrize(
    "place",
    [
        HistoryPlace("newest", TIME, "k7mqx2abcdef"),
        HistoryPlace("oldest", TIME, "k7mqx2abcdef"),
        HistoryPlace("name", None, "k7mqx2abcdef"),
        HistoryPlace("longest", 1 / 3, "k7mqx2abcdef"),
        HistoryPlace("shortest", -1.0, "k7mqx2abcdef"),
    ],
)
def test_a_place_in_the_history_is_read_back(place: HistoryPlace) -> None:
    assert parse_history(history_text(place)) == place


def test_a_place_in_another_zone() -> None:
    found = parse_history(packed("newest|2026-11-22T02:02:03.456789+01:00|k7mqx2abcdef"))
    assert found == HistoryPlace("newest", TIME, "k7mqx2abcdef")


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
        parse_history(packed(f"newest|{text}"))
    for at_s in ("", "1.0"):
        with pytest.raises(OptionInvalid, match="no place"):
            parse_place(packed(f"{at_s}|{text}"))


@pytest.mark.parametrize(
    "text",
    ["name|x|a", "size||a", "|1.0|a", "longest||a", "shortest|nan|a", "newest|1.0|a", "name|a"],
)
def test_what_is_no_place_in_the_history(text: str) -> None:
    with pytest.raises(OptionInvalid, match="no place"):
        parse_history(packed(text))


@pytest.mark.parametrize("at_s", ["x", "nan", "inf", "-inf", "1_0_"])
def test_what_is_no_place_among_notes(at_s: str) -> None:
    with pytest.raises(OptionInvalid, match="no place"):
        parse_place(packed(f"{at_s}|{TIME.isoformat()}|a"))


@pytest.mark.parametrize("given", ["", "a", "\xff", "=" * 8, "\0"])
def test_what_was_never_packed(given: str) -> None:
    for parse in (parse_history, parse_place):
        with pytest.raises(OptionInvalid, match="no place"):
            parse(given)
