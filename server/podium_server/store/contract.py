"""The contract of a store: its interface, and the rules that every store must keep.

A store keeps rows (`podium_server.store.rows`) and returns them. A store does not know what its
rows mean. `podium_server.writes` decides what a call reads and changes. `podium.scoring` defines
the results of queries. Every store passes the suite in `podium_server.testing.store_suite`.

**Writes.** `transact(call)` runs one call in one transaction:

1. The store loads the rows that `call.needs` names, in the state of this transaction.
2. `call.decide(loaded)` returns `Changes`, or raises an error. After an error, the call writes
   nothing, and other calls in the transaction continue.
3. The store writes the rows of `Changes`, removals first.
4. If an `ArmChange` has stale scores, the store loads the arm's `CurrentRows`, calls `call.derive`
   to get the new scores, and writes these too.
5. `transact` returns `call.result(changes)` once the transaction is durable: a crash or a power cut
   after that loses nothing.

If the transaction failed, `transact` raises an error and nothing is changed. If its outcome is
unknown, `transact` raises OUTCOME_UNKNOWN. A store that no longer knows its own content then
rejects all calls.

Calls on one experiment are applied one after the other; each call sees the changes of all calls
before it.

**Reads.** Each read sees one committed state, which includes every call whose `transact` has
returned. Two rules hold unless a docstring says otherwise. The time of a read does not depend on
the number of experiments, arms or rows. A page reads at most a fixed number of rows. If the filters
match few of these rows, the page ends early, with the place to continue from.

**Damage.** Other programs can damage or change the files of a store. A store that notices this
acknowledges no further calls: calls raise OUTCOME_UNKNOWN, and reads raise SHUTTING_DOWN.

**Listeners** are called twice at every commit, with its subjects: the arms and experiments that it
changes. `changing` is called before the first reader can see the changes, and `changed` after the
commit has succeeded or failed. `transact` returns after the call of `changed`. If other processes
can change the store, `changed` is also called soon after they have changed an experiment that a
listener watches.

**Names** compare as bytes. Doubles are returned bit by bit, NaN and -0.0 included.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from podium.ranking import Member

from podium_server.histogram import Histogram
from podium_server.store.calls import Call, Subject
from podium_server.store.changes import ChangedRow, ChangePage, ChangePlace
from podium_server.store.filters import ArmFilter, EvalFilter, ExperimentFilter, SeriesFilter
from podium_server.store.ranking_queries import (
    RankPage,
    RankQuery,
    RankTally,
    ScoreMatrix,
)
from podium_server.store.rows import ArmView, ExperimentRow, MetricRow, Points, Score
from podium_server.store.tokens import TokenRow

__all__ = [
    "ChangeListener",
    "Page",
    "PageLimits",
    "Store",
    "StoreError",
]

T = TypeVar("T")


class StoreError(Exception):
    """A store cannot be opened or used. The message has the reason, and how to fix it."""


@dataclass(slots=True, frozen=True)
class PageLimits:
    """The most rows and bytes of a page. The first row is returned even if it is larger."""

    rows: int
    size: int


@dataclass(slots=True)
class Page(Generic[T]):
    """A page of a list, its revision, and the place of the next page (None after the last)."""

    items: list[T]
    next: int | str | None
    revision: int


class ChangeListener(Protocol):
    """An object that is called when stored rows change.

    Attributes:
        watched: The names of the experiments whose changes by other servers must be noticed too.
    """

    watched: Collection[str]

    def changing(self, subjects: Collection[Subject], /) -> None:
        """Is called at the beginning of a commit, before readers can see its changes."""

    def changed(self, subjects: Collection[Subject], /) -> None:
        """Is called at the end of a commit, whether the commit succeeded or failed."""


class Store(ABC):
    """A place where results are kept. The module's docstring has its contract.

    Reads of an experiment or arm that does not exist raise `podium.NotFoundError`.
    """

    @abstractmethod
    async def open(self) -> None:
        """Opens the store, and creates or migrates its schema. Raises `StoreError` on failure."""

    @abstractmethod
    async def close(self) -> None:
        """Finishes running calls, and closes the store."""

    async def discard(self) -> None:
        """Closes the store. Removes it if this object has created it and nothing was stored."""
        await self.close()

    @property
    @abstractmethod
    def page_key(self) -> bytes:
        """The secret with which page tokens are encrypted: 32 bytes that never change.

        The store must be open.
        """

    @abstractmethod
    def gauges(self) -> Mapping[str, float]:
        """Returns gauges and counters for monitoring, by name. Counters end with `_total`."""

    @property
    def histograms(self) -> Mapping[str, Histogram]:
        """The histograms for monitoring, by name. The store must be open."""
        return {}

    @abstractmethod
    def listen(self, listener: ChangeListener) -> None:
        """Registers a listener, which is called at every later commit. The store must be open."""

    @abstractmethod
    async def tokens(self) -> list[TokenRow]:
        """Returns all tokens, including those that other processes have added or revoked."""

    @abstractmethod
    async def add_token(self, row: TokenRow) -> None:
        """Adds a token. The token is durable when this method returns."""

    @abstractmethod
    async def revoke_token(self, token_id: str, now: int) -> None:
        """Revokes a token. A token that was revoked before keeps its time of revocation."""

    @abstractmethod
    async def transact(self, call: Call[T]) -> T:
        """Runs a call in one transaction. Returns its result when the transaction is durable."""

    async def takes_writes(self) -> bool:
        """Returns whether the store takes writes now. A store in a file always does.

        A database can answer reads while it takes no writes, or be unreachable.
        """
        return True

    @abstractmethod
    async def store_id(self) -> str:
        """Returns the id of the store, which never changes."""

    @abstractmethod
    async def eval(self, experiment: str, arm: str, name: str, step: int | None) -> bytes | None:
        """Returns the encoded row of an eval, or None if there is none.

        With a step, returns the in-loop row at this step. Without a step, returns the post-training
        row, else the in-loop row with the greatest step.
        """

    @abstractmethod
    async def score(
        self, experiment: str, arm: str, candidates: Sequence[tuple[str | None, str]]
    ) -> Score | None:
        """Returns the score of the first candidate that has a score, or None if none has one.

        A candidate is a pair: the name of an eval (None for the arm's own scores), and the key of a
        metric.
        """

    @abstractmethod
    async def arm(
        self, experiment: str, arm: str, limits: PageLimits
    ) -> tuple[ArmView, Page[bytes]]:
        """Returns an arm and the first page of its rows, both at the same revision."""

    @abstractmethod
    async def arms(
        self, experiment: str, after: int, limits: PageLimits, shown: ArmFilter
    ) -> Page[ArmView]:
        """Returns a page of arms in order of creation.

        `after` is the ordinal of the last arm on the previous page, or -1 for the first page.
        """

    @abstractmethod
    async def evals(
        self, experiment: str, arm: str, after: int, limits: PageLimits, shown: EvalFilter
    ) -> Page[bytes]:
        """Returns a page of encoded eval rows, in order of their positions.

        `after` is the position of the last row on the previous page, or -1 for the first page.
        """

    @abstractmethod
    async def series(
        self, experiment: str, arm: str, first: int, limits: PageLimits, shown: SeriesFilter
    ) -> Page[Points]:
        """Returns a page of the points of a training series, in order of steps from `first` on.

        `limits.rows` counts points. All points of one step are on one page. `next` is the first
        step of the next page.
        """

    @abstractmethod
    async def experiment(self, experiment: str) -> ExperimentRow:
        """Returns an experiment."""

    @abstractmethod
    async def experiments(
        self, after: str, limits: PageLimits, shown: ExperimentFilter
    ) -> Page[ExperimentRow]:
        """Returns a page of experiments in order of their names.

        `after` is the last name on the previous page, or "" for the first page.
        """

    @abstractmethod
    async def changes(
        self,
        experiment: str,
        after: int,
        place: ChangePlace | None,
        limits: PageLimits,
        series: SeriesFilter | None = None,
    ) -> ChangePage:
        """Returns the changes after a revision, as `podium_server.store.changes` describes them.

        With `series`, the points of these training series are included.

        The time for a page does not depend on the number of arms, rows and changes. `place` is the
        `next` of the previous page, or None for the first page.
        """

    @abstractmethod
    async def rows(
        self, experiment: str, arm: str, after: int, limits: PageLimits
    ) -> Page[ChangedRow]:
        """Returns a page of eval rows as the change feed shows them, in order of their positions.

        `after` is the position of the last row on the previous page, or -1 for the first page.
        """

    @abstractmethod
    async def row_count(self, prefixes: Sequence[str]) -> int:
        """Returns the number of stored rows of the experiments whose names are within `prefixes`.

        Without prefixes, counts the rows of all experiments. See `ExperimentRow.row_count` for what
        a row is, and `ExperimentFilter.within` for the names that are within prefixes.
        """

    @abstractmethod
    async def ranking_state(self, experiment: str) -> tuple[ExperimentRow, int]:
        """Returns an experiment, and the last revision that changed one of its COMPLETED arms."""

    @abstractmethod
    async def rank(self, experiment: str, query: RankQuery, limits: PageLimits) -> RankPage:
        """Returns a page of a ranking.

        If only one candidate has scores, the time for a page of COMPLETED arms does not depend on
        the number of arms. Any other ranking reads every arm.
        """

    @abstractmethod
    async def scores(
        self,
        experiment: str,
        after: int,
        limits: PageLimits,
        shown: ArmFilter,
        metrics: Sequence[Sequence[tuple[str | None, str]]],
    ) -> ScoreMatrix:
        """Returns a page of arms with their scores on each metric.

        `after` is the ordinal of the last arm on the previous page, or -1 for the first page.
        Each item of `metrics` is one metric. It lists the ways to read the metric's name, as pairs
        `(eval name or None, key)`. As in `score`, the first pair for which an arm has a score
        counts.
        """

    @abstractmethod
    async def metrics(self, experiment: str, after: str, limits: PageLimits) -> Page[MetricRow]:
        """Returns a page of metrics, in order of their eval names and keys.

        `after` is the `next` of the previous page, or "" for the first page. A metric is listed if
        an arm has a score on it. A page reads every score of the experiment.
        """

    @abstractmethod
    async def members(
        self, experiment: str, query: RankQuery, fold: Callable[[Iterable[Member], RankTally], T]
    ) -> T:
        """Calls `fold` with arms in order of creation and the counts of the ranking.

        Returns the result of `fold`. The arms are those that match `query.shown`. If the status of
        an arm is not in `query.statuses`, its member has no score. If there are many arms, `fold`
        runs in another thread, so that other calls do not wait for it. The arms are never collected
        in a list.
        """
