"""What a ranking is asked for, and how it is answered."""

from collections.abc import Iterable
from functools import lru_cache
from math import isnan

from podium.codec import (
    arm_status_from_proto,
    rank_group_counts_to_proto,
    ranked_group_to_proto,
)
from podium.model import Direction
from podium.ranking import Groups, Member, mixed_evals
from podium.scoring import OrderKey, Ranks, candidates
from podium.v1.experiment_pb2 import (
    DIRECTION_MAXIMIZE,
    DIRECTION_MINIMIZE,
    Experiment,
)
from podium.v1.ranking_pb2 import (
    RANK_FLAG_BENCHMARKS_DIFFER,
    RANK_FLAG_NAN,
    RankCounts,
)
from podium.v1.ranking_pb2 import RankSource as SourceMessage
from podium.v1.results_service_pb2 import RankRequest, RankResponse

from podium_server.answers import arm_counts, score_source
from podium_server.failures import failure
from podium_server.pages import bad_token, read_token, write_token
from podium_server.store.ranks import (
    MemberRow,
    RankedRow,
    RankPage,
    RankPlace,
    RankQuery,
    RankTally,
)
from podium_server.store.rows import COMPLETED, ExperimentRow

__all__ = ["GroupQuestion", "Question"]

_SHOWN_SOURCES = 100
_INT64 = range(-(2**63), 2**63)


class Question:
    """One call of Rank by arm; what it leaves open, the experiment says."""

    def __init__(self, request: RankRequest) -> None:
        self._request = request
        self._asked = RankRequest()
        self._ranks = Ranks()

    def ask(self, experiment: ExperimentRow) -> RankQuery:
        """What to rank, given the experiment as it is."""
        asked = self._asked = _resolved(self._request, experiment)
        after, self._ranks = _read_place(asked)
        return _query(asked, after)

    def answer(self, page: RankPage) -> RankResponse:
        """The page as it is answered."""
        ranks, mixed = self._ranks, _mixed_evals(page.tally)
        response = RankResponse(
            revision=page.tally.revision,
            ranking_revision=page.tally.ranking_revision,
            metric=self._asked.metric,
            direction=self._asked.direction,
            counts=_counts(page.tally),
            sources=_sources(page.tally),
        )
        for row in page.rows:
            _add_arm(response, row, ranks.next(row.place.key), mixed)
        response.next_page_token = write_token(self._asked, _write_place(page.next, ranks))
        return response


class GroupQuestion:
    """One call of Rank by group."""

    def __init__(self, request: RankRequest, rows: int) -> None:
        self._request = request
        self._rows = rows
        self._asked = RankRequest()
        self._begin = 0

    def ask(self, experiment: ExperimentRow) -> RankQuery:
        """Whose scores count, given the experiment as it is."""
        asked = self._asked = _resolved(self._request, experiment)
        self._begin = int(read_token(asked, asked.page_token, 0))
        return _query(asked)

    def answer(self, members: Iterable[MemberRow], tally: RankTally) -> RankResponse:
        """The page as it is answered."""
        asked, groups = self._asked, Groups()
        for member in members:
            groups.add(_member(member, counts=member.status in asked.statuses))
        found, counts = groups.ranked(
            _DIRECTIONS[asked.direction], asked.min_members, _mixed_evals(tally)
        )
        end = self._begin + self._rows
        return RankResponse(
            groups=map(ranked_group_to_proto, found[self._begin : end]),
            next_page_token=write_token(asked, end if end < len(found) else None),
            revision=tally.revision,
            ranking_revision=tally.revision,
            metric=asked.metric,
            direction=asked.direction,
            counts=_counts(tally),
            sources=_sources(tally),
            group_counts=rank_group_counts_to_proto(counts),
        )


def _member(row: MemberRow, *, counts: bool) -> Member:
    status = arm_status_from_proto(row.status)  # type: ignore[arg-type]
    return Member(
        row.name, row.group_name, status, counts, row.value, row.eval_name, row.config_digest
    )


