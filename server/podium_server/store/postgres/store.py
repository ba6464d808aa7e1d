"""The PostgreSQL store: opens the pool of connections, and passes each call to a connection."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Any, Concatenate, ParamSpec, TypeVar

import asyncpg
from podium.errors import PodiumError

from podium_server.store.contract import StoreError
from podium_server.store.postgres import schema
from podium_server.store.postgres.bridge import in_greenlet, in_thread
from podium_server.store.postgres.connection import PooledConnection
from podium_server.store.postgres.connections import Connections
from podium_server.store.postgres.dialect import translated
from podium_server.store.postgres.errors import LOST, not_opened, undone
from podium_server.store.postgres.group_commit import GroupCommit
from podium_server.store.postgres.hosts import connect, has_hosts, leaders
from podium_server.store.postgres.point_reads import EVALS, SCORES, PointReads
from podium_server.store.postgres.poll import Poll
from podium_server.store.postgres.reads import PostgresReader
from podium_server.store.rows import Score
from podium_server.store.sql import codec
from podium_server.store.sql.reads import Reader
from podium_server.store.sql.store import SqlStore
from podium_server.store.tokens import TokenRow

__all__ = ["PostgresStore"]

P = ParamSpec("P")
T = TypeVar("T")

_CONNECTIONS = 10
"""The most connections of a server to the database."""
_WAIT_SECONDS = 5.0
"""The most seconds to wait for a connection of the pool."""
_CONNECT_SECONDS = 3.0
_STATEMENT_SECONDS = 30
_IDLE_MS = 10_000
"""The milliseconds after which the database ends a transaction whose server does nothing.

