"""Makes the requests of each rpc and reads their responses, without I/O, for both clients.

A function returns `Requests`: a generator that yields requests, receives the response to each, and
returns the result. A connection runs the generator. A function for a list returns `Pages`. Invalid
arguments raise an error before the first request.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from copy import deepcopy
from typing import Any, Generic, TypeAlias, TypeVar

from google.protobuf.message import Message

from podium._client.near_names import warn_of_config, warn_of_unknown
from podium._limits.batches import batches
from podium._limits.limits import DEFAULT_LIMITS
from podium._model.listings import Metric, Server
from podium._model.recording import KeptField, RecordResult, ReplacedAttempt, StreamPosition
from podium._model.results import ArmResult, ArmSummary, EvalResult, Experiment
from podium._values import coerce
from podium._values.arguments import ExperimentStatuses, StepLike, Strings
from podium._wire import codec
from podium._wire.arm_filters import arm_filters, one_or_more
from podium._wire.listings import METRIC, SERVER
from podium._wire.values import get, maybe
from podium.curves import Series
from podium.errors import AbortedError, PodiumError
from podium.scoring import Score
from podium.v1 import arm_result_pb2
from podium.v1 import recording_service_pb2 as recording
from podium.v1 import results_service_pb2 as results
from podium.v1.event_pb2 import Event

__all__ = [
    "ATTEMPTS",
    "Pages",
    "Requests",
    "arms",
    "delete_arm",
    "delete_experiment",
    "eval_result",
    "evals",
    "experiments",
    "find_score",
    "get_arm",
    "get_experiment",
    "metrics",
    "record",
    "record_in_parts",
    "score",
    "series",
    "server",
]

_T = TypeVar("_T")

Requests: TypeAlias = Generator[Message, Any, _T]
"""A generator that yields requests, receives the response to each, and returns a result."""

ATTEMPTS = 5
"""The most tries of a read that takes several calls.

