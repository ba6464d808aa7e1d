"""Tests that run twice: with the handles of a client, and with `podium.record` and its outbox."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import podium
import pytest

from tests.client.recorder.conftest import wait_for_delivery
from tests.client.sender.outboxes import until

CONFIG = podium.RunConfig("lora_rank4", seed=0, tags=["a"])

Begin: TypeAlias = Callable[[], AbstractContextManager[podium.ExperimentRecorder]]
"""Starts recording. After its block, the server has all events."""


@pytest.fixture(params=["client", "outbox"])
def begin(
    request: pytest.FixtureRequest, client: podium.Client, record: Any, outbox: Path, name: str
) -> Begin:
    """Returns a function that starts recording: through the client, or through the outbox."""

    @contextmanager
    def directly() -> Iterator[podium.ExperimentRecorder]:
        experiment = client.experiment(name)
        experiment.declare(success_metric="test.pass_rate")
        yield experiment

    @contextmanager
    def by_outbox() -> Iterator[podium.ExperimentRecorder]:
        try:
            with record(name, success_metric="test.pass_rate", strict=True) as experiment:
                yield experiment
        finally:
            # If a block is interrupted, its end waits for only one second.
            wait_for_delivery(outbox, name)

    return directly if request.param == "client" else by_outbox


def test_a_training(begin: Begin, client: podium.Client, name: str) -> None:
    """The server has all values that a training run recorded, and its arm is completed."""
    with begin() as experiment:
        assert experiment.name == name
        with experiment.start_arm(
            CONFIG, name="arm", group_id="g1", group_name="g", run_id="r", attempt_id="a", order=7
        ) as arm:
            assert (arm.experiment, arm.name) == (name, "arm")
            arm.log({"loss": 0.4}, step=-1)
            arm.log({"loss": 0.5}, step=7)
            arm.log({"loss": 0.31, "lr": 1})
            arm.log_eval("val", {"pass_rate": float("nan")}, step=0)
            arm.log_eval(
                "test",
                {"pass_rate": 0.61},
                tags=["test"],
                breakdowns={1: {"n": 3}},
                benchmark_id="b",
                eval_seconds=2,
                model_ref=None,
            )
            arm.log_eval("gpt", {"pass_rate": 0.9}, step=-3, model_ref="openai/gpt")
    series = client.arm(name, "arm").series("loss")
    assert series == podium.Series("loss", [-1, 7], [0.4, 0.5])
    found = client.arm(name, "arm").get()
    assert found == podium.ArmResult(
        "arm",
        CONFIG,
        "completed",
        metrics={"loss": 0.31, "lr": 1.0},
        evals=[
            podium.EvalResult("val", metrics={"pass_rate": float("nan")}, step=0),
            podium.EvalResult(
                "test", "b", {"pass_rate": 0.61}, {"1": {"n": 3}}, 2.0, None, ["test"]
            ),
            podium.EvalResult("gpt", metrics={"pass_rate": 0.9}, step=-3, model_ref="openai/gpt"),
        ],
        run_id="r",
        group_id="g1",
        group_name="g",
    )
    assert found.attempt == podium.Attempt("a", 7)
    assert client.experiment(name).get().success_metric == "test.pass_rate"


def test_an_evaluation_is_timed(begin: Begin, client: podium.Client, name: str) -> None:
    """The metrics that an `evaluating` block logs become one row with the duration of the block."""
    began = time.monotonic()
    with (
        begin() as experiment,
        experiment.start_arm(CONFIG) as arm,
        arm.evaluating("val", step=100, tags=["t"], benchmark_id="b") as evaluation,
    ):
        evaluation.log({"pass_rate": 0.5, "n": 1})
        evaluation.log({"pass_rate": 0.75}, breakdowns={"math": 0.7})
    row = client.arm(name, "lora_rank4").eval("val", step=100)
    assert row is not None
    assert 0 < row.eval_seconds <= time.monotonic() - began
    row.eval_seconds = 0.0
    assert row == podium.EvalResult(
        "val", "b", {"pass_rate": 0.75, "n": 1.0}, {"math": 0.7}, 0.0, 100, ["t"]
    )


def test_an_evaluation_that_raises(begin: Begin, client: podium.Client, name: str) -> None:
    """If an `evaluating` block raises, no row is recorded, and the exception is passed on."""

    def evaluate(arm: podium.ArmRecorder) -> None:
        with arm.evaluating("val") as evaluation:
            evaluation.log({"pass_rate": 0.5})
            _ = 1 / 0

    with begin() as experiment, experiment.start_arm(CONFIG) as arm:
        arm.log({"loss": 1})
        with pytest.raises(ZeroDivisionError):
            evaluate(arm)
    assert client.arm(name, "lora_rank4").eval("val") is None


def _raise(begin: Begin, error: BaseException) -> None:
    with begin() as experiment, experiment.start_arm(CONFIG):
        raise error


def test_a_block_that_raises(begin: Begin, client: podium.Client, name: str) -> None:
    """If an arm's block raises, the arm is set to failed and has the traceback.

    The exception is passed on.
    """
    with pytest.raises(ZeroDivisionError):
        _raise(begin, ZeroDivisionError("by zero"))
    found = client.arm(name, "lora_rank4").get()
    assert found.status == "failed"
    assert found.error is not None
    assert found.error.startswith("Traceback")
    assert found.error.endswith("ZeroDivisionError: by zero\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError(), SystemExit(0)])
def test_an_interrupted_block(
    begin: Begin, client: podium.Client, name: str, error: BaseException
) -> None:
    """If an interrupt, a cancellation or `sys.exit(0)` ends a block, its arm is cancelled."""
    with pytest.raises(type(error)):
        _raise(begin, error)
    assert client.arm(name, "lora_rank4").get().status == "cancelled"


def test_the_last_finish_sets_the_end(begin: Begin, client: podium.Client, name: str) -> None:
    """The last call of `finish` sets the end of an arm. The end of the block does not change it."""
    result = podium.RunResult("r", "stopped", {"loss": 0.1}, {"model": "s3://m"}, "e", {"n": 1})
    with begin() as experiment, experiment.start_arm(CONFIG) as arm:
        arm.finish("completed", train_seconds=3)
        arm.finish("failed", error="no memory", train_seconds=12, run_result=result)
        arm.log_eval("late", {"pass_rate": 0.1})
    found = client.arm(name, "lora_rank4").get()
    assert (found.status, found.error, found.train_seconds) == ("failed", "no memory", 12.0)
    assert found.run_result == result
    assert found.eval("late") is not None


def test_an_arm_without_a_block(begin: Begin, client: podium.Client, name: str) -> None:
    """An arm that is started without a block runs until `finish`."""
    with begin() as experiment:
        running = experiment.start_arm(CONFIG, name="running")
        running.log({"loss": 1})
        experiment.start_arm(CONFIG, name="finished").finish()
        # After this block, an arm without an end may be set to failed.
        until(lambda: _statuses(client, name) == {"running": "running", "finished": "completed"})


def _statuses(client: podium.Client, name: str) -> dict[str, str]:
    try:
        return {arm.name: str(arm.status) for arm in client.experiment(name).arms()}
    except podium.NotFoundError:
        return {}


def test_logging_after_the_block(begin: Begin, client: podium.Client, name: str) -> None:
    """Values logged after an arm's block, such as a late evaluation, are part of the arm."""
    with begin() as experiment:
        with experiment.start_arm(CONFIG) as arm:
            arm.log({"loss": 1})
        arm.log_eval("late", {"pass_rate": 0.5})
    found = client.arm(name, "lora_rank4").get()
    assert (found.status, found.score("late.pass_rate")) == ("completed", 0.5)


