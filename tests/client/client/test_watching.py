"""Tests of watches, with both clients: their updates, and lost connections."""

from contextlib import aclosing, closing
from typing import Any

import podium
import pytest
from podium._client.live_state import LiveState
from podium.v1.arm_result_pb2 import ArmSummary
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.results_service_pb2 import WatchResponse
from podium.v1.watch_pb2 import WatchedArm, WatchedEval, WatchedSeries, WatchMarker, WatchRemoval
from podium_server.testing import running_server

from tests.client.client.both import AnyClient, entered, result
from tests.client.client.sessions import session as _session

CONFIG = podium.RunConfig("r")


class Watched:
    """Reads a watch of either client, one update at a time."""

    def __init__(self, updates: Any) -> None:
        self._updates = updates

    async def next(self) -> podium.WatchUpdate:
        """Returns the next update."""
        if hasattr(self._updates, "__anext__"):
            update = await anext(self._updates)
        else:
            update = next(self._updates)
        assert isinstance(update, podium.WatchUpdate)
        return update

    async def until(self, revision: int) -> list[podium.WatchUpdate]:
        """Returns the updates up to a revision. One update may contain several commits."""
        found = [await self.next()]
        while found[-1].marker is None or found[-1].marker.revision < revision:
            found.append(await self.next())
        return found

    async def close(self) -> None:
        """Ends the watch."""
        if hasattr(self._updates, "aclose"):
            async with aclosing(self._updates):
                return
        with closing(self._updates):
            return


def shown(update: podium.WatchUpdate) -> Any:
    """Returns the names and states of the arms, rows and removals of an update."""
    return (
        [(item.arm.name, item.arm.status) for item in update.arms],
        [(item.arm, item.eval_result.name, item.eval_result.step) for item in update.evals],
        [(item.arm, item.name, item.step) for item in update.removals],
    )


async def test_the_state_and_every_change(client: AnyClient, declared: str) -> None:
    """The first update of a watch has the whole state. Later updates have the changes."""
    experiment = client.experiment(declared)
    arm = await result(experiment.start_arm(CONFIG, name="a"))
    await result(arm.log_eval("val", {"acc": 0.5}, step=1))
    watched = Watched(experiment.watch())
    first = await watched.next()
    assert first.experiment is not None
    assert (first.experiment.name, first.is_reset) == (declared, False)
    assert shown(first) == ([("a", "running")], [("a", "val", 1)], [])
    assert first.marker is not None
    assert first.marker.revision == 3
    await result(arm.log_eval("val", {"acc": 0.6}, step=2))
    update = await watched.next()
    assert shown(update) == ([("a", "running")], [("a", "val", 2)], [])
    assert update.experiment is None
    await result(arm.finish())
    assert shown(await watched.next()) == ([("a", "completed")], [], [])
    await result(experiment.start_arm(CONFIG, name="a", restart=True))
    assert shown(await watched.next())[2] == [("a", "val", 1), ("a", "val", 2)]
    await result(client.arm(declared, "a").delete())
    assert shown(await watched.next()) == ([], [], [("a", None, None)])
    await watched.close()


async def test_a_watch_goes_on_after_an_update(client: AnyClient, declared: str) -> None:
    """A watch with after= sends only later changes. `after` is an update, marker or revision."""
    experiment = client.experiment(declared)
    await result(experiment.start_arm(CONFIG, name="a"))
    watched = Watched(experiment.watch())
    first = await watched.next()
    await watched.close()
    await result(experiment.start_arm(CONFIG, name="b"))
    for after in (first, first.marker, 2):
        watched = Watched(experiment.watch(after=after))
        assert shown(await watched.next())[0] == [("b", "running")]
        await watched.close()


async def test_deletion_ends_a_watch(client: AnyClient, declared: str) -> None:
    """The last update of a watch reports the deletion of the experiment.

    A new experiment with the same name can be watched. Its first update is a reset.
    """
    experiment = client.experiment(declared)
    watched = Watched(experiment.watch())
    before = await watched.next()
    await result(experiment.delete())
    assert (await watched.next()).is_deleted
    with pytest.raises((StopIteration, StopAsyncIteration, RuntimeError)):
        await watched.next()
    with pytest.raises(podium.NotFoundError):
        await Watched(experiment.watch()).next()
    await result(experiment.declare())
    watched = Watched(experiment.watch(after=before))
    assert (await watched.next()).is_reset
    await watched.close()


