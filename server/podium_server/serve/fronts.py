"""Chooses the front that receives the calls of gRPC."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

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
"""A function that makes a front. The front calls the last argument if it fails for good."""


def front_of(settings: Settings) -> MakeFront:
    """Returns the function that makes the front of the settings.

    Raises:
        ConfigError: The front is not installed.
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
    _on_failed: Callable[[], None],
) -> Front:
    from podium_server.rpc.fronts.native import NativeFront  # noqa: PLC0415 - an extra

    return NativeFront(
        services,
        server,
        message_bytes=settings.limits.message_bytes,
        certificates=None if certificates is None else certificates.newest,
    )
