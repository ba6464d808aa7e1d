"""Asks a server or a store for rankings, in pages of any size."""

from typing import Any

import podium
from podium._wire import codec, rankings
from podium.v1.results_service_pb2 import RankRequest, RankResponse

from tests.server.writes.ways import Way

__all__ = ["ask", "ask_arms", "ask_groups"]


async def ask(way: Way, page_size: int = 0, **asked: Any) -> RankResponse:
    """Returns every page of a ranking as one response."""
    request = RankRequest(page_size=page_size, **asked)
    whole: Any = await way.call("Rank", request)
    request.page_token = whole.next_page_token
    while request.page_token:
        page: Any = await way.call("Rank", request)
        assert (page.revision, page.counts) == (whole.revision, whole.counts)
        assert list(page.sources) == list(whole.sources)
        whole.arms.extend(page.arms)
        whole.groups.extend(page.groups)
        request.page_token = page.next_page_token
    response: RankResponse = whole
    return response


async def ask_arms(
    way: Way, experiment: str, metric: str, direction: str, statuses: set[str], page_size: int = 0
) -> podium.Ranking:
    """Returns a ranking by arm."""
    asked = _asked(experiment, metric, direction, statuses)
    return rankings.ranking_from_proto(await ask(way, page_size, **asked))


async def ask_groups(
    way: Way,
    experiment: str,
    metric: str,
    direction: str,
    statuses: set[str],
    least: int = 0,
    page_size: int = 0,
) -> podium.GroupRanking:
    """Returns a ranking by group."""
    asked = {**_asked(experiment, metric, direction, statuses), "by_group": True}
    response = await ask(way, page_size, min_members=least, **asked)
    return rankings.group_ranking_from_proto(response)


def _asked(experiment: str, metric: str, direction: str, statuses: set[str]) -> dict[str, Any]:
    return {
        "experiment": experiment,
        "metric": metric,
        "direction": codec.direction_to_proto(direction),
        "statuses": [codec.arm_status_to_proto(status) for status in sorted(statuses)],
    }
