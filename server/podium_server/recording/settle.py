"""What follows from an arm's rows: its primary eval, and the scores kept for questions.

Scores are kept under (eval name, key); only the row that answers for a name without a
step has entries. Bare scores (eval name None) are the arm's eval_metrics, then its
training metrics.
"""

from collections.abc import Mapping

from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.eval_result_pb2 import EvalResult

from podium_server.recording.values import same_double
from podium_server.store.base import ArmChange, Settlement, Standing
from podium_server.store.rows import ArmRow, EvalRow, Origin, ScoreRow

__all__ = ["settle"]


def settle(change: ArmChange, standing: Standing) -> Settlement:
    """Brings the primary eval (into `change.row`) and the scores up to date."""
    settlement = Settlement()
    if change.cut_after is not None:
        change.row.eval_count = standing.eval_count
    for name in standing.scores.keys() | standing.answering.keys():
        if name is not None:
            wanted = _row_scores(standing.answering.get(name))
            _bring_up(settlement, name, wanted, standing.scores.get(name, {}))
    recorded = standing.scores.get(None, {})
    if change.unsettled.primary:
        _set_primary(change.row, standing.first)
        wanted = _bare_scores(standing, has_rows=change.row.eval_count > 0)
        _bring_up(settlement, None, wanted, recorded)
    elif change.training_metrics:
        _bring_up_metrics(settlement, change.training_metrics, recorded)
    return settlement


def _row_scores(row: EvalRow | None) -> dict[str, ScoreRow]:
    if row is None:
        return {}
    step = row.key.step
    origin = Origin.POST_TRAINING_EVAL if step is None else Origin.IN_LOOP_EVAL
    metrics = EvalResult.FromString(row.content).metrics
    return {key: ScoreRow(value, origin, step) for key, value in metrics.items()}


def _set_primary(arm: ArmRow, primary: EvalRow | None) -> None:
    arm.primary = primary.key if primary else None
    arm.primary_class = primary.primary_class if primary else None
    arm.primary_position = primary.position if primary else None


def _bare_scores(standing: Standing, *, has_rows: bool) -> dict[str, ScoreRow]:
    training = ArmResult.FromString(standing.parts["metrics"]).metrics
    scores = {key: ScoreRow(value, Origin.TRAINING_METRICS) for key, value in training.items()}
    if not has_rows:
        given = ArmResult.FromString(standing.parts["given"]).eval_metrics
        scores |= {key: ScoreRow(value, Origin.GIVEN_EVAL_METRICS) for key, value in given.items()}
    return scores | _row_scores(standing.first)


def _bring_up(
    settlement: Settlement,
    name: str | None,
    wanted: Mapping[str, ScoreRow],
    recorded: Mapping[str, ScoreRow],
) -> None:
    for key, score in wanted.items():
        if not _same(recorded.get(key), score):
            settlement.write.append((name, key, score))
    settlement.remove.extend((name, key) for key in recorded if key not in wanted)


def _bring_up_metrics(
    settlement: Settlement, metrics: Mapping[str, float], recorded: Mapping[str, ScoreRow]
) -> None:
    for key, value in metrics.items():
        before = recorded.get(key)
        if before is None or before.origin is Origin.TRAINING_METRICS:
            settlement.write.append((None, key, ScoreRow(value, Origin.TRAINING_METRICS)))


def _same(a: ScoreRow | None, b: ScoreRow) -> bool:
    if a is None or a.origin != b.origin or a.step != b.step:
        return False
    return same_double(a.value, b.value)
