"""What all SQL stores have in common: the methods that read, and those that run calls."""

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from podium.ranking import Member

from podium_server.histogram import Histogram
from podium_server.store.calls import Call
from podium_server.store.contract import ChangeListener, Page, PageLimits, Store
from podium_server.store.filters import ArmFilter
from podium_server.store.ranking_queries import (
    RankPage,
    RankQuery,
    RankTally,
    ScoreMatrix,
)
from podium_server.store.rows import MetricRow
from podium_server.store.sql import feed, metrics, rankings
from podium_server.store.sql.reads import Reader
from podium_server.store.sql.waiting import CallRunner

__all__ = ["SqlStore"]

P = ParamSpec("P")
T = TypeVar("T")
_FEW_SCORES = 25_000
"""The most scores that are read on the event loop. Other calls wait meanwhile."""


def _reading(
    read: Callable[Concatenate[Any, P], T], *, is_page: bool = False
) -> "Callable[Concatenate[SqlStore, P], Coroutine[Any, Any, T]]":
    """Makes a method of the store from a function that reads."""

    @wraps(read)
    def method(
        self: "SqlStore", /, *arguments: P.args, **named: P.kwargs
    ) -> Coroutine[Any, Any, T]:
        run = self._read_page if is_page else self._read
        return run(read, *arguments, **named)

    return method


class SqlStore(Store):
    """A store in a SQL database. A subclass runs the reads on its connections.

    Attributes:
        _group: Runs calls that change results. It is set when the store is open.
        _page_key: The secret of page tokens. It is set when the store is open.
    """

    _group: CallRunner
    _page_key: bytes

    @abstractmethod
    async def _read(
        self, read: Callable[Concatenate[Any, P], T], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """Calls a function with a `Reader` and the arguments. Returns its result."""

    @abstractmethod
    async def _read_slowly(
        self, read: Callable[Concatenate[Any, P], T], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """Calls a function that reads, in a thread, so that the event loop stays free."""

    def _read_page(
        self, read: Callable[Concatenate[Any, P], T], *arguments: P.args, **named: P.kwargs
    ) -> Coroutine[Any, Any, T]:
        return self._read(read, *arguments, **named)

    @property
    def page_key(self) -> bytes:
        """The secret with which page tokens are encrypted."""
        return self._page_key

    @property
    def histograms(self) -> Mapping[str, Histogram]:
        """The times and sizes of commits."""
        return self._group.times.histograms

    def listen(self, listener: ChangeListener) -> None:
        """Calls the listener at every commit from now on."""
        self._group.listeners.append(listener)

    def transact(self, call: Call[T]) -> Coroutine[Any, Any, T]:
        """Runs a call. Other calls may be in the same transaction."""
        return self._group.submit(call)

    store_id = _reading(Reader.store_id)
    eval = _reading(Reader.eval)
    score = _reading(Reader.score)
    arm = _reading(Reader.arm, is_page=True)
    arms = _reading(Reader.arms, is_page=True)
    evals = _reading(Reader.evals, is_page=True)
    series = _reading(Reader.series, is_page=True)
    experiment = _reading(Reader.experiment)
    experiments = _reading(Reader.experiments, is_page=True)
    changes = _reading(feed.changes, is_page=True)
    rows = _reading(Reader.rows, is_page=True)
    row_count = _reading(Reader.row_count)
    ranking_state = _reading(rankings.state)

    async def rank(self, experiment: str, query: RankQuery, limits: PageLimits) -> RankPage:
        """Returns a page of a ranking."""
        page = await self._read(rankings.rank, experiment, query, limits)
        if page is not None:
            return page
        return await self._read_slowly(rankings.rank_slowly, experiment, query, limits)

    async def scores(
        self,
        experiment: str,
        after: int,
        limits: PageLimits,
        shown: ArmFilter,
        metrics: Sequence[Sequence[tuple[str | None, str]]],
    ) -> ScoreMatrix:
        """Returns a page of arms with their scores on each metric."""
        is_small = limits.rows * sum(map(len, metrics)) <= _FEW_SCORES
        read = self._read if is_small else self._read_slowly
        return await read(Reader.scores, experiment, after, limits, shown, metrics)

    async def metrics(self, experiment: str, after: str, limits: PageLimits) -> Page[MetricRow]:
        """Returns a page of metrics, in order of their eval names and keys."""
        return await self._read_slowly(metrics.metrics, experiment, after, limits)

    async def members(
        self, experiment: str, query: RankQuery, fold: Callable[[Iterable[Member], RankTally], T]
    ) -> T:
        """Calls `fold` with the members of a ranking, and returns its result."""
        is_small = await self._read(rankings.is_small, experiment)
        read = self._read if is_small else self._read_slowly
        return await read(rankings.members, experiment, query, fold)
