"""Tests of ArmResult as plain Python data: mirrored fields, comparison, copies, pickles.

If a field such as `eval_metrics` is not given, it has the value of the primary eval. It is then
called a mirrored field.
"""

import copy
import math
import pickle
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from podium import ArmResult, ArmStatus, EvalResult, RunConfig

from tests.each import each


def _arm(**given: Any) -> ArmResult:
    return ArmResult("a", RunConfig("a"), "completed", **given)


def _row(name: str, acc: float, **given: Any) -> EvalResult:
    return EvalResult(name, metrics={"acc": acc}, breakdowns={"all": acc}, **given)


def test_a_mirror_follows_rows_that_are_added() -> None:
    """A field that is not given has the value of the current primary eval."""
    arm = _arm(metrics={"acc": 0.1})
    assert (arm.eval_metrics, arm.eval_breakdowns, arm.eval_seconds) == ({}, {}, None)
    assert arm.score("acc") == 0.1
    arm.evals.append(_row("val", 0.25, step=10, eval_seconds=2))
    assert (arm.eval_metrics, arm.score("acc"), arm.eval_seconds) == ({"acc": 0.25}, 0.25, 2.0)
    arm.evals.append(_row("test", 0.5, tags=["test"]))
    assert (arm.eval_metrics, arm.score("acc"), arm.eval_seconds) == ({"acc": 0.5}, 0.5, None)
    assert arm.eval_breakdowns == {"all": 0.5}
    arm.evals.clear()
    assert (arm.eval_metrics, arm.score("acc"), arm.eval_seconds) == ({}, 0.1, None)


def test_given_fields_stand() -> None:
    """A given value is not replaced by that of the primary eval."""
    arm = _arm(eval_metrics={"acc": 0.9}, eval_seconds=0, evals=[_row("test", 0.5, eval_seconds=3)])
    assert (arm.eval_metrics, arm.score("acc"), arm.eval_seconds) == ({"acc": 0.9}, 0.9, 0.0)
    assert arm.eval_breakdowns == {"all": 0.5}
    arm.eval_metrics = {"acc": 0.8}
    assert arm.score("acc") == 0.8
    arm.eval_metrics = {}
    assert arm.score("acc") == 0.5


def test_eval_metrics_of_an_arm_without_rows_can_be_filled() -> None:
    """A value that is put into the eval_metrics of an arm without rows counts as given."""
    arm = _arm()
    arm.eval_metrics["acc"] = 0.7
    arm.evals.append(_row("test", 0.5))
    assert arm.score("acc") == 0.7


def test_a_mirror_is_the_row_s_own_dict() -> None:
    """A mirrored dict is that of the primary eval, so a change of it changes the row."""
    arm = _arm(evals=[_row("test", 0.5)])
    arm.eval_metrics["f1"] = 0.4
    assert arm.evals[0].metrics == {"acc": 0.5, "f1": 0.4}
    assert arm.score("test.f1") == 0.4


def test_an_alias_of_a_row_is_a_mirror() -> None:
    """If eval_metrics is the same dict as a row's metrics, it counts as mirrored."""
    row = _row("val", 0.25)
    arm = _arm(eval_metrics=row.metrics, eval_breakdowns=row.breakdowns, evals=[row])
    arm.evals.append(_row("test", 0.5, tags=["test"]))
    assert (arm.score("acc"), arm.eval_breakdowns) == (0.5, {"all": 0.5})


def test_replace_keeps_mirroring() -> None:
    """dataclasses.replace keeps given values, and mirrored fields stay mirrored."""
    arm = _arm(evals=[_row("val", 0.25)])
    better = replace(arm, evals=[*arm.evals, _row("test", 0.5, tags=["test"])])
    assert (better.score("acc"), arm.score("acc")) == (0.5, 0.25)
    given = _arm(eval_metrics={"acc": 0.9}, evals=[_row("val", 0.25)])
    assert replace(given, status="failed").score("acc") == 0.9


def test_replace_of_the_rows_drops_what_the_old_rows_mirrored() -> None:
    """If dataclasses.replace changes the rows, mirrored fields have the values of the new rows."""
    arm = _arm(evals=[_row("val", 0.25, eval_seconds=3.5)])
    other = replace(arm, evals=[_row("test", 0.5, eval_seconds=1.5)])
    assert (other.score("acc"), other.eval_breakdowns) == (0.5, {"all": 0.5})
    assert other.eval_seconds == 1.5
    untimed = replace(arm, evals=[EvalResult("test", metrics={"f1": 0.1})])
    assert (untimed.score("acc"), untimed.eval_breakdowns, untimed.eval_seconds) == (None, {}, None)
    none = replace(arm, evals=[])
    assert (none.eval_metrics, none.eval_breakdowns, none.eval_seconds) == ({}, {}, None)
    changed = replace(arm, evals=[_row("test", 0.5)], eval_metrics={"acc": 0.9})
    assert (changed.score("acc"), changed.eval_breakdowns) == (0.9, {"all": 0.5})


def test_values_of_another_arm_are_given_to_an_arm_without_rows() -> None:
    """An arm without rows keeps eval_metrics that were taken from another arm."""
    arm = _arm(evals=[_row("val", 0.25)])
    summary = _arm(eval_metrics=arm.eval_metrics)
    assert (summary.score("acc"), summary.eval_breakdowns) == (0.25, {})


