"""Tests of watches in a server: their limits, their end, their heartbeats and contents."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from podium._wire.status import from_rpc_error
from podium.v1.arm_result_pb2 import ARM_STATUS_COMPLETED
from podium.v1.event_pb2 import ArmAnnotated, ArmFinished, Event
from podium.v1.results_service_pb2 import WatchRequest, WatchResponse
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium.v1.value_pb2 import Value
from podium_server.api import watch
from podium_server.rpc.admission import AdmissionLimits
from podium_server.serve.server import running
from podium_server.serve.settings import Settings
from podium_server.store.open import open_store
from podium_server.testing.calls import (
    arm,
    declared,
    delete_arm,
    delete_experiment,
    metrics,
    record,
    row,
    started,
)

from tests.server.access.serving import chosen_front
from tests.server.rpc.attack import attackers, headers, message
from tests.stores import only_sqlite, store_url

_SECONDS = 120
_WATCH = "/podium.v1.ResultsService/Watch"
_REQUEST = WatchRequest(experiment="x")


@asynccontextmanager
async def _served(folder: Path, **bounds: Any) -> AsyncIterator[str]:
    """Runs a server with an experiment in this process, and yields its address."""
    url = store_url(folder)
    store = await open_store(url, on_broken=lambda: None)
    await store.transact(record(declared(), arm("a"), row("val", 1)))
    await store.close()
    admission = AdmissionLimits(**bounds)
    settings = Settings(("127.0.0.1:0",), url, admission=admission, front=chosen_front())
    async with running(settings, asyncio.Event()) as [address]:
        yield address


@asynccontextmanager
async def _watching(address: str, request: WatchRequest = _REQUEST) -> AsyncIterator[Any]:
    """Yields a watch on a connection of its own. Does not wait for a message."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options) as channel:
        stub: Any = ResultsServiceStub(channel)
        call = stub.Watch(request, timeout=_SECONDS)
        yield aiter(call)
        call.cancel()


async def _marker(stream: Any) -> WatchResponse:
    """Returns the next message with a marker."""
    while True:
        response: WatchResponse = await anext(stream)
        if response.HasField("marker"):
            return response


async def _reason(stream: Any) -> str:
    """Reads a stream to its end. Returns the reason of its error."""
    try:
        while True:
            await anext(stream)
    except grpc.RpcError as error:
        return from_rpc_error(error).reason


@contextmanager
def _stalled(address: str) -> Iterator[None]:
    """Keeps a watch open on a connection on which the server cannot send anything."""
    with attackers(address, 1, window=0) as [attacker]:
        attacker.call(headers(_WATCH), message(_REQUEST.SerializeToString()))
        yield


async def test_a_stalled_watch_is_cut_off(tmp_path: Path) -> None:
    """A client that reads nothing loses its watch. Its place is free for another watch."""
    async with _served(tmp_path, write_seconds=0.2, watches=2) as address:
        with _stalled(address):
            async with asyncio.timeout(_SECONDS):
                while True:
                    async with _watching(address) as first, _watching(address) as second:
                        try:
                            await _marker(first)
                            await _marker(second)
                        except grpc.RpcError:
                            await asyncio.sleep(0.05)
                        else:
                            return


async def test_watches_are_bounded(tmp_path: Path) -> None:
    """A watch beyond the limit of the server is rejected as OVERLOADED."""
    async with (
        _served(tmp_path, watches=2) as address,
        _watching(address) as first,
        _watching(address) as second,
    ):
        await _marker(first)
        await _marker(second)
        async with _watching(address) as third:
            assert await _reason(third) == "OVERLOADED"


async def test_watches_end_with_the_server(tmp_path: Path) -> None:
    """When the server stops, a watch ends with the reason SHUTTING_DOWN.

    A watch whose client reads nothing does not delay the end.
    """
    async with asyncio.timeout(_SECONDS):
        async with AsyncExitStack() as clients:
            async with _served(tmp_path) as address:
                clients.enter_context(_stalled(address))
                stream = await clients.enter_async_context(_watching(address))
                await _marker(stream)
            assert await _reason(stream) == "SHUTTING_DOWN"


