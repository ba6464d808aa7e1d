"""Logs on standard error, as lines for people or as one JSON object per line for programs."""

import json
import logging
import sys
from datetime import UTC, datetime

import grpc.aio

__all__ = ["set_up_logs"]

_LINE = "%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s"
_LIBRARIES = ("asyncio", "grpc", "opentelemetry")
_REST = "further errors of libraries are not logged for the rest of this minute"
_LIBRARY_RECORDS = 10
"""The most log records per minute from all libraries together."""


def set_up_logs(style: str, level: str) -> None:
    """Sends all logs of the process to standard error. `style` is `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_LibraryFilter())
    text = logging.Formatter(_LINE, "%Y-%m-%d %H:%M:%S")
    handler.setFormatter(_JsonFormatter() if style == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Messages of libraries below the level WARNING are about their own work, not about calls.
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


class _LibraryFilter(logging.Filter):
    """Limits the logged errors of libraries.

    A client can cause such an error with every call, and a missing collector with every export of
    traces. A response that cannot be sent to a disconnected client is logged at level DEBUG only.
    """

    def __init__(self) -> None:
        super().__init__()
        self._minute = 0.0
        self._records = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether to log a record. Libraries may log only a few records in a minute."""
        if record.name.partition(".")[0] not in _LIBRARIES:
            return True
        if record.exc_info and isinstance(record.exc_info[1], grpc.aio.InternalError):
            return _lowered(record, "a response was not sent, because its client has disconnected")
        minute = record.created // 60
        if minute != self._minute:
            self._minute, self._records = minute, 0
        self._records += 1
        if self._records == _LIBRARY_RECORDS:
            record.msg = f"{record.getMessage()} ({_REST})"
            record.args = ()
        return self._records <= _LIBRARY_RECORDS


def _lowered(record: logging.LogRecord, message: str) -> bool:
    """Changes a record to one line at level DEBUG. Returns whether that level is logged."""
    record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    record.msg, record.args, record.exc_info, record.exc_text = message, (), None, None
    return logging.getLogger().isEnabledFor(logging.DEBUG)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Returns a JSON object: time (RFC 3339), level, logger, message, and any traceback."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