async def test_filters(client: AnyClient, declared: str) -> None:
    """If an arm no longer passes the filters of a watch, the next update reports its removal.

    If an arm newly passes the filters, it is sent with all of its rows.
    """
    experiment = client.experiment(declared)
    arm = await result(experiment.start_arm(CONFIG, name="a", group_name="g"))
    await result(arm.log_eval("val", {"acc": 0.5}, step=1))
    await result(experiment.start_arm(CONFIG, name="b"))
    running = Watched(experiment.watch(status="running", name_prefix="a"))
    completed = Watched(experiment.watch(status="completed"))
    bare = Watched(experiment.watch(group_name="g", with_evals=False))
    assert shown(await running.next()) == ([("a", "running")], [("a", "val", 1)], [])
    assert shown(await completed.next()) == ([], [], [])
    assert shown(await bare.next()) == ([("a", "running")], [], [])
    await result(arm.finish())
    assert shown(await running.next()) == ([], [], [("a", None, None)])
    assert shown(await completed.next()) == ([("a", "completed")], [("a", "val", 1)], [])
    await result(client.arm(declared, "b").log_eval("val", {"acc": 1}, step=2))
    for watched in (running, completed):
        update = await watched.next()
        assert shown(update) == ([], [], [])
        assert update.marker is not None
        assert update.marker.revision == 6
        await watched.close()
    await bare.close()


@pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient])
async def test_a_watch_continues_after_a_restart_of_the_server(kind: Any, tmp_path: Any) -> None:
    """After a restart of the server, a watch continues without a reset."""
    with running_server(f"sqlite:///{tmp_path}/podium.db") as server:
        async with entered(kind(server.address)) as client:
            experiment = client.experiment("x")
            await result(experiment.declare())
            watched = Watched(experiment.watch())
            await watched.next()
            server.restart()
            arm = await result(experiment.start_arm(CONFIG, name="a"))
            updates = await watched.until(2)
            assert not any(update.is_reset for update in updates)
            assert shown(updates[-1])[0] == [(arm.name, "running")]
            await watched.close()


async def test_an_unknown_experiment_is_an_error(client: AnyClient) -> None:
    """A watch of an experiment that does not exist fails at once."""
    with pytest.raises(podium.NotFoundError):
        await Watched(client.experiment("nobody").watch()).next()


async def test_a_declaration_is_a_change(client: AnyClient, declared: str) -> None:
    """A commit that changes no arm is sent as an update, too."""
    experiment = client.experiment(declared)
    watched = Watched(experiment.watch())
    await watched.next()
    for conclusion in ("rank 4", "rank 8"):
        await result(experiment.conclude(conclusion))
        update = await watched.next()
        assert update.experiment is not None
        assert update.experiment.conclusion == conclusion
    await watched.close()


def _added(arm: str, *steps: int) -> WatchResponse:
    """Returns a message with an arm, its rows and its training series."""
    rows = (EvalResult(name="val", step=step) for step in steps)
    return WatchResponse(
        arms=[WatchedArm(arm=ArmSummary(name=arm))],
        evals=[WatchedEval(arm=arm, eval_result=row) for row in rows],
        series=[WatchedSeries(arm=arm)],
    )


def test_an_interrupted_update_is_forgotten() -> None:
    """If a lost connection interrupts an update, the server sends the update again.

    The update that the watch yields has each arm and row only once.
    """
    session = _session()
    assert session.take(_added("a", 1)) is None
    session.pause(podium.UnavailableError("gone"))
    assert session.take(_added("a", 1)) is None
    update = session.take(WatchResponse(marker=WatchMarker(revision=7, epoch="e")))
    assert update is not None
    assert [len(items) for items in (update.arms, update.evals, update.series)] == [1, 1, 1]


def test_removals_end_what_earlier_messages_of_the_update_added() -> None:
    """A removal also removes arms and rows that earlier messages of the same update added."""
    session = _session()

    removals = [
        WatchRemoval(arm="gone"),
        WatchRemoval(arm="again"),
        WatchRemoval(arm="cut", name="val", step=2),
    ]
    for response in (
        _added("gone", 1),
        _added("again", 1),
        _added("cut", 1, 2),
        WatchResponse(removals=removals, arms=_added("again").arms, evals=_added("again", 3).evals),
    ):
        assert session.take(response) is None
    update = session.take(WatchResponse(marker=WatchMarker(revision=7, epoch="e")))
    assert update is not None
    arms = LiveState().after(update).arms
    steps = {name: [step for _, step in arm.rows] for name, arm in arms.items()}
    assert steps == {"again": [3], "cut": [1]}
    assert [item.arm for item in update.series] == ["cut"]
