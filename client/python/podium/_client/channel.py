"""The options of a gRPC channel, and error messages for failed connections, for both clients."""

from __future__ import annotations

import math
import re
import sys
from contextvars import ContextVar
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from podium._values import coerce
from podium._values.metadata import OUTBOX_LAG_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "OUTBOX_LAG",
    "OUTCOME_UNKNOWN",
    "channel_options",
    "connection_failure",
    "deadline",
    "is_loopback",
    "lag_metadata",
    "trace_metadata",
]

OUTBOX_LAG: ContextVar[Callable[[], float] | None] = ContextVar("podium_outbox_lag", default=None)
"""A function that returns the age in seconds of the oldest undelivered event.

A sender sets it; in other processes, it is None.
"""

OUTCOME_UNKNOWN = ": whether it was stored is unknown, and it is safe to send it again"
"""The end of the error message if the response to a write was lost."""

_NOT_CONNECTED = re.compile(
    r"(?:(?:failed to connect to all addresses|connections to all backends failing); "
    r"last error: (?:[A-Z_]+: )?\S+: (?:Failed to connect to remote host: )?"
    r"|errors resolving [^\[]*\[(?:.*: )?)(.+?)\]?",
    re.DOTALL,
)
_ALL_SERVERS = "dns:"
"""The prefix of an address with which gRPC connects to all servers that a name resolves to."""
_BALANCED: dict[str, Any] = {
    # Calls go in turns to all servers that the name resolves to, except those whose health service
    # reports that they are stopping.
    "grpc.service_config": (
        '{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}'
    ),
    # The next server is tried soon if one disappeared.
    "grpc.min_reconnect_backoff_ms": 2_000,
    "grpc.keepalive_timeout_ms": 5_000,
}
"""The additional options of channels if there are several servers."""
_LOOPBACK = re.compile(r"(?:localhost|127\.[0-9.]+|\[::1\]):[0-9]+")

_OPTIONS: dict[str, Any] = {
    # The client itself retries, since gRPC would use neither the reason nor the deadline.
    "grpc.service_config_disable_resolution": 1,
    # Detects a server that disappeared without closing its connection.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.keepalive_permit_without_calls": 1,
    # A returning server must be found while a call is retried. gRPC's default is two minutes.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
    # A new client connects at once, even if another client has just failed to connect.
    "grpc.use_local_subchannel_pool": 1,
    # A response can be larger than 4 MiB, the limit of a request: it has the same results, with
    # times and revisions.
    "grpc.max_receive_message_length": 16 << 20,
}


def connection_failure(text: str) -> str | None:
    """Returns the reason why no connection was made, taken from gRPC's error message.

    Returns None if the message is about another problem. In this case, the call may have been sent.
    """
    found = _NOT_CONNECTED.fullmatch(text)
    return None if found is None else found[1]


def channel_options(address: str, *, has_others: bool = False) -> list[tuple[str, Any]]:
    """Returns the gRPC options of a channel to an address.

    `has_others` must be True if the client has channels to other servers, too.
    """
    is_balanced = has_others or address.startswith(_ALL_SERVERS)
    known = _OPTIONS | _BALANCED if is_balanced else _OPTIONS
    options = [*known.items(), ("grpc.primary_user_agent", _user_agent())]
    if is_loopback(address):
        # gRPC would use the proxy of the environment even for ports of this machine.
        options.append(("grpc.enable_http_proxy", 0))
    return options


@cache
def _user_agent() -> str:
    """Returns the name and version of the client. Reading the version takes a millisecond."""
    return f"podium-python/{metadata.version('podium')}"


def is_loopback(address: str) -> bool:
    """Returns whether an address is a loopback address, which only this machine can reach."""
    return _LOOPBACK.fullmatch(address) is not None


def deadline(seconds: float, where: str) -> float:
    """Returns a time limit as a float, in seconds.

    Raises a ValueError if it is not positive and finite. `where` is the name of the argument in the
    error.
    """
    result = coerce.number(seconds, where)
    if not 0 < result < math.inf:
        raise ValueError(f"{where} must be a positive, finite number of seconds, not {result}")
    return result


def lag_metadata() -> tuple[tuple[str, str], ...]:
    """Returns metadata with the age of the sender's oldest undelivered event.

    Returns an empty tuple if the process is not a sender.
    """
    lag = OUTBOX_LAG.get()
    return () if lag is None else ((OUTBOX_LAG_KEY, f"{lag():.3f}"),)


def trace_metadata() -> tuple[tuple[str, str], ...]:
    """Returns metadata that links the server's spans to the current span of OpenTelemetry.

    Returns an empty tuple if OpenTelemetry is not loaded.
    """
    if "opentelemetry.trace" not in sys.modules:
        return ()
    from opentelemetry.propagate import inject  # noqa: PLC0415 - an optional package

    headers: dict[str, str] = {}
    inject(headers)
    return tuple((name.lower(), value) for name, value in headers.items())
