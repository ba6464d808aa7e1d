"""Runs reads of very many rows in a separate thread, one at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import apsw

from podium_server.errors import shutting_down
from podium_server.store.sql.reads import Reader
from podium_server.store.sqlite.dialect import SQLITE

__all__ = ["SlowReads"]

T = TypeVar("T")
_INTERRUPT_SECONDS = 0.01


class SlowReads:
    """Runs reads on a connection of its own, which it opens at the first read."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._connection: apsw.Connection | None = None
        self._is_closing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="podium-slow-reads")

    async def run(self, read: Callable[[Reader], T]) -> T:
        """Runs a read, after all reads that were submitted before."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._run, read)

    def _run(self, read: Callable[[Reader], T]) -> T:
        if self._is_closing:
            raise shutting_down()
        if self._connection is None:
            self._connection = self._connect()
        try:
            return read(Reader(self._connection, SQLITE))
        except apsw.InterruptError as error:
            raise shutting_down() from error

    def close(self) -> None:
        """Ends the running read and all waiting reads with SHUTTING_DOWN."""
        self._is_closing = True
        last = self._thread.submit(lambda: None)
        while not last.done():
            # An interrupt ends only the running statement, and a read may be between two
            # statements.
            if self._connection is not None:
                self._connection.interrupt()
            wait([last], _INTERRUPT_SECONDS)
        self._thread.shutdown()
        if self._connection is not None:
            self._connection.close()
