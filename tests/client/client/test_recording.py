"""Tests of what the handles record, with both clients."""

import asyncio
import time

import podium
import pytest
from podium import events
from podium_server.testing import running_server

from tests.client.client.both import AnyClient, entered, result

CONFIG = podium.RunConfig("lora_rank4", seed=0)


async def test_declare(client: AnyClient, name: str) -> None:
    """declare() sets fields that have no value yet.

    If a given field has another value already, it keeps that value, and the response names the
    field. With `overwrite`, the value is replaced.
    """
    experiment = client.experiment(name)
    first = await result(
        experiment.declare(
            hypothesis="h",
            success_metric="m",
            direction="minimize",
            parent="p",
            tags=["t"],
            metadata={"owner": "a", "n": 2**53 + 1},
        )
    )
    assert (first.revision, first.changed_events, first.kept_fields) == (1, 1, ())
    again = await result(experiment.declare(success_metric="x", metadata={"owner": "b"}))
    assert [kept.path for kept in again.kept_fields] == ["success_metric", "metadata.owner"]
    await result(experiment.declare(success_metric="x", overwrite=True))
    found = await result(experiment.get())
    assert found == podium.Experiment(
        name, "h", "x", None, "p", "minimize", ["t"], {"owner": "a", "n": 2**53 + 1}
    )


async def test_declare_clears_fields(client: AnyClient, declared: str) -> None:
    """`clear_fields` removes values. A declaration cannot both set and clear a field."""
    experiment = client.experiment(declared)
    await result(experiment.declare(hypothesis="h", parent="p", metadata={"a": 1, "b": 2}))
    await result(experiment.conclude("c"))
    cleared = ["hypothesis", "conclusion", "metadata.a"]
    assert (await result(experiment.declare(tags=["t"], clear_fields=cleared))).changed_events == 1
    found = await result(experiment.get())
    assert found == podium.Experiment(
        declared, None, "test.pass_rate", None, "p", None, ["t"], {"b": 2}
    )
    with pytest.raises(podium.InvalidArgumentError, match="'tags', which this event also sets"):
        await result(experiment.declare(tags=["u"], clear_fields=["tags"]))


async def test_conclude(client: AnyClient, declared: str) -> None:
    """conclude() stores the conclusion."""
    experiment = client.experiment(declared)
    await result(experiment.conclude("rank 4 is enough"))
    assert (await result(experiment.get())).conclusion == "rank 4 is enough"


async def test_resume_and_restart(client: AnyClient, declared: str) -> None:
    """A finished arm can be started again only with `resume_step` or `restart`.

    `resume_step` keeps the rows up to a step. `restart` deletes all rows.
    """
    experiment = client.experiment(declared)
    async with entered(experiment.start_arm(CONFIG, order=1)) as arm:
        for step in (1, 2, 3):
            await result(arm.log_eval("val", {"m": step}, step=step))
    with pytest.raises(podium.FailedPreconditionError, match=r"resume_step.*restart"):
        await result(experiment.start_arm(CONFIG, order=2))
    resumed = await result(experiment.start_arm(CONFIG, order=3, resume_step=2))
    assert [row.step for row in (await result(resumed.get())).evals] == [1, 2]
    restarted = await result(experiment.start_arm(CONFIG, order=4, restart=True))
    assert (await result(restarted.get())).evals == []


async def test_a_start_names_the_running_attempt_that_it_replaces(
    client: AnyClient, declared: str
) -> None:
    """The response names the running attempt that a start replaces, and its host.

    It does not name an attempt that has ended.
    """
    first, second, third = (
        events.arm_started(
            "arm", CONFIG, podium.Attempt(name, order), provenance=podium.Provenance(host="gpu7")
        )
        for order, name in enumerate("abc")
    )
    ended = events.arm_finished("arm", "failed", attempt_id="b")
    assert (await result(client.record(declared, [first]))).replaced_attempts == ()
    (replaced,) = (await result(client.record(declared, [second]))).replaced_attempts
    assert (replaced.attempt_id, replaced.host, replaced.event_index) == ("a", "gpu7", 0)
    assert 0 <= replaced.quiet_seconds < 600
    await result(client.record(declared, [ended]))
    assert (await result(client.record(declared, [third]))).replaced_attempts == ()


async def test_an_evaluator_records_without_an_attempt(client: AnyClient, declared: str) -> None:
    """A handle of an arm can record without an attempt, or for its current attempt.

    Recording for another attempt is rejected.
    """
    experiment = client.experiment(declared)
    await result(experiment.start_arm(CONFIG, attempt_id="a", order=1))
    await result(client.arm(declared, "lora_rank4").log_eval("bench", {"m": 1}))
    await result(client.arm(declared, "lora_rank4", attempt_id="a").log({"loss": 1}))
    with pytest.raises(podium.FailedPreconditionError):
        await result(experiment.arm("lora_rank4", attempt_id="zombie").log({"loss": 2}))
    assert await result(experiment.arm("lora_rank4").score("loss")) == 1.0


