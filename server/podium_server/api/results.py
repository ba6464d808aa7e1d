"""The rpcs of ResultsService.

Each handler checks its request, reads the store, and encodes the response. A handler has the name
of its rpc in snake case. It takes the request and returns the response, as a message or already
encoded.
"""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from dataclasses import asdict

import podium
from podium._limits.checks import (
    check_count,
    check_enum,
    check_experiment_name,
    check_keys,
    check_metric,
    check_name,
    check_range,
    check_text,
)
from podium._limits.event_checks import ARM_STATUSES
from podium._limits.limits import Limits
from podium.scoring import candidates
from podium.v1 import results_service_pb2 as results_pb2
from podium.v1.experiment_pb2 import Direction, ExperimentStatus
from podium.v1.server_pb2 import Server, ServerLimits

from podium_server.api import answers
from podium_server.api.answer_cache import AnswerCache
from podium_server.api.answers import length_delimited, length_prefix, repeated
from podium_server.api.callers import CALLER
from podium_server.api.filters import (
    ArmFilterRequest,
    arm_filter,
    check_config_filters,
    eval_filter,
    experiment_filter,
    series_filter,
)
from podium_server.api.pages import PageTokens, matrix_limits, page_limits, series_limits
from podium_server.api.rankings import Rankings
from podium_server.api.watch import Watches
from podium_server.errors import failure, out_of_range
from podium_server.store.contract import PageLimits, Store
from podium_server.store.series_changes import FIRST_STEP

__all__ = ["Results"]

_EXPERIMENT_STATUSES: Mapping[int, str] = {
    number: name for name, number in ExperimentStatus.items() if number
}
_DIRECTIONS: Mapping[int, str] = {number: name for name, number in Direction.items()}
_LAST_REVISION = 2**62
_MOST_MEMBERS = 2**31 - 1


