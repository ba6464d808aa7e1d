"""Tests of followed experiments, with both clients.

A followed experiment is read from memory, by the rules of the server.
"""

import asyncio
import threading
import time
from typing import Any

import podium
import pytest
from podium_server.testing import RunningServer, running_server

from tests.client.client.both import AnyClient, entered, result

CONFIG = podium.RunConfig("r")
_SECONDS = 120


async def revision_of(client: AnyClient, experiment: str) -> int:
    """Returns the experiment's revision on the server."""
    found = await result(client.experiment(experiment).get())
    return int(found.revision)


async def test_reads_are_those_of_the_server(client: AnyClient, declared: str) -> None:
    """Evals, scores and rankings of a followed state equal those of the server."""
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
        wrong: Any = "max"
        for read in (live.rank, live.best):
            with pytest.raises(ValueError, match="direction must be one of maximize, minimize"):
                read("loss", direction=wrong)


async def test_a_state_follows_and_never_changes(client: AnyClient, declared: str) -> None:
    """wait_for and wait_until return once the state has the recorded changes.

    A state that was read before does not change.
    """
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
        with pytest.raises(TimeoutError, match=rf"waited 0.01 s; .* revision {live.revision}"):
            await result(live.wait_for(live.revision + 1, timeout=0.01))


async def test_training_series_are_followed(client: AnyClient, declared: str) -> None:
    """Followed curves equal those of the server, even after points were deleted and replaced."""
    experiment = client.experiment(declared)
    options = {"name": "a", "group_name": "g"}
    arm = await result(experiment.start_arm(CONFIG, **options))
    await result(arm.log({"loss": 3, "lr": 1}, step=1))
    async with entered(experiment.follow(with_series=True)) as live:
        await result(arm.log({"loss": 2}, step=2))
        await result(arm.log_eval("val", {"acc": 0.5}, step=2))
        await result(live.wait_for(await revision_of(client, declared), timeout=_SECONDS))
        before = live.state
        for metric in ("loss", "lr", "val.acc", "none"):
            assert live.curve(metric) == await result(experiment.curve(metric))
        assert live.arm("a").series("loss") == podium.Series("loss", [1, 2], [3, 2])
        arm = await result(experiment.start_arm(CONFIG, **options, resume_step=1))
        await result(arm.log({"loss": 4}, step=2))
        await result(arm.log({"loss": 5}, step=1))
        await result(live.wait_for(await revision_of(client, declared), timeout=_SECONDS))
        assert live.arm("a").series("loss") == podium.Series("loss", [1, 2], [5, 4])
        assert before.arm("a").series("loss") == podium.Series("loss", [1, 2], [3, 2])
        found = live.curve("loss", ["g"], by_group=True)
        assert found == await result(experiment.curve("loss", ["g"], by_group=True))
        await result(experiment.start_arm(CONFIG, **options, restart=True))
        await result(live.wait_for(await revision_of(client, declared), timeout=_SECONDS))
        assert live.arm("a").series("loss") == podium.Series("loss")
        with pytest.raises(podium.NotFoundError, match="did you mean 'g'"):
            live.curve("loss", ["gg"], by_group=True)


async def test_series_are_filtered(client: AnyClient, declared: str) -> None:
    """with_series sends only the named keys, and only of arms that pass the filters.

    Without with_series, no series are sent.
    """
    experiment = client.experiment(declared)
    arm = await result(experiment.start_arm(CONFIG, name="a"))
    for step in range(5):
        await result(arm.log({"loss": step, "lr": 1}, step=step))
    async with (
        entered(experiment.follow()) as bare,
        entered(experiment.follow(with_series=["loss"], status="completed")) as completed,
    ):
        with pytest.raises(ValueError, match=r"with_series=\['loss'\]"):
            bare.curve("loss")
        assert completed.curve("loss").curves == ()
        await result(arm.finish())
        await result(completed.wait_for(await revision_of(client, declared), timeout=_SECONDS))
        assert list(completed.arm("a").points) == ["loss"]
        assert completed.curve("loss") == await result(experiment.curve("loss"))
    with pytest.raises(TypeError, match="with_series must be a list"):
        experiment.follow(with_series="loss")


async def test_an_arm_is_whole(client: AnyClient, declared: str) -> None:
    """A followed arm equals the arm on the server, with its breakdowns and run_result.

    With with_breakdowns=False, the breakdowns are empty.
    """
    experiment = client.experiment(declared)
    run = podium.RunResult("r1", "completed", {"x": 1}, {"log": "a.txt"})
    bare = podium.ArmResult(
        "bare", CONFIG, "completed", {}, {"acc": 0.5}, {"digit": [1, {"a": 2}]}, run_result=run
    )
    bare.eval_seconds = 2.5
    row = podium.EvalResult("test", metrics={"acc": 1}, breakdowns={"k": "v"}, eval_seconds=1.5)
    rows = podium.ArmResult("rows", CONFIG, "failed", {"loss": 1}, evals=[row], error="e")
    slow = podium.ArmResult("slow", CONFIG, "completed", evals=[row], eval_seconds=9.0)
    for arm in (bare, rows, slow):
        await result(experiment.record_arm(arm))
    async with entered(experiment.follow()) as live:
        for arm in (bare, rows, slow):
            assert live.arm(arm.name).result == await result(client.arm(declared, arm.name).get())
    async with entered(experiment.follow(with_breakdowns=False)) as live:
        assert live.arm("bare").result.eval_breakdowns == {}
        assert live.arm("rows").result.evals[0].breakdowns == {}
        assert live.arm("rows").score("test.acc") == 1


