"""Converts the arguments of a library to the settings of a run's configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from podium._values import coerce

__all__ = ["parameter_count", "plain", "seed_of", "settings_of"]

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
    """Converts a value to JSON-like data without memory addresses, which change with each run.

    Shortens long strings and lists. A path, an enum, a data type, or another object whose class
    defines `__str__` or `__repr__`, becomes its string. A function or class becomes its name, and
    any other object becomes the name of its class.
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
    return _number(given, depth) if hasattr(given, "__float__") else _object(given, depth)


def parameter_count(module: Any) -> int | None:
    """Returns the number of parameters of a PyTorch model.

    Returns None if lazy layers have no sizes yet, or if the model is not a PyTorch model.
    """
    try:
        return sum(int(parameter.numel()) for parameter in module.parameters())
    except (AttributeError, TypeError, ValueError):
        return None


def seed_of(given: Any) -> int | None:
    """Converts an argument, such as 42 or "42", to a seed.

    Returns None if the argument is not a 64-bit integer.
    """
    try:
        seed = None if given is None or isinstance(given, bool) else int(given)
    except (TypeError, ValueError, OverflowError):
        return None
    return seed if seed is None or -_INT64 <= seed < _INT64 else None


def _number(given: Any, depth: int) -> Any:
    try:
        number = float(given)
    except (TypeError, ValueError, RuntimeError):
        return _object(given, depth)
    has_index = hasattr(given, "__index__") and math.isfinite(number)
    return plain(int(given)) if has_index else number


def _object(given: Any, depth: int) -> Any:
    """Converts an array to its items, and another object to its text or its plain value.

    Returns the name of the class instead if an array is too large or nested too deeply, or if an
    object has no text of its own.
    """
    try:
        if hasattr(given, "tolist"):
            is_small = depth < _MAX_DEPTH and math.prod(given.shape) <= _MAX_ITEMS
            return plain(given.tolist(), depth) if is_small else _name(given)
        [text] = coerce.settings_list([given], "a setting")
    except Exception:  # noqa: BLE001 - any class may raise anything when it is converted
        return _name(given)
    return plain(text, depth) if isinstance(text, bool | float | int | str | list) else _name(given)


def _name(given: Any) -> str:
    named = given if hasattr(given, "__qualname__") else type(given)
    return f"{named.__module__}.{named.__qualname__}"
