"""Tests of results as rows of tables: their fields and the order of the columns."""

from datetime import UTC, datetime

import podium
from podium import ArmResult, EvalResult, Experiment, Metric, RunConfig, Token, TokenLimits
from podium._model.listings import MetricSource

_TIME = datetime(2026, 1, 2, tzinfo=UTC)


def test_the_row_of_an_eval() -> None:
    """The row of an eval has its metrics in alphabetical order.

    A duration that was not recorded is None.
    """
    row = EvalResult("v", "b", {"z": 1, "a": 2}, {"x": 1}, 0.5, 0, ["t"], "m")
    assert list(row.record().items()) == [
        ("eval", "v"),
        ("step", 0),
        ("eval.a", 2.0),
        ("eval.z", 1.0),
        ("tags", ["t"]),
        ("benchmark_id", "b"),
        ("model_ref", "m"),
        ("eval_seconds", 0.5),
    ]
    assert EvalResult("v").record()["eval_seconds"] is None


def test_the_row_of_an_arm() -> None:
    """The row of an arm has the primary eval's metrics, the training metrics and the run config."""
    arm = ArmResult(
        "a",
        RunConfig("c", seed=0, extras={"lr": 0.0}),
        "failed",
        {"z": 1, "b": 2},
        evals=[EvalResult("v", metrics={"y": 3, "x": 4})],
        error="e",
        train_seconds=1.5,
        group_name="g",
    )
    arm.tags, arm.annotations = ["t"], podium.Annotations("n")
    assert list(arm.record().items()) == [
        ("arm", "a"),
        ("status", "failed"),
        ("group", "g"),
        ("tags", ["t"]),
        ("evals", 1),
        ("eval.x", 4.0),
        ("eval.y", 3.0),
        ("train.b", 2.0),
        ("train.z", 1.0),
        ("config.name", "c"),
        ("config.seed", 0),
        ("config.extras.lr", 0.0),
        ("train_seconds", 1.5),
        ("error", "e"),
        ("notes", "n"),
    ]


def test_the_row_of_an_experiment() -> None:
    """The row of an experiment has counts of its arms, and a column for each metadata key."""
    found = Experiment("e", "h", "m", "c", "p", "minimize", ["t"], {"z": 1, "a": 2})
    found.arm_counts = podium.ArmCounts(1, 2, 4, 8, 16)
    found.update_time = _TIME
    assert list(found.record().items()) == [
        ("experiment", "e"),
        ("status", "running"),
        ("arms", 31),
        ("completed", 4),
        ("failed", 8),
        ("running", 2),
        ("success_metric", "m"),
        ("direction", "minimize"),
        ("tags", ["t"]),
        ("parent", "p"),
        ("hypothesis", "h"),
        ("conclusion", "c"),
        ("update_time", _TIME),
        ("metadata.a", 2),
        ("metadata.z", 1),
    ]


def test_the_rows_of_metrics_and_tokens() -> None:
    """The row of a metric has a column for each kind of source.

    The row of a token has a column for each limit.
    """
    metric = Metric("v.m", "v", 3, [MetricSource("in_loop_eval", 2)])
    assert metric.record() == {"metric": "v.m", "eval": "v", "arms": 3, "in_loop_eval": 2}
    found = Token("i", "n", "admin", limits=TokenLimits(calls=2)).record()
    assert (found["id"], found["role"], found["limits.calls"], "limits" in found) == (
        "i",
        "admin",
        2,
        False,
    )
