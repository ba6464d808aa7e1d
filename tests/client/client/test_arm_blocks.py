"""Tests of how the `with` block of an arm begins and ends, with both clients."""

import asyncio
import time

import podium
import pytest

from tests.client.client.both import AnyClient, entered, result

CONFIG = podium.RunConfig("lora_rank4", seed=0)


async def test_an_arm_is_completed_at_the_end_of_its_block(
    client: AnyClient, declared: str
) -> None:
    """At the end of its block, an arm is completed.

    It has all results that were recorded in the block.
    """
    experiment = client.experiment(declared)
    started = experiment.start_arm(
        CONFIG, name="arm", group_id="g1", group_name="g", run_id="r", attempt_id="a", order=7
    )
    async with entered(started) as arm:
        assert (await result(arm.get())).status == "running"
        await result(arm.log({"loss": 0.4}))
        await result(arm.log({"loss": 0.31, "lr": 1}))
        await result(
            arm.log_eval(
                "test",
                {"pass_rate": 0.61},
                tags=["test"],
                breakdowns={1: {"n": 3}},
                benchmark_id="b",
                eval_seconds=2,
            )
        )
        await result(arm.log_eval("gpt", {"pass_rate": 0.9}, step=0, model_ref="openai/gpt"))
    found = await result(client.arm(declared, "arm").get())
    assert found == podium.ArmResult(
        "arm",
        CONFIG,
        "completed",
        metrics={"loss": 0.31, "lr": 1.0},
        evals=[
            podium.EvalResult(
                "test", "b", {"pass_rate": 0.61}, {"1": {"n": 3}}, 2.0, None, ["test"]
            ),
            podium.EvalResult("gpt", metrics={"pass_rate": 0.9}, step=0, model_ref="openai/gpt"),
        ],
        run_id="r",
        group_id="g1",
        group_name="g",
    )
    assert found.attempt == podium.Attempt("a", 7)


async def test_an_arm_is_named_by_its_config_and_ordered_by_time(
    client: AnyClient, declared: str
) -> None:
    """By default, an arm has the name of its config.

    By default, the order of its attempt is the time at which it starts, in milliseconds.
    """
    before = time.time_ns() // 1_000_000
    async with entered(client.experiment(declared).start_arm(CONFIG)) as arm:
        assert arm.name == "lora_rank4"
        attempt = (await result(arm.get())).attempt
    assert attempt.id == arm.attempt_id
    assert before <= attempt.order <= time.time_ns() // 1_000_000


async def test_an_arm_fails_with_the_error_of_its_block(client: AnyClient, declared: str) -> None:
    """If a block raises an error, its arm is failed and has the traceback."""
    with pytest.raises(ZeroDivisionError):
        async with entered(client.experiment(declared).start_arm(CONFIG)):
            _ = 1 / 0
    found = await result(client.arm(declared, "lora_rank4").get())
    assert found.status == "failed"
    assert found.error.startswith("Traceback")
    assert found.error.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError(), SystemExit(0)])
async def test_an_interrupted_arm_is_cancelled(
    client: AnyClient, declared: str, error: BaseException
) -> None:
    """If an interrupt, a cancellation or an exit ends a block, its arm is cancelled."""
    with pytest.raises(type(error)):
        async with entered(client.experiment(declared).start_arm(CONFIG)):
            raise error
    found = await result(client.arm(declared, "lora_rank4").get())
    assert found.status == "cancelled"
    assert type(error).__name__ in found.error


async def test_an_error_of_any_text_is_recorded(client: AnyClient, declared: str) -> None:
    """An error's message can have lone surrogates, NUL and millions of characters.

    The failure of the arm is still recorded.
    """
    with pytest.raises(RuntimeError):
        async with entered(client.experiment(declared).start_arm(CONFIG)):
            raise RuntimeError("\udcff\0" + "ä" * 5_000_000)
    found = await result(client.arm(declared, "lora_rank4").get())
    assert found.status == "failed"
    assert "RuntimeError: \\udcff\\x00ä" in found.error


