"""Converts the filters of requests to the filters of the store."""

import math
from collections.abc import Sequence
from dataclasses import replace

from podium._limits.checks import check_count, check_metric, check_set
from podium._limits.limits import Limits
from podium._wire.values import experiment_status_from_proto, get, value_from_proto
from podium.v1 import results_service_pb2 as results_pb2
from podium.v1.config_filter_pb2 import ConfigFilter, NumberRange

from podium_server.errors import failure, out_of_range
from podium_server.store.filters import (
    ArmFilter,
    ConfigCondition,
    EvalFilter,
    ExperimentFilter,
    SeriesFilter,
)
from podium_server.store.series_changes import LAST_STEP

__all__ = [
    "ArmFilterRequest",
    "arm_filter",
    "check_config_filters",
    "eval_filter",
    "experiment_filter",
    "series_filter",
]

_MOST_CONDITIONS = 100
_COMPARED = {"null_value", "bool_value", "int_value", "double_value", "string_value"}

ArmFilterRequest = results_pb2.ListArmsRequest | results_pb2.RankRequest | results_pb2.ScoresRequest
"""The requests that filter arms. Their filter fields have the same names."""


def arm_filter(request: ArmFilterRequest | results_pb2.WatchRequest) -> ArmFilter:
    """Returns the filter of arms from a request.

    The request is for a list, a ranking, scores or a watch.
    """
    shown = ArmFilter(
        statuses=frozenset(request.statuses),
        group_name=get(request, "group_name"),
        name_prefix=request.name_prefix,
    )
    if isinstance(request, results_pb2.WatchRequest):
        return shown
    config = tuple(map(_condition, request.config))
    return replace(shown, tags=frozenset(request.tags), config=config)


def _condition(given: ConfigFilter) -> ConfigCondition:
    if given.WhichOneof("condition") == "equals":
        return ConfigCondition(given.path, value_from_proto(given.equals))
    bounds = given.range
    least = bounds.min if bounds.HasField("min") else -math.inf
    most = bounds.max if bounds.HasField("max") else math.inf
    return ConfigCondition(given.path, (least, most))


def check_config_filters(given: Sequence[ConfigFilter], limits: Limits) -> None:
    """Raises an error if a condition on the run_configs of arms is invalid."""
    check_count(len(given), "config", _MOST_CONDITIONS, "items")
    for index, item in enumerate(given):
        field = f"config[{index}]"
        check_metric(item.path, f"{field}.path", limits)
        kind = item.WhichOneof("condition")
        check_set(is_set=kind is not None, field=f"{field}.condition")
        if kind == "equals" and item.equals.WhichOneof("kind") not in _COMPARED:
            raise failure(
                "VALUE_INVALID",
                f"{field}.equals must be null, a boolean, a number or a string",
                field=f"{field}.equals",
            )
        if item.range.HasField("min") and item.range.HasField("max"):
            _check_order(item.range, f"{field}.range")
        if kind == "range" and (math.isnan(item.range.min) or math.isnan(item.range.max)):
            raise out_of_range(f"{field}.range", f"{field}.range has NaN as a limit; give numbers")


def _check_order(bounds: NumberRange, field: str) -> None:
    if bounds.min > bounds.max:
        raise out_of_range(
            field,
            f"{field} is from {bounds.min:g} to {bounds.max:g}, which is reversed; give the "
            "smaller number as min",
        )


def eval_filter(request: results_pb2.ListEvalsRequest) -> EvalFilter:
    """Returns the filter of eval rows from a ListEvals request."""
    return EvalFilter(get(request, "name"), get(request, "min_step"), get(request, "max_step"))


def series_filter(request: results_pb2.ListSeriesRequest) -> SeriesFilter:
    """Returns the filter of points from a ListSeries request."""
    last = request.max_step if request.HasField("max_step") else LAST_STEP
    return SeriesFilter(frozenset(request.keys), last)


def experiment_filter(
    request: results_pb2.ListExperimentsRequest, within: tuple[str, ...]
) -> ExperimentFilter:
    """Returns the filter of experiments from a request.

    `within` has the caller's prefixes. The filter selects only experiments within them.
    """
    return ExperimentFilter(
        statuses=frozenset(map(experiment_status_from_proto, request.statuses)),
        name_prefix=request.name_prefix,
        tags=frozenset(request.tags),
        within=within,
    )
