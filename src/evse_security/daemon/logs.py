"""What is logged, on stderr: a line each, for a journal, a terminal, or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from evse_security.service.config import LogFormat, LogLevel
from evse_security.visible import printable

_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
"""syslog's, which a journal reads off the beginning of a line (sd-daemon(3))."""


class TextFormatter(logging.Formatter):
    """A line each, with its priority where a journal reads it, else with its time."""

    def __init__(self, *, to_a_journal: bool) -> None:
        super().__init__()
        self._to_a_journal = to_a_journal

    def format(self, record: logging.LogRecord) -> str:
        text = printable(f"{record.name.removeprefix('evse_security.')}: {record.getMessage()}")
        if record.exc_info:
            text += "".join(f"\n{printable(line)}" for line in self.formatException(record.exc_info).splitlines())
        if self._to_a_journal:
            priority = f"<{_PRIORITIES.get(record.levelno, 6)}>"
            return "\n".join(priority + line for line in text.split("\n"))
        return f"{_time(record)} {record.levelname.lower():7} {text}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def log_to_stderr(form: LogFormat, level: LogLevel, environment: Mapping[str, str]) -> None:
    """Log everything from a level on; what other libraries log, warnings and worse only."""
    handler = logging.StreamHandler(sys.stderr)
    to_a_journal = "JOURNAL_STREAM" in environment
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter(to_a_journal=to_a_journal))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("evse_security").setLevel(level.upper())


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
