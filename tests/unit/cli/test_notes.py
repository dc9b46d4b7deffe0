"""Times of notes, as people write them."""

import pytest

from lingting.cli.notes import seconds_of
from lingting.errors import OptionInvalid


@pytest.mark.parametrize(
    ("given", "time_s"),
    [
        ("0", 0.0), ("62.5", 62.5), ("1:02.5", 62.5), ("01:02", 62.0), ("1:00:02", 3602.0),
        ("0:00", 0.0), ("7200", 7200.0), (" 0:05 ", 5.0), ("100:59:59.999", 363599.999),
        ("1:2", 62.0),
    ],
)  # fmt: skip
def test_times(given: str, time_s: float) -> None:
    assert seconds_of("--at", given) == time_s


@pytest.mark.parametrize(
    "given", ["", "x", "-1", "1:60", "60:00", "1:60:00", "1:2:3:4", ":5", "1:", "nan", "1e5", "٣"]
)
def test_no_times(given: str) -> None:
    with pytest.raises(OptionInvalid, match="--at is no time"):
        seconds_of("--at", given)


def test_none_is_none() -> None:
    assert seconds_of("--at", None) is None
