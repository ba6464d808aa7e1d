"""The ports that a gRPC server listens on: their addresses and their certificates."""

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import grpc
from podium._values.address import host_and_port, socket_path

__all__ = [
    "Certificates",
    "ListenError",
    "PEMFiles",
    "bind",
    "bind_socket",
    "listen_hint",
    "remove_socket",
]


class PEMFiles(NamedTuple):
    """The contents of the certificate and key files of encrypted ports."""

    chain: bytes
    key: bytes
    authorities: bytes | None


class Certificates(Protocol):
    """The certificates of encrypted ports, in the form that each front needs."""

    def credentials(self) -> grpc.ServerCredentials:
        """Returns the credentials of one grpcio port."""

    def newest(self) -> PEMFiles:
        """Returns the contents of the current files: the same object until the files change."""


class ListenError(Exception):
    """An address cannot be listened on. The message has the cause."""


def bind(
    server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None = None
) -> str:
    """Binds an address of a server, or raises ListenError. Returns it with the chosen port."""
    path = socket_path(address)
    try:
        if path is not None:
            bind_socket(address, path, lambda: server.add_insecure_port(address))
            return address
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise ListenError(f"cannot listen on {address}: {_cause(address, path)}") from error
    return f"{address.rpartition(':')[0]}:{port}"


def bind_socket(address: str, path: str, bind: Callable[[], object]) -> None:
    """Binds a unix:PATH address. Only this user can open its socket.

    Replaces a socket at this path that no server listens on. `bind` creates the socket, or raises
    RuntimeError or OSError. Any failure becomes a ListenError.
    """
    file = Path(path)
    if _is_served(file):
        raise ListenError(
            f"cannot listen on {address}: another server listens there; give another address"
        )
    before = os.umask(0o177)
    try:
        if file.is_socket():
            file.unlink()
        bind()
    except (RuntimeError, OSError) as error:
        raise ListenError(f"cannot listen on {address}: {_cause(address, path)}") from error
    finally:
        os.umask(before)


def remove_socket(address: str) -> None:
    """Removes the socket of a unix:PATH address. gRPC does so only if its server has started."""
    path = socket_path(address)
    if path is not None:
        Path(path).unlink(missing_ok=True)


def _is_served(path: Path) -> bool:
    if not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _cause(address: str, path: str | None) -> str:
    """Returns the operating system's error for an address. gRPC writes it only to its own log."""
    try:
        if path is not None:
            Path(path).parent.stat()
            return "a file exists there, or the socket cannot be created"
        host, port = host_and_port(address)
        for family, kind, _, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
    except OSError as error:
        return listen_hint(error)
    return "is another server there?"


def listen_hint(error: OSError) -> str:
    """Returns the text of an operating system's error. Adds a hint if the address is in use."""
    text = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)
    return f"{text}; is another server there?" if error.errno == errno.EADDRINUSE else text
