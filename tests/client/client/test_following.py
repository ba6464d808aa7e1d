"""Followed experiments, over both clients: reads from memory by the rules of the server."""

import time
from typing import Any

import podium
import pytest
from podium_server.testing import running_server

from tests.client.client.both import AnyClient, entered, result

CONFIG = podium.RunConfig("r")
_SECONDS = 60


async def revision_of(client: AnyClient, experiment: str) -> int:
    """The revision that the server has."""
    found = await result(client.experiment(experiment).get())
    return int(found.revision)


async def test_reads_are_those_of_the_server(client: AnyClient, declared: str) -> None:
    """Evals, scores and rankings of the state are what the server answers."""
    experiment = client.experiment(declared)
    for number, name in enumerate(["a", "b", "c"]):
        arm = await result(experiment.start_arm(podium.RunConfig(name), name=name))
        await result(arm.log({"loss": number, "train.x": 1}))
        await result(arm.log_eval("val", {"pass_rate": 0.1}, step=5))
        await result(arm.log_eval("val", {"pass_rate": 0.2}, step=-1))
        await result(arm.log_eval("test", {"pass_rate": number / 2}, tags=["test"]))
        await result(arm.finish())
    given = podium.ArmResult("given", CONFIG, "completed", {"loss": 9}, {"pass_rate": 0.7})
    await result(experiment.record_arm(given))
    async with entered(experiment.follow()) as live:
        assert live.revision == await revision_of(client, declared)
        assert list(live.arms) == ["a", "b", "c", "given"]
        for name in live.arms:
            handle, arm = client.arm(declared, name), live.arm(name)
            assert (arm.name, arm.status) == (name, "completed")
            for metric in ("test.pass_rate", "pass_rate", "val.pass_rate", "loss", "train.x", "no"):
                assert arm.score(metric) == await result(handle.score(metric)), metric
            for step in (None, 5, -1, 0):
                assert arm.eval("val", step=step) == await result(handle.eval("val", step=step))
        assert live.rank() == await result(experiment.rank())
        assert live.rank("loss", direction="minimize", status="failed").arms == []
        assert live.best() == "c"
        assert live.best("loss", direction="minimize") == "a"
        with pytest.raises(podium.NotFoundError, match="did you mean"):
            live.arm("givn")


async def test_a_state_follows_and_never_changes(client: AnyClient, declared: str) -> None:
    """wait_for and wait_until see what was recorded; a state that was taken stays as it is."""
    experiment = client.experiment(declared)
    arm = await result(experiment.start_arm(CONFIG, name="a"))
    async with entered(experiment.follow()) as live:
        before, began = live.state, time.monotonic()
        await result(arm.log_eval("val", {"acc": 0.5}, step=1))
        await result(live.wait_for(await revision_of(client, declared), timeout=_SECONDS))
        assert 0 <= live.lag <= time.monotonic() - began
        assert live.arm("a").score("val.acc") == 0.5
        assert before.arm("a").score("val.acc") is None
        await result(arm.log_eval("val", {"acc": 0.75}, step=2))
        score = await result(
            live.wait_until(
                lambda state: (state.arm("a").score("val.acc") or 0) > 0.5 and "risen", _SECONDS
            )
        )
        assert score == "risen"
        await result(experiment.start_arm(CONFIG, name="a", restart=True))
        await result(live.wait_for(await revision_of(client, declared), timeout=_SECONDS))
        assert live.arm("a").eval("val") is None
        with pytest.raises(TimeoutError):
            await result(live.wait_for(live.revision + 1, timeout=0.01))


async def test_deletion_is_noticed(client: AnyClient, declared: str) -> None:
    """A wait ends when the experiment is deleted, and the last state stays."""
    experiment = client.experiment(declared)
    await result(experiment.start_arm(CONFIG, name="a"))
    async with entered(experiment.follow()) as live:
        await result(experiment.delete())
        with pytest.raises(podium.NotFoundError, match="deleted"):
            await result(live.wait_for(99, timeout=_SECONDS))
        assert live.is_deleted
        assert list(live.arms) == ["a"]


async def test_an_unknown_experiment_is_an_error(client: AnyClient) -> None:
    """An experiment that does not exist cannot be followed."""
    with pytest.raises(podium.NotFoundError):
        async with entered(client.experiment("nobody").follow()):
            pass


@pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient])
async def test_a_block_ends_also_without_its_server(kind: Any) -> None:
    """The end of the block waits neither for a server that is gone nor for a pause."""
    with running_server() as server:
        async with entered(kind(server.address)) as client:
            experiment = client.experiment("x")
            await result(experiment.declare())
            async with entered(experiment.follow()) as live:
                assert live.revision == 1
                server.stop()
                stopped = time.monotonic()
                now = time.monotonic()
                assert live.lag >= now - stopped
            began = time.monotonic()
        assert time.monotonic() - began < _SECONDS