def test_eval_seconds_that_nobody_recorded_are_none() -> None:
    """If the primary eval was not timed, the arm's eval_seconds is None."""
    assert _arm(evals=[_row("val", 0.25)]).eval_seconds is None


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda arm: pickle.loads(pickle.dumps(arm))],  # noqa: S301 - our own
    ids=["copy", "deepcopy", "pickle"],
)
def test_copies_are_equal_and_mirror_their_own_rows(
    copied: Callable[[ArmResult], ArmResult],
) -> None:
    """A copy equals the original, even if a metric is NaN, and has the same revision.

    If the rows of the copy are replaced, only the copy's mirrored fields change.
    """
    arm = _arm(metrics={"loss": math.nan}, evals=[_row("val", 0.25)])
    arm.revision = 7
    twin = copied(arm)
    assert twin == arm
    assert (twin.revision, twin.status) == (7, ArmStatus.COMPLETED)
    twin.evals = [*twin.evals, _row("test", 0.5, tags=["test"])]
    assert (twin.score("acc"), arm.score("acc")) == (0.5, 0.25)
    assert twin != arm


def test_arms_with_equal_fields_are_equal() -> None:
    """Arms with equal fields are equal, even if a metric is NaN or a server set a revision."""
    one = _arm(metrics={"loss": float("nan")}, evals=[_row("t", float("nan"))])
    other = _arm(metrics={"loss": float("nan")}, evals=[_row("t", float("nan"))])
    other.experiment, other.revision = "sweep", 5
    other.evals[0].revision = 5
    assert one == other
    other.metrics["loss"] = 0.0
    assert one != other
    assert one != "a"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "b"},
        {"run_config": RunConfig("b")},
        {"status": "failed"},
        {"metrics": {"x": 1}},
        {"eval_metrics": {"x": 1}},
        {"eval_breakdowns": {"x": 1}},
        {"evals": [EvalResult("t")]},
        {"run_id": "r"},
        {"error": "e"},
        {"train_seconds": 1},
        {"eval_seconds": 1},
        {"group_id": "g"},
        {"group_name": "g"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_arms_that_differ_are_not_equal(change: dict[str, Any]) -> None:
    """Arms that differ in any one field that a caller gives are not equal."""
    assert replace(_arm(), **change) != _arm()


def test_results_can_be_changed_and_not_hashed() -> None:
    """The fields of a result can be set, so a result is not hashable."""
    arm = _arm()
    arm.status = "failed"
    arm.error = "out of memory"
    assert arm == replace(_arm(), status="failed", error="out of memory")
    with pytest.raises(TypeError, match="unhashable"):
        hash(arm)


def test_the_repr_shows_the_fields_that_are_set() -> None:
    """The repr shows the fields that are set, and mirrored fields."""
    text = repr(_arm(evals=[EvalResult("t", metrics={"acc": 0.5})]))
    assert "eval_seconds" not in repr(EvalResult("t"))
    assert "eval_seconds=2.0" in repr(EvalResult("t", eval_seconds=2.0))
    assert text.startswith("ArmResult(name='a', run_config=RunConfig(name='a'), status=")
    assert "eval_metrics={'acc': 0.5}" in text
    assert "revision" not in text


def test_asdict_gives_plain_data_as_it_reads() -> None:
    """dataclasses.asdict has the values of mirrored fields, too."""
    plain = asdict(_arm(evals=[_row("t", 0.5)]))
    assert plain["eval_metrics"] == {"acc": 0.5}
    assert plain["evals"][0]["breakdowns"] == {"all": 0.5}
    assert plain["status"] == "completed"


def test_statuses_are_their_texts() -> None:
    """A status is one of five. It can be given as a string, and equals this string."""
    arm = ArmResult("a", RunConfig("a"), "completed")
    assert arm.status == "completed"
    assert arm.status is ArmStatus.COMPLETED
    assert ArmResult("a", RunConfig("a"), ArmStatus.FAILED).status == "failed"
    assert list(ArmStatus) == ["pending", "running", "completed", "failed", "cancelled"]
    message = "status must be one of pending, running, completed, failed, cancelled; not 'done'"
    with pytest.raises(ValueError, match=message):
        ArmResult("a", RunConfig("a"), "done")


def test_eval_takes_any_integer_for_a_step_but_no_bool() -> None:
    """A step can be any integer object or integral float, but not a bool."""
    arm = _arm(evals=[_row("val", 0.5, step=1)])

    class Step:
        def __index__(self) -> int:
            return 1

    assert arm.eval("val", step=Step()) is arm.evals[0]
    with pytest.raises(TypeError, match="step must be an integer, not bool"):
        arm.eval("val", step=True)
    assert arm.eval("val", step=1.0) is arm.evals[0]
    with pytest.raises(ValueError, match=r"step must be an integer, not 1\.5"):
        arm.eval("val", step=1.5)


@each("wrong", [None, 7, b"val"])
def test_eval_and_score_take_names_only(wrong: Any) -> None:
    """A name or metric that is not a string raises a TypeError."""
    arm = _arm()
    with pytest.raises(TypeError, match="name must be a string, not"):
        arm.eval(wrong)
    with pytest.raises(TypeError, match="metric must be a string, not"):
        arm.score(wrong)
