"""What a server is started with, and the rules for it."""

import ipaddress
import socket
from dataclasses import dataclass, field
from pathlib import Path

from podium._validate import Limits

__all__ = ["ConfigError", "Settings", "is_reachable", "sqlite_path"]


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
    concurrent_calls: int = 2_000
    pending_bytes: int = 64 * 1024 * 1024
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


def is_reachable(address: str) -> bool:
    """Whether others than this machine can reach an address: `HOST:PORT` or `unix:PATH`."""
    if address.startswith("unix:"):
        return False
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"address {address!r} is neither HOST:PORT nor unix:PATH")
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"address {address!r}: {error.strerror}") from error
    return not all(ipaddress.ip_address(item[4][0]).is_loopback for item in found)
