"""Converts the scores of a boosting round to rows and training metrics."""

from collections.abc import Iterable, Mapping
from typing import Any

from podium.integrations._training import Row, Training

__all__ = ["TRAINING_SETS", "log_round", "rows_of"]

TRAINING_SETS = frozenset({"train", "training", "dtrain"})
"""The names of data sets whose scores are training metrics."""

Scores = dict[str, dict[str, float]]
"""The type of scores: the metrics of each data set, by the name of the data set."""


def rows_of(scores: Mapping[str, Mapping[str, Any]], step: int) -> list[Row]:
    """Returns one row for each data set, at the given step.

    In a cross-validation, a row has the mean and the standard deviation of the folds.
    """
    return [Row(name, dict(_flat(metrics)), step) for name, metrics in scores.items()]


def log_round(training: Training, rows: Iterable[Row], training_sets: frozenset[str]) -> None:
    """Records the rows of one boosting round. Scores on training data become training metrics."""
    for row in rows:
        if row.name in training_sets:
            training.log(row.metrics, row.step)
        else:
            training.log_row(row)


def _flat(metrics: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    for key, score in metrics.items():
        if isinstance(score, tuple):
            yield key, score[0]
            yield f"{key}_std", score[1]
        else:
            yield key, score
