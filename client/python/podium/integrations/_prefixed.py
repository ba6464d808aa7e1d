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
    """Returns the metrics of each set: `val_loss` and `val/loss` become `loss` of the set `val`.

    Metrics without such a prefix are training metrics. They are returned as the set with an empty
    name. If Lightning has several data loaders, each is a set, such as `val/dataloader_idx_1`.
    """
    sets: dict[str, dict[str, Any]] = {}
    for name, value in metrics.items():
        found = _OF_A_SET.fullmatch(name)
        parts = found.groupdict(default="") if found else {"set": "", "key": name, "loader": ""}
        where = parts["set"] + parts["loader"]
        sets.setdefault(where, {})[parts["key"]] = _number(value)
    return sets


def _number(value: Any) -> Any:
    """Converts a value, such as a tensor of one element, to a number.

    Returns any other value unchanged, so that the recorder reports it.
    """
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return value
