"""Metrics of several sets in one dict, told apart by what their names begin with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["by_set"]

_OF_A_SET = re.compile(r"(?P<set>val|valid|validation|test)[_/](?P<key>.+)", re.DOTALL)


def by_set(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The metrics of each set, such as `val` with `loss` from `val_loss` or `val/loss`.

    What belongs to no set is what training says of itself, under the empty name.
    """
    sets: dict[str, dict[str, Any]] = {}
    for name, value in metrics.items():
        found = _OF_A_SET.fullmatch(name)
        where, key = (found["set"], found["key"]) if found else ("", name)
        sets.setdefault(where, {})[key] = _number(value)
    return sets


def _number(value: Any) -> Any:
    """The number that a value is; what is none is left to the recorder, which says so."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return value