class Results:
    """Serves ResultsService from a store. `answer_cache_bytes` limits the cache of responses."""

    def __init__(self, store: Store, limits: Limits, answer_cache_bytes: int = 0) -> None:
        self._store = store
        self._server_limits = limits
        self._limits = limits.for_lookups()
        self._page_tokens = PageTokens(store.page_key)
        self._cache = AnswerCache(answer_cache_bytes)
        self._rankings = Rankings(store, limits, self._cache)
        self.watches = Watches(store)

    async def eval(self, request: results_pb2.EvalRequest) -> bytes:
        """Returns the response with the eval row of a name and, if the request has one, a step.

        The response is empty if there is no such row.
        """
        self._check_arm(request.experiment, request.arm)
        check_name(request.name, "name", self._limits)
        step = request.step if request.HasField("step") else None
        row = await self._store.eval(request.experiment, request.arm, request.name, step)
        return b"" if row is None else length_delimited(_EVAL_RESULT, row)

    async def score(self, request: results_pb2.ScoreRequest) -> bytes:
        """Returns the response with the score of a metric.

        The response is empty if the arm has no score on it.
        """
        self._check_arm(request.experiment, request.arm)
        check_metric(request.metric, "metric", self._limits)
        places = candidates(request.metric)
        found = await self._store.score(request.experiment, request.arm, places)
        return b"" if found is None else answers.score(found)

    async def get_arm(self, request: results_pb2.GetArmRequest) -> bytes:
        """Returns an arm with the first page of its eval rows."""
        self._check_arm(request.experiment, request.arm)
        limits = PageLimits(self._limits.page_rows, self._limits.page_bytes)
        view, page = await self._store.arm(request.experiment, request.arm, limits)
        arm = answers.arm_result(request.experiment, view, page.items)
        rest = results_pb2.ListEvalsRequest(experiment=request.experiment, arm=request.arm)
        tail = results_pb2.GetArmResponse(
            next_evals_page_token=self._page_tokens.write(rest, page.next)
        )
        prefix = length_prefix(_ARM_RESULT, sum(map(len, arm)))
        return b"".join((prefix, *arm, tail.SerializeToString()))

    async def list_arms(self, request: results_pb2.ListArmsRequest) -> results_pb2.ListArmsResponse:
        """Returns a page of arms."""
        check_experiment_name(request.experiment, "experiment", self._limits)
        self._check_arm_filter(request)
        page = await self._store.arms(
            request.experiment,
            self._page_tokens.read(request, -1),
            page_limits(request.page_size, self._limits),
            arm_filter(request),
        )
        return results_pb2.ListArmsResponse(
            arms=[
                answers.arm_summary(request.experiment, view, config=not request.omit_run_config)
                for view in page.items
            ],
            next_page_token=self._page_tokens.write(request, page.next),
            revision=page.revision,
        )

    async def list_evals(self, request: results_pb2.ListEvalsRequest) -> bytes:
        """Returns a page of an arm's eval rows, encoded as they are stored."""
        self._check_arm(request.experiment, request.arm)
        if request.HasField("name"):
            check_name(request.name, "name", self._limits)
        page = await self._store.evals(
            request.experiment,
            request.arm,
            self._page_tokens.read(request, -1),
            page_limits(request.page_size, self._limits),
            eval_filter(request),
        )
        tail = results_pb2.ListEvalsResponse(
            next_page_token=self._page_tokens.write(request, page.next), revision=page.revision
        )
        return b"".join((*repeated(_EVALS, page.items), tail.SerializeToString()))

    async def list_series(
        self, request: results_pb2.ListSeriesRequest
    ) -> results_pb2.ListSeriesResponse:
        """Returns a page of a training series: a list of steps and of values for each key."""
        self._check_arm(request.experiment, request.arm)
        check_keys(request.keys, "keys", self._limits)
        first = request.min_step if request.HasField("min_step") else FIRST_STEP
        page = await self._store.series(
            request.experiment,
            request.arm,
            self._page_tokens.read(request, first),
            series_limits(request.page_size, self._limits),
            series_filter(request),
        )
        return results_pb2.ListSeriesResponse(
            series=answers.series(page.items),
            next_page_token=self._page_tokens.write(request, page.next),
            revision=page.revision,
        )

    async def get_experiment(
        self, request: results_pb2.GetExperimentRequest
    ) -> results_pb2.GetExperimentResponse:
        """Returns an experiment."""
        check_experiment_name(request.experiment, "experiment", self._limits)
        row = await self._store.experiment(request.experiment)
        return results_pb2.GetExperimentResponse(experiment=answers.experiment(row))

    async def list_experiments(
        self, request: results_pb2.ListExperimentsRequest
    ) -> results_pb2.ListExperimentsResponse:
        """Returns a page of experiments."""
        _check_statuses(request.statuses, _EXPERIMENT_STATUSES, self._limits)
        check_keys(request.tags, "tags", self._limits)
        check_text(request.name_prefix, "name_prefix", self._limits)
        page = await self._store.experiments(
            self._page_tokens.read(request, ""),
            page_limits(request.page_size, self._limits),
            experiment_filter(request, CALLER.get().prefixes),
        )
        return results_pb2.ListExperimentsResponse(
            experiments=map(answers.experiment, page.items),
            next_page_token=self._page_tokens.write(request, page.next),
        )

    async def rank(self, request: results_pb2.RankRequest) -> bytes:
        """Returns a page of a ranking."""
        check_experiment_name(request.experiment, "experiment", self._limits)
        if request.HasField("metric"):
            check_metric(request.metric, "metric", self._limits)
        check_enum(request.direction, "direction", _DIRECTIONS)
        self._check_arm_filter(request)
        check_range(request.min_members, "min_members", 0, _MOST_MEMBERS)
        if request.min_members and not request.by_group:
            raise out_of_range(
                "min_members",
                "min_members is set without by_group; set by_group, or leave out min_members",
            )
        return await self._rankings.answer(request)

    async def scores(self, request: results_pb2.ScoresRequest) -> bytes:
        """Returns a page of a matrix of scores, from the cache if the experiment is unchanged."""
        check_experiment_name(request.experiment, "experiment", self._limits)
        self._check_arm_filter(request)
        if not request.metrics:
            raise failure("FIELD_MISSING", "metrics is empty; name at least one", field="metrics")
        check_count(len(request.metrics), "metrics", self._limits.map_keys, "metrics")
        for metric in request.metrics:
            check_metric(metric, "metrics", self._limits)
        experiment, _ = await self._store.ranking_state(request.experiment)
        question = self._cache.question(request)
        kept = self._cache.find(question, experiment.revision)
        if kept is not None:
            return kept
        revision, answer = await self._matrix(request)
        self._cache.keep(question, revision, answer)
        return answer

    async def _matrix(self, request: results_pb2.ScoresRequest) -> tuple[int, bytes]:
        """Reads a page of a matrix. Returns its revision, and the encoded response."""
        found = await self._store.scores(
            request.experiment,
            self._page_tokens.read(request, -1),
            matrix_limits(request.page_size, len(request.metrics), self._limits),
            arm_filter(request),
            list(map(candidates, request.metrics)),
        )
        token = self._page_tokens.write(request, found.next)
        answer = answers.scores(request.metrics, found, token)
        return found.revision, answer.SerializeToString()

    async def list_metrics(
        self, request: results_pb2.ListMetricsRequest
    ) -> results_pb2.ListMetricsResponse:
        """Returns a page of the metrics of an experiment."""
        check_experiment_name(request.experiment, "experiment", self._limits)
        page = await self._store.metrics(
            request.experiment,
            self._page_tokens.read(request, ""),
            page_limits(request.page_size, self._limits),
        )
        return results_pb2.ListMetricsResponse(
            metrics=map(answers.metric, page.items),
            next_page_token=self._page_tokens.write(request, page.next),
            revision=page.revision,
        )

    async def get_server(
        self, _request: results_pb2.GetServerRequest
    ) -> results_pb2.GetServerResponse:
        """Returns the server's version and limits, and the id of its store."""
        server = Server(
            version=podium.__version__,
            store_id=await self._store.store_id(),
            limits=ServerLimits(**asdict(self._server_limits)),
        )
        server.time.GetCurrentTime()
        return results_pb2.GetServerResponse(server=server)

    async def watch(self, request: results_pb2.WatchRequest) -> AsyncGenerator[bytes]:
        """Yields the changes of an experiment as they are committed, as encoded WatchResponses."""
        check_experiment_name(request.experiment, "experiment", self._limits)
        check_range(request.after_revision, "after_revision", 0, _LAST_REVISION)
        check_text(request.epoch, "epoch", self._limits)
        _check_statuses(request.statuses, ARM_STATUSES, self._limits)
        if request.HasField("name_prefix"):
            check_text(request.name_prefix, "name_prefix", self._limits)
        _check_series(request, self._limits)
        async with aclosing(self.watches.watch(request)) as responses:
            async for response in responses:
                yield response

    def _check_arm_filter(self, request: ArmFilterRequest) -> None:
        _check_statuses(request.statuses, ARM_STATUSES, self._limits)
        check_keys(request.tags, "tags", self._limits)
        check_config_filters(request.config, self._limits)
        if request.HasField("name_prefix"):
            check_text(request.name_prefix, "name_prefix", self._limits)

    def _check_arm(self, experiment: str, arm: str) -> None:
        check_experiment_name(experiment, "experiment", self._limits)
        check_name(arm, "arm", self._limits)


_EVAL_RESULT = results_pb2.EvalResponse.EVAL_RESULT_FIELD_NUMBER
_ARM_RESULT = results_pb2.GetArmResponse.ARM_RESULT_FIELD_NUMBER
_EVALS = results_pb2.ListEvalsResponse.EVALS_FIELD_NUMBER


def _check_series(request: results_pb2.WatchRequest, limits: Limits) -> None:
    check_keys(request.series_keys, "series_keys", limits)
    if request.series_keys and not request.with_series:
        raise out_of_range(
            "series_keys",
            "series_keys is set without with_series; set with_series, or leave out the keys",
        )


def _check_statuses(statuses: Collection[int], allowed: Mapping[int, str], limits: Limits) -> None:
    check_count(len(statuses), "statuses", limits.map_keys, "items")
    for status in statuses:
        check_enum(status, "statuses", allowed)
