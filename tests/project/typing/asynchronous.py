"""The types of the asynchronous client. Type checkers check this file. It is never run."""

from typing import assert_type

import podium


async def reading(client: podium.AsyncClient) -> None:
    """When a call of a handle is awaited, the result is an object of the model."""
    arm = client.arm("e", "a")
    assert_type(arm, podium.AsyncArmHandle)
    assert_type(await arm.eval("val", step=100), podium.EvalResult | None)
    assert_type(await arm.score("test.pass_rate"), float | None)
    assert_type(await arm.find_score("loss"), podium.Score | None)
    assert_type(await arm.get(), podium.ArmResult)
    assert_type(arm.evals(name="val"), podium.AsyncListing[podium.EvalResult])
    assert_type(client.experiments(), podium.AsyncListing[podium.Experiment])
    assert_type(await client.experiments(), podium.Listing[podium.Experiment])
    experiment = client.experiment("e")
    assert_type(experiment, podium.AsyncExperimentHandle)
    assert_type(await experiment.get(), podium.Experiment)
    async for summary in experiment.arms():
        assert_type(summary, podium.ArmSummary)


async def recording(experiment: podium.AsyncExperimentHandle, config: podium.RunConfig) -> None:
    """An attempt begins with `async with` or `await`."""
    assert_type(await experiment.declare(), podium.RecordResult)
    async with experiment.start_arm(config) as arm:
        assert_type(arm, podium.AsyncArmRun)
        assert_type(await arm.log({"loss": 0.31}), None)
        await arm.log_eval("val", {"pass_rate": 0.52}, step=100)
        async with arm.evaluating("val", step=100) as evaluation:
            assert_type(evaluation, podium.AsyncEvaluation)
            evaluation.log({"pass_rate": 0.5})
        await arm.finish()
    assert_type(await experiment.start_arm(config), podium.AsyncArmRun)
    assert_type(await experiment.record_arm(await arm.get()), podium.RecordResult)


async def mistakes(client: podium.AsyncClient) -> None:
    """Type checkers report a missing `await` or `async`, and arguments of wrong types."""
    score: float | None = client.arm("e", "a").score("m")  # type: ignore[assignment]
    handle: podium.ArmHandle = client.arm("e", "a")  # type: ignore[assignment]
    with client.experiment("e").start_arm(podium.RunConfig("r")):  # type: ignore[attr-defined]
        del score, handle
    await client.arm("e", "a").log_eval("val", {"a": 1}, tags="test")  # type: ignore[arg-type]
    await client.arm("e", "a").finish("complete")  # type: ignore[arg-type]
    await client.experiment("e").rank(direction="max")  # type: ignore[arg-type]


async def comparing(experiment: podium.AsyncExperimentHandle) -> None:
    """A read that takes several calls is awaited once."""
    assert_type(await experiment.compare("a", "b", kind="group"), podium.Comparison)
    assert_type(await experiment.curve("val.acc", by_group=True), podium.Curves)
