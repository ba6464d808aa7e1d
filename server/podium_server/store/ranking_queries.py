"""The queries for rankings and their results: plain data, the same for every store."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from podium.scoring import OrderKey

from podium_server.store.filters import ArmFilter
from podium_server.store.rows import COMPLETED, ArmRow, ExperimentRow, Origin

__all__ = [
    "RankPage",
    "RankPlace",
    "RankQuery",
    "RankSource",
    "RankTally",
    "RankedRow",
    "ScoreMatrix",
    "ScorePlace",
    "left_out_of",
]


_EVERY_ARM = ArmFilter()


class RankPlace(NamedTuple):
    """The place of an arm in a ranking. Arms are sorted by their places."""

    key: OrderKey
    """The sort key of the arm's score."""
    ordinal: int
    """The arm's ordinal, which orders arms with equal scores."""


@dataclass(slots=True, frozen=True)
class RankQuery:
    """A query for a ranking.

    A candidate is one way to read the name of the metric: an eval name (or None) and a key. Each
    arm is ranked by its score of the first candidate for which it has one.

    `direction` is one of `podium.Direction`. `statuses` are the numbers of the statuses that are
    ranked. `after` is the place of the last arm before the page. Arms that do not match the filter
    `shown` are neither ranked nor counted. Arms that match it, but have another status, are counted
    and not ranked. The field `shown.statuses` is always empty.
    """

    candidates: tuple[tuple[str | None, str], ...]
    direction: str
    statuses: frozenset[int] = frozenset({COMPLETED})
    after: RankPlace | None = None
    shown: ArmFilter = _EVERY_ARM

    @property
    def is_of_completed_arms(self) -> bool:
        """Returns whether all COMPLETED arms are ranked, and no others."""
        return self.statuses == {COMPLETED} and self.shown == _EVERY_ARM


class ScorePlace(NamedTuple):
    """The source of an arm's score: the eval, if any, and the step of its row."""

    origin: Origin
    key: str
    eval_name: str | None
    step: int | None


class RankedRow(NamedTuple):
    """An arm in a ranking, and its score, if it has one."""

    place: RankPlace
    name: str
    status: int
    group_name: str | None
    value: float | None = None
    source: ScorePlace | None = None
    benchmark_id: str | None = None


class RankSource(NamedTuple):
    """A source of scores. Fields that do not apply to this source are None."""

    origin: Origin
    eval_name: str | None
    benchmark_id: str | None


@dataclass(slots=True)
class RankTally:
    """The experiment at the revision of the ranking, and counts of its arms.

    Attributes:
        experiment: The experiment, in the same state as the ranking.
        ranking_revision: The revision in which a COMPLETED arm last changed, if exactly the
            COMPLETED arms are ranked. Otherwise the revision of the experiment.
        counts: The number of arms that match the query's filter, in each status. It is indexed by
            the number of the status.
        sources: For each source, how many of its scores are numbers, and how many are NaN.
        without_score: The number of arms of the requested statuses that have no score.
    """

    experiment: ExperimentRow
    ranking_revision: int
    counts: Sequence[int]
    sources: dict[RankSource, tuple[int, int]] = field(default_factory=dict)
    without_score: int = 0

    @property
    def numbers(self) -> int:
        """The number of arms whose score is a number."""
        return sum(numbers for numbers, _ in self.sources.values())

    @property
    def nans(self) -> int:
        """The number of arms whose score is NaN."""
        return sum(nans for _, nans in self.sources.values())


def left_out_of(counts: Sequence[int], statuses: Collection[int]) -> tuple[int, ...]:
    """Returns the number of arms in each status, with 0 for the given statuses."""
    return tuple(0 if status in statuses else count for status, count in enumerate(counts))


@dataclass(slots=True)
class ScoreMatrix:
    """A page of arms and their scores. Arms have only their ordinal, name, status, group and tags.

    `columns` has two lists for each metric: the score of each arm (0 if it has none), and whether
    it has one. `next` is the `after` of the next page (None after the last page).
    """

    arms: list[ArmRow]
    columns: list[tuple[list[float], list[bool]]]
    next: int | str | None
    revision: int


@dataclass(slots=True)
class RankPage:
    """A page of a ranking, and the place of the next page (None after the last)."""

    rows: list[RankedRow]
    next: RankPlace | None
    tally: RankTally
