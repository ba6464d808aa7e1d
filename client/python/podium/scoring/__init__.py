"""Defines the results of `eval` and `score`, for the server and the Python clients.

All functions are pure. They accept any objects that have the fields of a `Row` or an `Arm`.
"""

from podium._values.enums import ScoreOrigin
from podium.scoring.conclusions import best_arm, conclusion, conclusion_of, experiment_status
from podium.scoring.eval_lookup import find_eval, precedence, primary, primary_class
from podium.scoring.metric_names import candidates, check_eval_name, check_metric
from podium.scoring.order import (
    DIRECTION_KEY,
    NAN_KEY,
    OrderKey,
    Ranks,
    direction_for,
    direction_metadata,
    order_key,
    ranked,
    sort_key,
)
from podium.scoring.protocols import Arm, ListedArm, NamedArm, Row
from podium.scoring.scores import Score, origin_of, same_metrics, score

__all__ = [
    "DIRECTION_KEY",
    "NAN_KEY",
    "Arm",
    "ListedArm",
    "NamedArm",
    "OrderKey",
    "Ranks",
    "Row",
    "Score",
    "ScoreOrigin",
    "best_arm",
    "candidates",
    "check_eval_name",
    "check_metric",
    "conclusion",
    "conclusion_of",
    "direction_for",
    "direction_metadata",
    "experiment_status",
    "find_eval",
    "order_key",
    "origin_of",
    "precedence",
    "primary",
    "primary_class",
    "ranked",
    "same_metrics",
    "score",
    "sort_key",
]
