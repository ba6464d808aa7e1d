"""Defects that watches of other systems had. Tests plant them into the watches of a server."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from podium.v1.results_service_pb2 import WatchResponse
from podium_server.store.changes import ChangedPoints, ChangePage, Removal
from podium_server.store.contract import Store

__all__ = ["NOTHING", "PLANTS", "Plant", "Planted"]

Plant = tuple[Callable[[Store], Any], Callable[[WatchResponse], WatchResponse | None]]
"""A defect: a function that wraps the store, and one that changes each message of a watch.

The second function returns None if the message is not sent.
"""
NOTHING: Plant = (lambda store: store, lambda response: response)


class Planted:
    """A store that plants a defect into each page of changes that a watch reads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def changes(self, experiment: str, after: int, *place: Any) -> ChangePage:
        """Reads a page, and puts the defect into it."""
        return self.spoiled(await self._store.changes(experiment, after, *place))

    def spoiled(self, page: ChangePage) -> ChangePage:
        """Returns the page with the defect."""
        return page


class _EarlyMarkers(Planted):
    def spoiled(self, page: ChangePage) -> ChangePage:
        page.next = None
        return page


class _LostRemovals(Planted):
    def spoiled(self, page: ChangePage) -> ChangePage:
        page.items = [item for item in page.items if not isinstance(item, Removal)]
        return page


class _LostPoints(Planted):
    def spoiled(self, page: ChangePage) -> ChangePage:
        page.items = [item for item in page.items if not isinstance(item, ChangedPoints)]
        return page


class _HalfCommits(Planted):
    def spoiled(self, page: ChangePage) -> ChangePage:
        if page.next is None and len(page.items) > 1:
            page.items.pop()
        return page


class _OffByOne(Planted):
    async def changes(self, experiment: str, after: int, *place: Any) -> ChangePage:
        return await super().changes(experiment, after + (after > 0), *place)


class _SentAgain(Planted):
    async def changes(self, experiment: str, after: int, *place: Any) -> ChangePage:
        return await super().changes(experiment, max(after - 1, 0), *place)


class _OneStore(Planted):
    def spoiled(self, page: ChangePage) -> ChangePage:
        page.epoch = "-".join(page.epoch.rsplit("-", 2)[1:])
        return page


class _OneLife(Planted):
    def spoiled(self, page: ChangePage) -> ChangePage:
        page.epoch = page.epoch.rsplit("-", 2)[0]
        page.experiment = replace(page.experiment, deletion=0)
        return page


class _SkippedFirst(Planted):
    async def changes(self, experiment: str, after: int, *place: Any) -> ChangePage:
        return await super().changes(experiment, max(after, 1), *place)


class _NeverBehind(Planted):
    async def changes(self, experiment: str, after: int, *place: Any) -> ChangePage:
        page = await super().changes(experiment, after, *place)
        revision = max(page.experiment.revision, after)
        page.experiment = replace(page.experiment, revision=revision)
        return page


class _TornSnapshots(Planted):
    async def changes(self, experiment: str, after: int, *place: Any) -> ChangePage:
        page = await super().changes(experiment, after, *place)
        if after == 0 and place[0] is not None:
            page.items = page.items[1:]
        return page


class _MarkersAhead(Planted):
    def spoiled(self, page: ChangePage) -> ChangePage:
        page.experiment = replace(page.experiment, revision=page.experiment.revision + 1)
        return page


def _only_with_content(response: WatchResponse) -> WatchResponse | None:
    """Leaves out messages with a marker and without any content."""
    has_rows = response.arms or response.evals or response.series or response.removals
    return response if has_rows or response.experiment.name or response.deleted else None


def _always_reset(response: WatchResponse) -> WatchResponse:
    """Makes every message with the experiment reset the watch."""
    response.reset = response.HasField("experiment")
    return response


def _backwards(response: WatchResponse) -> WatchResponse:
    """Reduces the revision of each marker whose revision is divisible by 3."""
    if response.HasField("marker") and response.marker.revision % 3 == 0:
        response.marker.revision = max(response.marker.revision - 2, 0)
    return response


def _only_appended(response: WatchResponse) -> WatchResponse:
    """Makes clients keep all earlier points of a series, even those that were removed."""
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
    "a restored backup is not noticed": (_OneStore, _as_sent),
    "an experiment that was created again is not noticed": (_OneLife, _as_sent),
    "a watch of a new experiment begins after its first revision": (_SkippedFirst, _as_sent),
    "a watch that is ahead of the store is not reset": (_NeverBehind, _as_sent),
    "a torn snapshot": (_TornSnapshots, _as_sent),
    "a filter holds markers back": (lambda store: store, _only_with_content),
    "resets in a loop": (lambda store: store, _always_reset),
    "markers go back": (lambda store: store, _backwards),
}
