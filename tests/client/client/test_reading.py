"""Tests of what the handles read, with both clients."""

import math

import podium
import pytest

from tests.client.client.both import AnyClient, items, result


@pytest.fixture
def arm_result() -> podium.ArmResult:
    """Returns an arm with in-loop rows at two steps and a post-training row."""
    return podium.ArmResult(
        "lora_rank4",
        podium.RunConfig("lora_rank4", seed=0, tags=["lora"]),
        "completed",
        metrics={"train.loss": 0.31, "pass_rate": 0.1},
        evals=[
            podium.EvalResult("val", metrics={"pass_rate": 0.5, "nan": math.nan}, step=0),
            podium.EvalResult("val", metrics={"pass_rate": 0.52}, step=100),
            podium.EvalResult("test", metrics={"pass_rate": 0.61}, tags=["test"]),
        ],
    )


@pytest.fixture
def recorded(blocking: podium.Client, declared: str, arm_result: podium.ArmResult) -> str:
    """Records the arm, and returns the experiment's name."""
    blocking.experiment(declared).record_arm(arm_result)
    return declared


async def test_eval(client: AnyClient, recorded: str) -> None:
    """eval() returns the latest row, the row at the given step (0 included), or None."""
    arm = client.arm(recorded, "lora_rank4")
    latest = await result(arm.eval("val"))
    assert (latest.step, latest.metrics) == (100, {"pass_rate": 0.52})
    assert (await result(arm.eval("val", step=0))).step == 0
    assert await result(arm.eval("val", step=50)) is None
    assert await result(arm.eval("test", step=0)) is None
    assert (await result(arm.eval("test"))).step is None


async def test_score(client: AnyClient, recorded: str) -> None:
    """score() returns a number, or None if there is no score. A row keeps NaN as NaN."""
    arm = client.arm(recorded, "lora_rank4")
    assert await result(arm.score("test.pass_rate")) == 0.61
    assert await result(arm.score("pass_rate")) == 0.61
    assert await result(arm.score("train.loss")) == 0.31
    assert await result(arm.score("nothing")) is None
    recorded_nan = await result(arm.eval("val", step=0))
    assert math.isnan(recorded_nan.metrics["nan"])


async def test_find_score(client: AnyClient, recorded: str) -> None:
    """find_score() returns a score with its source, or None."""
    arm = client.arm(recorded, "lora_rank4")
    assert await result(arm.find_score("val.pass_rate")) == podium.Score(
        0.52, podium.ScoreOrigin.IN_LOOP_EVAL, "pass_rate", "val", 100
    )
    assert await result(arm.find_score("train.loss")) == podium.Score(
        0.31, podium.ScoreOrigin.TRAINING_METRICS, "train.loss"
    )
    assert await result(arm.find_score("nothing")) is None


async def test_get(client: AnyClient, recorded: str, arm_result: podium.ArmResult) -> None:
    """get() returns the arm as it was recorded, with its status."""
    found = await result(client.arm(recorded, "lora_rank4").get())
    assert found == arm_result
    assert (found.experiment, found.revision) == (recorded, 2)


async def test_get_experiment(client: AnyClient, recorded: str) -> None:
    """get() of an experiment returns its declaration and the counts of its arms."""
    found = await result(client.experiment(recorded).get())
    assert (found.name, found.success_metric, found.status) == (
        recorded,
        "test.pass_rate",
        "completed",
    )
    assert found.arm_counts == podium.ArmCounts(completed=1)


async def test_evals_filters(client: AnyClient, recorded: str) -> None:
    """evals() filters rows by name, first step and last step."""
    arm = client.arm(recorded, "lora_rank4")
    assert [row.step for row in await items(arm.evals())] == [0, 100, None]
    assert [row.step for row in await items(arm.evals(name="val"))] == [0, 100]
    assert [row.step for row in await items(arm.evals(min_step=1))] == [100]
    assert [row.step for row in await items(arm.evals(max_step=0))] == [0]


