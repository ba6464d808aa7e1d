"""The guarantees of watches hold for random histories, and the judge finds each planted defect."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from podium._limits.limits import Limits
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import WatchRequest, WatchResponse
from podium_server.api import watch
from podium_server.store.changes import ChangedPoints, ChangePage, Removal
from podium_server.store.contract import PageLimits, Store
from podium_server.store.open import open_store
from podium_server.store.sql import feed
from podium_server.testing.calls import arm, declared

from tests.server.watch.history import FILTERS, History, Plant
from tests.server.writes.ways import Direct


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has watches send small pages without pauses, so that many are cut off within a commit."""
    monkeypatch.setattr(watch, "_PAGE", PageLimits(2, 2**16))
    monkeypatch.setattr(watch, "_SERIES_PAGE", PageLimits(1, 0))
    monkeypatch.setattr(feed, "_PIECE", PageLimits(1, 0))
    monkeypatch.setattr(watch, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(watch, "_PAUSE_OF_EACH_SECONDS", 0)


@pytest.mark.parametrize("seed", range(2))
async def test_the_guarantees_hold(tmp_path: Path, seed: int) -> None:
    """Cuts, restarts, copies of the file and new lives leave no watch with a wrong state."""
    history = History(tmp_path, seed, len(FILTERS))
    assert await history.run(40, restart_every=13, restore_every=29) == []
    assert history.cuts


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
async def test_the_guarantees_hold_for_long(tmp_path: Path, seed: int) -> None:
    """The same for twenty watches, each of which is cut off some fifty times or more."""
    history = History(tmp_path, 100 + seed, 20)
    assert await history.run(600, restart_every=31, restore_every=97) == []
    assert history.cuts > 20 * 50


class _Planted:
    """A store whose feed has a defect."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def changes(self, experiment: str, after: int, *place: Any) -> ChangePage:
        """Reads a page and spoils it."""
        return self.spoiled(await self._store.changes(experiment, after, *place))

    def spoiled(self, page: ChangePage) -> ChangePage:
        """Returns the page with a defect."""
        return page


class _EarlyMarkers(_Planted):
    def spoiled(self, page: ChangePage) -> ChangePage:
        page.next = None
        return page


class _LostRemovals(_Planted):
    def spoiled(self, page: ChangePage) -> ChangePage:
        page.items = [item for item in page.items if not isinstance(item, Removal)]
        return page


class _LostPoints(_Planted):
    def spoiled(self, page: ChangePage) -> ChangePage:
        page.items = [item for item in page.items if not isinstance(item, ChangedPoints)]
        return page


class _HalfCommits(_Planted):
    def spoiled(self, page: ChangePage) -> ChangePage:
        if page.next is None and len(page.items) > 1:
            page.items.pop()
        return page


class _OffByOne(_Planted):
    async def changes(self, experiment: str, after: int, *place: Any) -> ChangePage:
        return await super().changes(experiment, after + (after > 0), *place)


class _SentAgain(_Planted):
    async def changes(self, experiment: str, after: int, *place: Any) -> ChangePage:
        return await super().changes(experiment, max(after - 1, 0), *place)


class _OneEpoch(_Planted):
    def spoiled(self, page: ChangePage) -> ChangePage:
        page.epoch = "the same for ever"
        page.experiment = replace(page.experiment, deletion=0)
        return page


class _TornSnapshots(_Planted):
    async def changes(self, experiment: str, after: int, *place: Any) -> ChangePage:
        page = await super().changes(experiment, after, *place)
        if after == 0 and place[0] is not None:
            page.items = page.items[1:]
        return page


class _MarkersAhead(_Planted):
    def spoiled(self, page: ChangePage) -> ChangePage:
        page.experiment = replace(page.experiment, revision=page.experiment.revision + 1)
        return page


def _only_with_content(response: WatchResponse) -> WatchResponse | None:
    """Leaves out markers of commits that a filter shows nothing of."""
    has_content = response.arms or response.evals or response.removals or response.experiment.name
    return response if has_content or response.deleted else None


def _always_reset(response: WatchResponse) -> WatchResponse:
    """Resets again and again."""
    response.reset = response.HasField("experiment")
    return response


def _backwards(response: WatchResponse) -> WatchResponse:
    """Goes back in time now and then."""
    if response.marker.revision % 3 == 0:
        response.marker.revision = max(response.marker.revision - 2, 0)
    return response


def _only_appended(response: WatchResponse) -> WatchResponse:
    """Sends points as if none had been there before."""
    for piece in response.series:
        piece.from_step = 2**63 - 1
    return response


def _as_sent(response: WatchResponse) -> WatchResponse:
    return response


PLANTS: dict[str, Plant] = {
    "markers before the rest of their revision": (_EarlyMarkers, _as_sent),
    "markers ahead of the store": (_MarkersAhead, _as_sent),
    "removals are lost": (_LostRemovals, _as_sent),
    "points are lost": (_LostPoints, _as_sent),
    "points that were cut remain": (lambda store: store, _only_appended),
    "half a commit": (_HalfCommits, _as_sent),
    "a watch continues one revision late": (_OffByOne, _as_sent),
    "a watch continues one revision early": (_SentAgain, _as_sent),
    "another epoch is not noticed": (_OneEpoch, _as_sent),
    "a torn snapshot": (_TornSnapshots, _as_sent),
    "a filter holds markers back": (lambda store: store, _only_with_content),
    "resets in a loop": (lambda store: store, _always_reset),
    "markers go back": (lambda store: store, _backwards),
}


@pytest.mark.parametrize("name", PLANTS)
async def test_planted_defects_are_found(tmp_path: Path, name: str) -> None:
    """Each defect that other systems had is a violation of a guarantee here."""
    history = History(tmp_path, 2, len(FILTERS), plant=PLANTS[name], patience=2)
    assert await history.run(80, restart_every=11, restore_every=37)


class _Turns(_Planted):
    """Notes in which turn of the event loop each page is read."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.turn = 0
        self.pages: list[int] = []

    async def count(self) -> None:
        while True:
            self.turn += 1
            await asyncio.sleep(0)

    async def changes(self, experiment: str, after: int, *place: Any) -> ChangePage:
        if place[1] is watch._PAGE:
            self.pages.append(self.turn)
        return await super().changes(experiment, after, *place)


async def test_watches_that_begin_together_take_turns(tmp_path: Path) -> None:
    """Each reads a page at a time, so that other calls wait for one page and not for all."""
    store = await open_store(f"sqlite:///{tmp_path / 'podium.db'}")
    turns = _Turns(store)
    watches = watch.Watches(turns)  # type: ignore[arg-type]
    events = [declared(), *(arm(f"a{number}") for number in range(20))]
    await Direct(store, Limits()).call("Record", RecordRequest(experiment="x", events=events))

    async def until_marker() -> None:
        async for response in watches.watch(WatchRequest(experiment="x")):
            if WatchResponse.FromString(response).HasField("marker"):
                return

    counting = asyncio.create_task(turns.count())
    await asyncio.gather(*(until_marker() for _ in range(10)))
    counting.cancel()
    await store.close()
    assert len(turns.pages) >= 10 * 10
    assert len(turns.pages) == len(set(turns.pages))
