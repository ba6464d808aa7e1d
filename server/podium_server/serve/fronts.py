"""Loads the parts of a server that need an extra: fronts and traces."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from podium_server.rpc.fronts.grpcio import GrpcioFront
from podium_server.rpc.fronts.ports import Certificates
from podium_server.rpc.handlers import Method
from podium_server.rpc.serving import CallServer
from podium_server.serve.settings import ConfigError, FrontName

if TYPE_CHECKING:
    from podium_server.rpc.fronts.connect import ConnectFront
    from podium_server.rpc.tracing import Tracing

__all__ = ["Front", "front_of", "http_front", "tracing"]


class Front(Protocol):
    """Receives gRPC calls."""

    def __init__(
        self,
        services: Mapping[str, Iterable[Method]],
        server: CallServer,
        *,
        message_bytes: int,
        certificates: Certificates | None,
        on_failed: Callable[[], None],
    ) -> None: ...

    async def start(self, addresses: Sequence[str]) -> list[str]:
        """Serves on addresses, or raises ListenError. Returns them with the chosen ports."""

    async def stop(self) -> None:
        """Ends all calls and connections within a limited time."""


def front_of(name: FrontName) -> type[Front]:
    """Returns the front with a name. For `auto`, returns the native front if it is installed.

    Raises:
        ConfigError: The name is `native`, and the native front is not installed.
    """
    if name == "grpcio":
        return GrpcioFront
    try:
        with _extra("--front native", "fast"):
            from podium_server.rpc.fronts.native import NativeFront  # noqa: PLC0415 - an extra
    except ConfigError:
        if name == "native":
            raise
        # The native front is not installed, or was built for another system.
        return GrpcioFront
    return NativeFront


def http_front() -> type["ConnectFront"]:
    """Returns the front of HTTP. Raises ConfigError if its libraries are not installed."""
    with _extra("--http", "http"):
        from podium_server.rpc.fronts.connect import ConnectFront  # noqa: PLC0415 - an extra
    return ConnectFront


def tracing(share: float) -> "Tracing":
    """Returns a tracer for a share of the calls. Raises ConfigError if libraries are missing."""
    with _extra("--traces", "otel"):
        from podium_server.rpc.tracing import Tracing  # noqa: PLC0415 - an extra
    return Tracing(share)


@contextlib.contextmanager
def _extra(option: str, extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        text = f"{option} needs more packages: pip install 'podium[{extra}]'"
        raise ConfigError(text) from error
