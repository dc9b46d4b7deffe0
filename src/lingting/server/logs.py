"""Log records as JSON lines: an event, ids and numbers; never content, names or parameters."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

_OURS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonLines(logging.Formatter):
    """``{"at", "level", "event", …extra}`` on one line."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _OURS},
        }
        if record.exc_info and record.exc_info[0] is not None:
            told["error"] = record.exc_info[0].__name__  # its message may quote what was given
        return json.dumps(told, ensure_ascii=False, default=str)


def configure(level: str) -> None:
    """All loggers of this process write to stderr, from this level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in ("httpx", "httpcore"):  # they log addresses
        logging.getLogger(name).setLevel(logging.WARNING)
