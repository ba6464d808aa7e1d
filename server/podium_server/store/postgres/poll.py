"""Notices commits of other servers, for listeners that wait for changes.

One short statement reads the revisions of all experiments that listeners watch. Nothing is read
while nobody watches.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager

import asyncpg
from podium.errors import PodiumError

from podium_server.store.contract import ChangeListener
from podium_server.store.postgres.errors import LOST, Seldom
from podium_server.store.postgres.names import experiment_id

__all__ = ["Poll"]

_log = logging.getLogger(__name__)
_log.addFilter(Seldom())
_PAUSE_SECONDS = 0.03
_PAUSE_AFTER_ERROR_SECONDS = 1.0
_REVISIONS = (
    "SELECT id, revision, deletion FROM experiments "
    "WHERE id IN (SELECT unnest(CAST($1 AS BIGINT[])))"
)
_Revision = tuple[int, int]


class Poll:
    """Reads the revisions of watched experiments, and calls listeners for those that changed."""

    def __init__(
        self,
        acquire: Callable[[], AbstractAsyncContextManager[asyncpg.Connection]],
        listeners: Collection[ChangeListener],
    ) -> None:
        self._acquire = acquire
        self._listeners = listeners
        self._known: dict[str, _Revision] = {}
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stops reading revisions."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            watched = {name for listener in self._listeners for name in listener.watched}
            if not watched:
                self._known.clear()
                continue
            try:
                self._compare(watched, await self._read(watched))
            except (asyncpg.PostgresError, PodiumError, *LOST) as error:
                _log.warning("cannot read the revisions of watched experiments: %s", error)
                await asyncio.sleep(_PAUSE_AFTER_ERROR_SECONDS)

    async def _read(self, watched: Collection[str]) -> dict[int, _Revision]:
        async with self._acquire() as connection:
            rows = await connection.fetch(_REVISIONS, [experiment_id(name) for name in watched])
        return {row[0]: (row[1], row[2]) for row in rows}

    def _compare(self, watched: Collection[str], read: dict[int, _Revision]) -> None:
        """Calls the listeners for experiments with other revisions than before."""
        before = self._known
        self._known = {name: read.get(experiment_id(name), (0, 0)) for name in watched}
        changed = {(name, None) for name, at in self._known.items() if before.get(name) != at}
        if changed:
            for listener in self._listeners:
                listener.changed(changed)
