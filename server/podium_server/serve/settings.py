"""What a server is started with, and the rules for it."""

import ipaddress
import os
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path

from podium._limits.checks import Limits

from podium_server.rpc.admission import AdmissionLimits

__all__ = ["ConfigError", "Settings", "host_and_port", "is_reachable", "sqlite_path"]

_HOST_AND_PORT = re.compile(r"(?:\[([^\]\s]+)\]|([^:\s\[\]]+)):([0-9]{1,5})")
_MOST_PORTS = 65_535
_SOCKET_BYTES = 107


class ConfigError(Exception):
    """A setting can't be; the text says why and what would be right."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a server; see `podium serve --help` for what each means."""

    listen: tuple[str, ...] = ("127.0.0.1:50051",)
    store: str = "sqlite:///podium.db"
    insecure: bool = False
    reflection: bool = False
    grace_seconds: float = 1.5
    admission: AdmissionLimits = field(default_factory=AdmissionLimits)
    answer_cache_bytes: int = 8 * 1024 * 1024
    limits: Limits = field(default_factory=Limits)


def sqlite_path(url: str) -> Path:
    """The file of a store's URL: `sqlite:///relative.db` or `sqlite:////absolute.db`."""
    prefix = "sqlite:///"
    if not url.startswith(prefix) or url.removeprefix(prefix) in ("", ":memory:"):
        raise ConfigError(
            f"store {url!r} is not known; give sqlite:///FILE, or sqlite:////FILE for a path from /"
        )
    return Path(url.removeprefix(prefix))


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of `HOST:PORT`, where an IPv6 address stands in brackets."""
    found = _HOST_AND_PORT.fullmatch(address)
    if found is None:
        raise ConfigError(
            f"address {address!r} is neither HOST:PORT nor unix:PATH; "
            "an IPv6 address stands in brackets: [::1]:50051"
        )
    port = int(found[3])
    if port > _MOST_PORTS:
        raise ConfigError(f"address {address!r}: a port is at most {_MOST_PORTS}")
    return found[1] or found[2], port


def is_reachable(address: str) -> bool:
    """Whether others than this machine can reach an address: `HOST:PORT` or `unix:PATH`."""
    if address.startswith("unix:"):
        if len(os.fsencode(address.removeprefix("unix:"))) > _SOCKET_BYTES:
            text = f"the path of a socket has at most {_SOCKET_BYTES} bytes"
            raise ConfigError(f"address {address!r}: {text}")
        return False
    host, _ = host_and_port(address)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"address {address!r}: {error.strerror}") from error
    return not all(ipaddress.ip_address(item[4][0]).is_loopback for item in found)
