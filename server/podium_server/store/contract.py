"""The contract of a store: its interface, and the rules that every store must keep.

A store keeps rows (`podium_server.store.rows`) and returns them. It does not know what they mean.
`podium_server.writes` decides what a call reads and changes. `podium.scoring` defines the results
of queries. Every store passes the suite in `podium_server.testing.store_suite`.

**Writes.** `transact(call)` runs one call in one transaction:

1. it loads the rows that `call.needs` names, in the state of this transaction;
2. `call.decide(loaded)` returns `Changes`, or raises an error: then the call writes nothing, and
other calls in the transaction continue;
3. it writes the rows of `Changes`, removals first;
4. if `Changes.stale_scores` names arms, it loads their `CurrentRows`, calls `call.derive` to get
the new scores, and writes these too;
5. it returns `call.result(changes)` once the transaction is durable: a crash or a power cut after
   that loses nothing. If the transaction fails for certain, it raises and nothing is
   changed; if the outcome cannot be known, it raises OUTCOME_UNKNOWN, and the store then rejects
   all calls.

Calls on one experiment are applied one after the other; each sees all of those before it.

**Reads.** Each read sees one committed state, which includes every call whose `transact` has
returned. A read costs the same for any number of experiments, arms or rows. A page whose filters
match few rows ends after it has read a bounded number of rows, and returns the place to continue
from.

**Damage.** Other programs can damage or change the files of a store. A store that notices this
acknowledges nothing more: calls raise OUTCOME_UNKNOWN and reads SHUTTING_DOWN.

**Listeners** are called twice at every commit, with the subjects that it changes: before the first
reader can see the changes, and after the commit has succeeded or failed. The callers get their
results after that.

**Names** compare as bytes. Doubles come back bit by bit, NaN and -0.0 included.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeAlias, TypeVar

from podium_server.store.changes import ChangedRow, ChangePage, ChangePlace
from podium_server.store.filters import (
    ArmFilter,
    EvalFilter,
    ExperimentFilter,
    SeriesFilter,
)
from podium_server.store.ranking_queries import (
    MemberRow,
    RankPage,
    RankQuery,
    RankTally,
    ScoreMatrix,
)
from podium_server.store.rows import (
    ArmRow,
    ArmView,
    EvalKey,
    EvalRow,
    ExperimentRow,
    MetricRow,
    Points,
    RowScores,
    Score,
    ScoreRow,
    StreamRow,
)
from podium_server.store.tokens import TokenRow

__all__ = [
    "ArmChange",
    "ArmNeeds",
    "Call",
    "ChangeListener",
    "Changes",
    "CurrentRows",
    "DerivedScores",
    "Loaded",
    "LoadedArm",
    "Needs",
    "Page",
    "PageLimits",
    "StaleScores",
    "Store",
    "StoreError",
    "Subject",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


Subject: TypeAlias = "tuple[str, str | None]"
"""An arm by experiment and name; without a name, everything in the experiment."""


class StoreError(Exception):
    """A store cannot be opened. The message has the reason and a remedy."""


@dataclass(slots=True)
class ArmNeeds:
    """The parts and eval rows of one arm that a call needs. The arm's own row is always loaded.

    For each of the `keys`, the store also loads the row that `eval(name)` returns. `all_rows` asks
    for every row without its content. The content is loaded for the rows in `keys`, and for those
    in `sizes` whose content has one of these sizes. So a call loads no more than it sends, even if
    the arm is large. `point_steps` are the steps whose points of the training series are needed.
    """

    parts: set[str] = field(default_factory=set)
    keys: set[EvalKey] = field(default_factory=set)
    all_rows: bool = False
    sizes: dict[EvalKey, set[int]] = field(default_factory=dict)
    point_steps: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Needs:
    """The rows that a call needs: those of the experiment, of a stream, and of arms by name.

    `content` asks for the experiment's content too.
    """

    experiment: str
    writer_id: str | None = None
    content: bool = False
    arms: dict[str, ArmNeeds] = field(default_factory=dict)


@dataclass(slots=True)
class LoadedArm:
    """A loaded arm: its row, the requested parts (b"" if empty) and the rows found.

    `answering` maps the eval name of each requested key to the row that `eval(name)` returns, or
    None. `points` has the values by key at each requested step. `has_points` is False if the arm
    has no training series; it is looked up only if all rows were requested.
    """

    row: ArmRow
    parts: dict[str, bytes]
    rows: dict[EvalKey, EvalRow]
    answering: dict[str, EvalRow | None] = field(default_factory=dict)
    points: dict[int, dict[str, float]] = field(default_factory=dict)
    has_points: bool = True


@dataclass(slots=True)
class Loaded:
    """The rows that a store found for a call.

    Unknown arms are missing. The call may change the rows.
    """

    experiment: ExperimentRow | None
    stream: StreamRow | None
    arms: dict[str, LoadedArm]


@dataclass(slots=True)
class StaleScores:
    """The scores of an arm that must be derived again after its rows are written.

    `answering`: rows that `eval(name)` now returns, with their new scores. `names`: evals whose row
    the store has to look up; `all_names`: whether that is so for all evals of the arm.
    `primary`: whether the primary eval may have changed, and so all bare scores.
    `metrics`: training metrics that changed, by key.
    """

    answering: dict[str, EvalRow] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    all_names: bool = False
    primary: bool = False
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Returns whether any score must be derived again."""
        return self.primary or self.all_names or bool(self.answering or self.names or self.metrics)


