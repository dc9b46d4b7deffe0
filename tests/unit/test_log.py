"""Log records as JSON lines."""

import io
import json
import logging

import pytest

from lingting import log
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


def test_what_is_bound_stands_in_the_lines_until_it_ends() -> None:
    with log.bound(request="one", job=None):
        assert line()["request"] == "one"
        assert "job" not in line()
        with log.bound(job="j"):
            log.add(request="two")
            assert (line()["request"], line()["job"]) == ("two", "j")
        assert line()["request"] == "one"
        assert line(request="said by the line")["request"] == "said by the line"
    assert "request" not in line()
    log.add(request="nobody bound anything")
    assert "request" not in line()


def test_people_read_sentences_on_one_line() -> None:
    record = logging.makeLogRecord(
        {"levelname": "WARNING", "msg": "chore failed", "created": 0.0, "chore": "a\nb\x1b[2J"}
    )
    with log.bound(request="one-two-three"):
        told = log.Sentences().format(record)
    assert told.endswith("WARNING chore failed request=one-two-three chore=a b [2J")
    assert "\n" not in told
    assert "\x1b" not in told


def test_programs_get_json_where_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert log.is_for_people("human")
    assert not log.is_for_people("json")
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert not log.is_for_people("auto")
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", terminal)
    assert log.is_for_people("auto")
