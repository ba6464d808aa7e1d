"""Parses strict JSON. Rejects texts that JSON parsers interpret differently."""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["describe", "loads"]

_DIGITS = 310


def loads(text: str) -> Any:
    """Parses JSON.

    Raises:
        ValueError: The text is not JSON, is nested too deeply, or has NaN, Infinity, a repeated
            key, a number that is too large for a double, or an unpaired surrogate.
    """
    try:
        value = json.loads(
            text,
            parse_constant=_constant,
            parse_float=_double,
            parse_int=_integer,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if "\\ud" in text.lower():
        _check_text(value)
    return value


def describe(error: ValueError) -> str:
    """Returns a one-line description of an error of `loads`."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return str(error)


def _constant(name: str) -> float:
    raise ValueError(
        f'{name} is not JSON: in metrics write "{name}", in other values {{"$double": "{name}"}}'
    )


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"a number of {len(text):,} digits is too large for a double")
    return int(text)


def _double(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large for a double")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(
            f"the key {next(key for key in keys if keys.count(key) > 1)!r} is given twice"
        )
    return result


def _check_text(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(
            r"a string has an unpaired surrogate (such as \ud800), which UTF-8 cannot encode"
        ) from None
