"""Tests of recording methods with wrong values: what is recorded, and when a warning is logged."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import podium
import pytest

from tests.client.recorder.conftest import wait_for_delivery
from tests.client.recorder.wrong import (
    BREAKDOWN,
    BREAKDOWNS,
    CONFIG,
    METRIC,
    METRICS,
    NAMED,
    OPTIONAL_NAME,
    OPTIONAL_SECONDS,
    ROW_NAME,
    SECONDS,
    SILENT,
    STEP,
    TAGS,
    UNIQUE,
    VALUES,
    Expected,
    only,
    said,
    same,
)
from tests.sparse import sparse

ROWS: dict[str, tuple[Callable[[Any], dict[str, Any]], str, Expected]] = {
    "name": (lambda value: {"name": value}, "name", ROW_NAME),
    "metrics": (lambda value: {"metrics": value}, "metrics", METRICS),
    "a metric": (lambda value: {"metrics": {"m": value}}, "metrics", METRIC),
    "step": (lambda value: {"step": value}, "step", STEP),
    "tags": (lambda value: {"tags": value}, "tags", TAGS),
    "breakdowns": (lambda value: {"breakdowns": value}, "breakdowns", BREAKDOWNS),
    "a breakdown": (lambda value: {"breakdowns": {"b": value}}, "breakdowns", BREAKDOWN),
    "benchmark_id": (lambda value: {"benchmark_id": value}, "benchmark_id", OPTIONAL_NAME),
    "eval_seconds": (lambda value: {"eval_seconds": value}, "eval_seconds", SECONDS),
    "model_ref": (lambda value: {"model_ref": value}, "model_ref", OPTIONAL_NAME),
}


def _quick(record: Any, name: str) -> Any:
    """Returns a recorder whose close does not wait for delivery.

    A recorder warns only once of each kind of mistake, so each value gets a new recorder.
    """
    return record(name, close_timeout=0)


@pytest.mark.parametrize("case", sparse(ROWS, 10))
def test_an_argument_of_a_row(
    record: Any,
    outbox: Path,
    client: podium.Client,
    name: str,
    caplog: pytest.LogCaptureFixture,
    case: str,
) -> None:
    """A wrong argument of `log_eval` causes a warning, and is left out or converted.

    The warning names the argument, and the row is recorded.
    """
    arguments, argument, expected = ROWS[case]
    assert expected.keys() == VALUES.keys()
    wrong = 0
    for number, (kind, value) in enumerate(VALUES.items()):
        with _quick(record, name) as run, run.start_arm(CONFIG, name=f"{number}") as arm:
            given = {"name": "val", "metrics": {"n": number}} | arguments(value)
            arm.log_eval(**given)
            is_named = said(caplog, argument)
            assert is_named is expected[kind][1], kind
            wrong += is_named
            assert arm.flush(0).incomplete <= is_named
        caplog.clear()
    assert wrong >= 4
    wait_for_delivery(outbox, name)
    for number, kind in enumerate(VALUES):
        (row,) = client.arm(name, f"{number}").evals()
        found = getattr(row, argument)
        found = UNIQUE.sub("", found) if argument == "name" else found
        assert same(found, expected[kind][0]), kind
        if argument != "metrics":
            assert row.metrics == {"n": float(number)}


@pytest.mark.parametrize("step", [math.nan, True, 2**70, [3], "soon"])
def test_a_row_whose_step_is_lost_is_no_result(
    record: Any, client: podium.Client, name: str, step: Any
) -> None:
    """A row whose step is left out is recorded under a new name, and does not change the score."""
    with record(name) as experiment, experiment.start_arm(CONFIG, "arm") as arm:
        arm.log_eval("val", {"a": 0.5}, step=1)
        arm.log_eval("val", {"a": 9}, step=step)
        arm.log_eval("val", {"a": 8}, step=step)
    found = client.arm(name, "arm")
    assert found.score("val.a") == 0.5
    kept = [row for row in found.evals() if row.name != "val"]
    assert {UNIQUE.sub("", row.name) for row in kept} == {"val without its step"}
    assert [row.metrics["a"] for row in kept] == [9.0, 8.0]


def test_rows_without_a_name_replace_no_other(
    record: Any, client: podium.Client, name: str
) -> None:
    """Rows without a name get different names, so that none replaces another."""
    with record(name) as experiment, experiment.start_arm(CONFIG, "arm") as arm:
        arm.log_eval(None, {"a": 1})
        arm.log_eval("", {"a": 2})
    assert [row.metrics["a"] for row in client.arm(name, "arm").evals()] == [1.0, 2.0]


@pytest.mark.parametrize("case", ROWS)
def test_an_argument_of_a_row_if_strict(
    record: Any, client: podium.Client, name: str, case: str
) -> None:
    """With strict, a wrong argument raises an error that names it, and records nothing."""
    arguments, argument, expected = ROWS[case]
    with record(name, strict=True) as experiment, experiment.start_arm(CONFIG) as arm:
        for number, (kind, value) in enumerate(VALUES.items()):
            given = {"name": "val", "metrics": {"n": number}, "step": number} | arguments(value)
            if not expected[kind][1]:
                arm.log_eval(**given)
                continue
            with pytest.raises((TypeError, ValueError, RuntimeError)) as caught:
                arm.log_eval(**given)
            assert argument in str(caught.value), kind
    recorded = sum(not said for _, said in expected.values())
    rows = list(client.arm(name, "arm").evals())
    assert len(rows) <= recorded


OTHERS: dict[str, tuple[Callable[..., Any], Expected, Callable[[podium.ArmResult], Any]]] = {
    "log: metrics": (lambda arm, value: arm.log(value), METRICS, lambda arm: arm.metrics),
    "log: a metric": (lambda arm, value: arm.log({"m": value}), METRIC, lambda arm: arm.metrics),
    "finish: train_seconds": (
        lambda arm, value: arm.finish(train_seconds=value),
        OPTIONAL_SECONDS,
        lambda arm: arm.train_seconds,
    ),
    "finish: status": (
        lambda arm, value: arm.finish(value),
        only(
            "completed",
            text=("failed", NAMED),
            digits=("failed", NAMED),
            long_text=("failed", NAMED),
            control_character=("failed", NAMED),
            surrogate=("failed", NAMED),
        ),
        lambda arm: arm.status,
    ),
    "finish: run_result": (
        lambda arm, value: arm.finish(run_result=value),
        only(None, none=(None, SILENT)),
        lambda arm: arm.run_result,
    ),
    "finish: error": (
        lambda arm, value: arm.finish("failed", error=value),
        OPTIONAL_NAME
        | {
            "empty text": ("", SILENT),
            "control character": ("a\\x00b", SILENT),
            "surrogate": ("a\\ud800", NAMED),
            "long text": ("x" * 300, SILENT),
        },
        lambda arm: arm.error,
    ),
}


@pytest.mark.parametrize("case", sparse(OTHERS, 9))
def test_an_argument_of_log_and_finish(
    record: Any,
    outbox: Path,
    client: podium.Client,
    name: str,
    caplog: pytest.LogCaptureFixture,
    case: str,
) -> None:
    """A wrong argument of `log` or `finish` causes a warning, and is left out or converted.

    The arm ends, and a row that is logged after the call is stored.
    """
    call, expected, found = OTHERS[case]
    argument = case.rpartition(" ")[2].replace("metric", "metrics").replace("metricss", "metrics")
    for number, (kind, value) in enumerate(VALUES.items()):
        with _quick(record, name) as run, run.start_arm(CONFIG, name=f"{number}") as arm:
            call(arm, value)
            assert said(caplog, argument) is expected[kind][1], kind
            arm.log_eval("after", {"n": 1})
        caplog.clear()
    wait_for_delivery(outbox, name)
    for number, kind in enumerate(VALUES):
        got = client.arm(name, f"{number}").get()
        assert same(found(got), expected[kind][0]), kind
        assert got.eval("after") is not None


STARTS: dict[str, tuple[Expected, Callable[[podium.ArmResult], Any]]] = {
    "group_id": (OPTIONAL_NAME, lambda arm: arm.group_id),
    "group_name": (OPTIONAL_NAME, lambda arm: arm.group_name),
    "run_id": (OPTIONAL_NAME, lambda arm: arm.run_id),
    "order": (
        only(..., none=(..., SILENT), int=(5, SILENT), integral_float=(6, SILENT)),
        lambda arm: arm.attempt and (arm.attempt.order if arm.attempt.order < 10 else ...),
    ),
    "restart": (only([]), lambda arm: arm.evals),
    "resume_step": (
        dict.fromkeys(VALUES, ([], NAMED))
        | {kind: ([], SILENT) for kind in ("none", "int", "integral float")},
        lambda arm: arm.evals,
    ),
}
STARTS["restart"][0]["true"] = ([], SILENT)


@pytest.mark.parametrize("argument", sparse(STARTS, 8))
def test_an_argument_of_start_arm(
    record: Any,
    outbox: Path,
    client: podium.Client,
    name: str,
    caplog: pytest.LogCaptureFixture,
    argument: str,
) -> None:
    """A wrong argument of `start_arm` causes a warning, and is left out or converted.

    The warning names the argument, and the arm is recorded.
    """
    expected, found = STARTS[argument]
    for number, (kind, value) in enumerate(VALUES.items()):
        with _quick(record, name) as experiment:
            arm = experiment.start_arm(CONFIG, name=f"{number}", **{argument: value})
            assert said(caplog, argument) is expected[kind][1], kind
            assert not arm.is_silent
            arm.log({"loss": number})
            arm.finish()
        caplog.clear()
    wait_for_delivery(outbox, name)
    for number, kind in enumerate(VALUES):
        got = client.arm(name, f"{number}").get()
        assert got.metrics == {"loss": float(number)}
        assert found(got) == expected[kind][0], kind


@pytest.mark.parametrize("argument", sparse(["name", "run_config"]))
def test_an_arm_without_a_valid_name(
    record: Any,
    outbox: Path,
    client: podium.Client,
    name: str,
    caplog: pytest.LogCaptureFixture,
    argument: str,
) -> None:
    """Whatever is given as the name of an arm, the arm is recorded and keeps its values."""
    recorded = {}
    for number, (kind, value) in enumerate(VALUES.items()):
        with _quick(record, f"{name}/{number}") as experiment:
            with experiment.start_arm(**{"run_config": CONFIG, argument: value}) as arm:
                is_fine = argument == "name" and kind in {"none", "text", "digits"}
                assert said(caplog, argument) is not is_fine
                arm.log({"loss": 1})
            recorded[kind] = arm.name
        caplog.clear()
    for number, arm_name in enumerate(recorded.values()):
        wait_for_delivery(outbox, f"{name}/{number}")
        (got,) = client.experiment(f"{name}/{number}").arms()
        assert got.name == arm_name
        assert client.arm(f"{name}/{number}", got.name).score("loss") == 1.0
    names = {"none": "arm", "text": "text", "digits": "3"} if argument == "name" else {}
    assert {kind: recorded[kind] for kind in names} == names


DECLARATIONS = [
    "hypothesis",
    "success_metric",
    "direction",
    "parent",
    "tags",
    "metadata",
    "overwrite",
    "address",
    "attempt",
    "rank",
    "close_timeout",
    "max_bytes",
]


FEW = {kind: VALUES[kind] for kind in ("true", "nan", "surrogate", "long text", "dict", "broken")}


@pytest.mark.parametrize("values", sparse([FEW, VALUES]), ids=["few", "all"])
@pytest.mark.parametrize("argument", sparse(DECLARATIONS, 4))
def test_an_argument_of_record(
    record: Any,
    client: podium.Client,
    name: str,
    caplog: pytest.LogCaptureFixture,
    argument: str,
    values: dict[str, Any],
) -> None:
    """Whatever is given to `record`, no error is raised, and the arm is recorded.

    Wrong values cause warnings.
    """
    wrong = 0
    for number, value in enumerate(values.values()):
        if argument == "rank" and (value in (True, 5) or value == 6.0):
            continue  # another rank than the main one records nothing
        if argument == "max_bytes" and value in (5, 6.0):
            continue  # an outbox of five bytes takes nothing
        is_elsewhere = argument == "address"
        given = {argument: value, "offline": is_elsewhere}
        with record(f"{name}/{number}", **given) as experiment:
            wrong += said(caplog, "")
            with experiment.start_arm(CONFIG) as arm:
                arm.log({"loss": 1})
        caplog.clear()
        if not is_elsewhere and argument != "max_bytes":
            assert client.arm(f"{name}/{number}", "arm").score("loss") == 1.0
    assert wrong > len(values) / 2