A server that is stopped or cut off keeps the lock of an experiment no longer than that.
"""
_STATEMENTS = 1_000
"""The most prepared statements of a connection."""
_PAGES_AT_ONCE = 3
"""The most pages that are read at the same time. Each page can take some megabytes."""
_READ_TRIES = 2
_TOKENS, _PUT_TOKEN, _REVOKE = map(translated, (codec.TOKENS, codec.PUT_TOKEN, codec.REVOKE))


class PostgresStore(SqlStore):
    """Keeps results in a PostgreSQL database, for any number of servers."""

    _group: GroupCommit

    def __init__(self, url: str) -> None:
        self._url = url
        self._pages = asyncio.Semaphore(_PAGES_AT_ONCE)

    async def open(self) -> None:
        """Connects to the database. Creates the tables, or migrates them."""
        self._connections = Connections(
            self._connect,
            _CONNECTIONS,
            _WAIT_SECONDS,
            (lambda: leaders(self._url, **_options())) if has_hosts(self._url) else None,
        )
        try:
            await self._open()
        except (ValueError, asyncpg.PostgresError, *LOST) as error:
            await self._connections.close()
            raise not_opened(self._url, error) from error
        except BaseException:
            await self._connections.close()
            raise

    async def _connect(self) -> PooledConnection:
        connection: PooledConnection = await connect(self._url, **_options())
        return connection

    async def _open(self) -> None:
        async with self._connection() as connection:
            await _check_database(connection)
            await schema.migrate(connection)
            found = await connection.fetchrow("SELECT page_key, id FROM store")
        self._page_key = found[0]
        self._id: str = found[1]
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="podium-reads")
        self._evals = PointReads(self._connection, EVALS)
        self._scores = PointReads(self._connection, SCORES)
        self._group = GroupCommit(self._connection)
        self._poll = Poll(self._connection, self._group.listeners)

    async def close(self) -> None:
        """Finishes the waiting calls, and closes the connections."""
        await self._group.close()
        await self._poll.close()
        await self._evals.close()
        await self._scores.close()
        await asyncio.to_thread(self._threads.shutdown)
        await self._connections.close()

    def gauges(self) -> Mapping[str, float]:
        """Returns gauges and counters for monitoring, by name."""
        connections = self._connections
        gauges = {
            "store_connections": connections.size,
            "store_idle_connections": connections.idle,
        }
        return gauges | dict(self._group.gauges())

    async def takes_writes(self) -> bool:
        """Returns whether the database takes writes now."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await self._run(_takes_writes)
        except (PodiumError, TimeoutError):
            return False

    async def store_id(self) -> str:
        """Returns the id of the store."""
        return self._id

    async def tokens(self) -> list[TokenRow]:
        """Returns all tokens."""
        rows = await self._run(lambda connection: connection.fetch(_TOKENS))
        return [codec.token_from(row) for row in rows]

    async def add_token(self, row: TokenRow) -> None:
        """Adds a token."""
        values = codec.token_values(row)
        await self._run(lambda connection: connection.execute(_PUT_TOKEN, *values))

    async def revoke_token(self, token_id: str, now: int) -> None:
        """Revokes a token."""
        await self._run(lambda connection: connection.execute(_REVOKE, now, token_id))

    def _connection(self) -> AbstractAsyncContextManager[PooledConnection]:
        return self._connections.use()

    async def _run(self, action: Callable[[asyncpg.Connection], Coroutine[Any, Any, T]]) -> T:
        """Calls a function with a connection. Converts any error to a PodiumError."""
        try:
            async with self._connection() as connection:
                return await action(connection)
        except PodiumError:
            raise
        except Exception as error:
            raise undone(error) from error

    def _read(
        self, read: Callable[Concatenate[Reader, P], T], *arguments: P.args, **named: P.kwargs
    ) -> Coroutine[Any, Any, T]:
        return self._run_read(lambda reader: read(reader, *arguments, **named), is_long=False)

    def _read_slowly(
        self, read: Callable[Concatenate[Reader, P], T], *arguments: P.args, **named: P.kwargs
    ) -> Coroutine[Any, Any, T]:
        """Calls a function that reads, in a separate thread."""
        return self._run_read(lambda reader: read(reader, *arguments, **named), is_long=True)

    async def _read_page(
        self, read: Callable[Concatenate[Reader, P], T], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """Calls a function that reads a page. Only a few such calls run at the same time."""
        async with self._pages:
            return await self._read(read, *arguments, **named)

    async def _run_read(self, read: Callable[[Reader], T], *, is_long: bool) -> T:
        """Runs a function that reads. If the connection is lost, runs it once more."""
        for tries_left in reversed(range(_READ_TRIES)):
            try:
                async with self._connection() as connection:
                    reader = PostgresReader(connection)
                    if is_long:
                        return await in_thread(self._threads, read, reader)
                    return await in_greenlet(read, reader)
            except PodiumError:
                raise
            except LOST as error:
                if not tries_left:
                    raise undone(error) from error
            except (asyncpg.PostgresError, TimeoutError) as error:
                raise undone(error) from error
        raise AssertionError

    async def eval(self, experiment: str, arm: str, name: str, step: int | None) -> bytes | None:
        """Returns the encoded row of an eval, or None if there is none: see `Store.eval`."""
        [found] = await self._evals.read(experiment, [(arm, name, step)])
        if found is None:
            # This raises the error of an unknown experiment or arm.
            return await self._read(Reader.eval, experiment, arm, name, step)
        _, content, stamp = found
        return None if content is None else content + stamp

    async def score(
        self, experiment: str, arm: str, candidates: Sequence[tuple[str | None, str]]
    ) -> Score | None:
        """Returns the score of the first candidate that has one, or None: see `Store.score`."""
        wanted = [(arm, name or "", key) for name, key in candidates]
        for (name, key), found in zip(
            candidates, await self._scores.read(experiment, wanted), strict=True
        ):
            if found is None:
                return await self._read(Reader.score, experiment, arm, candidates)
            _, value, origin, step, primary = found
            if value is not None:
                source = primary if name is None and codec.is_of_row(origin) else name
                return Score(codec.score_from(value, origin, step), key, source)
        return None


def _options() -> dict[str, Any]:
    return {
        "timeout": _CONNECT_SECONDS,
        "command_timeout": _STATEMENT_SECONDS,
        "statement_cache_size": _STATEMENTS,
        "max_cached_statement_lifetime": 0,
        "connection_class": PooledConnection,
        "server_settings": {
            "application_name": "podium",
            "idle_in_transaction_session_timeout": str(_IDLE_MS),
        },
    }


async def _takes_writes(connection: PooledConnection) -> bool:
    takes_writes: bool = await connection.fetchval("SHOW transaction_read_only") == "off"
    if not takes_writes:
        # The next connection may be to another host, which is the leader by then.
        connection.terminate()
    return takes_writes


async def _check_database(connection: asyncpg.Connection) -> None:
    """Raises an error for a database that cannot keep results as the contract demands."""
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding.upper().replace("-", "") != "UTF8":
        raise StoreError(f"the database has the encoding {encoding}; create a database with UTF8")
    if await connection.fetchval("SHOW synchronous_commit") == "off":
        raise StoreError(
            "synchronous_commit is off, so a crash of the database would lose results that were "
            "acknowledged; set it to on"
        )
