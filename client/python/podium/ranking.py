"""Ranks arms and groups of arms without a server, with the same results as the server's rankings.

The server does not call `rank`: it reads the order of arms from an index. To rank groups, both the
server and `rank_groups` use `Groups`.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any

from podium._model.config import without_identity
from podium._model.rankings import (
    ExperimentResult,
    GroupRanking,
    RankCounts,
    RankedArm,
    RankedGroup,
    RankGroupCounts,
    Ranking,
    RankSource,
    ScoreSource,
)
from podium._model.results import ArmCounts, ArmResult
from podium._values import coerce
from podium._values.arguments import ArmStatuses, DirectionLike
from podium._values.enums import ArmStatus, Direction, RankFlag, ScoreOrigin
from podium.scoring import find_eval, ranked, score
from podium.statistics import describe, mean

__all__ = [
    "ExperimentResult",
    "GroupRanking",
    "Groups",
    "Member",
    "RankCounts",
    "RankFlag",
    "RankGroupCounts",
    "RankSource",
    "RankedArm",
    "RankedGroup",
    "Ranking",
    "ScoreSource",
    "mixed_evals",
    "rank",
    "rank_groups",
]

_SHOWN_SOURCES = 100
_STATUS = coerce.member_of(ArmStatus)


# ---- Groups ----------------------------------------------------------------------------


Member = tuple[str, object, str | None, object, float | None, str | None]
"""The parts of an arm that are needed to rank its group.

