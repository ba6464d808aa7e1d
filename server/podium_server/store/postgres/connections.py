"""The connections of a server to its database, which its calls share."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from typing import Any

import asyncpg
from podium.errors import PodiumError

from podium_server.errors import overloaded
from podium_server.store.postgres.connection import PooledConnection
from podium_server.store.postgres.errors import LOST, connecting

__all__ = ["Connections"]

_CHECK_SECONDS = 1.0
_HUNG_SECONDS = 3.0
"""If a call uses a connection for longer than this, the connection's host may have stopped working.

For example, the host may be paused.
"""


class Connections:
    """Opens connections when they are needed, and keeps them for later calls.

    asyncpg's own pool starts two tasks for each use of a connection, which takes longer than
    reading a row. It also does not show that a connection became read-only.

    Args:
        connect: Opens a connection.
        most: The most connections.
        wait_seconds: The most seconds to wait for a connection while all are used.
        leaders: Returns the hosts that take writes now. None if the database has one host.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[PooledConnection]],
        most: int,
        wait_seconds: float,
        leaders: Callable[[], Awaitable[Collection[Any]]] | None = None,
    ) -> None:
        self._connect = connect
        self._free = asyncio.Semaphore(most)
        self._wait_seconds = wait_seconds
        self._idle: list[PooledConnection] = []
        self._used: dict[PooledConnection, float] = {}
        self._watch = leaders and asyncio.create_task(self._watch_leader(leaders))

    @property
    def size(self) -> int:
        """The number of open connections."""
        return len(self._idle) + len(self._used)

    @property
    def idle(self) -> int:
        """The number of open connections that no call uses."""
        return len(self._idle)

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncIterator[PooledConnection]:
        """Yields a connection for the block.

        Prefers the connection that was used last, because its statements are prepared already.
        """
        await self._wait()
        try:
            connection = self._reusable() or await self._open()
            self._used[connection] = time.monotonic()
            try:
                yield connection
            except BaseException as error:
                if _is_unusable(error):
                    connection.terminate()
                raise
            finally:
                del self._used[connection]
                await self._give_back(connection)
        finally:
            self._free.release()

    async def _wait(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError as error:
            raise overloaded("all connections to the database are busy; try again later") from error

    async def _open(self) -> PooledConnection:
        try:
            return await self._connect()
        except asyncpg.PostgresError as error:
            raise connecting(error) from error

    def _reusable(self) -> PooledConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _give_back(self, connection: PooledConnection) -> None:
        """Keeps a connection for the next call, after its transaction is rolled back."""
        if connection.is_closed():
            return
        try:
            if connection.is_in_transaction():
                await connection.execute("ROLLBACK")
        except BaseException as error:
            connection.terminate()
            if not isinstance(error, Exception):
                raise
            # An error here must not hide how the block ended, such as an unknown outcome.
            return
        self._idle.append(connection)

    async def close(self) -> None:
        """Closes all connections. Those that are still used are cut off."""
        if self._watch is not None:
            self._watch.cancel()
        idle, self._idle = self._idle, []
        try:
            async with asyncio.timeout(self._wait_seconds):
                await asyncio.gather(*(each.close() for each in idle))
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self.terminate(idle)
        self.terminate(self._used)

    async def _watch_leader(self, leaders: Callable[[], Awaitable[Collection[Any]]]) -> None:
        """Cuts off the connections to a host that hangs, once another host takes writes."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            if min(self._used.values(), default=math.inf) > time.monotonic() - _HUNG_SECONDS:
                continue
            if hosts := await leaders():
                ours = (*self._idle, *self._used)
                self.terminate([each for each in ours if each.host not in hosts])

    @staticmethod
    def terminate(connections: Iterable[PooledConnection]) -> None:
        """Cuts connections off."""
        for connection in connections:
            connection.terminate()


def _is_unusable(error: BaseException) -> bool:
    """Returns whether a connection cannot be used again after an error.

    After such an error, the connection is lost, still busy, or at a read-only host.
    """
    if isinstance(error, PodiumError):
        return False
    return isinstance(error, (*LOST, TimeoutError)) or not isinstance(error, Exception)
