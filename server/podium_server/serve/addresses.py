"""Rules for the addresses that a server listens on."""

import ipaddress
import logging
import socket
from collections.abc import Iterable

from podium._values.address import host_and_port, socket_path

from podium_server.serve.settings import ConfigError

__all__ = ["check_addresses", "is_reachable"]

_log = logging.getLogger(__name__)


def check_addresses(addresses: Iterable[str], *, insecure: bool, encrypted: bool) -> None:
    """Checks the addresses to listen on, and warns of those that other machines can reach.

    Raises:
        ConfigError: An address is malformed, or other machines can reach it, and it is neither
            `encrypted` nor is `insecure` set.
    """
    for address in addresses:
        if not is_reachable(address):
            continue
        if not (insecure or encrypted):
            raise ConfigError(
                f"other machines can reach {address}, and all of them could read and change every "
                "result; give --tls-cert and --tls-key, listen on 127.0.0.1 or unix:PATH, or give "
                "--insecure if you trust the network"
            )
        _log.warning("other machines can reach %s: they can read and change every result", address)


def is_reachable(address: str) -> bool:
    """Returns whether other machines can reach a HOST:PORT or unix:PATH address.

    A name that stands for several addresses is reachable if any of them is.
    """
    try:
        if socket_path(address) is not None:
            return False
        host, _ = host_and_port(address)
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"address {address!r}: {error.strerror}") from error
    return not all(ipaddress.ip_address(item[4][0]).is_loopback for item in found)
