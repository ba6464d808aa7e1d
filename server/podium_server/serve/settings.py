"""What a server is started with, and the rules for it."""

import ipaddress
import socket
from dataclasses import dataclass, field

from podium._limits.limits import Limits
from podium._values import address as _address

from podium_server.rpc.admission import AdmissionLimits

__all__ = ["ConfigError", "Settings", "host_and_port", "is_reachable"]


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


def host_and_port(address: str) -> tuple[str, int]:
    """Returns the parts of `HOST:PORT`; an IPv6 host has brackets around it."""
    try:
        return _address.host_and_port(address)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def is_reachable(address: str) -> bool:
    """Returns whether other machines can reach an address: `HOST:PORT` or `unix:PATH`."""
    try:
        if _address.socket_path(address) is not None:
            return False
    except ValueError as error:
        raise ConfigError(str(error)) from error
    host, _ = host_and_port(address)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"address {address!r}: {error.strerror}") from error
    return not all(ipaddress.ip_address(item[4][0]).is_loopback for item in found)
