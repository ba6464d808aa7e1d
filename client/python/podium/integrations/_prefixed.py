"""Splits metrics of several data sets by the prefixes of their names."""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["by_set"]

_OF_A_SET = re.compile(
    r"(?:(?P<set>val|valid|validation|test)[_/])?(?P<key>.+?)(?P<loader>/dataloader_idx_\d+)?",
    re.DOTALL,
)


def by_set(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the metrics of each set, such as `val` with `loss` from `val_loss` or `val/loss`.

    Metrics without the prefix of a set are training metrics, under the empty name. If Lightning has
    several data loaders, each is a set: `val/dataloader_idx_1`, or `/dataloader_idx_1` without a
    name.
    """
    sets: dict[str, dict[str, Any]] = {}
    for name, value in metrics.items():
        found = _OF_A_SET.fullmatch(name)
        parts = found.groupdict(default="") if found else {"set": "", "key": name, "loader": ""}
        where = parts["set"] + parts["loader"]
        sets.setdefault(where, {})[parts["key"]] = _number(value)
    return sets


def _number(value: Any) -> Any:
    """Returns a value as a number, or unchanged if it is not one; the recorder then reports it."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return value
