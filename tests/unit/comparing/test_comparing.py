"""Tests of comparisons of arms or groups, without a server."""

import math
from typing import Any

import pytest
from podium import ArmResult, Component, EvalResult, RunConfig
from podium.comparing import Members, compare, configs_differ

from tests.each import each


def arm(name: str, *evals: EvalResult, **metrics: float) -> ArmResult:
    """Returns a completed arm with these rows and training metrics."""
    return ArmResult(name, RunConfig(name), "completed", metrics, evals=list(evals))


def row(name: str = "test", step: int | None = None, **fields: Any) -> EvalResult:
    """Returns an eval row, by default a post-training row of `test`."""
    return EvalResult(name, step=step, **fields)


def group(*arms: ArmResult) -> Members:
    """Returns arms as one side of a comparison."""
    return Members("g", is_group=True, arms=arms)


def seeds(*scores: float) -> Members:
    """Returns a group with an arm for each score on `test.acc`."""
    return group(*(arm(f"s{i}", row(metrics={"acc": score})) for i, score in enumerate(scores)))


def test_the_statistics_are_those_of_the_arms() -> None:
    """A comparison has the means and deviations of both groups, and scipy's p-value."""
    found = compare(seeds(0.5, 0.6, 0.7), seeds(0.2, 0.4))
    (metric,) = found.metrics
    assert metric.label == "test.acc"
    assert (metric.left.statistics.n, metric.right.statistics.n) == (3, 2)
    assert metric.left.statistics.mean == pytest.approx(0.6)
    assert metric.right.statistics.sd == pytest.approx(0.2 / math.sqrt(2))
    assert metric.difference.difference == pytest.approx(0.3)
    # scipy's ttest_ind with equal_var=False returns both of these values.
    assert metric.difference.p_value == pytest.approx(0.1443662048167655, rel=1e-10)
    assert metric.difference.ci_low == pytest.approx(-0.2976997448258376)
    assert metric.flags == found.flags == ()


def test_every_number_is_compared_in_order() -> None:
    """Each eval's metrics and numeric breakdowns are compared, then the training metrics."""
    breakdowns = {"10": 1.0, "9": 2, "math": {"n": 3, "acc": 0.5}, "b": True, "t": "x", "l": [1]}
    left = arm("a", row("val", 5, metrics={"z": 1.0, "a": 2.0}), loss=0.1)
    right = arm("b", row("test", breakdowns=breakdowns), row("val", 5, metrics={"a": 3.0}))
    found = compare(Members("a", is_group=False, arms=[left]), group(right))
    assert [metric.label for metric in found.metrics] == [
        "val.a",
        "val.z",
        "test[9]",
        "test[10]",
        "test[math][acc]",
        "test[math][n]",
        "loss",
    ]
    assert found.metrics[0].difference.difference == -1.0
    assert found.metrics[3].right.statistics.mean == 1.0


def test_the_answering_row_is_compared() -> None:
    """For each arm, the post-training row is compared or, without one, the last in-loop row."""
    left = arm("a", row("val", 5, metrics={"acc": 0.5}), row("val", metrics={"acc": 0.9}))
    right = arm("b", row("val", 10, metrics={"acc": 0.6}), row("val", 5, metrics={"acc": 0.1}))
    (metric,) = compare(group(left), group(right)).metrics
    assert (metric.left.statistics.mean, metric.right.statistics.mean) == (0.9, 0.6)
    assert metric.flags == ("steps_differ",)


def test_arms_without_a_number_are_listed() -> None:
    """Arms without a number or with NaN are listed, and are left out of the mean."""
    left = group(*seeds(0.5, math.nan).arms, arm("none"))
    (metric,) = compare(left, seeds(0.25)).metrics
    assert metric.left.statistics.n == 1
    assert metric.left.statistics.mean == 0.5
    assert (metric.left.missing, metric.left.nan) == (("none",), ("s1",))
    assert (metric.right.missing, metric.right.nan) == ((), ())
    assert metric.difference.difference == 0.25
    assert metric.difference.p_value is None


