"""Tests of what makes a watch send a message or end: its start, commits, the server's end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from podium.errors import UnavailableError
from podium.v1.arm_result_pb2 import ARM_STATUS_COMPLETED
from podium.v1.event_pb2 import ArmFinished, Event
from podium.v1.results_service_pb2 import WatchRequest, WatchResponse
from podium_server.api import watch
from podium_server.store.contract import Store
from podium_server.store.open import open_store
from podium_server.testing.calls import declared, delete_arm, metrics, record, started

from tests.stores import store_url

_SECONDS = 30
_FINISHED = ArmFinished(arm="a", status=ARM_STATUS_COMPLETED, attempt_id="A")


@pytest.fixture(autouse=True)
def _no_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns heartbeats off, so that only commits wake watches."""
    monkeypatch.setattr(watch, "_HEARTBEAT_SECONDS", 1e6)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Yields a store with an experiment and a running arm, at revision 1."""
    store = await open_store(store_url(tmp_path), on_broken=lambda: None)
    await store.transact(record(declared(), started("a", "A", 1)))
    yield store
    await store.close()


async def _to_marker(responses: AsyncIterator[bytes]) -> WatchResponse:
    """Returns the next messages of a watch as one, up to a marker."""
    found = WatchResponse()
    while not found.HasField("marker"):
        found.MergeFrom(await _next(responses))
    return found


async def _next(responses: AsyncIterator[bytes]) -> WatchResponse:
    """Returns the next message of a watch. A message that does not come is an error."""
    async with asyncio.timeout(_SECONDS):
        return WatchResponse.FromString(await anext(responses))


async def test_each_commit_wakes_each_watch(store: Store) -> None:
    """A commit wakes all watches of its experiment, even after one of them has ended."""
    watches = watch.Watches(store)
    first, second = (watches.watch(WatchRequest(experiment="x")) for _ in range(2))
    for responses in (first, second):
        await _to_marker(responses)
    await store.transact(record(metrics({"loss": 1})))
    found = [(await _to_marker(responses)).marker.revision for responses in (first, second)]
    assert found == [2, 2]
    await first.aclose()
    waiting = asyncio.ensure_future(_to_marker(second))
    await asyncio.sleep(0)
    await store.transact(record(metrics({"loss": 2})))
    assert (await waiting).marker.revision == 3
    await second.aclose()


async def test_a_watch_rests_for_all_watches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """If an experiment has two watches, a watch pauses for 5 ms after it has sent messages.

    This is 4 ms, plus 0.5 ms for each of the two watches.
    """
    watches = watch.Watches(store)
    both = [watches.watch(WatchRequest(experiment="x")) for _ in range(2)]
    for responses in both:
        await _to_marker(responses)
    await store.transact(record(metrics({"loss": 1})))
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", rest)
        await _to_marker(both[0])
    assert [seconds for seconds in rests if seconds] == [0.005]
    for responses in both:
        await responses.aclose()


@pytest.mark.parametrize(("after", "epoch", "resets"), [(9, "other", True), (1, "", False)])
async def test_only_a_client_that_is_ahead_waits(
    store: Store, monkeypatch: pytest.MonkeyPatch, after: int, epoch: str, *, resets: bool
) -> None:
    """A client of another epoch is reset at once. A client with the newest revision is not."""
    monkeypatch.setattr(watch, "_AHEAD_SECONDS", 1e6)
    request = WatchRequest(experiment="x", after_revision=after, epoch=epoch)
    responses = watch.Watches(store).watch(request)
    assert (await _next(responses)).reset is resets
    await responses.aclose()


async def test_the_end_of_the_server_ends_watches(store: Store) -> None:
    """`stop` ends a waiting watch, and each watch that begins later, with SHUTTING_DOWN."""
    watches = watch.Watches(store)
    first, later = (watches.watch(WatchRequest(experiment="x")) for _ in range(2))
    await _to_marker(first)
    waiting = asyncio.ensure_future(_next(first))
    await asyncio.sleep(0)
    watches.stop()
    for call in waiting, _next(later):
        with pytest.raises(UnavailableError) as raised:
            await call
        assert raised.value.reason == "SHUTTING_DOWN"


async def test_an_arm_that_is_deleted_as_it_enters_a_watch(store: Store) -> None:
    """If an arm is deleted before a watch has sent its rows, the watch then sends its removal."""
    request = WatchRequest(experiment="x", statuses=[ARM_STATUS_COMPLETED], with_series=True)
    responses = watch.Watches(store).watch(request)
    await _to_marker(responses)
    await store.transact(record(Event(arm_finished=_FINISHED)))
    found = await _next(responses)
    assert [arm.arm.name for arm in found.arms] == ["a"]
    await store.transact(delete_arm("a"))
    found = await _to_marker(responses)
    assert ([removal.arm for removal in found.removals], found.marker.revision) == (["a"], 3)
    await responses.aclose()
