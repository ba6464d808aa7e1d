"""Finds names that are similar to one that does not exist, and adds them to errors. No I/O."""

from typing import TypeVar

from podium._client.calls import Steps
from podium._values.suggest import did_you_mean
from podium.errors import NotFoundError, PodiumError
from podium.v1 import results_service_pb2 as results

__all__ = ["near_metrics", "with_near_names"]

_T = TypeVar("_T")

_METRICS = 1_000
_COMPARED = 200
"""The most metrics, and the most other names, that are fetched to find similar names."""


def near_metrics(experiment: str, metric: str) -> Steps[str | None]:
    """Calls ListMetrics: returns a question that names metrics with similar names.

    Returns None if the metric exists, and an empty text if no name is similar or the call fails.
    The caller already has its result, so a failed suggestion is not an error.
    """
    request = results.ListMetricsRequest(experiment=experiment, page_size=_METRICS)
    try:
        known = dict.fromkeys(each.name for each in (yield request).metrics)
    except PodiumError:
        return ""
    return None if metric in known else did_you_mean(metric, known)


def with_near_names(steps: Steps[_T]) -> Steps[_T]:
    """Runs steps. If the experiment or the arm does not exist, the error suggests similar names."""
    try:
        return (yield from steps)
    except NotFoundError as error:
        # A Record call may come before its arm exists. Its sender then waits and needs no names.
        if not error.refusals:
            suggestion = yield from _suggestion(error)
            error.message += suggestion
            error.args = (error.message,)
        raise


def _suggestion(error: NotFoundError) -> Steps[str]:
    experiment = error.metadata.get("experiment", "")
    try:
        if error.reason == "ARM_NOT_FOUND":
            response = yield results.ListArmsRequest(experiment=experiment, page_size=_COMPARED)
            return did_you_mean(error.metadata.get("arm", ""), (arm.name for arm in response.arms))
        if error.reason == "EXPERIMENT_NOT_FOUND":
            response = yield results.ListExperimentsRequest(page_size=_COMPARED)
            return did_you_mean(experiment, (found.name for found in response.experiments))
    except PodiumError:
        pass
    return ""