async def test_the_end_of_a_block_keeps_an_explicit_finish(
    client: AnyClient, declared: str
) -> None:
    """The end of a block does not overwrite an explicit finish(), even after an error."""
    run_result = podium.RunResult("r", "ok", {"loss": 0.3}, {"model": "s3://m"}, None, {"k": 1})
    ending = {"error": "enough", "train_seconds": 3, "run_result": run_result}

    async def train() -> None:
        async with entered(client.experiment(declared).start_arm(CONFIG)) as arm:
            await result(arm.finish("cancelled", **ending))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        await train()
    found = await result(client.arm(declared, "lora_rank4").get())
    assert (found.status, found.error, found.train_seconds) == ("cancelled", "enough", 3.0)
    assert found.run_result == run_result


async def test_a_failure_to_report_does_not_hide_the_error(
    client: AnyClient, declared: str
) -> None:
    """If the end of a failed block cannot be recorded, the block's own error is raised.

    The error has a note about the failure to record.
    """
    experiment = client.experiment(declared)

    async def train() -> None:
        async with entered(experiment.start_arm(CONFIG, order=1)):
            await result(experiment.start_arm(CONFIG, order=2))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError) as caught:
        await train()
    (note,) = caught.value.__notes__
    assert note.startswith("Podium could not record the end of ")
    assert "attempt" in note


async def test_a_block_raises_an_error_if_its_end_cannot_be_recorded(
    client: AnyClient, declared: str
) -> None:
    """If the end of a block without an error cannot be recorded, the block raises an error."""
    experiment = client.experiment(declared)
    with pytest.raises(podium.FailedPreconditionError) as caught:
        async with entered(experiment.start_arm(CONFIG, order=1)):
            await result(experiment.start_arm(CONFIG, order=2))
    assert caught.value.reason == "STALE_ATTEMPT"


async def test_a_finish_with_an_unknown_status_fails_the_arm(
    client: AnyClient, declared: str
) -> None:
    """A finish() with an unknown status raises an error in the block, so the arm is failed."""
    with pytest.raises(ValueError, match="status must be one of"):
        async with entered(client.experiment(declared).start_arm(CONFIG)) as arm:
            await result(arm.finish("done"))
    assert (await result(client.arm(declared, "lora_rank4").get())).status == "failed"


async def test_the_status_of_a_rejected_finish_is_recorded_at_the_end(
    client: AnyClient, declared: str
) -> None:
    """If finish() is rejected for its run_result, the arm still gets the status of this finish().

    The end of the block records this status and the error that finish() was given.
    """
    result_refused = podium.RunResult("r", "ok", metrics={"k" * 2_000: 1.0})
    async with entered(client.experiment(declared).start_arm(CONFIG)) as arm:
        with pytest.raises(podium.InvalidArgumentError):
            await result(arm.finish("cancelled", error="enough", run_result=result_refused))
    found = await result(client.arm(declared, "lora_rank4").get())
    assert (found.status, found.error) == ("cancelled", "enough")


@pytest.mark.parametrize("status", ["pending", "running"])
async def test_an_arm_does_not_finish_as_unfinished(
    client: AnyClient, declared: str, status: str
) -> None:
    """finish() accepts only final statuses, and its error lists them."""
    with pytest.raises(ValueError, match="completed, failed or cancelled"):
        await result(client.arm(declared, "lora_rank4").finish(status))


async def test_a_cancelled_task_cancels_its_arm(declared: str, blocking: podium.Client) -> None:
    """If the task of an asynchronous attempt is cancelled, its arm is cancelled."""
    entered_block = asyncio.Event()

    async def train() -> None:
        async with (
            podium.AsyncClient(blocking.address) as client,
            client.experiment(declared).start_arm(CONFIG),
        ):
            entered_block.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(train())
    await entered_block.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert blocking.arm(declared, "lora_rank4").get().status == "cancelled"


async def test_a_task_that_is_cancelled_while_it_starts_leaves_no_arm_running(
    declared: str, blocking: podium.Client
) -> None:
    """If a task is cancelled while it starts an arm, the arm is not left running."""

    async def train(client: podium.AsyncClient, name: str) -> None:
        async with client.experiment(declared).start_arm(CONFIG, name=name):
            await asyncio.Event().wait()

    async with podium.AsyncClient(blocking.address) as client:
        for number in range(12):
            task = asyncio.create_task(train(client, f"arm{number}"))
            await asyncio.sleep(number * 0.0005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    left = [arm.name for arm in blocking.experiment(declared).arms(status="running")]
    assert left == []
