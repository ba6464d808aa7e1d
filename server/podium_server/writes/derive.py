"""Derives the primary eval and the scores of an arm from its rows.

Scores are stored under an eval name and a key. If several rows have the same eval name, only the
row that `eval(name)` returns has scores. Bare scores have no eval name. They are the arm's
eval_metrics and, for other keys, its training metrics.
"""

from collections.abc import Mapping

from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.eval_result_pb2 import EvalResult

from podium_server.store.calls import ArmChange, CurrentRows, DerivedScores
from podium_server.store.rows import ArmRow, EvalRow, Origin, RowScores, ScoreRow

__all__ = ["derive"]


def derive(change: ArmChange, current_rows: CurrentRows) -> DerivedScores:
    """Updates the primary eval in `change.row`. Returns the scores to write."""
    derived = DerivedScores()
    if change.cut_after is not None:
        change.row.eval_count = current_rows.eval_count
    for name, row in (change.stale_scores.answering | current_rows.answering).items():
        derived.scores[name] = _row_scores(row)
    if change.stale_scores.primary:
        _set_primary(change.row, current_rows.first)
        derived.bare = _bare_scores(current_rows, has_rows=change.row.eval_count > 0)
    else:
        derived.training = _training_scores(change.stale_scores.metrics)
    return derived


def _row_scores(row: EvalRow | None) -> RowScores | None:
    if row is None:
        return None
    step = row.key.step
    origin = Origin.POST_TRAINING_EVAL if step is None else Origin.IN_LOOP_EVAL
    result = EvalResult.FromString(row.content)
    benchmark_id = result.benchmark_id if result.HasField("benchmark_id") else None
    metrics = result.metrics
    return RowScores({key: metrics[key] for key in metrics}, origin, step, benchmark_id)


def _training_scores(metrics: Mapping[str, float]) -> dict[str, ScoreRow]:
    return {key: ScoreRow(value, Origin.TRAINING_METRICS) for key, value in metrics.items()}


def _set_primary(arm: ArmRow, primary: EvalRow | None) -> None:
    arm.primary = primary.key if primary else None
    arm.primary_class = primary.primary_class if primary else None
    arm.primary_position = primary.position if primary else None


def _bare_scores(current_rows: CurrentRows, *, has_rows: bool) -> dict[str, ScoreRow]:
    training = ArmResult.FromString(current_rows.parts["metrics"]).metrics
    scores = _training_scores(training)
    if not has_rows:
        given = ArmResult.FromString(current_rows.parts["given"]).eval_metrics
        scores |= {key: ScoreRow(value, Origin.GIVEN_EVAL_METRICS) for key, value in given.items()}
    return scores | _each(_row_scores(current_rows.first))


def _each(scores: RowScores | None) -> dict[str, ScoreRow]:
    if scores is None:
        return {}
    metrics, origin, step, benchmark_id = scores
    return {key: ScoreRow(value, origin, step, benchmark_id) for key, value in metrics.items()}