A try fails if the calls see different revisions.
"""


class Pages(Generic[_T]):
    """Makes the requests for the pages of a list, and reads the responses. Does no I/O.

    Args:
        request: The request for the first page.
        noun: The name of the response's field with the items, such as `arms`.
        read: Converts an item.
    """

    def __init__(self, request: Any, noun: str, read: Callable[[Any], _T]) -> None:
        self.request: Message | None = request
        self.noun = noun
        self._next = request
        self._read = read

    def read(self, response: Any) -> list[_T]:
        """Returns the items of a response.

        Sets `request` to the request for the next page, or to None after the last page.
        """
        items = [self._read(item) for item in getattr(response, self.noun)]
        self._next.page_token = response.next_page_token
        self.request = self._next if response.next_page_token else None
        return items

    def next_page(self) -> Requests[list[_T]]:
        """Fetches the next page, and returns its items. After the last page, returns an empty list.

        After an error, another call fetches the same page.
        """
        return [] if self.request is None else self.read((yield self.request))

    def from_start(self) -> "Pages[_T]":
        """Returns the pages of the same list, from the first page on."""
        request = deepcopy(self._next)
        request.ClearField("page_token")
        return type(self)(request, self.noun, self._read)


class _ArmPages(Pages[ArmSummary]):
    """The pages of a list of arms.

    If the list is empty, and no arm has a configuration value that the request filters by, logs a
    warning.
    """

    def next_page(self) -> Requests[list[ArmSummary]]:
        is_first = not self._next.page_token
        items = yield from super().next_page()
        if is_first and not items:
            yield from warn_of_config(self._next)
        return items


# ---- ResultsService ----------------------------------------------------------------------


def eval_result(
    experiment: str, arm: str, name: str, step: StepLike | None
) -> Requests[EvalResult | None]:
    """Calls Eval. Returns the eval row with a name and a step.

    Without a step, returns the post-training row or, if there is none, the in-loop row with the
    greatest step. Returns None if there is no such row.
    """
    name = coerce.text(name, "name")
    at = coerce.optional(coerce.integer, step, "step")
    response = yield results.EvalRequest(experiment=experiment, arm=arm, name=name, step=at)
    return maybe(codec.eval_result_from_proto, get(response, "eval_result"))


def score(experiment: str, arm: str, metric: str) -> Requests[float | None]:
    """Calls Score. Returns the score without its source, or None if there is no score."""
    metric = coerce.text(metric, "metric")
    response = yield results.ScoreRequest(experiment=experiment, arm=arm, metric=metric)
    return response.value if response.HasField("value") else None


def find_score(experiment: str, arm: str, metric: str) -> Requests[Score | None]:
    """Calls Score. Returns the score with its source, or None if there is no score."""
    metric = coerce.text(metric, "metric")
    response = yield results.ScoreRequest(experiment=experiment, arm=arm, metric=metric)
    return codec.score_from_proto(response)


def get_arm(experiment: str, arm: str) -> Requests[ArmResult]:
    """Calls GetArm and ListEvals. Returns the arm with all its rows, as of one revision."""
    for _ in range(ATTEMPTS):
        found = yield from _arm_in_one_state(experiment, arm)
        if found is not None:
            return codec.arm_result_from_proto(found)
    raise AbortedError(
        f"arm {arm!r} of {experiment!r} changed {ATTEMPTS} times while its rows were read: "
        "it is too busy to be read as a whole; try again, or call eval(), score() or evals()"
    )


def _arm_in_one_state(experiment: str, arm: str) -> Requests[arm_result_pb2.ArmResult | None]:
    response = yield results.GetArmRequest(experiment=experiment, arm=arm)
    found: arm_result_pb2.ArmResult = response.arm_result
    token = response.next_evals_page_token
    while token:
        page = yield results.ListEvalsRequest(
            experiment=experiment, arm=arm, page_size=DEFAULT_LIMITS.page_rows, page_token=token
        )
        if page.revision != found.revision:
            return None
        found.evals.extend(page.evals)
        token = page.next_page_token
    return found


def arms(
    experiment: str, *, run_configs: bool = True, page_size: int | None, **filters: Any
) -> Pages[ArmSummary]:
    """Calls ListArms. Returns the pages of arms. The filters are those of `arm_filters`."""
    request = results.ListArmsRequest(
        experiment=experiment,
        page_size=_page_size(page_size),
        omit_run_config=not run_configs,
        **arm_filters(**filters),
    )
    return _ArmPages(request, "arms", codec.arm_summary_from_proto)


def evals(
    experiment: str,
    arm: str,
    *,
    name: str | None,
    min_step: StepLike | None,
    max_step: StepLike | None,
    page_size: int | None,
) -> Pages[EvalResult]:
    """Calls ListEvals. Returns the pages of an arm's eval rows."""
    request = results.ListEvalsRequest(
        experiment=experiment,
        arm=arm,
        page_size=_page_size(page_size),
        name=coerce.optional(coerce.text, name, "name"),
    )
    _set_steps(request, min_step, max_step)
    return Pages(request, "evals", codec.eval_result_from_proto)


def series(
    experiment: str,
    arm: str,
    keys: Strings,
    *,
    min_step: StepLike | None,
    max_step: StepLike | None,
    page_size: int | None,
) -> Requests[dict[str, Series]]:
    """Calls ListSeries. Returns the training series of an arm by key.

    Logs a warning if no arm of the experiment has a metric with a requested key.
    """
    request = results.ListSeriesRequest(
        experiment=experiment,
        arm=arm,
        page_size=_page_size(page_size),
        keys=coerce.texts(keys, "keys"),
    )
    _set_steps(request, min_step, max_step)
    pages = Pages(request, "series", codec.SERIES.from_proto)
    found: dict[str, Series] = {}
    while pages.request is not None:
        for part in (yield from pages.next_page()):
            known = found.setdefault(part.key, Series(part.key))
            known.steps.extend(part.steps)
            known.values.extend(part.values)
    for key in request.keys:
        if key not in found and min_step is max_step is None:
            yield from warn_of_unknown(experiment, key, "values by step for")
    return found


def _set_steps(request: Any, least: StepLike | None, most: StepLike | None) -> None:
    for name, given in (("min_step", least), ("max_step", most)):
        if given is not None:
            setattr(request, name, coerce.integer(given, name))
    if least is not None and most is not None and request.min_step > request.max_step:
        raise ValueError(
            f"min_step is {request.min_step} and max_step is {request.max_step}: the range is "
            "reversed; exchange them"
        )


