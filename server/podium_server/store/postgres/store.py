"""The PostgreSQL store: opens the pool of connections, and passes each call to a connection."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import asyncpg
from podium.errors import PodiumError

from podium_server.histogram import Histogram
from podium_server.store.calls import Call
from podium_server.store.contract import ChangeListener, Page, PageLimits, Store, StoreError
from podium_server.store.filters import ArmFilter
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
from podium_server.store.ranking_queries import (
    MemberRow,
    RankPage,
    RankQuery,
    RankTally,
    ScoreMatrix,
)
from podium_server.store.rows import MetricRow, Score
from podium_server.store.sql import codec, feed, metrics, rankings
from podium_server.store.sql.reads import Reader
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
"""The most pages that are read at the same time. Each can take some megabytes of memory."""
_READ_TRIES = 2
_FEW_SCORES = 25_000
_TOKENS, _PUT_TOKEN, _REVOKE = map(translated, (codec.TOKENS, codec.PUT_TOKEN, codec.REVOKE))


def _reading(
    read: Callable[Concatenate[Any, P], T],
) -> "Callable[Concatenate[PostgresStore, P], Coroutine[Any, Any, T]]":
    """Makes a method of the store from a function that reads."""

    @wraps(read)
    async def method(self: "PostgresStore", /, *arguments: P.args, **named: P.kwargs) -> T:
        return await self.read(lambda reader: read(reader, *arguments, **named))

    return method


def _reading_page(
    read: Callable[Concatenate[Any, P], T],
) -> "Callable[Concatenate[PostgresStore, P], Coroutine[Any, Any, T]]":
    """Makes a method of the store from a function that reads a page."""
    method = _reading(read)

    @wraps(read)
    async def page(self: "PostgresStore", /, *arguments: P.args, **named: P.kwargs) -> T:
        async with self.pages:
            return await method(self, *arguments, **named)

    return page


class PostgresStore(Store):
    """Keeps results in a PostgreSQL database, for any number of servers."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.pages = asyncio.Semaphore(_PAGES_AT_ONCE)

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
        """Opens a connection."""
        connection: PooledConnection = await connect(self._url, **_options())
        return connection

    async def _open(self) -> None:
        async with self._connection() as connection:
            await _check_database(connection)
            await schema.migrate(connection)
            found = await connection.fetchrow("SELECT page_key, id FROM store")
        self._page_key: bytes = found[0]
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

    @property
    def page_key(self) -> bytes:
        """The secret with which page tokens are encrypted."""
        return self._page_key

    def gauges(self) -> Mapping[str, float]:
        """Returns gauges and counters for monitoring, by name."""
        connections = self._connections
        gauges = {
            "store_connections": connections.size,
            "store_idle_connections": connections.idle,
        }
        return gauges | dict(self._group.gauges())

    @property
    def histograms(self) -> Mapping[str, Histogram]:
        """The times and sizes of commits."""
        return self._group.times.histograms

    def listen(self, listener: ChangeListener) -> None:
        """Calls the listener at every commit from now on."""
        self._group.listen(listener)

    async def transact(self, call: Call[T]) -> T:
        """Runs a call. Other calls may be in the same transaction."""
        return await self._group.submit(call)

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
        """Gives a connection inside a block."""
        return self._connections.use()

    async def _run(self, action: Callable[[asyncpg.Connection], Coroutine[Any, Any, T]]) -> T:
        """Runs one statement."""
        try:
            async with self._connection() as connection:
                return await action(connection)
        except PodiumError:
            raise
        except Exception as error:
            raise undone(error) from error

    async def read(self, read: Callable[[Reader], T], *, is_long: bool = False) -> T:
        """Runs a function that reads, in a thread if it may take long.

        If the connection is lost, it runs once more.
        """
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
        """Returns the encoded row of an eval, at a step if one is given; None if there is none."""
        [found] = await self._evals.read(experiment, [(arm, name, step)])
        if found is None:
            # This raises the error of an unknown experiment or arm.
            return await self.read(lambda reader: reader.eval(experiment, arm, name, step))
        _, content, stamp = found
        return None if content is None else content + stamp

    async def score(
        self, experiment: str, arm: str, candidates: Sequence[tuple[str | None, str]]
    ) -> Score | None:
        """Returns the score of the first candidate that has one, or None."""
        wanted = [(arm, name or "", key) for name, key in candidates]
        for (name, key), found in zip(
            candidates, await self._scores.read(experiment, wanted), strict=True
        ):
            if found is None:
                return await self.read(lambda reader: reader.score(experiment, arm, candidates))
            _, value, origin, step, primary = found
            if value is not None:
                source = primary if name is None and codec.is_of_row(origin) else name
                return Score(codec.score_from(value, origin, step), key, source)
        return None

    arm = _reading_page(Reader.arm)
    arms = _reading_page(Reader.arms)
    evals = _reading_page(Reader.evals)
    series = _reading_page(Reader.series)
    experiment = _reading(Reader.experiment)
    experiments = _reading_page(Reader.experiments)
    changes = _reading_page(feed.changes)
    rows = _reading_page(Reader.rows)
    row_count = _reading(Reader.row_count)
    ranking_state = _reading(rankings.state)

    async def rank(self, experiment: str, query: RankQuery, limits: PageLimits) -> RankPage:
        """Returns a page of a ranking."""
        page = await self.read(lambda reader: rankings.rank(reader, experiment, query, limits))
        if page is not None:
            return page
        return await self.read(
            lambda reader: rankings.rank_slowly(reader, experiment, query, limits), is_long=True
        )

    async def scores(
        self,
        experiment: str,
        after: int,
        limits: PageLimits,
        shown: ArmFilter,
        metrics: Sequence[Sequence[tuple[str | None, str]]],
    ) -> ScoreMatrix:
        """Returns a page of arms with their scores on each metric."""
        return await self.read(
            lambda reader: reader.scores(experiment, after, limits, shown, metrics),
            is_long=limits.rows * sum(map(len, metrics)) > _FEW_SCORES,
        )

    async def metrics(self, experiment: str, after: str, limits: PageLimits) -> Page[MetricRow]:
        """Returns a page of metrics, in order of their eval names and keys."""
        return await self.read(
            lambda reader: metrics.metrics(reader, experiment, after, limits), is_long=True
        )

    async def members(
        self, experiment: str, query: RankQuery, fold: Callable[[Iterable[MemberRow], RankTally], T]
    ) -> T:
        """Calls `fold` with all arms, and returns its result."""
        is_small = await self.read(lambda reader: rankings.is_small(reader, experiment))
        return await self.read(
            lambda reader: rankings.members(reader, experiment, query, fold), is_long=not is_small
        )


def _options() -> dict[str, Any]:
    """Returns the options of connections."""
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


async def _check_database(connection: asyncpg.Connection) -> None:
    """Raises an error for a database that cannot keep results as the contract demands."""
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding.upper().replace("-", "") != "UTF8":
        raise StoreError(f"the database has the encoding {encoding}; create one with UTF8")
    if await connection.fetchval("SHOW synchronous_commit") == "off":
        raise StoreError(
            "synchronous_commit is off, so a crash of the database would lose results that were "
            "acknowledged; set it to on"
        )
