"""Tests of curves without a server: their rows, and the statistics of groups."""

import math

import pytest
from podium import ArmResult, Curves, EvalResult, RunConfig
from podium.curves import Series, curves_of, points_by_step


def arm(name: str, values: dict[int | None, float], group: str | None = None) -> ArmResult:
    """Returns an arm with a row of `val` for each step."""
    rows = [EvalResult("val", metrics={"acc": value}, step=step) for step, value in values.items()]
    return ArmResult(name, RunConfig(name), "running", evals=rows, group_name=group)


def points(found: Curves, index: int = 0) -> list[tuple[int, float | None, int]]:
    """Returns the points of a curve: step, mean and number of arms."""
    curve = found.curves[index]
    return [(point.step, point.statistics.mean, point.statistics.n) for point in curve.points]


def test_rows_in_any_order_make_a_curve_by_step() -> None:
    """The in-loop rows of an arm, in any order, make a curve that is sorted by step."""
    found = curves_of([arm("a", {10: 0.3, -5: 0.1, None: 0.9, 0: 0.2})], "val.acc")
    assert points(found) == [(-5, 0.1, 1), (0, 0.2, 1), (10, 0.3, 1)]
    assert (found.metric, found.curves[0].is_group) == ("val.acc", False)


def test_a_group_has_the_arms_that_are_there_at_each_step() -> None:
    """The mean of a group at a step counts only the arms that have this step."""
    arms = [arm("a", {0: 0.2, 10: 0.4}, "g"), arm("b", {0: 0.4}, "g"), arm("c", {0: 0.5})]
    found = curves_of(arms, "val.acc", by_group=True)
    assert points(found) == [(0, pytest.approx(0.3), 2), (10, 0.4, 1)]
    assert [(curve.name, curve.is_group) for curve in found.curves] == [("g", True), ("c", False)]
    assert found.curves[0].arms == ("a", "b")
    ungrouped = curves_of(arms, "val.acc")
    assert [curve.name for curve in ungrouped.curves] == ["a", "b", "c"]


def test_an_arm_with_the_name_of_a_group_is_another_curve() -> None:
    """An arm without a group has its own curve, even if its name is that of a group."""
    arms = [arm("g", {0: 0.1}), arm("b", {0: 0.4}, "g")]
    assert len(curves_of(arms, "val.acc", by_group=True).curves) == 2


def test_nan_is_counted_and_not_averaged() -> None:
    """NaN is counted and left out of means. Without other values, the mean is None."""
    arms = [arm("a", {0: math.nan, 10: math.nan}, "g"), arm("b", {0: 0.4}, "g")]
    found = curves_of(arms, "val.acc", by_group=True)
    assert points(found) == [(0, 0.4, 1), (10, None, 0)]
    assert [point.nan for point in found.curves[0].points] == [1, 1]


def test_arms_without_rows_are_named() -> None:
    """The result names arms without a curve, and arms that were left out."""
    found = curves_of([arm("a", {None: 0.9})], "val.acc", left_out={"b": "failed"})
    assert (found.curves, found.without, found.left_out) == ((), ("a",), {"b": "failed"})


def test_dots_are_tried_from_the_left() -> None:
    """A metric name with several dots is split at each dot, from the left.

    For each arm, the first split that has in-loop rows counts.
    """
    plain = ArmResult(
        "a",
        RunConfig("a"),
        "running",
        evals=[
            EvalResult("mmlu", metrics={"math.acc": 0.2}, step=1),
            EvalResult("mmlu.math", metrics={"acc": 0.3}, step=2),
        ],
    )
    other = ArmResult("b", plain.run_config, "running", evals=plain.evals[1:])
    found = curves_of([plain, other], "mmlu.math.acc")
    assert points(found, 0) == [(1, 0.2, 1)]
    assert points(found, 1) == [(2, 0.3, 1)]


def test_the_first_of_repeated_rows_counts() -> None:
    """If an arm has two rows with the same step, the first one counts."""
    rows = [EvalResult("val", metrics={"acc": value}, step=1) for value in (0.1, 0.2)]
    found = curves_of([ArmResult("a", RunConfig("a"), "running", evals=rows)], "val.acc")
    assert points(found) == [(1, 0.1, 1)]


def test_a_training_series_is_a_curve() -> None:
    """If no in-loop row has the metric, its curve is the training series of the same name."""
    series = {"a": Series("val.acc", [1, 5], [0.5, math.nan])}
    found = curves_of([arm("a", {}), arm("b", {3: 0.25})], "val.acc", series=series)
    assert points(found, 0) == [(1, 0.5, 1), (5, None, 0)]
    assert points(found, 1) == [(3, 0.25, 1)]
    assert curves_of([arm("a", {})], "loss").without == ("a",)


def test_points_by_step() -> None:
    """Each step has one entry, with the values of all series at this step."""
    series = [Series("loss", [1, 3], [0.5, 0.25]), Series("lr", [-1, 3], [2.0, 1.0])]
    expected = [(-1, {"lr": 2.0}), (1, {"loss": 0.5}), (3, {"loss": 0.25, "lr": 1.0})]
    assert list(points_by_step(series)) == expected


def test_an_empty_metric() -> None:
    """A curve with an empty metric name raises a ValueError."""
    with pytest.raises(ValueError, match="metric is empty"):
        curves_of([], "")
