"""Converts descriptions of servers, tokens and metrics to and from podium.v1."""

from podium._limits.limits import Limits
from podium._model import access, listings
from podium._wire.tables import Codec, repeated
from podium._wire.values import ROLE, SCORE_ORIGIN, Field, timestamp_from_proto, timestamp_to_proto
from podium.v1 import metric_pb2, server_pb2, token_pb2

__all__ = ["METRIC", "SERVER", "TOKEN", "TOKEN_LIMITS"]

_METRIC_SOURCE = Codec(listings.MetricSource, metric_pb2.MetricSource, origin=SCORE_ORIGIN)
METRIC = Codec(listings.Metric, metric_pb2.Metric, sources=repeated(_METRIC_SOURCE.field))

_LIMITS = Codec(Limits, server_pb2.ServerLimits)
_TIME = Field(timestamp_to_proto, timestamp_from_proto)
SERVER = Codec(
    listings.Server, server_pb2.Server, required=["limits"], limits=_LIMITS.field, time=_TIME
)

TOKEN_LIMITS = Codec(access.TokenLimits, token_pb2.TokenLimits)
TOKEN = Codec(
    access.Token,
    token_pb2.Token,
    required=["limits"],
    role=ROLE,
    prefixes=Field(list, list),
    create_time=_TIME,
    expire_time=_TIME,
    revoke_time=_TIME,
    limits=TOKEN_LIMITS.field,
)
