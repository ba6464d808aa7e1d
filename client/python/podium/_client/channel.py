"""Where a server is, and how a channel to it behaves: plain data, for both clients alike."""

from __future__ import annotations

import json
import math
import os
import re
from typing import Any

from podium._values import coerce

__all__ = [
    "OUTCOME_UNKNOWN",
    "channel_options",
    "connection_failure",
    "deadline",
    "server_address",
]

OUTCOME_UNKNOWN = ": whether it was stored is unknown, and it is safe to send it again"
"""What the text of an error ends in when the answer to a call that writes was lost."""

_DEFAULT_ADDRESS = "localhost:50051"
_ADDRESS = re.compile(r"unix:.+|(?:(?:dns|ipv4|ipv6):/*)?(?:\[[^\]\s]+\]|[^:/\s\[\]]+):[0-9]{1,5}")
_MOST_PORTS = 65_535
_UNIX_BYTES = len("unix:") + 107
_NOT_CONNECTED = re.compile(
    r"(?:failed to connect to all addresses; last error: [A-Z_]+: \S+: "
    r"(?:Failed to connect to remote host: )?"
    r"|errors resolving [^\[]*\[(?:.*: )?)(.+?)\]?",
    re.DOTALL,
)
_LOOPBACK = re.compile(r"(?:localhost|127\.[0-9.]+|\[::1\]):[0-9]+")

# Reads are safe to repeat by gRPC itself; a write may have been stored when its answer is lost.
_RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": "podium.v1.ResultsService"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}

_OPTIONS: dict[str, Any] = {
    "grpc.service_config": json.dumps(_RETRIES),
    "grpc.service_config_disable_resolution": 1,
    # Notices a server that vanished without a word.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.keepalive_permit_without_calls": 1,
    # A server that is back is found while a read is repeated; gRPC's default is two minutes.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
    # A new client tries at once, whatever another one has just seen fail.
    "grpc.use_local_subchannel_pool": 1,
    # What was recorded in a message of 4 MiB comes back with times and revisions.
    "grpc.max_receive_message_length": 16 << 20,
}


def server_address(address: str | None) -> str:
    """Returns a server's address in gRPC's form.

    Args:
        address: `HOST:PORT` or `unix:PATH`. None stands for the environment variable
            PODIUM_ADDRESS, or localhost:50051 where that is not set either.

    Raises:
        ValueError: It is neither.
    """
    if address is None:
        address = os.environ.get("PODIUM_ADDRESS") or _DEFAULT_ADDRESS
    if not _ADDRESS.fullmatch(coerce.text(address, "address")):
        raise ValueError(f"an address is HOST:PORT or unix:PATH, not {address!r}")
    if not address.startswith("unix:") and int(address.rpartition(":")[2]) > _MOST_PORTS:
        raise ValueError(f"a port is at most {_MOST_PORTS}: {address!r}")
    if address.startswith("unix:") and len(os.fsencode(address)) > _UNIX_BYTES:
        raise ValueError(f"the path of a socket has at most 107 bytes: {address!r}")
    return address


def connection_failure(text: str) -> str | None:
    """Why there is no connection, without gRPC's own words; None if a call may have been sent."""
    found = _NOT_CONNECTED.fullmatch(text)
    return None if found is None else found[1]


def channel_options(address: str) -> list[tuple[str, Any]]:
    """Returns the options of a channel to an address."""
    options = list(_OPTIONS.items())
    if _LOOPBACK.fullmatch(address):
        # gRPC would ask the proxy of the environment for this machine's own ports.
        options.append(("grpc.enable_http_proxy", 0))
    return options


def deadline(seconds: float, where: str) -> float:
    """Checks how long a call may take: every call ends, so a finite time in seconds."""
    result = coerce.number(seconds, where)
    if not 0 < result < math.inf:
        raise ValueError(f"{where} must be a positive number of seconds, not {result}")
    return result
