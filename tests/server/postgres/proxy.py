"""A proxy between a store and its database. It cuts a connection at a chosen statement."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from podium_server.store.contract import Store
from podium_server.store.open import open_store

from tests.stores import store_url

__all__ = ["SOCKET", "Proxy", "proxied_store", "query_of"]

SOCKET = ".s.PGSQL.5432"


class Proxy:
    """Passes bytes between a store and the database.

    Attributes:
        cut_at: When the store sends these bytes, its connection is cut. This happens once.
        answer: The bytes that end the database's answer to `cut_at`.
        passes_it_on: Whether the database receives `cut_at` before the cut.
        cuts: The number of cuts.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self.is_hung = False
        self.cut_at: bytes | None = None
        self.answer = b"COMMIT\0"
        self.passes_it_on = True
        self.cuts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves a connection."""
        there, to_database = await asyncio.open_unix_connection(self._target)
        self._writers |= {writer, to_database}
        back = asyncio.create_task(self._copy(there, writer))
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if self.is_hung:
                    continue
                if self.cut_at is not None and self.cut_at in data:
                    self.cut_at = None
                    self.cuts += 1
                    back.cancel()
                    await asyncio.wait([back])
                    if self.passes_it_on:
                        to_database.write(data)
                        # The database answers when it has committed. Only then is the store cut
                        # off, because it can send the call again at once.
                        await there.readuntil(self.answer)
                    break
                to_database.write(data)
                await to_database.drain()
        for each in (writer, to_database):
            each.close()
        back.cancel()

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()


def query_of(folder: Path) -> dict[str, str]:
    """Returns the query parameters of the URL of the folder's store.

    Skips the test if the store does not reach its database over a Unix socket.
    """
    parts = urlsplit(store_url(folder))
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    if "host" not in query:
        pytest.skip("the proxy needs a database on a socket")
    return query


@contextlib.asynccontextmanager
async def proxied_store(folder: Path) -> AsyncIterator[tuple[Store, Proxy]]:
    """Yields an empty store, and the proxy that can cut its connections."""
    query = query_of(folder)
    proxy = Proxy(f"{query['host']}/{SOCKET}")
    server = await asyncio.start_unix_server(proxy.serve, folder / SOCKET)
    url = f"postgresql://podium@/postgres?host={folder}&search_path={query['search_path']}"
    store = await open_store(url)
    try:
        yield store, proxy
    finally:
        await store.close()
        server.close()
