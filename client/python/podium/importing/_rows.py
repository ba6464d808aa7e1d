"""Collects logged values as series and eval rows, and derives post-training rows."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from math import isnan

from podium._model.results import EvalResult
from podium.curves import Series

__all__ = ["Logged", "eval_and_metric", "series_of", "tags_of", "with_last_rows"]

_EVALS = "(eval|evaluation|val|valid|validation|dev|test)"
_OF_EVAL = re.compile(rf"{_EVALS}[/_.](.+)", re.DOTALL | re.IGNORECASE)
_TO_EVAL = re.compile(rf"(.+)/{_EVALS}", re.DOTALL | re.IGNORECASE)
_TESTS = ("test", "predict")
_MAX_VALUES = 5_000_000
"""The most values that are read from one run. It limits the memory that an import needs."""


def eval_and_metric(key: str) -> tuple[str, str] | None:
    """Splits a key, such as `val_loss` or `loss/val`, into the eval `val` and its metric `loss`.

    Returns None for the key of a training metric.
    """
    if found := _OF_EVAL.fullmatch(key):
        return found[1], found[2]
    found = _TO_EVAL.fullmatch(key)
    return (found[2], found[1]) if found else None


def tags_of(name: str) -> list[str]:
    """Returns the tags of the post-training row of an eval.

    If the name, up to its first slash, is `test` or `predict`, the row has the tag `test`. This tag
    makes the row the primary eval.
    """
    return ["test"] if name.split("/", maxsplit=1)[0].lower() in _TESTS else []


class Logged:
    """Collects training series and in-loop rows. The last value at a step replaces earlier ones."""

    def __init__(self) -> None:
        self.latest: dict[str, float] = {}
        """The last logged value of each training metric, by key."""
        self.replaced: Counter[str] = Counter()
        """For each key, the number of values that a later value at the same step replaced."""
        self._points: dict[str, dict[int, float]] = {}
        self._rows: dict[tuple[str, int], EvalResult] = {}
        self._count = 0

    def add(self, key: str, step: int, value: float, time: datetime | None = None) -> None:
        """Adds a value of an eval or of a training metric, as `eval_and_metric(key)` decides."""
        of_eval = eval_and_metric(key)
        if of_eval is not None:
            self.add_to_eval(*of_eval, step, value, time)
            return
        self._count_value()
        self.latest[key] = value
        points = self._points.setdefault(key, {})
        self._note(key, points.get(step), value)
        points[step] = value

    def add_to_eval(
        self, name: str, metric: str, step: int, value: float, time: datetime | None = None
    ) -> None:
        """Adds a value of an eval."""
        self._count_value()
        row = self._rows.setdefault((name, step), EvalResult(name, step=step))
        self._note(f"{name}/{metric}", row.metrics.get(metric), value)
        row.metrics[metric] = value
        row.event_time = time

    def value_of(self, eval_name: str | None, metric: str, step: int) -> float | None:
        """Returns the value of a metric at a step, or None if there is none.

        `eval_name` is None for a training metric.
        """
        if eval_name is None:
            return self._points.get(metric, {}).get(step)
        row = self._rows.get((eval_name, step))
        return None if row is None else row.metrics.get(metric)

    def remove_from(self, step: int) -> None:
        """Removes the values at a step and after it."""
        for key, points in list(self._points.items()):
            kept = {at: value for at, value in points.items() if at < step}
            self._points[key] = kept
            if kept:
                self.latest[key] = kept[max(kept)]
            else:
                del self.latest[key], self._points[key]
        self._rows = {key: row for key, row in self._rows.items() if key[1] < step}

    def rows(self) -> list[EvalResult]:
        """Returns the in-loop rows, sorted by step."""
        return [self._rows[key] for key in sorted(self._rows, key=lambda key: (key[1], key[0]))]

    def series(self) -> dict[str, Series]:
        """Returns the training series by key."""
        return series_of(self._points)

    def _note(self, key: str, before: float | None, value: float) -> None:
        if before is not None and before != value and not (isnan(before) and isnan(value)):
            self.replaced[key] += 1

    def _count_value(self) -> None:
        self._count += 1
        if self._count > _MAX_VALUES:
            raise ValueError(f"the run has over {_MAX_VALUES:,} values, which is the limit")


def with_last_rows(rows: Iterable[EvalResult]) -> list[EvalResult]:
    """Returns the rows, with a post-training row for each eval that has none.

    That row is a copy of the eval's last in-loop row.
    """
    kept = list(rows)
    last: dict[str, EvalResult] = {}
    for row in kept:
        before = last.get(row.name)
        if row.step is not None and (before is None or row.step >= (before.step or 0)):
            last[row.name] = row
    post_training = {row.name for row in kept if row.step is None}
    return [
        *kept,
        *(_post_training_row(row) for name, row in last.items() if name not in post_training),
    ]


def series_of(points: Mapping[str, Mapping[int, float]]) -> dict[str, Series]:
    """Returns training series by key. `points` has the values of each key by step."""
    return {
        key: Series(key, sorted(of_key), [of_key[step] for step in sorted(of_key)])
        for key, of_key in points.items()
    }


def _post_training_row(row: EvalResult) -> EvalResult:
    final = EvalResult(
        row.name,
        row.benchmark_id,
        row.metrics,
        row.breakdowns,
        row.eval_seconds,
        tags=list(dict.fromkeys([*row.tags, *tags_of(row.name)])),
        model_ref=row.model_ref,
    )
    final.event_time = row.event_time
    return final
