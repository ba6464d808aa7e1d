"""Splits metrics of several data sets by the prefixes of their names."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["by_set", "training_metrics"]

_OF_A_SET = re.compile(
    r"(?:(?P<set>val|valid|validation|test)[_/])?(?P<key>.+?)(?P<loader>/dataloader_idx_\d+)?",
    re.DOTALL,
)


def by_set(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the metrics of each data set, by the name of the data set.

    `val_loss` and `val/loss` become `loss` of the data set `val`. Metrics without such a prefix are
    training metrics, which are returned under an empty name. If Lightning has several data loaders,
    each of them is a data set, such as `val/dataloader_idx_1`.
    """
    sets: dict[str, dict[str, Any]] = {}
    for name, value in metrics.items():
        where, key = _split(name)
        sets.setdefault(where, {})[key] = _number(value)
    return sets


def training_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the metrics whose names have no prefix of a data set."""
    return {name: _number(value) for name, value in metrics.items() if not _split(name)[0]}


# A trainer logs the same names at each step.
@lru_cache(maxsize=1000)
def _split(name: str) -> tuple[str, str]:
    """Splits a metric's name into a data set and a key. The data set is "" if there is none."""
    found = _OF_A_SET.fullmatch(name)
    parts = found.groupdict(default="") if found else {"set": "", "key": name, "loader": ""}
    return parts["set"] + parts["loader"], parts["key"]


def _number(value: Any) -> Any:
    """Converts a value, such as a tensor of one element, to a number, or returns it unchanged."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return value
