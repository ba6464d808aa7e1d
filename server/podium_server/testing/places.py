"""The places where the stores of the suite keep their rows, such as files.

A store can be closed, and another store opened at the same place.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from podium_server.store.contract import Store

__all__ = ["Place", "opened"]


class Place(Protocol):
    """A place where a store keeps its rows, such as a file or a database."""

    def store(self) -> Store:
        """Returns a store of this place that is not open yet."""

    def dump(self) -> Any:
        """Returns everything that is stored. Equal contents compare equal."""


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Store]:
    """Opens a store of a place, and closes it at the end of the block."""
    store = place.store()
    await store.open()
    try:
        yield store
    finally:
        await store.close()