def test_a_job_that_is_started_again(begin: Begin, client: podium.Client, name: str) -> None:
    """An attempt with a `resume_step` keeps the rows of the arm up to this step.

    An attempt with `restart` keeps none of the rows.
    """
    with begin() as experiment, experiment.start_arm(CONFIG, order=1) as arm:
        for step in range(3):
            arm.log_eval("val", {"n": step}, step=step)
    with begin() as experiment, experiment.start_arm(CONFIG, order=2, resume_step=1) as arm:
        arm.log_eval("val", {"n": 5}, step=5)
    steps = [row.step for row in client.arm(name, "lora_rank4").evals()]
    assert steps == [0, 1, 5]
    with begin() as experiment, experiment.start_arm(CONFIG, order=9, restart=True):
        pass
    assert client.arm(name, "lora_rank4").get().evals == []


def test_a_whole_arm(begin: Begin, client: podium.Client, name: str) -> None:
    """`record_arm` makes an arm equal to the given one.

    With `replace`, it can also replace an arm that was started with `start_arm`.
    """
    whole = podium.ArmResult(
        "whole", CONFIG, "failed", {"loss": 1.0}, evals=[podium.EvalResult("test")], error="e"
    )
    again = podium.ArmResult("started", CONFIG, "completed")
    with begin() as experiment:
        experiment.record_arm(whole)
        experiment.start_arm(CONFIG, name="started").finish("failed")
    with begin() as experiment:
        experiment.record_arm(again, replace=True)
    assert client.arm(name, "whole").get() == whole
    assert client.arm(name, "started").get() == again


