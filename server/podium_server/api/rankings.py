"""The rpc Rank: builds queries from requests, and responses from pages of a ranking."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace
from math import isnan

from podium._limits.limits import Limits
from podium._model.results import Direction
from podium._wire.rankings import RANK_GROUP_COUNTS, RANKED_GROUP
from podium.ranking import Groups, Member, mixed_evals
from podium.scoring import DIRECTION_KEY, OrderKey, Ranks, candidates, direction_for
from podium.v1.arm_result_pb2 import ARM_STATUS_FAILED
from podium.v1.experiment_pb2 import DIRECTION_MAXIMIZE, DIRECTION_MINIMIZE, ArmCounts, Experiment
from podium.v1.experiment_pb2 import Direction as DirectionNumber
from podium.v1.ranking_pb2 import RANK_FLAG_BENCHMARKS_DIFFER, RANK_FLAG_NAN, RankCounts
from podium.v1.ranking_pb2 import RankSource as SourceMessage
from podium.v1.results_service_pb2 import RankRequest, RankResponse

from podium_server.api.answer_cache import AnswerCache
from podium_server.api.answers import arm_counts, score_source
from podium_server.api.filters import arm_filter
from podium_server.api.pages import PageTokens, page_limits
from podium_server.errors import failure
from podium_server.store.contract import Store
from podium_server.store.ranking_queries import (
    RankedRow,
    RankPage,
    RankPlace,
    RankQuery,
    RankTally,
    left_out_of,
)
from podium_server.store.rows import COMPLETED, ExperimentRow

__all__ = ["Rankings"]

_SHOWN_SOURCES = 100


class Rankings:
    """Answers Rank from a store, or from a cache while the ranking has not changed.

    A ranking of completed arms changes only when a completed arm changes, while running arms change
    the experiment all the time. So a response is cached with the revision in which its ranking last
    changed. Two fields are not cached, because they change more often: the experiment's revision,
    and the counts of arms that are left out of the ranking.
    """

    def __init__(self, store: Store, limits: Limits, cache: AnswerCache) -> None:
        self._store = store
        self._limits = limits
        self._page_tokens = PageTokens(store.page_key)
        self._cache = cache

    async def answer(self, request: RankRequest) -> bytes:
        """Returns an encoded page of a ranking. The request must have been checked."""
        experiment, changed = await self._store.ranking_state(request.experiment)
        while True:
            asked = _resolved(request, experiment)
            if not _is_of_completed_arms(asked):
                changed = experiment.revision
            question = self._cache.question(asked)
            kept = self._cache.find(question, changed)
            if kept is not None:
                return kept + _fresh(experiment, asked)
            response, tally = await (self._groups(asked) if asked.by_group else self._arms(asked))
            experiment, changed = tally.experiment, tally.ranking_revision
            # Meanwhile, the experiment may have got another success_metric or direction.
            if _resolved(request, experiment) == asked:
                kept = response.SerializeToString()
                self._cache.keep(question, response.ranking_revision, kept)
                return kept + _fresh(experiment, asked)

    async def _arms(self, asked: RankRequest) -> "_Answer":
        after, ranks = _read_place(self._page_tokens.read(asked, ""))
        limits = page_limits(asked.page_size, self._limits)
        page = await self._store.rank(asked.experiment, _query(asked, after), limits)
        response = _arms_response(asked, page, ranks)
        place = _write_place(page.next, ranks)
        response.next_page_token = self._page_tokens.write(asked, place)
        return response, page.tally

    async def _groups(self, asked: RankRequest) -> "_Answer":
        begin = self._page_tokens.read(asked, 0)
        rows = page_limits(asked.page_size, self._limits).rows

        def fold(members: Iterable[Member], tally: RankTally) -> _Answer:
            response, end = _groups_response(asked, members, tally, begin, rows)
            response.next_page_token = self._page_tokens.write(asked, end)
            return response, tally

        return await self._store.members(asked.experiment, _query(asked), fold)


_Answer = tuple[RankResponse, RankTally]
"""A response without the fields that `_fresh` encodes, and the counts of its ranking."""


def _is_of_completed_arms(asked: RankRequest) -> bool:
    is_of_completed = set(asked.statuses) == {COMPLETED}
    return is_of_completed and not (asked.by_group or _is_filtered(asked))


def _is_filtered(asked: RankRequest) -> bool:
    return asked.HasField("group_name") or bool(asked.name_prefix or asked.tags or asked.config)


def _fresh(experiment: ExperimentRow, asked: RankRequest) -> bytes:
    """Encodes the fields of a response that can change while the ranking stays the same."""
    fresh = RankResponse(revision=experiment.revision)
    if not _is_filtered(asked):
        fresh.counts.left_out.CopyFrom(_left_out(experiment.counts, asked))
    return fresh.SerializeToString()


def _left_out(counts: Sequence[int], asked: RankRequest) -> ArmCounts:
    return arm_counts(left_out_of(counts, asked.statuses))


def _arms_response(asked: RankRequest, page: RankPage, ranks: Ranks) -> RankResponse:
    mixed, response = _mixed_evals(page.tally), _response(asked, page.tally)
    for row in page.rows:
        _add_arm(response, row, ranks.next(row.place.key), mixed)
    return response


def _groups_response(
    asked: RankRequest, members: Iterable[Member], tally: RankTally, begin: int, rows: int
) -> tuple[RankResponse, int | None]:
    """Returns the response for a page of a ranking by group.

    Also returns the place where the next page begins; None after the last page.
    """
    groups = Groups(members, set(asked.statuses), ARM_STATUS_FAILED, _mixed_evals(tally))
    direction, end = _DIRECTIONS[asked.direction], begin + rows
    found, counts = groups.ranked(direction, asked.min_members, slice(begin, end))
    response = _response(asked, tally)
    response.groups.extend(map(RANKED_GROUP.to_proto, found))
    response.group_counts.CopyFrom(RANK_GROUP_COUNTS.to_proto(counts))
    return response, end if end < counts.ranked + counts.without_mean else None


def _response(asked: RankRequest, tally: RankTally) -> RankResponse:
    """Returns the fields that rankings by arm and by group have in common."""
    return RankResponse(
        metric=asked.metric,
        direction=asked.direction,
        counts=RankCounts(
            numbers=tally.numbers,
            nans=tally.nans,
            without_score=tally.without_score,
            left_out=_left_out(tally.counts, asked) if _is_filtered(asked) else None,
        ),
        sources=_sources(tally),
        ranking_revision=tally.ranking_revision
        if _is_of_completed_arms(asked)
        else tally.experiment.revision,
    )


_DIRECTIONS = {DIRECTION_MAXIMIZE: Direction.MAXIMIZE, DIRECTION_MINIMIZE: Direction.MINIMIZE}


def _resolved(request: RankRequest, experiment: ExperimentRow) -> RankRequest:
    """Returns a copy of the request with all defaults filled in.

    Page tokens are made for the copy.
    """
    asked = deepcopy(request)
    if not (request.HasField("metric") and request.direction):
        declared = Experiment.FromString(experiment.content or b"")
        asked.metric = request.metric or declared.success_metric
        asked.direction = request.direction or _direction(declared, asked.metric)
    if not asked.metric:
        raise failure(
            "METRIC_MISSING",
            f"experiment {experiment.name!r} has no success_metric; "
            "give a metric to rank by, or declare a success_metric",
            experiment=experiment.name,
        )
    if not asked.statuses:
        asked.statuses.append(COMPLETED)  # type: ignore[arg-type]
    return asked


def _direction(declared: Experiment, metric: str) -> "DirectionNumber.ValueType":
    """Returns the direction that an experiment declares for a metric, or MAXIMIZE."""
    key = DIRECTION_KEY.format(metric=metric)
    stated = declared.metadata[key].string_value if key in declared.metadata else None
    given = _DIRECTIONS.get(declared.direction)
    found = direction_for(metric, declared.success_metric, given, stated)
    return DIRECTION_MINIMIZE if found == Direction.MINIMIZE else DIRECTION_MAXIMIZE


def _query(asked: RankRequest, after: RankPlace | None = None) -> RankQuery:
    return RankQuery(
        candidates=tuple(candidates(asked.metric)),
        direction=_DIRECTIONS[asked.direction],
        statuses=frozenset(asked.statuses),
        after=after,
        shown=replace(arm_filter(asked), statuses=frozenset()),
    )


# ---- Places in page tokens ---------------------------------------------------


def _write_place(place: RankPlace | None, ranks: Ranks) -> str | None:
    if place is None:
        return None
    return ",".join(map(str, (*place.key, place.ordinal, ranks.seen, ranks.rank)))


def _read_place(place: str) -> tuple[RankPlace | None, Ranks]:
    if not place:
        return None, Ranks()
    section, key, ordinal, seen, rank = map(int, place.split(","))
    after = RankPlace(OrderKey(section, key), ordinal)
    return after, Ranks(seen, rank, after.key)


# ---- Answers ---------------------------------------------------------------------------


def _add_arm(response: RankResponse, row: RankedRow, rank: int | None, mixed: set[str]) -> None:
    """Adds an arm to the response. Copying a complete message into it would take twice the time."""
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
        arm.source.CopyFrom(score_source(*source))
        if isnan(value):
            arm.flags.append(RANK_FLAG_NAN)
        if source.eval_name in mixed:
            arm.flags.append(RANK_FLAG_BENCHMARKS_DIFFER)


def _mixed_evals(tally: RankTally) -> set[str]:
    return mixed_evals((source.eval_name, source.benchmark_id) for source in tally.sources)


def _sources(tally: RankTally) -> list[SourceMessage]:
    """Returns at most `_SHOWN_SOURCES` sources of the scores, the most frequent first."""
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
