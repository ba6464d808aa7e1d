"""Derives post-training rows from in-loop rows."""

from collections.abc import Iterable

from podium._model.results import EvalResult

__all__ = ["with_last_rows"]


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