async def test_a_state_is_shown_in_one_line(client: AnyClient, declared: str) -> None:
    """The repr of a state counts its arms, and the repr of an arm counts its rows."""
    arm = await result(client.experiment(declared).start_arm(CONFIG, name="a"))
    await result(arm.log_eval("val", {"acc": 0.5}, step=1))
    async with entered(client.experiment(declared).follow()) as live:
        state = f"<LiveState of {declared!r}: revision 3, 1 arms>"
        assert repr(live) == f"<{type(live).__name__}: {state}>"
        assert repr(live.arms) == "{'a': <LiveArm 'a': running, 1 rows>}"


async def test_a_deletion_ends_a_wait(client: AnyClient, declared: str) -> None:
    """If an experiment is deleted, a wait raises an error. The last state can still be read."""
    experiment = client.experiment(declared)
    await result(experiment.start_arm(CONFIG, name="a"))
    async with entered(experiment.follow()) as live:
        await result(experiment.delete())
        with pytest.raises(podium.NotFoundError, match="deleted"):
            await result(live.wait_for(99, timeout=_SECONDS))
        assert live.is_deleted
        assert list(live.arms) == ["a"]


async def test_a_state_needs_its_block(client: AnyClient, declared: str) -> None:
    """A state can be read and waited for only once the `with` block is entered.

    After the block, the last state can still be read.
    """
    follow = client.experiment(declared).follow()
    for read in ("state", "arms", "revision", "experiment"):
        with pytest.raises(podium.ClientStateError, match="in a block"):
            getattr(follow, read)
    with pytest.raises(podium.ClientStateError, match="in a block"):
        await result(follow.wait_for(1, timeout=_SECONDS))
    async with entered(follow) as live:
        revision = live.revision
    assert live.revision == revision
    await result(live.wait_for(revision))
    with pytest.raises(podium.ClientStateError, match="has ended"):
        await result(live.wait_for(revision + 1, timeout=_SECONDS))


async def test_a_wait_ends_with_the_block(client: AnyClient, declared: str) -> None:
    """If a thread or task waits without a time limit, it gets an error when the block ends."""
    waits = threading.Event()

    def never(_state: podium.LiveState) -> None:
        waits.set()

    async with entered(client.experiment(declared).follow()) as live:
        if isinstance(client, podium.Client):
            waiting = asyncio.create_task(asyncio.to_thread(live.wait_until, never))
        else:
            waiting = asyncio.create_task(live.wait_until(never))
        assert await asyncio.to_thread(waits.wait, _SECONDS)
    with pytest.raises(podium.ClientStateError, match="has ended"):
        async with asyncio.timeout(_SECONDS):
            await waiting


async def test_a_predicate_that_raises(client: AnyClient, declared: str) -> None:
    """If the predicate of a wait raises an error, the wait raises the same error.

    Later waits still work.
    """
    arm = await result(client.experiment(declared).start_arm(CONFIG, name="a"))
    async with entered(client.experiment(declared).follow()) as live:
        for kind in (KeyError, TimeoutError):

            def fail(_state: podium.LiveState, kind: type[Exception] = kind) -> None:
                raise kind("mine")

            with pytest.raises(kind, match="mine"):
                await result(live.wait_until(fail, timeout=_SECONDS))
        await result(arm.finish())
        await result(live.wait_for(await revision_of(client, declared), timeout=_SECONDS))
        assert live.arm("a").status == "completed"


def test_a_slow_predicate_delays_nobody(blocking: podium.Client, declared: str) -> None:
    """While a predicate runs in one thread, the state advances, and other threads can wait."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(_state: podium.LiveState) -> bool:
        begun.set()
        return go_on.wait(_SECONDS)

    arm = blocking.experiment(declared).start_arm(CONFIG, name="a")
    with blocking.experiment(declared).follow() as live:
        thread = threading.Thread(target=live.wait_until, args=(slow,))
        thread.start()
        assert begun.wait(_SECONDS)
        arm.finish()
        try:
            live.wait_until(lambda state: state.arm("a").status == "completed", _SECONDS)
        finally:
            go_on.set()
            thread.join()


async def test_an_unknown_experiment_is_an_error(client: AnyClient) -> None:
    """Following an experiment that does not exist raises NotFoundError."""
    with pytest.raises(podium.NotFoundError):
        async with entered(client.experiment("nobody").follow()):
            pass


def test_another_event_loop_is_an_error(server: RunningServer, declared: str) -> None:
    """A client that was used in one event loop cannot follow an experiment in another."""
    client = podium.AsyncClient(server.address)

    async def follow() -> None:
        async with client.experiment(declared).follow():
            pass

    asyncio.run(follow())
    with pytest.raises(podium.ClientStateError, match="another event loop"):
        asyncio.run(follow())


@pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient])
async def test_a_block_ends_even_without_its_server(kind: Any) -> None:
    """If the server is gone, the end of the `with` block does not wait for it."""
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