@dataclass(slots=True)
class ArmChange:
    """The changes of one arm.

    First, rows are removed. `clear_rows` removes all rows and all scores. `cut_after` removes the
    post-training rows and those after a step. `remove_keys` removes the rows with these keys.
    Points of the training series are removed too: all (`clear_points`), or those after a step
    (`cut_points_after`). Then `parts`, `rows` and `points` are written. Points of other keys at the
    same step are kept. `was_completed` tells whether the arm was COMPLETED before.
    """

    row: ArmRow
    was_completed: bool = False
    parts: dict[str, bytes] = field(default_factory=dict)
    rows: list[EvalRow] = field(default_factory=list)
    clear_rows: bool = False
    cut_after: int | None = None
    remove_keys: list[EvalKey] = field(default_factory=list)
    clear_points: bool = False
    cut_points_after: int | None = None
    points: dict[int, dict[str, float]] = field(default_factory=dict)
    stale_scores: StaleScores = field(default_factory=StaleScores)


@dataclass(slots=True)
class Changes:
    """The changes of a call. Each removal gets `revision`, which is None if readers see no change.

    The experiment's content is written where it is not None.

    `remove_arm` removes an arm with all its data, and closes the streams that write to it.
    `remove_experiment` does the same for every arm and stream of the experiment.
    """

    experiment: ExperimentRow | None = None
    revision: int | None = None
    stream: StreamRow | None = None
    arms: list[ArmChange] = field(default_factory=list)
    remove_arm: ArmRow | None = None
    remove_experiment: bool = False

    @property
    def _touches_arms(self) -> bool:
        return bool(self.arms) or self.remove_arm is not None

    def subjects(self) -> set[Subject]:
        """Returns the arms that are changed, or the whole experiment, also without a revision."""
        if self.experiment is None:
            return set()
        experiment = self.experiment.name
        if self.remove_experiment or (self.revision is not None and not self._touches_arms):
            return {(experiment, None)}
        arms: set[Subject] = {(experiment, change.row.name) for change in self.arms}
        if self.remove_arm is not None:
            arms.add((experiment, self.remove_arm.name))
        return arms


@dataclass(slots=True)
class CurrentRows:
    """The rows that an arm's stale scores are derived from, read after its changes were written.

    `answering` maps each stale eval name to the row that `eval(name)` returns: the post-training
    row, else the one with the greatest step, else None. `first` is the first of the rows that have
    a primary class, by class and position. `eval_count` is the number of rows.
    """

    answering: dict[str, EvalRow | None] = field(default_factory=dict)
    first: EvalRow | None = None
    parts: dict[str, bytes] = field(default_factory=dict)
    eval_count: int = 0


@dataclass(slots=True)
class DerivedScores:
    """The scores that follow from the current rows of an arm.

    `scores` has all scores of each eval name in it, or None if there are none. `bare`, if set, has
    all bare scores. Both replace the stored scores. `training` has bare scores that are written
    unless the key has a score of another origin.
    """

    scores: dict[str, RowScores | None] = field(default_factory=dict)
    bare: dict[str, ScoreRow] | None = None
    training: dict[str, ScoreRow] = field(default_factory=dict)


class Call(Protocol[T_co]):
    """One call that changes results, decided without I/O."""

    @property
    def needs(self) -> Needs:
        """Returns what has to be loaded before the call is decided."""

    @property
    def heavy(self) -> bool:
        """Returns whether the call may take more than a few milliseconds to apply."""

    def decide(self, loaded: Loaded) -> Changes:
        """Returns what the call changes, or raises a `podium.PodiumError` and changes nothing."""

    def derive(self, change: ArmChange, current_rows: CurrentRows, /) -> DerivedScores:
        """Derives the primary eval (into `change.row`) and the scores from the current rows."""

    def result(self, changes: Changes) -> T_co:
        """Returns the result of the call, once the changes are durable."""


@dataclass(slots=True, frozen=True)
class PageLimits:
    """The most rows and bytes that a page holds. One row always fits."""

    rows: int
    size: int


@dataclass(slots=True)
class Page(Generic[T]):
    """A page of a list, its revision, and the place to continue from (None at the end)."""

    items: list[T]
    next: int | str | None
    revision: int


