"""Log records as JSON lines."""

import json
import logging

from lingting.log import JsonLines


def line(**values: object) -> dict[str, object]:
    record = logging.makeLogRecord({"levelname": "ERROR", "msg": "fault", "created": 0.0, **values})
    found: dict[str, object] = json.loads(JsonLines().format(record))
    return found


def test_a_record_is_one_line_with_its_numbers() -> None:
    assert line(incident="ab12", took_ms=3) == {
        "at": "1970-01-01T00:00:00.000+00:00", "level": "error", "event": "fault",
        "incident": "ab12", "took_ms": 3,
    }  # fmt: skip


def test_of_an_exception_only_its_type_is_told() -> None:
    try:
        raise ValueError("what somebody said")
    except ValueError as exc:
        told = line(exc_info=(type(exc), exc, exc.__traceback__))
    assert told["error"] == "ValueError"
    assert "said" not in json.dumps(told)
