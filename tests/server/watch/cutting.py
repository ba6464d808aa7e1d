"""A TCP proxy that cuts each connection after a random number of bytes."""

import asyncio
import contextlib
from random import Random

__all__ = ["CuttingProxy"]

_CUT_AFTER = (80, 250, 400, 800, 2_000, 5_000, 200_000)
"""The bytes from the server after which a connection is cut.

The first number is within the handshake, and the last one lets a whole state through.
"""
_PIECE = 64 * 1024


class CuttingProxy:
    """Forwards connections to a server, and cuts them.

    Attributes:
        address: The address that clients connect to.
        cuts: The number of connections that were cut.
    """

    def __init__(self, server: str, rng: Random) -> None:
        self._host, _, port = server.rpartition(":")
        self._port = int(port)
        self._rng = rng
        self._open: set[asyncio.StreamWriter] = set()
        self.cuts = 0

    async def start(self) -> None:
        """Listens on a free port."""
        self._server = await asyncio.start_server(self._accept, self._host, 0)
        self.address = f"{self._host}:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        """Ends all connections."""
        self._server.close()
        for connection in self._open:
            connection.transport.abort()

    async def _accept(self, near: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            far, server = await asyncio.open_connection(self._host, self._port)
        except OSError:  # the server is restarting
            client.transport.abort()
            return
        self._open |= {client, server}
        sending = asyncio.create_task(_carry(near, server))
        with contextlib.suppress(OSError):
            await self._carry_until_cut(far, client)
        for connection in (client, server):
            self._open.discard(connection)
            connection.transport.abort()
        await sending

    async def _carry_until_cut(self, far: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        left = self._rng.choice(_CUT_AFTER)
        while data := await far.read(left):
            to.write(data)
            await to.drain()
            left -= len(data)
            if not left:
                self.cuts += 1
                return


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_PIECE):
            sink.write(data)
            await sink.drain()