class ChangeListener(Protocol):
    """An object that is called when stored rows change."""

    def changing(self, subjects: Collection[Subject], /) -> None:
        """Handles the beginning of a commit, before the first reader can see its changes."""

    def changed(self, subjects: Collection[Subject], /) -> None:
        """Handles the end of the commit, also if it failed."""


class Store(ABC):
    """A place where results are kept. The module's docstring has its contract.

    Reads of an experiment or arm that does not exist raise `podium.NotFoundError`.
    """

    @abstractmethod
    async def open(self) -> None:
        """Opens the store, creating or migrating its schema; raises `StoreError`."""

    @abstractmethod
    async def close(self) -> None:
        """Finishes calls under way and closes the store."""

    @property
    @abstractmethod
    def page_key(self) -> bytes:
        """The secret with which page tokens are encrypted: 32 bytes that never change.

        The store must be open.
        """

    @abstractmethod
    def listen(self, listener: ChangeListener) -> None:
        """Calls the listener at every later commit. The store must be open."""

    @abstractmethod
    async def tokens(self) -> list[TokenRow]:
        """Returns all tokens, including those that other processes have added or revoked."""

    @abstractmethod
    async def add_token(self, row: TokenRow) -> None:
        """Adds a token. It is durable when this returns."""

    @abstractmethod
    async def revoke_token(self, token_id: str, now: int) -> None:
        """Revokes a token. A token that was revoked before keeps its time of revocation."""

    @abstractmethod
    async def transact(self, call: Call[T]) -> T:
        """Runs a call in one transaction. Returns its result when the transaction is durable."""

    @abstractmethod
    async def store_id(self) -> str:
        """Returns the id of the store, which never changes."""

    @abstractmethod
    async def eval(self, experiment: str, arm: str, name: str, step: int | None) -> bytes | None:
        """Returns an encoded row of an eval name, as `find_eval` chooses it.

        With a step, it is the in-loop row at this step. Without a step, it is the post-training
        row, else the in-loop row with the greatest step.
        """

    @abstractmethod
    async def score(
        self, experiment: str, arm: str, candidates: Sequence[tuple[str | None, str]]
    ) -> Score | None:
        """Returns the score of the first candidate (eval name or None, key) that has one."""

    @abstractmethod
    async def arm(
        self, experiment: str, arm: str, limits: PageLimits
    ) -> tuple[ArmView, Page[bytes]]:
        """Returns an arm and the first page of its rows, both in the same state."""

    @abstractmethod
    async def arms(
        self, experiment: str, after: int, limits: PageLimits, shown: ArmFilter
    ) -> Page[ArmView]:
        """Returns the arms after an ordinal (-1: from the first), in order of creation."""

    @abstractmethod
    async def evals(
        self, experiment: str, arm: str, after: int, limits: PageLimits, shown: EvalFilter
    ) -> Page[bytes]:
        """Returns the encoded rows after a position (-1: from the first), in order of position."""

    @abstractmethod
    async def series(
        self, experiment: str, arm: str, first: int, limits: PageLimits, shown: SeriesFilter
    ) -> Page[Points]:
        """Returns the points of the training series from a step on, in order of steps.

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
        """Returns the experiments after a name ("": from the first), in order of their names."""

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

        A page costs the same for any number of arms, rows and changes.
        `place` is the `next` of the previous page, or None for the first page.
        """

    @abstractmethod
    async def rows(
        self, experiment: str, arm: str, after: int, limits: PageLimits
    ) -> Page[ChangedRow]:
        """Returns the rows after a position (-1: from the first), in the form that the feed has."""

    @abstractmethod
    async def ranking_state(self, experiment: str) -> tuple[ExperimentRow, int]:
        """Returns an experiment, and the revision in which a COMPLETED arm of it last changed."""

    @abstractmethod
    async def rank(self, experiment: str, query: RankQuery, limits: PageLimits) -> RankPage:
        """Returns a page of a ranking.

        If only one candidate has scores, a page of COMPLETED arms costs the same for any number
        of arms. Any other ranking reads every arm.
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
        """Returns the arms after an ordinal, with a column for the candidates of each metric."""

    @abstractmethod
    async def metrics(self, experiment: str, after: str, limits: PageLimits) -> Page[MetricRow]:
        """Returns the metrics after a place ("": from the first), by eval name and key.

        These are the metrics that `score` finds. A page reads every score of the experiment.
        """

    @abstractmethod
    async def members(
        self, experiment: str, query: RankQuery, fold: Callable[[Iterable[MemberRow], RankTally], T]
    ) -> T:
        """Returns the result of `fold` over every arm, in order of creation, and the tally.

        Arms whose status is not in the query have no score. If there are many arms, `fold` runs in
        another thread, so that other calls do not wait for it. The arms are never collected in a
        list.
        """