async def test_record_arm_replaces_only_with_replace(client: AnyClient, declared: str) -> None:
    """Without `replace`, record_arm() is rejected for an arm with attempts."""
    experiment = client.experiment(declared)
    await result(experiment.start_arm(CONFIG))
    whole = podium.ArmResult("lora_rank4", CONFIG, "completed", metrics={"m": 1.0})
    with pytest.raises(podium.FailedPreconditionError) as caught:
        await result(experiment.record_arm(whole))
    assert caught.value.reason == "ARM_HAS_ATTEMPTS"
    done = await result(experiment.record_arm(whole, replace=True))
    assert done.changed_events == 1
    assert await result(experiment.arm("lora_rank4").get()) == whole


def large_arm(rows: int, metrics: int, filler: int = 0) -> podium.ArmResult:
    """Returns an arm of `rows` rows, each with `metrics` metrics.

    The breakdowns of each row have `filler` characters.
    """
    evals = [
        podium.EvalResult(
            "val",
            metrics={f"m{k}": float(step * k) for k in range(metrics)},
            breakdowns={"filler": "x" * filler} if filler else {},
            step=step,
        )
        for step in range(rows)
    ]
    return podium.ArmResult("large", podium.RunConfig("large"), "completed", evals=evals)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arm", [large_arm(1_500, 10), large_arm(150, 1, 60_000)], ids=["metrics", "bytes"]
)
async def test_an_arm_over_the_limits_of_a_call(
    client: AnyClient, declared: str, arm: podium.ArmResult
) -> None:
    """A whole arm of 15,000 metric values, or of 9 MB, is recorded in several calls."""
    experiment = client.experiment(declared)
    done = await result(experiment.record_arm(arm))
    assert done.changed_events > 1
    found = await result(experiment.arm("large").get())
    assert found == arm
    assert (await result(experiment.record_arm(arm))).revision >= done.revision


def test_a_server_with_lower_limits() -> None:
    """If a call exceeds the server's limits, it is halved until the server accepts it.

    A single row that exceeds a limit is rejected.
    """
    arm = large_arm(9, 30)
    arm.metrics = {f"t{k}": 1.0 for k in range(35)}
    limits = ("--limit", "call_metrics=40", "--limit", "call_events=3")
    with running_server(None, *limits) as server, podium.Client(server.address) as client:
        experiment = client.experiment("e")
        experiment.declare()
        experiment.record_arm(arm)
        assert experiment.arm("large").get() == arm
        arm.evals[3].metrics |= {f"more{k}": 0.0 for k in range(20)}
        with pytest.raises(podium.InvalidArgumentError, match="50 metric values"):
            experiment.record_arm(arm)


async def test_record_several_events_of_a_stream(client: AnyClient, declared: str) -> None:
    """If a stream is recorded twice, record() skips its events and returns their number.

    A gap in the stream is rejected.
    """
    stream = [
        events.arm_started("arm", CONFIG, podium.Attempt("a", 1)),
        events.metrics_recorded("arm", {"loss": 1}, attempt_id="a"),
        events.skipped(),
    ]
    call = (declared, stream, podium.StreamPosition("w", 1))
    assert await result(client.record(*call)) == podium.RecordResult(2, 2, 0, 3)
    assert await result(client.record(*call)) == podium.RecordResult(2, 0, 3, 3)
    with pytest.raises(podium.OutOfRangeError) as caught:
        await result(client.record(declared, stream, podium.StreamPosition("w", 9)))
    assert caught.value.metadata["expected_sequence"] == "4"


async def test_record_lists_every_rejected_event(client: AnyClient, declared: str) -> None:
    """A rejected call gives, for each rejected event, a reason and whether it is permanent."""
    bad = [
        events.metrics_recorded("nobody", {"loss": 1}),
        events.experiment_concluded("c"),
        events.eval_recorded("nobody", podium.EvalResult("")),
    ]
    with pytest.raises(podium.PodiumError) as caught:
        await result(client.record(declared, bad))
    refusals = [(event.index, event.reason, event.permanent) for event in caught.value.refusals]
    assert refusals == [(0, "ARM_NOT_FOUND", False), (2, "NAME_INVALID", True)]


async def test_delete(client: AnyClient, declared: str) -> None:
    """delete() removes an arm or an experiment.

    If it does not exist, the call is an error, unless `allow_missing` is set.
    """
    experiment = client.experiment(declared)
    arm = experiment.arm("lora_rank4")
    await result(experiment.start_arm(CONFIG))
    assert await result(arm.delete()) == 3
    with pytest.raises(podium.NotFoundError):
        await result(arm.delete())
    assert await result(arm.delete(allow_missing=True)) == 3
    await result(experiment.delete())
    with pytest.raises(podium.NotFoundError):
        await result(experiment.delete())
    await result(experiment.delete(allow_missing=True))


