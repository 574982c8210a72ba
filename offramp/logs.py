"""Logs: lines of text for people, or one JSON object a line for machines.

What a line is about stands beside it by name: a logging call gives ``extra`` with any of `IDS`.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

__all__ = ["FORMATS", "IDS", "set_up_logs"]

FORMATS = ("text", "json")

IDS = ("client", "stream", "sample", "plan", "bundle")
"""Who sent it, by name; the stream's number on this server, 0 for a call by itself; the sample's id
within its stream; the plan's id; and the bundle's digest."""

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def set_up_logs(level: str, form: str) -> None:
    """Write the process's log to standard error in one of `FORMATS`, from a level on."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class _JsonFormatter(logging.Formatter):
    """Writes a record as an object; what it is not about is left out."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: vars(record)[name] for name in IDS if name in vars(record)},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
