"""How the handles of an experiment rank, score and sum up its arms, blocking and awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium._client import experiment_result, ranking_calls
from podium._client.connection import AsyncConnection, BlockingConnection
from podium._client.handle_base import ExperimentHandleBase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium._interface.recorders import RecordResult
    from podium._model.rankings import ExperimentResult, GroupRanking, RankedArm, Ranking
    from podium._model.score_matrix import ScoreMatrix

__all__ = ["AsyncRankings", "Rankings"]


class Rankings(ExperimentHandleBase[BlockingConnection]):
    """Ranks the arms and groups of an experiment, and puts their scores side by side."""

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
        steps = ranking_calls.rank(self._name, metric, direction=direction, status=status, top=top)
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
        steps = ranking_calls.rank_groups(
            self._name,
            metric,
            direction=direction,
            status=status,
            min_members=min_members,
            top=top,
        )
        return self._connection.run(steps)

    def scores(
        self,
        metrics: Iterable[str],
        *,
        status: str | Iterable[str] | None = None,
        group_name: str | None = None,
        name_prefix: str | None = None,
        tags: Iterable[str] = (),
        page_size: int | None = None,
    ) -> ScoreMatrix:
        """Looks up the scores of the arms on metrics: a column for each metric.

        Args:
            metrics: What to look up, each in the forms `score` takes.
            status: Only arms with this status, or with one of these; any if not given.
            group_name: Only arms of this group.
            name_prefix: Only arms whose name begins with this text.
            tags: Only arms whose run_config has all of these tags.
            page_size: How many scores to fetch in a call, at most 10,000, as if not given.

        Raises:
            NotFoundError: The experiment does not exist.
        """
        steps = ranking_calls.scores(
            self._name,
            metrics,
            status=status,
            group_name=group_name,
            name_prefix=name_prefix,
            tags=tags,
            page_size=page_size,
        )
        return self._connection.run(steps)

    def best(self, metric: str | None = None, *, direction: str | None = None) -> RankedArm | None:
        """Looks up the completed arm with the best score; None if none has a number.

        NaN is never the best. Of equal scores, the arm that was created first stands.

        Args:
            metric: What to rank by, in the forms `score` takes; the success_metric if not given.
            direction: Which scores are better; the experiment's direction if not given.

        Raises:
            NotFoundError: The experiment does not exist.
            FailedPreconditionError: No metric is given, and the experiment has no success_metric.
        """
        return self._connection.run(experiment_result.best(self._name, metric, direction))

    def result(self) -> ExperimentResult:
        """Gets what the experiment has come to: its arms, the best one, and that in words.

        Raises:
            NotFoundError: The experiment does not exist.
            AbortedError: The experiment kept changing while it was read.
        """
        return self._connection.run(experiment_result.result(self._name))

    def conclude(self, conclusion: str | None = None) -> RecordResult:
        """Stores what was found out. The last conclusion stands.

        Args:
            conclusion: The text; what `result()` says if not given.
        """
        return self._connection.run(experiment_result.conclude(self._name, conclusion))


class AsyncRankings(ExperimentHandleBase[AsyncConnection]):
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
        steps = ranking_calls.rank(self._name, metric, direction=direction, status=status, top=top)
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
        steps = ranking_calls.rank_groups(
            self._name,
            metric,
            direction=direction,
            status=status,
            min_members=min_members,
            top=top,
        )
        return await self._connection.run(steps)

    async def scores(
        self,
        metrics: Iterable[str],
        *,
        status: str | Iterable[str] | None = None,
        group_name: str | None = None,
        name_prefix: str | None = None,
        tags: Iterable[str] = (),
        page_size: int | None = None,
    ) -> ScoreMatrix:
        """As `ExperimentHandle.scores`, awaited."""
        steps = ranking_calls.scores(
            self._name,
            metrics,
            status=status,
            group_name=group_name,
            name_prefix=name_prefix,
            tags=tags,
            page_size=page_size,
        )
        return await self._connection.run(steps)

    async def best(
        self, metric: str | None = None, *, direction: str | None = None
    ) -> RankedArm | None:
        """As `ExperimentHandle.best`, awaited."""
        return await self._connection.run(experiment_result.best(self._name, metric, direction))

    async def result(self) -> ExperimentResult:
        """As `ExperimentHandle.result`, awaited."""
        return await self._connection.run(experiment_result.result(self._name))

    async def conclude(self, conclusion: str | None = None) -> RecordResult:
        """As `ExperimentHandle.conclude`, awaited."""
        return await self._connection.run(experiment_result.conclude(self._name, conclusion))
