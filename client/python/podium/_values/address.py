"""Addresses of servers: the definition of `HOST:PORT` and `unix:PATH` for client and server.

A client accepts several `HOST:PORT`, separated by commas, if the servers have the same results.
"""

from __future__ import annotations

import ipaddress
import os
import re
from typing import NamedTuple

from podium._values import coerce

__all__ = [
    "DEFAULT_PORT",
    "HostPort",
    "host_and_port",
    "server_address",
    "server_addresses",
    "socket_path",
]

DEFAULT_PORT = 50051
_DEFAULT_ADDRESS = f"localhost:{DEFAULT_PORT}"
_UNIX = "unix:"
_SOCKET_BYTES = 107
_MAX_PORT = 65_535
_HOST_PORT = re.compile(r"(?:\[([^\]\s]+)\]|([^:/\s\[\]]+)):([0-9]{1,5})")
# gRPC's own names of resolvers, which a client may put before HOST:PORT.
_RESOLVER = re.compile(r"(?:dns|ipv4|ipv6):/*")
_URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://(?:[^/@]*@)?([^/?#\s]+)")


class HostPort(NamedTuple):
    """The two parts of an address of the form `HOST:PORT`."""

    host: str
    port: int


def server_address(address: str | None) -> str:
    """Returns the address of the server, or of several servers, that a client connects to.

    Removes white space around the address, such as the line break at the end of a mounted secret.

    Args:
        address: `HOST:PORT`, several of them separated by commas, or `unix:PATH`. If None, the
            environment variable PODIUM_ADDRESS is used, and localhost:50051 if that is not set
            either.

    Raises:
        ValueError: The address has another form. The message suggests a similar, valid address.
    """
    source = "address" if address is not None else "PODIUM_ADDRESS"
    given = os.environ.get("PODIUM_ADDRESS", "") if address is None else address
    text = coerce.text(given, source).strip()
    if address is None and not text:
        return _DEFAULT_ADDRESS
    if socket_path(text, source) is not None:
        return text
    addresses = server_addresses(text)
    for each in addresses:
        resolver = _RESOLVER.match(each)
        host_and_port(each[resolver.end() :] if resolver else each, source)
    return ",".join(addresses)


def server_addresses(address: str) -> tuple[str, ...]:
    """Splits the result of `server_address` into one address for each server, without repetitions.

    An address `unix:PATH` is one server, even if its path has commas.
    """
    if address.startswith(_UNIX):
        return (address,)
    return tuple(dict.fromkeys(each.strip() for each in address.split(",")))


def socket_path(address: str, source: str = "address") -> str | None:
    """Returns the path of a `unix:PATH` address, or None for an address of another form.

    Raises a ValueError if the path is invalid.
    """
    if not address.startswith(_UNIX):
        return None
    path = address.removeprefix(_UNIX)
    if not path:
        raise _malformed(address, source)
    if len(os.fsencode(path)) > _SOCKET_BYTES:
        raise ValueError(
            f"{source} {address!r} is too long: the path after {_UNIX} has at most "
            f"{_SOCKET_BYTES} bytes"
        )
    return path


def host_and_port(
    address: str, source: str = "address", *, example_port: int | None = None
) -> HostPort:
    """Returns the parts of a `HOST:PORT` address. An IPv6 host has brackets around it.

    Args:
        address: The address.
        source: The name of the option or variable that has the address.
        example_port: The port of the example in the error message. If None, `unix:PATH` is valid,
            too, and the message names both forms.

    Raises:
        ValueError: The address has another form, or the port is too large.
    """
    found = _HOST_PORT.fullmatch(address)
    if found is None:
        raise _malformed(address, source, example_port)
    port = int(found[3])
    if port > _MAX_PORT:
        raise ValueError(f"{source} {address!r} has no valid port: a port is at most {_MAX_PORT}")
    return HostPort(found[1] or found[2], port)


def _malformed(address: str, source: str, example_port: int | None = None) -> ValueError:
    near = None if address.startswith(_UNIX) else _similar(address, example_port or DEFAULT_PORT)
    forms = "HOST:PORT" if example_port else "HOST:PORT or unix:PATH"
    example = f", such as {near!r}," if near else ","
    name = "an address" if source == "address" else source
    return ValueError(f"{name} is {forms}{example} not {address!r}")


def _similar(address: str, port: int) -> str | None:
    """Returns a valid address with the host or port of a malformed address, or None."""
    # A file of environment variables may have quotes around its values.
    address = address.strip("\"' ")
    if address.isdecimal() and int(address) <= _MAX_PORT:
        return f"127.0.0.1:{address}"
    url = _URL.match(address)
    host = url[1] if url else address
    if host.count(":") > 1 and not host.startswith("["):
        front, _, last = host.rpartition(":")
        return f"[{front}]:{last}" if _is_ipv6(front) else f"[{host}]:{port}"
    for candidate in (host, f"{host.rstrip(':')}:{port}"):
        if _HOST_PORT.fullmatch(candidate):
            return candidate
    return None


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
