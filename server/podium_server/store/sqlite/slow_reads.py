"""Reads that look at very many rows: one at a time, in a thread beside the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import apsw

from podium_server.errors import failure

__all__ = ["SlowReads"]

T = TypeVar("T")


class SlowReads:
    """A connection of its own, opened when it is first needed."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._connection: apsw.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="podium-leisure")

    async def run(self, read: Callable[[apsw.Connection], T]) -> T:
        """Runs a read on the connection, once those before it are done."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._run, read)

    def _run(self, read: Callable[[apsw.Connection], T]) -> T:
        if self._connection is None:
            self._connection = self._connect()
        try:
            return read(self._connection)
        except apsw.InterruptError as error:
            raise failure("SHUTTING_DOWN", "the server is stopping; try again later") from error

    def close(self) -> None:
        """Breaks off the read under way."""
        if self._connection is not None:
            self._connection.interrupt()
        self._thread.shutdown(cancel_futures=True)
        if self._connection is not None:
            self._connection.close()
