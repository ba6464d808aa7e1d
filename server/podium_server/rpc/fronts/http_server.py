"""The server of HTTP connections: uvicorn, with a limit for connections that send no request."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import uvicorn

__all__ = ["HTTPServer"]

_WAIT_TICKS = 300
"""The ticks of uvicorn, 0.1 s each, between two checks for connections without a request."""


class HTTPServer(uvicorn.Server):
    """A uvicorn server that installs no signal handlers, and closes unused connections.

    uvicorn does not document the methods and attributes that this class uses. The tests of the HTTP
    front fail if a version of uvicorn lacks one of them.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._waiting: dict[Any, Any] = {}

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Installs no signal handlers, because `podium serve` has its own."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Does the regular work of uvicorn, and regularly closes unused connections."""
        if counter % _WAIT_TICKS == 0:
            self._close_waiting()
        return await super().on_tick(counter)

    def _close_waiting(self) -> None:
        """Closes connections that were idle since the last check. uvicorn would keep them open."""
        connections: Iterable[Any] = self.server_state.connections
        cycles = {connection: connection.cycle for connection in connections}
        before = self._waiting
        self._waiting = {
            connection: cycle
            for connection, cycle in cycles.items()
            if cycle is None or cycle.response_complete
        }
        for connection, cycle in self._waiting.items():
            if connection in before and before[connection] is cycle:
                connection.transport.close()
