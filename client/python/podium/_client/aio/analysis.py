"""The methods of an experiment's handle that combine the results of its arms."""

from podium._client import compound_calls, experiment_result, ranking_calls
from podium._client.aio.connection import AsyncConnection
from podium._client.handle_base import ExperimentHandleBase
from podium._model.rankings import ExperimentResult, GroupRanking, RankedArm, Ranking
from podium._model.recording import RecordResult
from podium._model.score_matrix import ScoreMatrix
from podium._values.arguments import ArmStatuses, CompareKind, ConfigFilters, DirectionLike, Strings
from podium.comparing import Comparison
from podium.curves import Curves

__all__ = ["AsyncAnalysis"]


class AsyncAnalysis(ExperimentHandleBase[AsyncConnection]):
    """Ranks, scores and compares the arms of an experiment, and collects their curves."""

    async def rank(
        self,
        metric: str | None = None,
        *,
        direction: DirectionLike | None = None,
        status: ArmStatuses | None = None,
        group_name: str | None = None,
        name_prefix: str | None = None,
        tags: Strings = (),
        config: ConfigFilters | None = None,
        top: int | None = None,
    ) -> Ranking:
        """Ranks the arms by score: the best first.

        Arms with NaN, then arms without a score, come last.

        Args:
            metric: The metric to rank by, as for `score`; the success_metric if not given.
            direction: `maximize` if greater scores are better, or `minimize`. If not given, the
                direction of the experiment, or `maximize` if the experiment has none.
            status: Ranks only arms with this status, or one of these; `completed` if not given.
            group_name: Ranks only arms of this group.
            name_prefix: Ranks only arms whose names begin with this text.
            tags: Ranks only arms that have all of these tags.
            config: Ranks only arms with these values in the run_config, by path, such as
                `{"algorithm.params.lr": 0.1}`. A pair gives the least and the greatest number;
                None means no limit: `{"seed": (1, None)}`.
            top: The most arms to return: those at the start of the ranking. All if not given.

        Raises:
            NotFoundError: The experiment does not exist.
            FailedPreconditionError: No metric is given, and the experiment has no success_metric.
            AbortedError: A ranking of over 1,000 arms takes several calls. It changed between the
                calls in each of 5 tries.
        """
        request = ranking_calls.request(
            self._name,
            metric,
            direction=direction,
            status=status,
            group_name=group_name,
            name_prefix=name_prefix,
            tags=tags,
            config=config,
        )
        requests = ranking_calls.rank(request, top=top)
        return await self._connection.run(requests)

    async def rank_groups(
        self,
        metric: str | None = None,
        *,
        direction: DirectionLike | None = None,
        status: ArmStatuses | None = None,
        group_name: str | None = None,
        name_prefix: str | None = None,
        tags: Strings = (),
        config: ConfigFilters | None = None,
        min_members: int = 0,
        top: int | None = None,
    ) -> GroupRanking:
        """Ranks the groups by the mean score of their arms. The means have 95 % intervals.

        An arm without a group is a group of its own.

        Args:
            metric: The metric to rank by, as for `score`; the success_metric if not given.
            direction: `maximize` if greater means are better, or `minimize`; the default is that of
                `rank`.
            status: Uses only arms with this status, or one of these; `completed` if not given.
            group_name: Uses only arms of this group.
            name_prefix: Uses only arms whose names begin with this text.
            tags: Uses only arms that have all of these tags.
            config: Uses only arms with these values in the run_config, by path, such as
                `{"algorithm.params.lr": 0.1}`. A pair gives the least and the greatest number;
                None means no limit: `{"seed": (1, None)}`.
            min_members: Ranks only groups with at least this number of scores that are not NaN.
            top: The most groups to return: those at the start of the ranking. All if not given.

        Raises:
            NotFoundError: The experiment does not exist.
            FailedPreconditionError: No metric is given, and the experiment has no success_metric.
            AbortedError: A ranking of over 1,000 groups takes several calls. It changed between the
                calls in each of 5 tries.
        """
        request = ranking_calls.request(
            self._name,
            metric,
            direction=direction,
            status=status,
            group_name=group_name,
            name_prefix=name_prefix,
            tags=tags,
            config=config,
        )
        requests = ranking_calls.rank_groups(request, min_members=min_members, top=top)
        return await self._connection.run(requests)

    async def scores(
        self,
        metrics: Strings,
        *,
        status: ArmStatuses | None = None,
        group_name: str | None = None,
        name_prefix: str | None = None,
        tags: Strings = (),
        config: ConfigFilters | None = None,
        page_size: int | None = None,
    ) -> ScoreMatrix:
        """Returns the scores of all arms on some metrics: a row per arm, a column per metric.

        Args:
            metrics: The metrics, each as for `score`.
            status: Includes only arms with this status, or one of these; all if not given.
            group_name: Includes only arms of this group.
            name_prefix: Includes only arms whose names begin with this text.
            tags: Includes only arms that have all of these tags.
            config: Includes only arms with these values in the run_config, by path, such as
                `{"algorithm.params.lr": 0.1}`. A pair gives the least and the greatest number;
                None means no limit: `{"seed": (1, None)}`.
            page_size: The number of arms to fetch in a call: at most, and by default, 1,000.

        Raises:
            NotFoundError: The experiment does not exist.
        """
        requests = ranking_calls.scores(
            self._name,
            metrics,
            status=status,
            group_name=group_name,
            name_prefix=name_prefix,
            tags=tags,
            config=config,
            page_size=page_size,
        )
        return await self._connection.run(requests)

    async def best(
        self, metric: str | None = None, *, direction: DirectionLike | None = None
    ) -> RankedArm | None:
        """Returns the completed arm with the best score, or None if no completed arm has a score.

        NaN is never the best score. If several arms have the best score, the arm that was created
        first is returned.

        Args:
            metric: The metric to rank by, as for `score`; the success_metric if not given.
            direction: `maximize` or `minimize`; the default is that of `rank`.

        Raises:
            NotFoundError: The experiment does not exist.
            FailedPreconditionError: No metric is given, and the experiment has no success_metric.
        """
        return await self._connection.run(experiment_result.best(self._name, metric, direction))

    async def result(self) -> ExperimentResult:
        """Returns the experiment with its arms, the best arm and a conclusion in words.

        Raises:
            NotFoundError: The experiment does not exist.
            AbortedError: The experiment changed while it was read, in each of 5 tries.
        """
        return await self._connection.run(experiment_result.result(self._name))

    async def conclude(self, conclusion: str | None = None) -> RecordResult:
        """Stores the conclusion of the experiment. It replaces an earlier conclusion.

        Args:
            conclusion: The conclusion. If not given, that of `result()` is stored.
        """
        return await self._connection.run(experiment_result.conclude(self._name, conclusion))

    async def compare(
        self,
        left: str,
        right: str,
        *,
        kind: CompareKind | None = None,
        status: ArmStatuses | None = None,
        evals: Strings | None = None,
    ) -> Comparison:
        """Compares two arms or groups: returns the differences of their numbers, left minus right.

        Compares all training metrics. For each eval, compares the metrics and breakdowns of the row
        that the arm's `eval(name)` returns. If at least two arms of each side have a number, its
        difference has a confidence interval and a p-value (Welch's t-test).

        Args:
            left: The name of a group or an arm.
            right: The name of the other group or arm.
            kind: `group` if both names are names of groups, `arm` if both are names of arms. If not
                given, each name may be that of a group or, if there is no such group, of an arm.
            status: If a name is that of a group, uses only its arms with this status, or one of
                these; `completed` if not given. The result names the arms that are left out.
            evals: If given, compares only these evals, and no training metrics.

        Raises:
            NotFoundError: There is no such experiment, group or arm.
            ValueError: Both names are the same.
        """
        requests = compound_calls.compare(
            self._name, left, right, kind=kind, status=status, evals=evals
        )
        return await self._connection.run(requests)

    async def curve(
        self,
        metric: str,
        names: Strings | None = None,
        *,
        by_group: bool = False,
        status: ArmStatuses | None = None,
    ) -> Curves:
        """Returns the values of a metric by step, for arms or groups of arms.

        Args:
            metric: The name of an eval, a dot and a key, such as `val.pass_rate`, or a training
                metric that was logged with a step, such as `loss`.
            names: The names of arms, or of groups if `by_group` is set; all if not given.
            by_group: Whether to return one curve for each group: the mean of its arms, with a 95 %
                interval, by step.
            status: Uses only arms with this status, or one of these. If not given, uses all arms in
                `names`, or without `names` the running and completed arms. The result names the
                arms that are left out.

        Raises:
            ValueError: The metric is empty.
            NotFoundError: There is no such experiment, or one of `names` is unknown.
        """
        requests = compound_calls.curve(self._name, metric, names, by_group=by_group, status=status)
        return await self._connection.run(requests)