async def test_an_idle_watch_gets_markers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing changes, a watch sends the same marker again and again."""
    monkeypatch.setattr(watch, "_HEARTBEAT_SECONDS", 0.01)
    async with _served(tmp_path) as address, _watching(address) as stream:
        first = await _marker(stream)
        again = [await anext(stream) for _ in range(3)]
        assert again == [WatchResponse(marker=first.marker)] * 3


@pytest.mark.parametrize(
    ("after", "epoch", "resets"),
    [(0, "", False), (0, "other", False), (1, "", False), (1, "other", True), (9, "", True)],
)
async def test_a_state_of_another_epoch_is_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, epoch: str, *, resets: bool
) -> None:
    """A watch sends a reset if the client's revision is from another epoch.

    It also does so if the store does not reach this revision in time. After the reset, it sends all
    results.
    """
    monkeypatch.setattr(watch, "_AHEAD_SECONDS", 0.01)
    request = WatchRequest(experiment="x", after_revision=after, epoch=epoch)
    async with _served(tmp_path) as address, _watching(address, request) as stream:
        first = await anext(stream)
        assert first.reset == resets
        assert first.experiment.name == "x"
        response = await _marker(stream)
        assert response.marker.revision == 1
        assert len(response.arms) == len(response.evals) == (resets or after == 0)


@only_sqlite
async def test_a_copy_of_a_store_has_another_epoch(tmp_path: Path) -> None:
    """A watch that continues at a server with a copy of the file is reset."""
    async with _served(tmp_path) as address, _watching(address) as stream:
        marker = (await _marker(stream)).marker
    (tmp_path / "copied.db").write_bytes((tmp_path / "podium.db").read_bytes())
    (tmp_path / "podium.db").unlink()
    (tmp_path / "copied.db").rename(tmp_path / "podium.db")
    request = WatchRequest(experiment="x", after_revision=1, epoch=marker.epoch)
    async with _served(tmp_path) as address, _watching(address, request) as stream:
        assert (await anext(stream)).reset


async def test_a_consumer_ahead_waits_for_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a client has a later revision than the store, its watch waits for the store.

    If the store reaches this revision in time, there is no reset.
    """
    monkeypatch.setattr(watch, "_AHEAD_SECONDS", 120.0)
    store = await open_store(store_url(tmp_path), on_broken=lambda: None)
    await store.transact(record(declared(), arm("a")))
    watches = watch.Watches(store)
    stream = watches.watch(WatchRequest(experiment="x", after_revision=2))
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await store.transact(record(metrics({"loss": 1})))
    assert not WatchResponse.FromString(await first).reset
    assert WatchResponse.FromString(await anext(stream)).marker.revision == 2
    await stream.aclose()
    await store.close()


_ALL = {"a", "b", "row", "breakdowns of the row", "breakdowns of b"}
_OF_A = _ALL - {"b", "breakdowns of b"}


def _contents(found: WatchResponse) -> set[str]:
    """Returns the names of arms and series in a message, and which kinds of rows it has."""
    contents = {arm.arm.name for arm in found.arms}
    contents |= {f"breakdowns of {arm.arm.name}" for arm in found.arms if arm.eval_breakdowns}
    contents |= {series.key for piece in found.series for series in piece.series}
    for item in found.evals:
        has_breakdowns = bool(item.eval_result.breakdowns)
        contents |= {"row"} | {"breakdowns of the row"} if has_breakdowns else {"row"}
    return contents


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, _ALL),
        ({"without_evals": True}, _ALL - {"row", "breakdowns of the row"}),
        ({"without_breakdowns": True}, {"a", "b", "row"}),
        ({"with_series": True}, _ALL | {"loss", "lr"}),
        ({"with_series": True, "series_keys": ["lr"]}, _ALL | {"lr"}),
        ({"with_series": True, "name_prefix": "a"}, _OF_A | {"loss", "lr"}),
        ({"with_series": True, "name_prefix": "b"}, _ALL - _OF_A),
        ({"with_series": True, "statuses": [2]}, _OF_A | {"loss", "lr"}),
        ({"with_series": True, "statuses": [4]}, _ALL - _OF_A),
        ({"with_series": True, "group_name": "g"}, _OF_A | {"loss", "lr"}),
        ({"statuses": [2], "without_breakdowns": True}, {"a", "row"}),
        ({"statuses": [2], "without_evals": True, "with_series": True}, {"a", "loss", "lr"}),
        ({"group_name": "none"}, set()),
    ],
)
@pytest.mark.parametrize("after", [0, 1])
async def test_options_select_what_is_sent(
    tmp_path: Path, options: dict[str, Any], expected: set[str], after: int
) -> None:
    """Each option leaves out its part of a snapshot and of later changes.

    After the end of the watch, the server keeps nothing about it.
    """
    value = {"k": Value(int_value=1)}
    store = await open_store(store_url(tmp_path), on_broken=lambda: None)
    await store.transact(record(declared()))
    events = (
        arm("a", group_name="g"),
        row("val", 1, "a", breakdowns=value),
        metrics({"loss": 1, "lr": 2}, "a", step=1),
        arm("b", status=4, eval_metrics={"k": 1}, eval_breakdowns=value),
    )
    await store.transact(record(*events))
    watches, found = watch.Watches(store), WatchResponse()
    request = WatchRequest(experiment="x", after_revision=after, **options)
    async with aclosing(watches.watch(request)) as responses:
        async for response in responses:
            found.MergeFromString(response)
            if found.HasField("marker"):
                break
        assert set(watches.watched) == {"x"}
    assert _contents(found) == expected
    assert found.marker.revision == 2
    assert set(watches.watched) == set()
    await store.close()


