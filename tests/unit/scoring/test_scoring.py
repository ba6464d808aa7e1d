"""Tests of rules of reads that no test vector covers.

The rules are about candidates, primary evals, the best arm, statuses and conclusions. A candidate
is one way to read the name of a metric.
"""

import math
from typing import Any

import pytest
from podium import ArmResult, InvalidArgumentError, RunConfig, ranking, scoring
from podium._model.results import ExperimentStatus

from tests.each import each


def _arm(name: str, status: str, **metrics: float) -> ArmResult:
    return ArmResult(name, RunConfig(name), status, metrics)


def test_candidates_are_the_dots_from_the_left_then_the_whole() -> None:
    """The candidates for a metric's name are all its splits at a dot, from the left.

    The last candidate is the whole name.
    """
    assert scoring.candidates("a.b.c") == [("a", "b.c"), ("a.b", "c"), (None, "a.b.c")]
    assert scoring.candidates("acc") == [(None, "acc")]
    assert scoring.candidates(".a.") == [(None, ".a.")]
    assert scoring.candidates("..") == [(None, "..")]
    assert scoring.candidates("...") == [(".", "."), (None, "...")]


def test_an_empty_metric_is_an_invalid_argument() -> None:
    """An empty metric name is rejected with the reason that a server gives."""
    with pytest.raises(
        InvalidArgumentError, match="metric is empty; give 1 to 2049 bytes"
    ) as caught:
        _arm("a", "completed").score("")
    assert caught.value.reason == "NAME_INVALID"


@each(
    ("step", "tags", "model_ref", "expected"),
    [
        (None, ["test"], None, 0),
        (None, [], None, 1),
        (0, ["test"], None, 2),
        (7, [], None, 2),
        (None, ["test"], "gpt", None),
        (7, [], "", None),
    ],
)
def test_primary_class(
    step: int | None, tags: list[str], model_ref: str | None, expected: int | None
) -> None:
    """The primary eval is chosen from post-training rows tagged `test`, if there are any.

    Other post-training rows come next, and in-loop rows last. A row with a `model_ref` is never
    chosen.
    """
    assert scoring.primary_class(step, tags, model_ref) == expected


@each(
    ("total", "completed", "failed", "expected"),
    [
        (0, 0, 0, ExperimentStatus.RUNNING),
        (3, 0, 0, ExperimentStatus.RUNNING),
        (3, 0, 2, ExperimentStatus.RUNNING),
        (3, 0, 3, ExperimentStatus.FAILED),
        (3, 1, 2, ExperimentStatus.COMPLETED),
        (1, 1, 0, ExperimentStatus.COMPLETED),
    ],
)
def test_experiment_status(
    total: int, completed: int, failed: int, expected: ExperimentStatus
) -> None:
    """An experiment is completed if at least one of its arms is completed.

    It is failed if all of its arms are failed. Otherwise, it is running.
    """
    assert scoring.experiment_status(total=total, completed=completed, failed=failed) is expected


def test_the_best_arm_is_a_completed_one_with_a_number() -> None:
    """Only a completed arm with a number can be the best. Of equal scores, the first wins."""
    arms = [
        _arm("nan", "completed", acc=math.nan),
        _arm("none", "completed"),
        _arm("low", "completed", acc=0.25),
        _arm("first", "completed", acc=0.5),
        _arm("second", "completed", acc=0.5),
        _arm("failed", "failed", acc=0.9),
        _arm("running", "running", acc=math.inf),
    ]
    assert scoring.best_arm(arms, "acc") == (arms[3], 0.5)
    assert scoring.best_arm(arms, "acc", "maximize") == (arms[3], 0.5)
    assert scoring.best_arm(arms, "acc", "minimize") == (arms[2], 0.25)
    assert scoring.best_arm(arms, "f1") is None
    assert scoring.best_arm(arms, None) is None
    assert scoring.best_arm(arms[:2], "acc") is None


def test_infinities_are_numbers_to_the_best_arm() -> None:
    """Infinite scores are ordered like other numbers."""
    arms = [
        _arm("minus", "completed", loss=-math.inf),
        _arm("one", "completed", loss=1),
        _arm("plus", "completed", loss=math.inf),
    ]
    assert scoring.best_arm(arms, "loss") == (arms[2], math.inf)
    assert scoring.best_arm(arms, "loss", "minimize") == (arms[0], -math.inf)


def test_conclusions() -> None:
    """A conclusion names the best arm, counts the completed arms, and names the failed ones."""
    good, bad = _arm("r4", "completed", acc=0.61234), _arm("r8", "failed")
    silent, late = _arm("r2", "completed"), _arm("r1", "running")
    other = _arm("r16", "failed")
    assert scoring.conclusion([], "acc") == "No arms."
    assert scoring.conclusion([bad], "acc") == "All 1 arms failed."
    assert scoring.conclusion([bad, other], "acc") == "All 2 arms failed."
    assert scoring.conclusion([good], "acc") == "Best arm: r4 at acc=0.6123. 1/1 arms completed."
    assert scoring.conclusion([good, late, bad, other], "acc") == (
        "Best arm: r4 at acc=0.6123. 1/4 arms completed. Failed: r8, r16."
    )
    assert scoring.conclusion([silent, late], "acc") == "1/2 arms completed."
    assert scoring.conclusion([silent, bad], "acc") == "1/2 arms completed. Failed: r8."
    assert scoring.conclusion([good], None) == "1/1 arms completed."
    assert scoring.conclusion([late, bad], "acc") == "0/2 arms completed. Failed: r8."


def test_unknown_directions_and_statuses_are_errors() -> None:
    """A misspelled direction or status raises an error."""
    arms = [_arm("a", "completed", loss=1.0)]
    wrong: Any = "minimise"
    for rank in (ranking.rank, ranking.rank_groups):
        with pytest.raises(ValueError, match="direction must be one of maximize, minimize"):
            rank(arms, "loss", direction=wrong)
        with pytest.raises(ValueError, match="status must be one of pending"):
            rank(arms, "loss", status=wrong)
    for best in (scoring.best_arm, scoring.conclusion):
        with pytest.raises(ValueError, match="direction must be one of maximize, minimize"):
            best(arms, "loss", wrong)
