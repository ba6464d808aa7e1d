"""What importers make of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium._model.results import EvalResult

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["with_last_rows"]


def with_last_rows(rows: Iterable[EvalResult]) -> list[EvalResult]:
    """Adds to the in-loop rows of a finished training those that tell how good its model is.

    Of each eval that is the row of the last step, once more as a post-training row.
    """
    kept = list(rows)
    last: dict[str, EvalResult] = {}
    for row in kept:
        before = last.get(row.name)
        if row.step is not None and (before is None or row.step >= (before.step or 0)):
            last[row.name] = row
    told = {row.name for row in kept if row.step is None}
    return [*kept, *(_final(row) for name, row in last.items() if name not in told)]


def _final(row: EvalResult) -> EvalResult:
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
