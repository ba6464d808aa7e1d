"""Tests that rankings of arms in memory agree with the naive implementation of the rules."""

from collections import Counter
from random import Random

import pytest
from podium import ArmStatus, Direction, ranking

from tests.server.ranking.holding import (
    STATUSES,
    hold_arms,
    hold_groups,
    random_arms,
    random_metric,
)
from tests.sparse import sparse


@pytest.mark.parametrize("experiments", sparse([250, 2_000]))
def test_rankings_agree_with_the_naive_rules(experiments: int) -> None:
    """For random arms, each place, statistic, count, source and flag equals the naive one."""
    rng = Random(7)  # noqa: S311 - the same arms every time
    seen: Counter[str] = Counter()
    for _ in range(experiments):
        arms = random_arms(rng)
        metric = random_metric(rng, arms)
        direction = rng.choice(list(Direction))
        statuses = set(rng.sample(STATUSES, rng.randrange(1, 4)))
        least = rng.randrange(3)
        found = ranking.rank(arms, metric, direction=direction, status=map(ArmStatus, statuses))
        hold_arms(found, arms, statuses)
        groups = ranking.rank_groups(
            arms, metric, direction=direction, status=map(ArmStatus, statuses), min_members=least
        )
        hold_groups(groups, arms, statuses, least)
        _count(seen, found, groups)
    assert min(seen.values()) >= experiments // 250, seen
    assert len(seen) == 10, seen


def _count(seen: Counter[str], found: ranking.Ranking, groups: ranking.GroupRanking) -> None:
    places = [arm.rank for arm in found.arms if arm.rank is not None]
    seen["ties"] += len(set(places)) < len(places)
    seen["without a score"] += len(places) < len(found.arms)
    seen["places"] += len(set(places)) > 2
    seen["too small"] += groups.group_counts.too_small > 0
    seen["several numbers"] += any(group.statistics.sd for group in groups.groups)
    seen["infinite"] += any(group.statistics.n and not group.rank for group in groups.groups)
    seen["tied groups"] += len({group.rank for group in groups.groups}) < len(groups.groups)
    for group in groups.groups:
        seen.update(group.flags)
