"""Derives post-training rows from in-loop rows, and series from points."""

from collections.abc import Iterable, Mapping

from podium._model.results import EvalResult
from podium.curves import Series

__all__ = ["series_of", "with_last_rows"]


def with_last_rows(rows: Iterable[EvalResult]) -> list[EvalResult]:
    """Returns the in-loop rows of a finished training, and a post-training row for each eval.

    The post-training row is a copy of the eval's row at its last step. An eval that already has a
    post-training row gets no other.
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
    """Returns training series by key, from the values by step of each key."""
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
        tags=[*row.tags, *(["test"] if "test" not in row.tags else [])],
        model_ref=row.model_ref,
    )
    final.event_time = row.event_time
    return final
