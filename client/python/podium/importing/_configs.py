"""Run configurations of other tools: what fits Podium's fields goes there, the rest into extras."""

from __future__ import annotations

import ast
import warnings
from dataclasses import fields
from typing import Any, TypeVar

from podium._files import json_form
from podium._model.results import Component, DataConfig, ModelConfig, RunConfig

__all__ = ["kept_values", "run_config_from", "seed_from", "step_from", "unquoted"]

_PARTS = {"data": DataConfig, "model": ModelConfig, "algorithm": Component, "backend": Component}
_MAPS = ("eval", "validation")
_T = TypeVar("_T", DataConfig, ModelConfig, Component)


def run_config_from(said: Any, name: str, **extras: Any) -> RunConfig:
    """Reads a configuration of fields like Podium's, and keeps what has another form in extras.

    Args:
        said: The configuration, also as the text that Python prints of it.
        name: Its name, where it has none.
        extras: What else is worth keeping; None says nothing.
    """
    given = unquoted(said)
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
    told = {key: value for key, value in extras.items() if value is not None}
    config.extras = kept_values({**rest, **told})
    return config


def unquoted(value: Any) -> Any:
    """Reads what a writer has turned into text: the text that Python prints of data."""
    if not isinstance(value, str):
        return value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes, as in paths of Windows
            return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def seed_from(value: Any) -> int | None:
    """Reads a seed, also one written as text or as 42.0; None for what is none."""
    given = unquoted(value)
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    is_seed = isinstance(given, int) and not isinstance(given, bool)
    return given if is_seed and -(2**63) <= given < 2**63 else None


def step_from(value: Any) -> int | None:
    """Reads a step, also one written as text or as 42.0; None is none.

    Raises:
        ValueError: There is something, and it is no step.
    """
    step = seed_from(value)
    if step is None and unquoted(value) is not None:
        raise ValueError(f"{value!r} is no step")
    return step


def _part(form: type[_T], said: Any) -> _T | None:
    """A part of the configuration, if it has no other fields than Podium's and none is odd."""
    if isinstance(said, str) and form is Component:
        return form(said)  # a kind alone
    known = {field.name for field in fields(form)}
    if not isinstance(said, dict) or not known.issuperset(said):
        return None
    try:
        return json_form.record_from_json(form, said, form.__name__)
    except ValueError:
        return None


def _list(value: Any) -> list[Any]:
    given = unquoted(value)
    return given if isinstance(given, list) else []


def kept_values(said: Any) -> Any:
    """Data that can be kept as values; what cannot is kept as text."""
    if isinstance(said, dict):
        return {str(key): kept_values(item) for key, item in said.items()}
    if isinstance(said, list | tuple):
        return [kept_values(item) for item in said]
    if isinstance(said, int) and not -(2**63) <= said < 2**63:
        return str(said)
    return said if isinstance(said, str | float | int | None) else str(said)
