"""Chooses the front that receives the calls of gRPC."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from podium._values.address import socket_path

from podium_server.rpc.fronts.grpcio import GrpcioFront
from podium_server.rpc.handlers import Method
from podium_server.rpc.serving import CallServer
from podium_server.serve.settings import ConfigError, Settings
from podium_server.serve.tls import Certificates

__all__ = ["Front", "front_of"]

Services = Mapping[str, Iterable[Method]]


class Front(Protocol):
    """Receives the calls of gRPC."""

    async def start(self, addresses: Sequence[str]) -> list[str]:
        """Serves on addresses. Returns them with the ports that were chosen."""

    async def stop(self) -> None:
        """Ends all calls and connections in bounded time."""


MakeFront = Callable[
    [Settings, Services, CallServer, Certificates | None, Callable[[], None]], Front
]
"""Makes a front. The last argument is called when it has failed for good."""


def front_of(settings: Settings) -> MakeFront:
    """Returns what makes the front that the settings choose.

    Raises:
        ConfigError: The front is not installed, or cannot do what other settings ask for.
    """
    if settings.front == "grpcio":
        return _grpcio
    try:
        import podium_front  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        if settings.front == "auto":
            return _grpcio
        raise ConfigError(
            "--front native needs another package: pip install 'podium[fast]'"
        ) from error
    return _native


def _grpcio(
    settings: Settings,
    services: Services,
    server: CallServer,
    certificates: Certificates | None,
    on_failed: Callable[[], None],
) -> Front:
    return GrpcioFront(
        services,
        server,
        message_bytes=settings.limits.message_bytes,
        on_failed=on_failed,
        credentials=None if certificates is None else certificates.credentials,
    )


def _native(
    settings: Settings,
    services: Services,
    server: CallServer,
    certificates: Certificates | None,
    on_failed: Callable[[], None],
) -> Front:
    from podium_server.rpc.fronts.native import NativeFront  # noqa: PLC0415 - an extra

    ports = NativeFront(
        services,
        server,
        message_bytes=settings.limits.message_bytes,
        certificates=None if certificates is None else certificates.newest,
    )
    return _Both(ports, lambda: _grpcio(settings, services, server, None, on_failed))


class _Both:
    """Serves ports with the native front, and Unix sockets with grpcio.

    On a socket, clients that use the C library of gRPC send its path as the host, in a form that
    the HTTP library of the native front rejects.
    """

    def __init__(self, ports: Front, make_sockets: Callable[[], Front]) -> None:
        self._make_sockets = make_sockets
        self._ports = ports
        self._started: list[Front] = []

    async def start(self, addresses: Sequence[str]) -> list[str]:
        """Serves on addresses. Returns them with the ports that were chosen."""
        sockets = [address for address in addresses if socket_path(address) is not None]
        ports = [address for address in addresses if socket_path(address) is None]
        self._started.append(self._ports)
        found = iter(await self._ports.start(ports))
        if sockets:
            front = self._make_sockets()
            self._started.append(front)
            await front.start(sockets)
        return [address if address in sockets else next(found) for address in addresses]

    async def stop(self) -> None:
        """Ends all calls and connections in bounded time."""
        await asyncio.gather(*(front.stop() for front in self._started))
