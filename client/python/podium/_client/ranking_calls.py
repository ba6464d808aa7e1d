"""Makes the requests of the rpcs Rank and Scores, without I/O. See `podium._client.calls`."""

from typing import Any

from podium._client.calls import ATTEMPTS, Requests
from podium._client.near_names import warn_of_config, warn_of_unknown
from podium._limits.limits import DEFAULT_LIMITS
from podium._model.rankings import GroupRanking, Ranking
from podium._model.score_matrix import ScoreMatrix
from podium._values import coerce
from podium._values.arguments import DirectionLike, Strings
from podium._wire import codec, rankings
from podium._wire.arm_filters import arm_filters
from podium.errors import AbortedError
from podium.v1 import results_service_pb2 as results

__all__ = ["rank", "rank_groups", "request", "scores"]

_PAGE = DEFAULT_LIMITS.page_rows


def rank(request: results.RankRequest, *, top: int | None) -> Requests[Ranking]:
    """Calls Rank. Returns the ranked arms, or the first `top` of them, as of one revision."""
    found = yield from _ranked(request, top)
    ranking = rankings.ranking_from_proto(found)
    yield from _warn_if_unknown(request, ranking)
    return ranking


def rank_groups(
    request: results.RankRequest, *, min_members: int, top: int | None
) -> Requests[GroupRanking]:
    """Calls Rank. Returns the ranked groups, or the first `top` of them, as of one revision."""
    request.by_group = True
    request.min_members = coerce.count(min_members, "min_members")
    found = yield from _ranked(request, top)
    ranking = rankings.group_ranking_from_proto(found)
    yield from _warn_if_unknown(request, ranking)
    return ranking


def _warn_if_unknown(request: results.RankRequest, found: Ranking | GroupRanking) -> Requests[None]:
    """Logs a warning if no arm has the metric, or a configuration value, that a request names."""
    counts = found.counts
    has_scores = counts.numbers or counts.nans
    if not has_scores and not counts.without_score:
        yield from warn_of_config(request)
    elif request.HasField("metric") and not has_scores:
        yield from warn_of_unknown(request.experiment, found.metric, "a score on")


def request(
    experiment: str,
    metric: str | None,
    *,
    direction: DirectionLike | None = None,
    **filters: Any,
) -> results.RankRequest:
    """Returns the request for a ranking of arms. The filters are those of `arm_filters`."""
    return results.RankRequest(
        experiment=experiment,
        metric=coerce.optional(coerce.text, metric, "metric"),
        direction=codec.direction_to_proto(direction),
        **arm_filters(**filters),
    )


def _ranked(request: results.RankRequest, top: int | None) -> Requests[results.RankResponse]:
    top = coerce.optional(coerce.integer, top, "top")
    if top is not None and top < 1:
        raise ValueError(f"top must be at least 1, not {top}")
    request.page_size = _PAGE if top is None else min(top, _PAGE)
    for _ in range(ATTEMPTS):
        found = yield from _ranked_in_one_state(request, top)
        if found is not None:
            return found
    raise AbortedError(
        f"the ranking of {request.experiment!r} changed {ATTEMPTS} times while it was read: it "
        f"changes too fast to be read as a whole; try again, or request only the top {_PAGE:,}"
    )


def _ranked_in_one_state(
    request: results.RankRequest, top: int | None
) -> Requests[results.RankResponse | None]:
    request.page_token = ""
    found: results.RankResponse = yield request
    request.page_token = found.next_page_token
    while request.page_token and (top is None or len(found.arms) + len(found.groups) < top):
        page = yield request
        if page.ranking_revision != found.ranking_revision:
            return None
        found.arms.extend(page.arms)
        found.groups.extend(page.groups)
        request.page_token = page.next_page_token
    if top is not None:
        del found.arms[top:], found.groups[top:]
    return found


def scores(
    experiment: str, metrics: Strings, *, page_size: int | None, **filters: Any
) -> Requests[ScoreMatrix]:
    """Calls Scores. Returns the pages as one matrix. The filters are those of `arm_filters`."""
    request = results.ScoresRequest(
        experiment=experiment,
        metrics=coerce.texts(metrics, "metrics"),
        **arm_filters(**filters),
        page_size=_PAGE if page_size is None else coerce.count(page_size, "page_size"),
    )
    pages: list[results.ScoresResponse] = []
    while not pages or request.page_token:
        page = yield request
        pages.append(page)
        request.page_token = page.next_page_token
    found = rankings.score_matrix_from_proto(list(request.metrics), pages)
    if not found.arms:
        yield from warn_of_config(request)
    for column in found.columns:
        if found.arms and all(score is None for score in column.scores):
            yield from warn_of_unknown(experiment, column.metric, "a score on")
    return found
