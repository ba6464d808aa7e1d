"""Converts descriptions of servers and metrics to and from podium.v1."""

from podium._limits.limits import Limits
from podium._model import listings
from podium._wire.tables import Codec, repeated
from podium._wire.values import SCORE_ORIGIN
from podium.v1 import metric_pb2, server_pb2

__all__ = ["METRIC", "SERVER"]

_METRIC_SOURCE = Codec(listings.MetricSource, metric_pb2.MetricSource, origin=SCORE_ORIGIN)
METRIC = Codec(listings.Metric, metric_pb2.Metric, sources=repeated(_METRIC_SOURCE.field))

_LIMITS = Codec(Limits, server_pb2.ServerLimits)
SERVER = Codec(listings.Server, server_pb2.Server, required=["limits"], limits=_LIMITS.field)
