"""Finds names that are similar to an unknown one, and adds them to errors and warnings.

Does no I/O. See `podium._client.calls`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from podium._values.suggest import did_you_mean
from podium._wire import codec
from podium.errors import NotFoundError, PodiumError
from podium.v1 import results_service_pb2 as results

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from podium._client.calls import Requests
    from podium._model.results import ArmSummary

__all__ = ["near_filters", "near_metrics", "warn_of_config", "warn_of_unknown", "with_near_names"]

_LOGGER = logging.getLogger("podium")
_CONFIG = "config."
_ARMS = 1_000
"""The most arms that are fetched to find the paths of configuration values."""
_MOST_WARNED = 1_000
_warned: set[tuple[str, str]] = set()

_T = TypeVar("_T")

_METRICS = 1_000
_COMPARED = 200
"""The most metrics, and the most names of arms or experiments, that are fetched for comparison."""


def near_metrics(experiment: str, metric: str) -> Requests[str | None]:
    """Calls ListMetrics. Returns a hint such as `; did you mean 'val.acc'?`, with similar metrics.

    Returns "" if no metric is similar or the call fails, and None if the metric exists.
    """
    request = results.ListMetricsRequest(experiment=experiment, page_size=_METRICS)
    try:
        known = dict.fromkeys(each.name for each in (yield request).metrics)
    except PodiumError:
        return ""
    return None if metric in known else did_you_mean(metric, known)


def near_filters(
    arms: Sequence[ArmSummary],
    *,
    config: Iterable[str],
    group_name: str | None = None,
    name_prefix: str | None = None,
    tags: Iterable[str] = (),
) -> str:
    """Returns the end of a message: it names the first filter that none of the arms matches.

    The message suggests similar values. Returns "" if at least one arm matches each filter.
    """
    names = [arm.name for arm in arms]
    groups = [arm.group_name for arm in arms if arm.group_name is not None]
    known_tags = [tag for arm in arms for tag in arm.tags]
    paths = [
        key.removeprefix(_CONFIG) for arm in arms for key in arm.record() if key.startswith(_CONFIG)
    ]
    is_begun = name_prefix is None or any(name.startswith(name_prefix) for name in names)
    for text, wanted, known in (
        ("is in group", [group_name], groups),
        ("has the tag", tags, known_tags),
        ("begins with", [] if is_begun else [name_prefix], names),
        ("has a configuration value", config, paths),
    ):
        for name in wanted:
            if name is not None and name not in known:
                return f": none {text} {name!r}{did_you_mean(name, dict.fromkeys(known))}"
    return ""


def warn_of_config(request: Any) -> Requests[None]:
    """Calls ListArms. Logs a warning if no arm has a configuration value that a request filters by.

    At most one warning is logged for each experiment and path.
    """
    paths = [each.path for each in request.config]
    if not paths:
        return
    experiment = request.experiment
    try:
        found = yield results.ListArmsRequest(experiment=experiment, page_size=_ARMS)
    except PodiumError:
        return
    if found.next_page_token:
        return  # an arm that was not fetched may have the value
    near = near_filters([codec.arm_summary_from_proto(arm) for arm in found.arms], config=paths)
    if near and found.arms and _is_first_time(experiment, near):
        _LOGGER.warning("podium: no arms of %r match%s", experiment, near)


def warn_of_unknown(experiment: str, metric: str, what: str) -> Requests[None]:
    """Calls ListMetrics. Logs a warning if no arm has a metric. The warning names similar metrics.

    At most one warning is logged for each experiment and metric.

    Args:
        experiment: The name of the experiment.
        metric: The metric that a request did not find. Its name may be misspelt.
        what: What was not found, such as `a score on`.
    """
    if not _is_first_time(experiment, metric):
        return
    near = yield from near_metrics(experiment, metric)
    if near is None:
        return  # arms that the request left out have the metric
    _LOGGER.warning("podium: no arm of %r has %s %r%s", experiment, what, metric, near)


def _is_first_time(experiment: str, subject: str) -> bool:
    """Returns whether this is the first warning about a metric or filter of an experiment."""
    key = (experiment, subject)
    is_new = key not in _warned
    if len(_warned) < _MOST_WARNED:
        _warned.add(key)
    return is_new


def with_near_names(requests: Requests[_T]) -> Requests[_T]:
    """Runs the requests of a call.

    If its experiment or arm does not exist, adds similar names to the error.
    """
    try:
        return (yield from requests)
    except NotFoundError as error:
        # A Record call may come before its arm exists. Its sender waits, so it needs no names.
        if not error.refusals:
            suggestion = yield from _suggestion(error)
            error.message += suggestion
            error.args = (error.message,)
        raise


def _suggestion(error: NotFoundError) -> Requests[str]:
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
