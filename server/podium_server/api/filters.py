"""The filters of list requests, as the store takes them."""

from podium._wire.values import experiment_status_from_proto
from podium.v1 import results_service_pb2 as results_pb2

from podium_server.store.filters import (
    ArmFilter,
    EvalFilter,
    ExperimentFilter,
    SeriesFilter,
)

__all__ = ["ArmFilterRequest", "arm_filter", "eval_filter", "experiment_filter", "series_filter"]

ArmFilterRequest = results_pb2.ListArmsRequest | results_pb2.RankRequest | results_pb2.ScoresRequest
"""The requests that filter arms, by fields of the same names."""


def arm_filter(request: ArmFilterRequest | results_pb2.WatchRequest) -> ArmFilter:
    """Returns which arms a list, a ranking, a matrix or a watch shows."""
    return ArmFilter(
        statuses=frozenset(request.statuses),
        group_name=request.group_name if request.HasField("group_name") else None,
        name_prefix=request.name_prefix,
        tags=frozenset(() if isinstance(request, results_pb2.WatchRequest) else request.tags),
    )


def eval_filter(request: results_pb2.ListEvalsRequest) -> EvalFilter:
    """Returns which rows a list shows."""
    return EvalFilter(
        name=request.name if request.HasField("name") else None,
        min_step=request.min_step if request.HasField("min_step") else None,
        max_step=request.max_step if request.HasField("max_step") else None,
    )


def series_filter(request: results_pb2.ListSeriesRequest) -> SeriesFilter:
    """Returns which points a list shows."""
    keys = frozenset(request.keys)
    return (
        SeriesFilter(keys, request.max_step) if request.HasField("max_step") else SeriesFilter(keys)
    )


def experiment_filter(
    request: results_pb2.ListExperimentsRequest, within: tuple[str, ...]
) -> ExperimentFilter:
    """Returns which experiments a list shows to a caller who is limited to names."""
    return ExperimentFilter(
        statuses=frozenset(map(experiment_status_from_proto, request.statuses)),
        name_prefix=request.name_prefix,
        tags=frozenset(request.tags),
        within=within,
    )
