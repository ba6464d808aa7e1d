"""Formats numbers, times and values for people. Programs use `--json`."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from podium._model.access import Token
from podium._model.results import ArmResult, ArmSummary
from podium._values.enums import ArmStatus
from podium.cli._table import cut

__all__ = [
    "count",
    "digits",
    "duration",
    "last_heard",
    "last_line",
    "metrics",
    "moment",
    "number",
    "p_value",
    "prefixes",
    "step",
    "value",
    "with_statuses",
    "words",
]

_LINE = 200
_MINUTE, _HOUR = 60, 3600
_LEAST_P = 1e-4


def number(given: float) -> str:
    """Returns a number with six significant digits.

    Only `podium score` and `--json` show all digits.
    """
    return f"{given:.6g}"


def digits(given: float | None, form: str) -> str:
    """Formats a number with a format such as `.6g`. Returns an empty string for None."""
    return "" if given is None else format(given, form)


def words(name: str) -> str:
    """Returns the name of a flag or an origin as words: `in loop eval` for `in_loop_eval`."""
    return name.replace("_", " ")


def with_statuses(arms: Mapping[str, str]) -> str:
    """Returns the names of arms, each with its status."""
    return ", ".join(f"{name} ({status})" for name, status in arms.items())


def p_value(given: float) -> str:
    """Returns a probability with two digits, or `<0.0001`."""
    return "<0.0001" if given < _LEAST_P else f"{given:.2g}"


def metrics(given: Mapping[str, float]) -> str:
    """Returns metrics as one line of `key=value`, sorted by key."""
    return "  ".join(f"{key}={number(given[key])}" for key in sorted(given))


def count(given: int, noun: str) -> str:
    """Returns a number and a noun, such as `1 arm` or `2,000 arms`."""
    return f"{given:,} {noun}" if given == 1 else f"{given:,} {noun}s"


def step(given: int | None) -> str:
    """Returns the step of a row, or `post` for a post-training row."""
    return "post" if given is None else str(given)


def duration(seconds: float | None) -> str:
    """Returns a duration, or an empty string for None or zero."""
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
    """Returns a time in UTC, or an empty string for None."""
    return "" if given is None else f"{given.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def last_heard(arm: ArmResult | ArmSummary) -> str:
    """Returns the time of the last event of a running arm, or an empty string for other arms."""
    return moment(arm.last_heard) if arm.status == ArmStatus.RUNNING else ""


def last_line(given: str | None) -> str:
    """Returns the last line of a text, such as that of a traceback, shortened for a table."""
    lines = (given or "").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return cut(last, _LINE)


def prefixes(token: Token) -> str:
    """Returns the prefixes of a token in one line, or `(all)` if it has none."""
    return " ".join(token.prefixes) or "(all)"


def limits(token: Token) -> str:
    """Returns the limits of a token in one line, or `-` if it has none."""
    return " ".join(f"{name}={number}" for name, number in token.limits.given().items()) or "-"


def stored_rows(token: Token) -> str:
    """Returns the number of rows in the experiments of a token, and the token's limit, if any."""
    most = token.limits.stored_rows
    shown = "-" if token.stored_rows is None else f"{token.stored_rows:,}"
    return shown if most is None else f"{shown} of {most:,}"


def value(given: Any) -> str:
    """Returns a value in one line: a string unchanged, other values as JSON."""
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
