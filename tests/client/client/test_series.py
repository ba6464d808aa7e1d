"""Tests of training series: metrics that are logged with a step, with both clients."""

import math
from typing import Any

import podium
import pytest

from tests.client.client.both import AnyClient, result

CONFIG = podium.RunConfig("r")


async def test_values_with_a_step_are_a_series(client: AnyClient, declared: str) -> None:
    """log(step=) adds a point to a series. A value without a step only sets the latest value."""
    arm = await result(client.experiment(declared).start_arm(CONFIG, name="a"))
    for step in (3, -1, 0):
        await result(arm.log({"loss": step / 2, "lr": 1}, step=step))
    await result(arm.log({"loss": 0.25, "nan": math.nan}, step=3))
    await result(arm.log({"loss": 9}))
    assert await result(arm.series("loss")) == podium.Series("loss", [-1, 0, 3], [-0.5, 0, 0.25])
    assert (await result(arm.get())).metrics["loss"] == 9
    assert await result(arm.score("loss")) == 9
    found = await result(arm.all_series(["lr", "nan"], min_step=0, max_step=3))
    assert found["lr"] == podium.Series("lr", [0, 3], [1.0, 1.0])
    assert (found["nan"].steps, set(found)) == ([3], {"lr", "nan"})
    assert await result(arm.series("none")) == podium.Series("none")


@pytest.mark.parametrize("page_size", [1, 2, 3, 10_000])
async def test_pages_make_one_series(client: AnyClient, declared: str, page_size: int) -> None:
    """A series that arrives in several pages is returned as one series."""
    arm = await result(client.experiment(declared).start_arm(CONFIG, name="a"))
    for step in range(5):
        await result(arm.log({"a": step, "b": -step}, step=step))
    found = await result(arm.all_series(page_size=page_size))
    assert found == {
        "a": podium.Series("a", [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
        "b": podium.Series("b", [0, 1, 2, 3, 4], [0, -1, -2, -3, -4]),
    }


async def test_curves_use_the_series(client: AnyClient, declared: str) -> None:
    """curve("loss") returns the series of each arm, or the mean series of each group."""
    experiment = client.experiment(declared)
    for number, name in enumerate(["a", "b"]):
        arm = await result(experiment.start_arm(CONFIG, name=name, group_name="g"))
        await result(arm.log({"loss": 1 + number}, step=10))
    await result(experiment.start_arm(CONFIG, name="c"))
    found: Any = await result(experiment.curve("loss"))
    assert [(curve.name, curve.points[0].step) for curve in found.curves] == [("a", 10), ("b", 10)]
    assert found.without == ("c",)
    (group,) = (await result(experiment.curve("loss", ["g"], by_group=True))).curves
    assert (group.points[0].statistics.mean, group.points[0].statistics.n) == (1.5, 2)


async def test_a_wrong_step_is_an_error(client: AnyClient, declared: str) -> None:
    """A step that is not an integer raises a TypeError, and the call records nothing."""
    arm = await result(client.experiment(declared).start_arm(CONFIG, name="a"))
    with pytest.raises(TypeError, match="step"):
        await result(arm.log({"loss": 1}, step="x"))
    assert (await result(arm.get())).metrics == {}


async def test_a_key_that_no_arm_has(
    client: AnyClient, declared: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A misspelt key logs one warning with similar keys. A key of another arm logs none."""
    experiment = client.experiment(declared)
    arm = await result(experiment.start_arm(CONFIG, name="a"))
    await result(arm.log({"loss": 1}, step=1))
    other = await result(experiment.start_arm(CONFIG, name="b"))
    for key in ("los", "los", "loss"):
        assert await result(other.series(key)) == podium.Series(key)
    assert caplog.messages == [
        f"podium: no arm of {declared!r} has values by step for 'los'; did you mean 'loss'?"
    ]


async def test_a_reversed_range_of_steps(client: AnyClient, declared: str) -> None:
    """A range of steps that ends before its start raises an error, for rows and for series."""
    arm = client.experiment(declared).arm("a")
    with pytest.raises(ValueError, match="min_step is 5 and max_step is 1: the range is reversed"):
        await result(arm.evals(min_step=5, max_step=1))
    with pytest.raises(ValueError, match="the range is reversed; exchange them"):
        await result(arm.series("loss", min_step=1, max_step=0))