async def test_a_watch_ends_when_its_experiment_is_declared_again(tmp_path: Path) -> None:
    """If an experiment is deleted and declared again, its watch ends.

    The last message says that the experiment was deleted. The watch does not continue with the new
    one.
    """
    store = await open_store(store_url(tmp_path), on_broken=lambda: None)
    await store.transact(record(declared(), arm("a")))
    async with aclosing(watch.Watches(store).watch(_REQUEST)) as responses:
        while not WatchResponse.FromString(await anext(responses)).HasField("marker"):
            pass
        await store.transact(delete_experiment())
        await store.transact(record(declared(), arm("b")))
        assert WatchResponse.FromString(await anext(responses)) == WatchResponse(deleted=True)
        with pytest.raises(StopAsyncIteration):
            await anext(responses)
    await store.close()


async def test_a_revision_from_before_a_deletion_is_reset(tmp_path: Path) -> None:
    """If a revision is from before a deletion, the watch sends a reset.

    This holds even if the client gives no epoch.
    """
    store = await open_store(store_url(tmp_path), on_broken=lambda: None)
    for call in (record(declared(), arm("a")), delete_experiment(), record(declared(), arm("b"))):
        await store.transact(call)
    request = WatchRequest(experiment="x", after_revision=1)
    async with aclosing(watch.Watches(store).watch(request)) as responses:
        assert WatchResponse.FromString(await anext(responses)).reset
    await store.close()


async def _to_marker(responses: AsyncIterator[bytes]) -> list[WatchResponse]:
    """Returns the next messages of a watch, up to one with a marker."""
    found: list[WatchResponse] = []
    while not (found and found[-1].HasField("marker")):
        found.append(WatchResponse.FromString(await anext(responses)))
    return found


async def test_an_arm_that_enters_a_watch_comes_with_its_series(tmp_path: Path) -> None:
    """When an arm begins to pass the filter, the watch sends its earlier points.

    This holds even if the watch sends no rows.
    """
    store = await open_store(store_url(tmp_path), on_broken=lambda: None)
    for event in (declared(), started("a", "A", 1), metrics({"loss": 0.5}, step=7)):
        await store.transact(record(event))
    request = WatchRequest(
        experiment="x", statuses=[ARM_STATUS_COMPLETED], without_evals=True, with_series=True
    )
    async with aclosing(watch.Watches(store).watch(request)) as responses:
        await _to_marker(responses)
        finished = ArmFinished(arm="a", status=ARM_STATUS_COMPLETED, attempt_id="A")
        await store.transact(record(Event(arm_finished=finished)))
        found = await _to_marker(responses)
    pieces = [series for each in found for piece in each.series for series in piece.series]
    assert [(series.key, list(series.steps)) for series in pieces] == [("loss", [7])]
    await store.close()


async def test_an_arm_that_enters_a_group_comes_with_its_rows(tmp_path: Path) -> None:
    """If an annotation moves an arm into a watched group, the watch sends the arm and its rows."""
    store = await open_store(store_url(tmp_path), on_broken=lambda: None)
    await store.transact(record(declared(), arm("a"), row("val", 1)))
    request = WatchRequest(experiment="x", group_name="g")
    async with aclosing(watch.Watches(store).watch(request)) as responses:
        await _to_marker(responses)
        annotated = ArmAnnotated(arm="a", group_name="g")
        await store.transact(record(Event(arm_annotated=annotated)))
        found = await _to_marker(responses)
    assert [item.arm.name for each in found for item in each.arms] == ["a"]
    assert [item.eval_result.name for each in found for item in each.evals] == ["val"]
    await store.close()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {("a", "val"), ("b", "")}),
        ({"without_evals": True}, {("b", "")}),
        ({"name_prefix": "a"}, {("a", "val")}),
        ({"name_prefix": "b"}, {("b", "")}),
    ],
)
async def test_which_removals_are_sent(
    tmp_path: Path, options: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    """A watch sends removals of arms only if they have its prefix.

    It sends removals of rows only if it includes rows.
    """
    store = await open_store(store_url(tmp_path), on_broken=lambda: None)
    await store.transact(record(declared(), started("a", "A", 1), arm("b")))
    await store.transact(record(row("val", 1)))
    request = WatchRequest(experiment="x", **options)
    async with aclosing(watch.Watches(store).watch(request)) as responses:
        await _to_marker(responses)
        await store.transact(record(started("a", "B", 2)))
        await store.transact(delete_arm("b"))
        found = await _to_marker(responses)
    assert {(item.arm, item.name) for each in found for item in each.removals} == expected
    await store.close()
