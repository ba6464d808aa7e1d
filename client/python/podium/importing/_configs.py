"""Converts run configurations of other tools. Fields that Podium does not have become extras."""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import Any, TypeVar

from podium._files import json_form
from podium._limits.limits import DEFAULT_LIMITS
from podium._model.results import Component, DataConfig, ModelConfig, RunConfig
from podium.importing._values import number

__all__ = ["kept_values", "plain", "run_config_from", "seed_from", "step_from", "unquoted"]

_PARTS = {"data": DataConfig, "model": ModelConfig, "algorithm": Component, "backend": Component}
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_WORDS = {"True": True, "False": False, "None": None}
_MAPS = ("eval", "validation")
_T = TypeVar("_T", DataConfig, ModelConfig, Component)


def run_config_from(source: Any, name: str, **extras: Any) -> RunConfig:
    """Converts a configuration to a RunConfig. Fields that RunConfig does not have become extras.

    Args:
        source: The configuration, or the string that `repr()` returned for it.
        name: The name of the run, if the configuration has no name.
        extras: Further extras by key. Values that are None are left out.
    """
    given = unquoted(source)
    if not isinstance(given, dict):
        given = {} if given in (None, "") else {"config": given}
    rest = {str(key): value for key, value in given.items() if value is not None}
    config = RunConfig(str(rest.pop("name", "") or name))
    for field, form in _PARTS.items():
        part = _part(form, rest.get(field))
        if part is not None:
            setattr(config, field, part)
            del rest[field]
    for field in _MAPS:
        if isinstance(rest.get(field), dict):
            setattr(config, field, kept_values(rest.pop(field)))
    config.seed = seed_from(rest.pop("seed", None))
    config.tags = [str(tag) for tag in _list(rest.pop("tags", None))]
    more = {key: value for key, value in extras.items() if value is not None}
    config.extras = kept_values({**rest, **more})
    return config


def unquoted(value: Any) -> Any:
    """Parses a string that is the `repr()` of a Python value. Returns any other value unchanged."""
    if not isinstance(value, str):
        return value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about backslashes in Windows paths
            return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def plain(text: str) -> Any:
    """Converts a parameter's string to the number, bool or None that it was made from.

    Returns any other string unchanged.
    """
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER.fullmatch(text) or re.match(r"[-+]?0\d", text):
        return text  # 007 and 1_000 stay strings
    value = number(text) if re.search(r"[.eE]", text) else seed_from(text)
    return text if value is None else value


def seed_from(value: Any) -> int | None:
    """Converts a number or string, such as 42, 42.0 or "42", to a seed. Other values give None."""
    given = unquoted(value)
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    is_seed = isinstance(given, int) and not isinstance(given, bool)
    return given if is_seed and -(2**63) <= given < 2**63 else None


def step_from(value: Any) -> int | None:
    """Converts a number or string, such as 42, 42.0 or "42", to a step. Returns None for None.

    Raises:
        ValueError: The value is not a 64-bit integer.
    """
    step = seed_from(value)
    if step is None and unquoted(value) is not None:
        raise ValueError(f"{value!r} is not a valid step: a step is a 64-bit integer")
    return step


def _part(form: type[_T], value: Any) -> _T | None:
    """Converts a part of the configuration to a `form`, or to None if a field does not fit."""
    if isinstance(value, str) and form is Component:
        return form(value)  # only a kind
    if not isinstance(value, dict):
        return None
    try:
        return json_form.record_from_json(form, value, form.__name__)
    except ValueError:
        return None


def _list(value: Any) -> list[Any]:
    given = unquoted(value)
    return given if isinstance(given, list) else []


def kept_values(data: Any, depth: int = DEFAULT_LIMITS.value_depth) -> Any:
    """Converts data to values that Podium can store.

    Values of other types, and values nested deeper than `depth` levels, become strings.
    """
    if isinstance(data, dict | list | tuple) and depth <= 0:
        return json.dumps(data, default=str)
    if isinstance(data, dict):
        return {str(key): kept_values(item, depth - 1) for key, item in data.items()}
    if isinstance(data, list | tuple):
        return [kept_values(item, depth - 1) for item in data]
    if isinstance(data, int) and not -(2**63) <= data < 2**63:
        return str(data)
    return data if isinstance(data, str | float | int | None) else str(data)
