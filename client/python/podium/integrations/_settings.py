"""Converts the arguments of a library to the settings of a run's configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["plain", "seed_of", "settings_of"]

_MAX_DEPTH = 6
_MAX_ITEMS = 200
_MAX_TEXT = 2_000
_INT64 = 1 << 63


def settings_of(given: Mapping[Any, Any], *, without: frozenset[str] = frozenset()) -> Any:
    """Returns the arguments that are not None, as plain values, except those in `without`."""
    return {
        str(key): plain(item)
        for key, item in given.items()
        if item is not None and str(key) not in without
    }


def plain(given: Any, depth: int = 1) -> Any:
    """Converts a value to JSON-like data that is the same in each run of a program.

    Shortens long texts and lists. An object that is not a number becomes the name of its class, and
    a function or class becomes its own name.
    """
    if isinstance(given, bool | float) or given is None:
        return given
    if isinstance(given, int):
        return int(given) if -_INT64 <= given < _INT64 else str(int(given))
    if isinstance(given, str):
        return str.__str__(given)[:_MAX_TEXT]
    if isinstance(given, Mapping) and depth < _MAX_DEPTH:
        items = list(given.items())[:_MAX_ITEMS]
        return {str(key): plain(item, depth + 1) for key, item in items}
    if isinstance(given, list | tuple | set | frozenset) and depth < _MAX_DEPTH:
        items = sorted(given, key=str) if isinstance(given, set | frozenset) else list(given)
        return [plain(item, depth + 1) for item in items[:_MAX_ITEMS]]
    return _number(given) if hasattr(given, "__float__") else _name(given)


def seed_of(given: Any) -> int | None:
    """Converts an argument, such as 42 or "42", to a seed.

    Returns None if it is not a 64-bit integer.
    """
    try:
        seed = None if given is None or isinstance(given, bool) else int(given)
    except (TypeError, ValueError, OverflowError):
        return None
    return seed if seed is None or -_INT64 <= seed < _INT64 else None


def _number(given: Any) -> Any:
    try:
        number = float(given)
    except (TypeError, ValueError, RuntimeError):
        return _name(given)
    has_index = hasattr(given, "__index__") and math.isfinite(number)
    return plain(int(given)) if has_index else number


def _name(given: Any) -> str:
    named = given if hasattr(given, "__qualname__") else type(given)
    return f"{named.__module__}.{named.__qualname__}"