_DIRECTIONS = {DIRECTION_MAXIMIZE: Direction.MAXIMIZE, DIRECTION_MINIMIZE: Direction.MINIMIZE}


_score_source = lru_cache(256)(score_source)
"""Most scores come from the same few places."""


def _resolved(request: RankRequest, experiment: ExperimentRow) -> RankRequest:
    """The request with everything said: a page token belongs to that."""
    asked = RankRequest()
    asked.CopyFrom(request)
    if not (request.HasField("metric") and request.direction):
        declared = Experiment.FromString(experiment.content or b"")
        asked.metric = request.metric or declared.success_metric
        asked.direction = request.direction or declared.direction or DIRECTION_MAXIMIZE
    if not asked.metric:
        raise failure(
            "METRIC_MISSING",
            f"experiment {experiment.name!r} has no success_metric; name a metric to rank by, or "
            "declare one",
            experiment=experiment.name,
        )
    if not asked.statuses:
        asked.statuses.append(COMPLETED)  # type: ignore[arg-type]
    return asked


def _query(asked: RankRequest, after: RankPlace | None = None) -> RankQuery:
    return RankQuery(
        candidates=tuple(candidates(asked.metric)),
        direction=_DIRECTIONS[asked.direction],
        statuses=frozenset(asked.statuses),
        after=after,
    )


# ---- Places as page tokens hold them ---------------------------------------------------


def _write_place(place: RankPlace | None, ranks: Ranks) -> str | None:
    if place is None:
        return None
    return ",".join(map(str, (*place.key, place.ordinal, ranks.seen, ranks.rank)))


def _read_place(asked: RankRequest) -> tuple[RankPlace | None, Ranks]:
    place = str(read_token(asked, asked.page_token, ""))
    if not place:
        return None, Ranks()
    try:
        section, key, ordinal, seen, rank = map(int, place.split(","))
    except ValueError as error:
        raise bad_token() from error
    if any(number not in _INT64 for number in (section, key, ordinal, seen, rank)):
        raise bad_token()
    after = RankPlace(OrderKey(section, key), ordinal)
    return after, Ranks(seen, rank, after.key)


# ---- Answers ---------------------------------------------------------------------------


def _add_arm(response: RankResponse, row: RankedRow, rank: int | None, mixed: set[str]) -> None:
    """Adds an arm, made in its place: to make it first would take twice the time."""
    _, name, status, group_name, value, source, benchmark_id = row
    arm = response.arms.add(
        arm=name,
        rank=rank,
        score=value,
        benchmark_id=benchmark_id,
        group_name=group_name,
        status=status,
    )
    if value is not None and source is not None:
        arm.source.CopyFrom(_score_source(*source))
        if isnan(value):
            arm.flags.append(RANK_FLAG_NAN)
        if source.eval_name in mixed:
            arm.flags.append(RANK_FLAG_BENCHMARKS_DIFFER)


def _mixed_evals(tally: RankTally) -> set[str]:
    return mixed_evals((source.eval_name, source.benchmark_id) for source in tally.sources)


def _counts(tally: RankTally) -> RankCounts:
    return RankCounts(
        numbers=tally.numbers,
        nans=tally.nans,
        without_score=tally.without_score,
        left_out=arm_counts(tally.left_out),
    )


def _sources(tally: RankTally) -> list[SourceMessage]:
    """Where the scores are from, the most frequent places first."""
    scores = {source: sum(counts) for source, counts in tally.sources.items()}
    order = sorted(
        scores, key=lambda at: (-scores[at], at.origin, at.eval_name or "", at.benchmark_id or "")
    )
    return [
        SourceMessage(
            origin=int(source.origin),  # type: ignore[arg-type]
            eval_name=source.eval_name,
            benchmark_id=source.benchmark_id,
            scores=scores[source],
        )
        for source in order[:_SHOWN_SOURCES]
    ]
