"""Defines which number `score` returns, and the source of the number."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

from podium._values.enums import ScoreOrigin
from podium.scoring.eval_lookup import find_eval, primary
from podium.scoring.metric_names import candidates
from podium.scoring.protocols import Arm, Row

__all__ = ["Score", "origin_of", "same_metrics", "score"]


@dataclass(frozen=True, slots=True)
class Score:
    """A score and its source."""

    value: float
    """The number, which may be NaN."""
    origin: str
    """The kind of result from which the score comes: a ScoreOrigin."""
    key: str
    """The key of the metric."""
    eval_name: str | None = None
    """The name of the eval row; None if the score is not from a row."""
    step: int | None = None
    """The step of an in-loop row; None for any other source."""


def score(arm: Arm, metric: str) -> Score | None:
    """Returns the score of an arm on a metric, with its source, or None if the arm has no score.

    Raises:
        InvalidArgumentError: The metric is empty.
    """
    for name, key in candidates(metric):
        found = _bare_score(arm, key) if name is None else _row_score(arm, name, key)
        if found is not None:
            return found
    return None


def _row_score(arm: Arm, name: str, key: str) -> Score | None:
    row = find_eval(arm.evals, name)
    if row is None or key not in row.metrics:
        return None
    return _score_of(row, key)


def _score_of(row: Row, key: str) -> Score:
    return Score(float(row.metrics[key]), origin_of(row.step), key, row.name, row.step)


def _bare_score(arm: Arm, key: str) -> Score | None:
    row = primary(arm.evals)
    given = arm.eval_metrics
    if row is not None and (not given or same_metrics(given, row.metrics)):
        if key in row.metrics:
            return _score_of(row, key)
    elif key in given:
        return Score(float(given[key]), ScoreOrigin.GIVEN_EVAL_METRICS, key)
    if key in arm.metrics:
        return Score(float(arm.metrics[key]), ScoreOrigin.TRAINING_METRICS, key)
    return None


def origin_of(step: int | None) -> ScoreOrigin:
    """Returns the origin of a row's scores: post-training if the row has no step, else in-loop."""
    return ScoreOrigin.POST_TRAINING_EVAL if step is None else ScoreOrigin.IN_LOOP_EVAL


def same_metrics(left: Mapping[str, float], right: Mapping[str, float]) -> bool:
    """Returns whether two sets of metrics are equal, where NaN equals NaN."""
    if left is right:
        return True
    return left.keys() == right.keys() and all(
        value == right[key] or (isnan(value) and isnan(right[key])) for key, value in left.items()
    )
