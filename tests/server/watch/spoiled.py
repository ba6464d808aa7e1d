"""`python -m tests.server.watch.spoiled DEFECT …`: `podium serve` with small pages and a defect.

With small pages, a watch that is cut off has often received a part of a commit. The defect is a
name of `PLANTS`, or an empty string for none.
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from podium.v1.results_service_pb2 import WatchRequest, WatchResponse
from podium_server.api import results, watch
from podium_server.serve.command import main
from podium_server.store.contract import PageLimits, Store
from podium_server.store.sql import feed

from tests.server.watch.planted import NOTHING, PLANTS, Plant

__all__ = ["SMALL_PAGES", "SpoiledWatches"]

SMALL_PAGES: tuple[tuple[Any, str, Any], ...] = (
    (watch, "_PAGE", PageLimits(2, 2**16)),
    (watch, "_SERIES_PAGE", PageLimits(1, 0)),
    (feed, "_PIECE", PageLimits(1, 0)),
    (watch, "_PAUSE_SECONDS", 0),
    (watch, "_PAUSE_OF_EACH_SECONDS", 0),
    (watch, "_AHEAD_SECONDS", 0.2),
)
"""Modules, names and values that make watches send small pages without pauses.

A watch that is ahead of the store is reset soon.
"""


class SpoiledWatches(watch.Watches):
    """Watches with a planted defect."""

    def __init__(self, plant: Plant, store: Store) -> None:
        super().__init__(plant[0](store))
        self._spoil = plant[1]

    async def watch(self, request: WatchRequest) -> AsyncGenerator[bytes]:
        """Yields messages, as they are or with a defect."""
        async with aclosing(super().watch(request)) as responses:
            async for raw in responses:
                response = self._spoil(WatchResponse.FromString(raw))
                if response is not None:
                    yield response.SerializeToString()


def _serve(name: str) -> int:
    plant = PLANTS[name] if name else NOTHING
    for module, attribute, value in SMALL_PAGES:
        setattr(module, attribute, value)
    setattr(results, "Watches", lambda store: SpoiledWatches(plant, store))  # noqa: B010
    return main()


if __name__ == "__main__":
    sys.exit(_serve(sys.argv.pop(1)))
