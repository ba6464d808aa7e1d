"""Numbers, times and values as people read them. Programs have `--json`."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any

from podium._values.enums import ArmStatus
from podium.cli._table import cut

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from podium import ArmResult, ArmSummary

__all__ = [
    "count",
    "duration",
    "last_heard",
    "last_line",
    "metrics",
    "moment",
    "number",
    "p_value",
    "step",
    "value",
]

_LINE = 200
_MINUTE, _HOUR = 60, 3600
_LEAST_P = 1e-4


def number(given: float) -> str:
    """Six significant digits; `podium score` and `--json` have them all."""
    return f"{given:.6g}"


def p_value(given: float) -> str:
    """A probability with two digits; below 0.0001 only that."""
    return "<0.0001" if given < _LEAST_P else f"{given:.2g}"


def metrics(given: Mapping[str, float]) -> str:
    """Metrics in one line, by key."""
    return "  ".join(f"{key}={number(given[key])}" for key in sorted(given))


def count(given: int, noun: str) -> str:
    """A number of things, such as `1 arm` or `2,000 arms`."""
    return f"{given:,} {noun}" if given == 1 else f"{given:,} {noun}s"


def step(given: int | None) -> str:
    """The step of a row, for a table; a row without one was measured after training."""
    return "post" if given is None else str(given)


def duration(seconds: float | None) -> str:
    """A time that something took; nothing if it was not recorded."""
    if not seconds:
        return ""
    if not seconds < _HOUR * 1000:
        return f"{seconds:.6g} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{seconds:.3g} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"


def moment(given: datetime | None) -> str:
    """A point in time, in UTC."""
    return "" if given is None else f"{given.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def last_heard(arm: ArmResult | ArmSummary) -> str:
    """Returns when the server last heard of a running arm; nothing for other arms."""
    return moment(arm.last_heard) if arm.status == ArmStatus.RUNNING else ""


def last_line(given: str | None) -> str:
    """The last line of a text, what a traceback ends in, as far as a table can hold it."""
    lines = (given or "").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return cut(last, _LINE)


def value(given: Any) -> str:
    """A value in one line: text as it is, anything else as JSON."""
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