@pytest.mark.parametrize(
    ("log", "error"),
    [
        (lambda arm: arm.log({"loss": "0.3"}), TypeError),
        (lambda arm: arm.log({5: 0.3}), TypeError),
        (lambda arm: arm.log(0.3), TypeError),
        (lambda arm: arm.log({"": 0.3}), ValueError),
        (lambda arm: arm.log({"x" * 257: 0.3}), ValueError),
        (lambda arm: arm.log({str(n): 0 for n in range(1001)}), ValueError),
        (lambda arm: arm.log_eval("", {}), ValueError),
        (lambda arm: arm.log_eval("a\nb", {}), ValueError),
        (lambda arm: arm.log_eval(5, {}), TypeError),
        (lambda arm: arm.log_eval("v", {}, step=True), TypeError),
        (lambda arm: arm.log_eval("v", {}, step=2**63), ValueError),
        (lambda arm: arm.log_eval("v", {}, tags="test"), TypeError),
        (lambda arm: arm.log_eval("v", {}, breakdowns={1: 0, "1": 0}), ValueError),
        (lambda arm: arm.log_eval("v", {}, breakdowns={"a": {1, 2}}), TypeError),
        (lambda arm: arm.log_eval("v", {}, eval_seconds=-1), ValueError),
        (lambda arm: arm.log_eval("v", {}, eval_seconds=float("nan")), ValueError),
        (lambda arm: arm.log_eval("v", {}, model_ref=""), ValueError),
        (lambda arm: arm.log_eval("v", {}, breakdowns={"a": "x" * 1_000_000}), ValueError),
        (lambda arm: arm.finish("running"), ValueError),
        (lambda arm: arm.finish("done"), ValueError),
        (lambda arm: arm.finish(train_seconds=float("inf")), ValueError),
        (lambda arm: arm.finish(run_result="r"), TypeError),
    ],
)
def test_what_cannot_be_recorded(
    begin: Begin, client: podium.Client, name: str, log: Any, error: type[Exception]
) -> None:
    """Both ways to record raise the same error for an invalid value, and record nothing."""
    with begin() as experiment, experiment.start_arm(CONFIG) as arm, pytest.raises(error):
        log(arm)
    found = client.arm(name, "lora_rank4").get()
    assert (found.status, found.metrics, found.evals) == ("completed", {}, [])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"run_config": "lora"}, TypeError),
        ({"run_config": CONFIG, "name": ""}, ValueError),
        ({"run_config": CONFIG, "attempt_id": ""}, ValueError),
        ({"run_config": CONFIG, "order": 1.5}, ValueError),
        ({"run_config": CONFIG, "group_name": "x" * 257}, ValueError),
        ({"run_config": CONFIG, "resume_step": 1, "restart": True}, ValueError),
        ({"run_config": podium.RunConfig("a", extras={"t": "x" * 1_000_000})}, ValueError),
    ],
)
def test_an_arm_that_cannot_be_started(
    begin: Begin, client: podium.Client, name: str, arguments: Any, error: type[Exception]
) -> None:
    """Both ways to record raise the same error for an invalid argument, and start no arm."""
    with begin() as experiment, pytest.raises(error):
        experiment.start_arm(**arguments)
    assert list(client.experiment(name).arms()) == []
