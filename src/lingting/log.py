"""Log lines: an event, ids and numbers; never content, names or parameters.

What is *bound* stands in every line that is written meanwhile: the id of the request that a line is
about, so that one search finds what web, worker and engine did for it.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from traceback import walk_tb
from typing import Any, Literal

Form = Literal["auto", "json", "human"]
REQUEST_HEADER = "X-Request-Id"

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_FRAMES = 8
_bound: ContextVar[dict[str, Any] | None] = ContextVar("lingting_log", default=None)


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """These fields, where they are not None, stand in every line of this thread or task."""
    given = {name: value for name, value in fields.items() if value is not None}
    token = _bound.set({**(_bound.get() or {}), **given})
    try:
        yield
    finally:
        _bound.reset(token)


def add(**fields: Any) -> None:
    """One more field until the innermost :func:`bound` ends."""
    now = _bound.get()
    if now is not None:
        now.update((name, value) for name, value in fields.items() if value is not None)


def fields() -> Mapping[str, Any]:
    """What is bound now."""
    return _bound.get() or {}


def request_id() -> str | None:
    """Of the request that is worked on."""
    found = fields().get("request")
    return found if isinstance(found, str) else None


def taken_request_id(given: str | None) -> str:
    """The one a caller sent, when it is 8 to 64 letters, digits, ``.``, ``_`` and ``-``; else
    a new one."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def request_headers() -> dict[str, str]:
    """For whoever goes on with it elsewhere."""
    found = request_id()
    return {} if found is None else {REQUEST_HEADER: found}


def kind_and_place(exc: BaseException) -> dict[str, Any]:
    """What nobody foresaw, as fields of a line: its type, and the innermost lines it went through.

    Its message stays out: that of a foreign exception may quote what somebody said.
    """
    frames = list(walk_tb(exc.__traceback__))[-_FRAMES:]
    at = [f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in frames]
    return {"error": type(exc).__name__, "at": at}


class JsonLines(logging.Formatter):
    """``{"at", "level", "event", …bound, …extra}`` on one line."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_told(record),
        }
        return json.dumps(told, ensure_ascii=False, default=str)


class Sentences(logging.Formatter):
    """``12:00:01 WARNING event name=value …`` for people at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone()
        told = " ".join(f"{name}={value}" for name, value in _told(record).items())
        text = f"{at:%H:%M:%S} {record.levelname:<7} {record.getMessage()} {told}".rstrip()
        return "".join(char if char.isprintable() else " " for char in text)


def _told(record: logging.LogRecord) -> dict[str, Any]:
    told = {**fields(), **{k: v for k, v in vars(record).items() if k not in _OWN}}
    if record.exc_info and record.exc_info[0] is not None:
        told["error"] = record.exc_info[0].__name__  # its message may quote what was given
    return told


def is_for_people(form: Form) -> bool:
    """Whether lines on stderr are read by people: on a terminal, where nothing else was said."""
    if form != "auto":
        return form == "human"
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # closed
        return False


def configure(level: str, form: Form = "auto") -> None:
    """All loggers of this process write to stderr, from this level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Sentences() if is_for_people(form) else JsonLines())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in ("httpx", "httpcore", "opentelemetry", "urllib3"):  # they log addresses
        logging.getLogger(name).setLevel(logging.WARNING)
