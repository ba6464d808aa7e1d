"""How the handles of an experiment rank its arms and groups, blocking and awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium import _ranking_calls
from podium._connection import AsyncConnection, BlockingConnection
from podium._names import ExperimentNames

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium._rankings import GroupRanking, Ranking

__all__ = ["AsyncRankings", "Rankings"]


class Rankings(ExperimentNames[BlockingConnection]):
    """Ranks the arms and groups of an experiment."""

    def rank(
        self,
        metric: str | None = None,
        *,
        direction: str | None = None,
        status: str | Iterable[str] | None = None,
        top: int | None = None,
    ) -> Ranking:
        """Ranks the arms by their scores: the best first, then NaN, then those without a score.

        Args:
            metric: What to rank by, in the forms `score` takes; the success_metric if not given.
            direction: Which scores are better: `maximize` or `minimize`; the experiment's if not
                given, and `maximize` if it has none.
            status: Ranks the arms with this status, or with one of these; `completed` if not given.
            top: How many arms to fetch; all if not given.

        Raises:
            NotFoundError: The experiment does not exist.
            FailedPreconditionError: No metric is given, and the experiment has no success_metric.
            AbortedError: The experiment kept changing while more than 1,000 arms were read.
        """
        steps = _ranking_calls.rank(self._name, metric, direction=direction, status=status, top=top)
        return self._connection.run(steps)

    def rank_groups(
        self,
        metric: str | None = None,
        *,
        direction: str | None = None,
        status: str | Iterable[str] | None = None,
        min_members: int = 0,
        top: int | None = None,
    ) -> GroupRanking:
        """Ranks the groups by the means of their members' scores, with 95 % intervals.

        An arm without a group is a group of one. The arguments are those of `rank`, and:

        Args:
            metric: What to rank by.
            direction: Which means are better.
            status: The scores of arms with this status, or with one of these, count.
            min_members: Only groups with at least so many scores that are numbers.
            top: How many groups to fetch; all if not given.

        Raises:
            NotFoundError: The experiment does not exist.
            FailedPreconditionError: No metric is given, and the experiment has no success_metric.
            AbortedError: The experiment kept changing while more than 1,000 groups were read.
        """
        steps = _ranking_calls.rank_groups(
            self._name,
            metric,
            direction=direction,
            status=status,
            min_members=min_members,
            top=top,
        )
        return self._connection.run(steps)


class AsyncRankings(ExperimentNames[AsyncConnection]):
    """Ranks the arms and groups of an experiment: `Rankings` for asyncio."""

    async def rank(
        self,
        metric: str | None = None,
        *,
        direction: str | None = None,
        status: str | Iterable[str] | None = None,
        top: int | None = None,
    ) -> Ranking:
        """As `ExperimentHandle.rank`, awaited."""
        steps = _ranking_calls.rank(self._name, metric, direction=direction, status=status, top=top)
        return await self._connection.run(steps)

    async def rank_groups(
        self,
        metric: str | None = None,
        *,
        direction: str | None = None,
        status: str | Iterable[str] | None = None,
        min_members: int = 0,
        top: int | None = None,
    ) -> GroupRanking:
        """As `ExperimentHandle.rank_groups`, awaited."""
        steps = _ranking_calls.rank_groups(
            self._name,
            metric,
            direction=direction,
            status=status,
            min_members=min_members,
            top=top,
        )
        return await self._connection.run(steps)
