"""Defines the best arm, the status and the conclusion of an experiment."""

from collections.abc import Iterable, Sequence
from math import isnan
from typing import TypeVar

from podium._values import coerce
from podium._values.enums import ArmStatus, Direction, ExperimentStatus
from podium.scoring.protocols import ListedArm, NamedArm
from podium.scoring.scores import score

__all__ = ["best_arm", "conclusion", "conclusion_of", "experiment_status"]


_DIRECTION = coerce.member_of(Direction)
_A = TypeVar("_A", bound=NamedArm)


def experiment_status(*, total: int, completed: int, failed: int) -> ExperimentStatus:
    """Returns the status of an experiment from the numbers of all, completed and failed arms."""
    if completed:
        return ExperimentStatus.COMPLETED
    return ExperimentStatus.FAILED if total and failed == total else ExperimentStatus.RUNNING


def best_arm(
    arms: Iterable[_A], metric: str | None, direction: str | None = None
) -> tuple[_A, float] | None:
    """Returns the completed arm with the best score, and this score.

    If several arms have the best score, returns the first of them. NaN is never the best. Without a
    direction, greater scores are better. Returns None if no metric is given, or if no completed arm
    has a score other than NaN.

    Raises:
        ValueError: The direction is neither `maximize` nor `minimize`.
    """
    direction = coerce.optional(_DIRECTION, direction, "direction")
    if metric is None:
        return None
    sign = -1.0 if direction == Direction.MINIMIZE else 1.0
    best: tuple[_A, float] | None = None
    for arm in arms:
        found = score(arm, metric) if arm.status == ArmStatus.COMPLETED else None
        if found is None or isnan(found.value):
            continue
        if best is None or sign * found.value > sign * best[1]:
            best = (arm, found.value)
    return best


def conclusion(arms: Sequence[_A], metric: str | None, direction: str | None = None) -> str:
    """Returns the conclusion as text: the best arm, and how many arms completed and failed."""
    best = best_arm(arms, metric, direction)
    return conclusion_of(arms, metric, None if best is None else (best[0].name, best[1]))


def conclusion_of(
    arms: Sequence[ListedArm], metric: str | None, best: tuple[str, float] | None
) -> str:
    """Returns the same text as `conclusion`, for a best arm that is already known.

    `best` is the name of that arm and its score.
    """
    if not arms:
        return "No arms."
    failed = [arm.name for arm in arms if arm.status == ArmStatus.FAILED]
    if len(failed) == len(arms):
        return f"All {len(arms)} arms failed."
    completed = sum(arm.status == ArmStatus.COMPLETED for arm in arms)
    sentences = [
        f"Best arm: {best[0]} at {metric}={best[1]:.4f}." if best else "",
        f"{completed}/{len(arms)} arms completed.",
        f"Failed: {', '.join(failed)}." if failed else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)
