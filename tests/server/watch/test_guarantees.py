"""Tests of the guarantees of watches in random histories, and with planted defects."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from podium._limits.limits import Limits
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import WatchRequest, WatchResponse
from podium_server.api import watch
from podium_server.store.changes import ChangePage
from podium_server.store.contract import Store
from podium_server.store.open import open_store
from podium_server.testing.calls import arm, declared

from tests.server.watch.built import BuiltHistory
from tests.server.watch.history import FILTERS, History
from tests.server.watch.network import NetworkHistory
from tests.server.watch.planted import PLANTS, Planted
from tests.server.watch.servers import DirectServer, NetworkServer
from tests.server.watch.spoiled import SMALL_PAGES
from tests.server.writes.ways import Direct
from tests.sparse import sparse

_PATIENCE = 1.0
"""The seconds after which a missing marker is a violation, if a defect is planted."""


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes watches send small pages without pauses, so that many are cut off within a commit."""
    for module, name, value in SMALL_PAGES:
        monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize("seed", range(1, 3))
async def test_the_guarantees_hold(tmp_path: Path, seed: int) -> None:
    """After cuts, restarts, deletions and copies of the file, no watch has a wrong state."""
    history = History(tmp_path, seed, len(FILTERS))
    assert await history.run(40, restart_every=13, restore_every=29) == []
    assert history.cuts


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
async def test_the_guarantees_hold_for_long(tmp_path: Path, seed: int) -> None:
    """The guarantees hold for 20 watches that are cut off more than 1,000 times in total."""
    history = History(tmp_path, 100 + seed, 20)
    assert await history.run(600, restart_every=31, restore_every=97) == []
    assert history.cuts > 20 * 50


async def test_the_guarantees_hold_between_any_two_messages(tmp_path: Path) -> None:
    """In the history of `BuiltHistory`, no watch has a wrong state, wherever it is cut off."""
    file = tmp_path / "podium.db"
    assert await BuiltHistory(DirectServer(file), file).run() == []


@pytest.mark.parametrize("name", sparse(PLANTS))
async def test_planted_defects_are_found(tmp_path: Path, name: str) -> None:
    """With each planted defect, the history of `BuiltHistory` shows a violation of a guarantee."""
    file = tmp_path / "podium.db"
    assert await BuiltHistory(DirectServer(file, name), file, patience=_PATIENCE).run()


@pytest.mark.slow
async def test_the_guarantees_hold_over_the_network(tmp_path: Path) -> None:
    """After cut connections, killed servers and restored backups, no client has a wrong state."""
    history = NetworkHistory(tmp_path, 3, len(FILTERS), cuts=1)
    assert await history.run(20, restart_every=9, restore_every=8) == []
    assert history.counts.restores


@pytest.mark.slow
async def test_the_guarantees_hold_over_the_network_for_long(tmp_path: Path) -> None:
    """The guarantees hold over the network for ten watches, each cut off at least 20 times."""
    history = NetworkHistory(tmp_path, 4, 10, cuts=20)
    assert await history.run(40, restart_every=11, restore_every=17) == []
    assert history.counts.kills


_NETWORK_PLANTS = (
    "markers before the rest of their revision",
    "removals are lost",
    "a watch continues one revision late",
    "a restored backup is not noticed",
    "a watch that is ahead of the store is not reset",
    "a filter holds markers back",
)
"""The defects that are tried over the network. The test above tries all of them in this process.

`python -m tests.server.watch.run --plants` tries all of them over the network.
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", *_NETWORK_PLANTS])
async def test_planted_defects_are_found_over_the_network(tmp_path: Path, name: str) -> None:
    """Over the network, each planted defect causes a violation. Without a defect there is none."""
    file = tmp_path / "podium.db"
    patience = _PATIENCE if name else 60
    found = await BuiltHistory(NetworkServer(file, name), file, patience=patience).run()
    assert bool(found) == bool(name), found


class _Turns(Planted):
    """A store that notes in `pages` in which turn of the event loop it reads each page."""

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
    """In each turn of the event loop, at most one watch reads a page.

    So other calls wait for one page, and not for all.
    """
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