async def test_arms_filters(client: AnyClient, recorded: str) -> None:
    """arms() filters arms by one or several statuses, group, prefix and tags."""
    experiment = client.experiment(recorded)
    grouped = podium.ArmResult("other", podium.RunConfig("other"), "failed", group_name="g")
    await result(experiment.record_arm(grouped))

    async def names(**filters: object) -> list[str]:
        return [arm.name for arm in await items(experiment.arms(**filters))]

    assert await names() == ["lora_rank4", "other"]
    assert await names(status="failed") == ["other"]
    assert await names(status=["failed", podium.ArmStatus.COMPLETED]) == ["lora_rank4", "other"]
    assert await names(status="running") == []
    assert await names(group_name="g") == ["other"]
    assert await names(name_prefix="lora") == ["lora_rank4"]
    assert await names(tags=["lora"]) == ["lora_rank4"]


async def test_experiments_filters(client: AnyClient, name: str) -> None:
    """experiments() filters experiments by prefix, status and tags."""
    for tag in ("a", "b"):
        await result(client.experiment(f"{name}/{tag}").declare(tags=[tag]))

    async def names(**filters: object) -> list[str]:
        found = await items(client.experiments(name_prefix=f"{name}/", **filters))
        return [experiment.name for experiment in found]

    assert await names() == [f"{name}/a", f"{name}/b"]
    assert await names(tags=["b"]) == [f"{name}/b"]
    assert await names(status="running") == [f"{name}/a", f"{name}/b"]
    assert await names(status=["failed", "completed"]) == []


async def test_lists_go_on_over_pages(client: AnyClient, recorded: str) -> None:
    """A list that is fetched in pages of one item has each item once."""
    experiment = client.experiment(recorded)
    for index in range(3):
        arm = podium.ArmResult(f"arm{index}", podium.RunConfig("r"), "pending")
        await result(experiment.record_arm(arm))
    listed = await items(experiment.arms(page_size=1))
    assert [arm.name for arm in listed] == ["lora_rank4", "arm0", "arm1", "arm2"]
    rows = await items(client.arm(recorded, "lora_rank4").evals(page_size=1))
    assert [row.step for row in rows] == [0, 100, None]


async def test_get_of_an_arm_with_many_rows(client: AnyClient, declared: str) -> None:
    """get() returns all rows in order, even if they do not fit into one response."""
    text = "x" * 100_000
    evals = [
        podium.EvalResult("val", metrics={"m": step}, breakdowns={"text": text}, step=step)
        for step in range(30)
    ]
    arm = podium.ArmResult("large", podium.RunConfig("large"), "completed", evals=evals)
    await result(client.experiment(declared).record_arm(arm))
    found = await result(client.arm(declared, "large").get())
    assert [row.step for row in found.evals] == list(range(30))
    assert found == arm


async def test_unknown_names(client: AnyClient, declared: str) -> None:
    """A read of an unknown arm or experiment raises a NotFoundError that names it."""
    with pytest.raises(podium.NotFoundError, match="nobody") as caught:
        await result(client.arm(declared, "nobody").eval("val"))
    assert caught.value.reason == "ARM_NOT_FOUND"
    with pytest.raises(LookupError, match="nowhere"):
        await result(client.experiment("nowhere").get())
    with pytest.raises(podium.NotFoundError, match="nowhere"):
        await items(client.experiment("nowhere").arms())


async def test_an_empty_metric(client: AnyClient, recorded: str) -> None:
    """An empty metric name raises a ValueError."""
    with pytest.raises(ValueError, match="metric"):
        await result(client.arm(recorded, "lora_rank4").score(""))


async def test_handles_make_no_call(client: AnyClient) -> None:
    """A handle can be made, printed and asked for its names, even if its arm does not exist."""
    experiment = client.experiment("nowhere")
    arm = experiment.arm("nobody", attempt_id="a1")
    assert (experiment.name, arm.experiment, arm.name, arm.attempt_id) == (
        "nowhere",
        "nowhere",
        "nobody",
        "a1",
    )
    assert repr(arm).endswith("ArmHandle('nowhere', 'nobody')")
    assert repr(client).endswith(f"Client({client.address!r})")