def test_a_number_on_one_side_only() -> None:
    """A metric that only one side has is listed without a difference."""
    (metric,) = compare(group(arm("a", loss=0.5)), group(arm("b"))).metrics
    assert (metric.left.statistics.mean, metric.right.statistics.mean) == (0.5, None)
    assert metric.difference.difference is None
    assert metric.right.missing == ("b",)


def test_evals_can_be_chosen() -> None:
    """If evals are chosen, only they are compared, and no training metrics."""
    left = arm("a", row("val", metrics={"m": 1.0}), row("test", metrics={"m": 2.0}), loss=1.0)
    found = compare(group(left), group(left), ["test"])
    assert [metric.label for metric in found.metrics] == ["test.m"]


def test_given_eval_metrics_go_before_training_metrics() -> None:
    """If an arm without rows has eval metrics, they are compared instead of training metrics."""
    old = ArmResult("old", RunConfig("old"), "completed", {"acc": 0.1}, {"acc": 0.7})
    (metric,) = compare(group(old), group(arm("new", acc=0.2))).metrics
    assert metric.left.statistics.mean == old.score("acc") == 0.7
    assert metric.flags == ("steps_differ",)


@each(
    ("fields", "flag"),
    [
        ({"benchmark_id": "v2"}, "benchmarks_differ"),
        ({"model_ref": "openai/gpt-4.1"}, "models_differ"),
        ({"step": 3}, "steps_differ"),
    ],
)
def test_rows_that_measured_something_else_are_flagged(fields: Any, flag: str) -> None:
    """A metric is flagged if its rows differ in benchmark, model or step.

    This applies to rows of different sides, and to rows of the same side.
    """
    plain = arm("a", row(metrics={"m": 1.0}))
    other = arm("b", row(**({"step": None} | fields), metrics={"m": 1.0}))
    assert compare(group(plain), group(other)).metrics[0].flags == (flag,)
    assert compare(group(plain, other), group(plain)).flags == (flag,)


def test_other_steps_are_flagged() -> None:
    """A comparison of arms at different steps is flagged."""
    early, late = (group(arm("a", row("val", k, metrics={"m": 1.0}))) for k in (100, 200))
    assert compare(early, late).flags == ("steps_differ",)
    assert compare(early, early).flags == ()


def test_a_row_without_a_benchmark_id_has_its_name_for_one() -> None:
    """A row without a benchmark_id counts as a row whose benchmark_id is its name."""
    named = arm("a", row(metrics={"m": 1.0}, benchmark_id="test"))
    assert compare(group(named), group(arm("b", row(metrics={"m": 1.0})))).flags == ()


def test_groups_of_mixed_configs_are_flagged() -> None:
    """A group is flagged if its arms' configs differ in more than name and seed."""
    first = RunConfig("a", algorithm=Component("sgd", {"lr": 0.1}), seed=0)
    seed = RunConfig("b", algorithm=Component("sgd", {"lr": 0.1}), seed=1)
    other = RunConfig("c", algorithm=Component("sgd", {"lr": 0.2}), seed=0)
    assert not configs_differ([])
    assert not configs_differ([first, seed])
    assert configs_differ([first, seed, other])
    mixed = group(*(ArmResult(c.name, c, "completed") for c in (first, other)))
    found = compare(mixed, seeds(0.5))
    assert (found.left.flags, found.right.flags) == (("configs_differ",), ())
    assert found.flags == ("configs_differ",)


def test_each_side_names_its_arms() -> None:
    """Each side of a comparison names its arms and those left out, with their statuses."""
    running = ArmResult("a", RunConfig("a"), "running")
    side = Members("g", is_group=True, arms=[running], left_out={"b": "failed"})
    found = compare(side, seeds(0.5)).left
    assert (found.name, found.is_group) == ("g", True)
    assert (found.arms, found.left_out) == ({"a": "running"}, {"b": "failed"})
