"""Rules for the addresses that a server listens on."""

import ipaddress
import logging
import socket
from typing import NamedTuple

from podium._values.address import host_and_port, socket_path

from podium_server.serve.settings import ConfigError, Settings
from podium_server.store.contract import Store

__all__ = ["Reach", "check_addresses", "is_reachable", "needs_tokens"]

_log = logging.getLogger(__name__)

_GIVE_TLS = "give --tls-cert and --tls-key"


class Reach(NamedTuple):
    """Tells whether other machines can reach the addresses of a server."""

    is_reachable: bool
    """Whether other machines can reach any address."""
    is_exposed: bool
    """Whether other machines can reach any address without encryption."""


def check_addresses(settings: Settings) -> Reach:
    """Checks the addresses to listen on. Returns whether other machines can reach them.

    Raises:
        ConfigError: An address is malformed, or other machines can reach it and it is not
            protected: they could read and change results, or read tokens on the network.
    """
    reachable = [
        *(address for address in settings.listen if is_reachable(address)),
        *(address for address in settings.http if is_reachable(address, is_http=True)),
    ]
    exposed = [] if settings.tls else reachable
    reach = Reach(bool(reachable), bool(exposed))
    others = f"other machines can reach {', '.join(reachable)}"
    if settings.insecure:
        if exposed and settings.auth == "tokens":
            raise ConfigError(
                f"{others}; even with --insecure, tokens are never accepted there without "
                f"encryption: {_GIVE_TLS}"
            )
        if reach.is_reachable and settings.auth != "tokens":
            _log.warning("%s: they can read and change every result", others)
    elif exposed or (reach.is_reachable and settings.auth == "none"):
        give = _GIVE_TLS if exposed else "leave out --auth none"
        raise ConfigError(
            f"{others}, and all of them could read and change every result; {give}, listen on "
            "127.0.0.1 or unix:PATH, or give --insecure if you trust the network"
        )
    return reach


async def needs_tokens(settings: Settings, store: Store, reach: Reach) -> bool:
    """Returns whether calls need tokens.

    Raises:
        ConfigError: --insecure is given although the store has tokens. The tokens would be ignored,
            or sent without encryption.
    """
    if settings.auth is not None:
        return settings.auth == "tokens"
    if settings.insecure and reach.is_reachable:
        if await store.tokens():
            raise ConfigError(
                "the store has tokens, but --insecure turns tokens off: use "
                "TLS and leave out --insecure, or confirm with --auth none"
            )
        return False
    return reach.is_reachable or bool(await store.tokens())


def is_reachable(address: str, *, is_http: bool = False) -> bool:
    """Returns whether other machines can reach an address of --listen or --http.

    A name with several addresses is reachable if any of them is.
    """
    option = "--http" if is_http else "--listen"
    try:
        if not is_http and socket_path(address, option) is not None:
            return False
        host, _ = host_and_port(address, option, example_port=8080 if is_http else None)
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(
            f"the host in {option} {address!r} cannot be found: {error.strerror}"
        ) from error
    return not all(ipaddress.ip_address(item[4][0]).is_loopback for item in found)