def metrics(experiment: str) -> Pages[Metric]:
    """Calls ListMetrics. Returns the pages of an experiment's metrics."""
    request = results.ListMetricsRequest(experiment=experiment, page_size=DEFAULT_LIMITS.page_rows)
    return Pages(request, "metrics", METRIC.from_proto)


def server() -> Requests[Server]:
    """Calls GetServer. Returns the properties of the server."""
    response = yield results.GetServerRequest()
    return SERVER.from_proto(response.server)


def get_experiment(experiment: str) -> Requests[Experiment]:
    """Calls GetExperiment. Returns the experiment without its arms."""
    response = yield results.GetExperimentRequest(experiment=experiment)
    return codec.experiment_from_proto(response.experiment)


def experiments(
    *,
    name_prefix: str | None,
    status: ExperimentStatuses | None,
    tags: Strings,
    page_size: int | None,
) -> Pages[Experiment]:
    """Calls ListExperiments. Returns the pages of experiments."""
    request = results.ListExperimentsRequest(
        page_size=_page_size(page_size),
        name_prefix=coerce.optional(coerce.text, name_prefix, "name_prefix"),
        statuses=map(codec.experiment_status_to_proto, one_or_more(status)),
        tags=coerce.texts(tags, "tags"),
    )
    return Pages(request, "experiments", codec.experiment_from_proto)


def _page_size(given: int | None) -> int:
    return 0 if given is None else coerce.count(given, "page_size")


# ---- RecordingService --------------------------------------------------------------------


def record(
    experiment: str,
    events: Iterable[Event],
    position: StreamPosition | None = None,
    *,
    validate_only: bool = False,
) -> Requests[RecordResult]:
    """Calls Record, which records events of one experiment: all of them or none."""
    request = recording.RecordRequest(
        experiment=experiment,
        events=coerce.list_of(Event)(events, "events"),
        validate_only=validate_only,
    )
    if position is not None:
        request.position.writer_id = coerce.text(position.writer_id, "writer_id")
        request.position.first_sequence = coerce.integer(position.first_sequence, "first_sequence")
    response = yield request
    return RecordResult(
        revision=response.revision,
        changed_events=response.changed_events,
        skipped_events=response.skipped_events,
        last_sequence=get(response, "last_sequence"),
        kept_fields=tuple(KeptField(kept.path, kept.event_index) for kept in response.kept_fields),
        replaced_attempts=tuple(map(_replaced, response.replaced_attempts)),
    )


def record_in_parts(experiment: str, events: Iterable[Event]) -> Requests[RecordResult]:
    """Records events in as many Record calls as the limits of the server require.

    Returns the results of these calls as one.
    """
    total: RecordResult | None = None
    pending = deque(batches(("", event) for event in events))
    while pending:
        batch = pending.popleft()
        try:
            result = yield from record(experiment, batch.events())
        except PodiumError as error:
            pending.extendleft(reversed(batch.halves(error)))
        else:
            total = result if total is None else _together(total, result)
    if total is None:
        raise ValueError("there are no events to record")
    return total


def _together(first: RecordResult, second: RecordResult) -> RecordResult:
    return RecordResult(
        revision=second.revision,
        changed_events=first.changed_events + second.changed_events,
        kept_fields=first.kept_fields + second.kept_fields,
        replaced_attempts=first.replaced_attempts + second.replaced_attempts,
    )


def _replaced(message: recording.ReplacedAttempt) -> ReplacedAttempt:
    return ReplacedAttempt(
        attempt_id=message.attempt.id,
        quiet_seconds=message.quiet_seconds,
        host=get(message, "host"),
        event_index=message.event_index,
    )


def delete_arm(experiment: str, arm: str, *, allow_missing: bool) -> Requests[int]:
    """Calls DeleteArm. Returns the new revision of the experiment."""
    response = yield recording.DeleteArmRequest(
        experiment=experiment, arm=arm, allow_missing=allow_missing
    )
    return int(response.revision)


def delete_experiment(experiment: str, *, allow_missing: bool) -> Requests[int]:
    """Calls DeleteExperiment. Returns the last revision that the experiment had."""
    response = yield recording.DeleteExperimentRequest(
        experiment=experiment, allow_missing=allow_missing
    )
    return int(response.revision)