def test_handles_are_recorders(blocking: podium.Client, declared: str) -> None:
    """Code that uses only the recording interface runs with the client's handles."""

    def train(experiment: podium.ExperimentRecorder) -> None:
        with experiment.start_arm(CONFIG) as arm:
            arm.log({"loss": 0.5})
            arm.log_eval("test", {"m": 1})
            arm.finish(train_seconds=1.5)

    train(blocking.experiment(declared))
    found = blocking.arm(declared, "lora_rank4").get()
    assert (found.status, found.train_seconds, found.score("test.m")) == ("completed", 1.5, 1.0)


async def test_an_evaluation_is_timed(client: AnyClient, declared: str) -> None:
    """The block of `evaluating` records one row with all that it logged and its duration."""
    began = time.monotonic()
    async with entered(client.experiment(declared).start_arm(CONFIG)) as arm:
        async with entered(
            arm.evaluating("val", step=100, tags=["t"], benchmark_id="b", model_ref="m")
        ) as evaluation:
            evaluation.log({"pass_rate": 0.5, "n": 1})
            await asyncio.sleep(0.02)
            evaluation.log({"pass_rate": 0.75}, breakdowns={"math": 0.7})
        row = await result(arm.eval("val", step=100))
    assert 0.01 <= row.eval_seconds <= time.monotonic() - began
    row.eval_seconds = 0.0
    assert row == podium.EvalResult(
        "val", "b", {"pass_rate": 0.75, "n": 1.0}, {"math": 0.7}, 0.0, 100, ["t"], "m"
    )


async def test_an_evaluation_that_raises_is_not_recorded(client: AnyClient, declared: str) -> None:
    """If the block of `evaluating` raises an error, no row is recorded."""
    async with entered(client.experiment(declared).start_arm(CONFIG)) as arm:

        async def evaluate() -> None:
            async with entered(arm.evaluating("val")) as evaluation:
                evaluation.log({"pass_rate": 0.5})
                _ = 1 / 0

        with pytest.raises(ZeroDivisionError):
            await evaluate()
        assert await result(arm.eval("val")) is None


async def test_an_evaluation_rejects_a_bad_value_where_it_is_logged(
    client: AnyClient, declared: str
) -> None:
    """If a metric is not a number, `log` raises a TypeError. Earlier metrics are kept."""
    async with entered(client.experiment(declared).start_arm(CONFIG)) as arm:
        async with entered(arm.evaluating("val")) as evaluation:
            evaluation.log({"pass_rate": 0.5})
            with pytest.raises(TypeError, match="'n'"):
                evaluation.log({"pass_rate": 0.6, "n": "3"})
        assert (await result(arm.eval("val"))).metrics == {"pass_rate": 0.5}


_OTHER_CONFIG = {
    "running": (
        "Or end its running attempt with `podium finish --status failed`, and start it from the "
        "beginning"
    ),
    "failed": "Or start the arm from the beginning, without resume_step",
    "completed": "Or delete the arm with `podium delete`, and start it again",
}


@pytest.mark.parametrize("status", _OTHER_CONFIG)
def test_the_ways_to_record_another_config(
    blocking: podium.Client, declared: str, status: str
) -> None:
    """The error RUN_CONFIG_CHANGED names each remedy for the arm's status.

    The remedy that depends on the status works.
    """
    experiment, other = blocking.experiment(declared), podium.RunConfig("a", seed=2)
    run = experiment.start_arm(podium.RunConfig("a", seed=1), order=1)
    if status != "running":
        run.finish("failed" if status == "failed" else "completed")
    with pytest.raises(podium.FailedPreconditionError) as caught:
        experiment.start_arm(other, order=2, resume_step=0)
    assert caught.value.refusals[0].message == (
        "the run_config of arm 'a' differs from the recorded one in 1 field. Record another "
        "configuration under another arm name; `podium outbox retry --as NAME` does that with "
        f"rejected results. {_OTHER_CONFIG[status]}. Changed: seed"
    )
    if status == "running":
        run.finish("failed")
    if status == "completed":
        experiment.arm("a").delete()
    experiment.start_arm(other, order=3)
    assert experiment.arm("a").get().run_config.seed == 2


def test_the_error_names_the_first_hundred_changed_paths(
    blocking: podium.Client, declared: str
) -> None:
    """The error RUN_CONFIG_CHANGED names the first 100 values that changed, and counts the others.

    It names each value by its path in the run_config.
    """
    experiment = blocking.experiment(declared)
    before, after = (
        podium.RunConfig("a", validation={f"split_{n:03d}": value for n in range(103)})
        for value in (1, 2)
    )
    experiment.start_arm(before, order=1)
    with pytest.raises(podium.FailedPreconditionError) as caught:
        experiment.start_arm(after, order=2)
    paths = [f"validation.split_{n:03d}" for n in range(100)]
    assert caught.value.metadata["paths"].split(",") == paths
    assert caught.value.message.endswith(f". Changed: {', '.join(paths)} and 3 more")
    assert f"events[0]: {caught.value.refusals[0].message}" == caught.value.message