The parts are the arm's name, status, group_name, a value that identifies its configuration, its
score, and the name of the eval that has the score. If the arm is a group of its own, its group_name
is None. Two arms have the same configuration value if their configurations differ only in name and
seed. A ranking needs a tuple for each arm, and a plain tuple takes half the time of a named tuple.
"""

_UNSET = object()


@dataclass(slots=True)
class _Group:
    group_name: str | None
    first_arm: str
    numbers: list[float] = field(default_factory=list)
    nans: int = 0
    missing: int = 0
    failed: int = 0
    left_out: int = 0
    config: object = _UNSET
    configs_differ: bool = False
    benchmarks_differ: bool = False

    def add(self, config: object, score: float | None) -> None:
        if self.config is _UNSET:
            self.config = config
        elif config != self.config:
            self.configs_differ = True
        if score is None:
            self.missing += 1
        elif isnan(score):
            self.nans += 1
        else:
            self.numbers.append(score)

    def ranked(self, rank: int | None) -> RankedGroup:
        without_number = self.nans + self.missing + self.failed + self.left_out
        return RankedGroup(
            group_name=self.group_name,
            first_arm=self.first_arm,
            rank=rank,
            members=len(self.numbers) + without_number,
            statistics=describe(self.numbers),
            nans=self.nans,
            missing=self.missing,
            failed=self.failed,
            left_out=self.left_out,
            flags=list(self._flags()),
        )

    def _flags(self) -> Iterator[RankFlag]:
        if self.nans:
            yield RankFlag.NAN
        if self.benchmarks_differ:
            yield RankFlag.BENCHMARKS_DIFFER
        if self.configs_differ:
            yield RankFlag.CONFIGS_DIFFER


class Groups:
    """Collects the arms of an experiment, in the order of their creation, into groups."""

    def __init__(
        self,
        members: Iterable[Member],
        statuses: Collection[object],
        failed: object,
        mixed: Collection[str],
    ) -> None:
        """Puts the arms into their groups.

        Args:
            members: All arms of the experiment, in the order of their creation.
            statuses: The statuses of the arms whose scores are used.
            failed: The value that a failed arm has as its status.
            mixed: The names of evals whose rows have different benchmark_ids.
        """
        self._named: dict[str | None, _Group] = {}
        self._order: list[_Group] = []
        for arm, status, group_name, config, value, eval_name in members:
            group = self._named.get(group_name) or self._new(group_name, arm)
            if status in statuses:
                group.add(config, value)
                if eval_name in mixed:
                    group.benchmarks_differ = True
            elif status == failed:
                group.failed += 1
            else:
                group.left_out += 1

    def _new(self, name: str | None, first_arm: str) -> _Group:
        group = _Group(name, first_arm)
        self._order.append(group)
        if name is not None:
            self._named[name] = group
        return group

    def ranked(
        self, direction: DirectionLike | None, min_members: int, page: slice = slice(None)
    ) -> tuple[list[RankedGroup], RankGroupCounts]:
        """Returns the groups, the best mean first, and counts of all groups.

        Args:
            direction: Whether greater or smaller means are better.
            min_members: Groups with fewer numeric scores are left out.
            page: Which of the ranked groups to return. Only their statistics are computed.
        """
        large = [group for group in self._order if len(group.numbers) >= min_members]
        order = ranked([mean(group.numbers) for group in large], direction)
        places = sum(place is not None for _, place in order)
        too_small = len(self._order) - len(large)
        counts = RankGroupCounts(places, len(large) - places, too_small)
        return [large[index].ranked(place) for index, place in order[page]], counts


def mixed_evals(sources: Iterable[tuple[str | None, str | None]]) -> set[str]:
    """Returns the names of evals that occur with several benchmark_ids.

    `sources` are pairs of an eval's name and a benchmark_id. If the benchmark_id is None, the name
    is used in its place.
    """
    pairs = {(name, benchmark_id or name) for name, benchmark_id in sources if name is not None}
    return {name for name, count in Counter(name for name, _ in pairs).items() if count > 1}


# ---- Rankings of lists of arms -----------------------------------------------------------


def rank(
    arms: Sequence[ArmResult],
    metric: str,
    *,
    direction: DirectionLike | None = None,
    status: ArmStatuses = ArmStatus.COMPLETED,
) -> Ranking:
    """Ranks arms by their scores.

    Args:
        arms: The arms of an experiment, in the order of their creation.
        metric: The metric to rank by, in any form that `score` accepts.
        direction: Which scores are better: `maximize` (the default) or `minimize`.
        status: The status, or statuses, of the arms to rank.

    Raises:
        ValueError: The direction or a status is unknown.
    """
    scored = _Scored(arms, metric, status)
    entries = scored.arms
    order = ranked([entry.score for entry in entries], direction)
    for index, place in order:
        entries[index].rank = place
    return Ranking(**scored.common_fields(direction), arms=[entries[index] for index, _ in order])


def rank_groups(
    arms: Sequence[ArmResult],
    metric: str,
    *,
    direction: DirectionLike | None = None,
    status: ArmStatuses = ArmStatus.COMPLETED,
    min_members: int = 0,
) -> GroupRanking:
    """Ranks groups of arms by the mean of their scores. An arm without a group is its own group.

    Args:
        arms: The arms of an experiment, in the order of their creation.
        metric: The metric to rank by, in any form that `score` accepts.
        direction: Which means are better: `maximize` (the default) or `minimize`.
        status: The status, or statuses, of the arms whose scores are used.
        min_members: Groups with fewer numeric scores are left out.

    Raises:
        ValueError: The direction or a status is unknown.
    """
    scored = _Scored(arms, metric, status)
    entries = {entry.arm: entry for entry in scored.arms}
    members = (_member(arm, entries.get(arm.name)) for arm in arms)
    groups = Groups(members, scored.statuses, ArmStatus.FAILED, scored.mixed)
    found, counts = groups.ranked(direction, min_members)
    return GroupRanking(**scored.common_fields(direction), groups=found, group_counts=counts)


class _Scored:
    """The ranked arms with their scores and flags, and counts of the arms that are left out."""

    def __init__(self, arms: Sequence[ArmResult], metric: str, status: ArmStatuses) -> None:
        given = (status,) if isinstance(status, str) else status
        self.statuses = wanted = {_STATUS(one, "status") for one in given}
        self.metric = metric
        self.arms = [_unranked(arm, metric) for arm in arms if arm.status in wanted]
        self.left_out = Counter(str(arm.status) for arm in arms if arm.status not in wanted)
        self.sources = Counter(
            (entry.source.origin, entry.source.eval_name, entry.benchmark_id)
            for entry in self.arms
            if entry.source is not None
        )
        self.mixed = mixed_evals((name, benchmark_id) for _, name, benchmark_id in self.sources)
        for entry in self.arms:
            entry.flags = list(self._flags(entry))

    def _flags(self, entry: RankedArm) -> Iterator[RankFlag]:
        if entry.score is not None and isnan(entry.score):
            yield RankFlag.NAN
        if entry.source is not None and entry.source.eval_name in self.mixed:
            yield RankFlag.BENCHMARKS_DIFFER

    def common_fields(self, direction: DirectionLike | None) -> dict[str, Any]:
        """Returns the fields that rankings of arms and rankings of groups have in common."""
        scores = [entry.score for entry in self.arms if entry.score is not None]
        nans = sum(map(isnan, scores))
        without = len(self.arms) - len(scores)
        counts = RankCounts(len(scores) - nans, nans, without, ArmCounts(**self.left_out))
        order = sorted(
            self.sources, key=lambda place: (-self.sources[place], *_source_order(place))
        )
        return {
            "metric": self.metric,
            "direction": direction or Direction.MAXIMIZE,
            "revision": 0,
            "counts": counts,
            "sources": [RankSource(*at, self.sources[at]) for at in order[:_SHOWN_SOURCES]],
        }


def _source_order(place: tuple[str, str | None, str | None]) -> tuple[int, str, str]:
    origin, eval_name, benchmark_id = place
    return list(ScoreOrigin).index(ScoreOrigin(origin)), eval_name or "", benchmark_id or ""


def _unranked(arm: ArmResult, metric: str) -> RankedArm:
    entry = RankedArm(arm.name, None, None, None, None, arm.group_name, arm.status)
    found = score(arm, metric)
    if found is not None:
        entry.score = found.value
        entry.source = ScoreSource(found.origin, found.key, found.eval_name, found.step)
        if found.eval_name is not None:
            row = find_eval(arm.evals, found.eval_name, found.step)
            entry.benchmark_id = None if row is None else row.benchmark_id
    return entry


def _member(arm: ArmResult, entry: RankedArm | None) -> Member:
    score = None if entry is None else entry.score
    eval_name = None if entry is None or entry.source is None else entry.source.eval_name
    config = None if entry is None else without_identity(arm.run_config)
    return arm.name, arm.status, arm.group_name, config, score, eval_name
