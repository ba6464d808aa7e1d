"""The front that uses grpcio's asyncio server."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

import grpc

from podium_server.rpc.fronts.grpcio_handlers import generic_handler
from podium_server.rpc.fronts.ports import Certificates, ListenError, bind, remove_socket
from podium_server.rpc.handlers import Method
from podium_server.rpc.serving import CallServer

__all__ = ["MAX_CONNECTIONS", "OVERSIZE", "GrpcioFront", "server_options"]

_log = logging.getLogger(__name__)

MAX_CONNECTIONS = 1_000
"""The most connections to each address at a time."""
OVERSIZE = 2
"""Requests up to this multiple of the limit are read, so that the error can have a reason."""
_LAST_RESPONSES_SECONDS = 0.1
"""The seconds in which the last responses must reach their clients. Then gRPC ends all calls."""
_STOP_SECONDS = 1.0
"""The seconds that gRPC gets to end. Then the process exits, even if gRPC has not ended."""
_LOOK_SECONDS = 0.1
_REBIND_TRIES, _REBIND_SECONDS = 50, 0.02


def server_options(message_bytes: int) -> list[tuple[str, int]]:
    """Returns the options of the grpcio server."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", OVERSIZE * message_bytes),
        # The limits of connections, and of the streams of each connection.
        ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
        ("grpc.server_handshake_timeout_ms", 5_000),
        ("grpc.http2.settings_timeout", 5_000),
        ("grpc.max_connection_idle_ms", 300_000),
        ("grpc.max_connection_age_ms", 600_000),
        ("grpc.max_connection_age_grace_ms", 30_000),
        # A client with more calls than streams would see some of them fail.
        ("grpc.max_concurrent_streams", 1_000),
        # Old versions of gRPC also count ended calls, and then reject new ones without a reason.
        ("grpc.http.overload_protection", 0),
        # The most calls that wait for Python. gRPC cancels further calls without a reason, by
        # default from 1,000 on.
        ("grpc.server.max_pending_requests", 8_000),
        ("grpc.server.max_pending_requests_hard_limit", 8_000),
        # gRPC cancels calls that Python has not accepted within this time, also without a
        # reason. The default of 30 s is too little for a burst on a busy machine; clients have
        # deadlines.
        ("grpc.server_max_unrequested_time_in_server", 600),
        # The part of a request that gRPC buffers before a handler reads it.
        ("grpc.http2.lookahead_bytes", 16 * 1024),
        ("grpc.http2.bdp_probe", 0),
        # Clients send each header in full. With a table, a small block of references to large
        # headers would take long to decode.
        ("grpc.http2.hpack_table_size.decoder", 0),
        # Limits the pings of clients, and sends pings to clients that may be gone.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]


class GrpcioFront:
    """Serves methods with grpcio.

    The grpcio server ends if it gets a call whose path is not UTF-8. All running calls then
    fail. The front starts the server again, and clients connect again. If the server cannot start
    again, the front calls `on_failed`.
    """

    def __init__(
        self,
        services: Mapping[str, Iterable[Method]],
        server: CallServer,
        *,
        message_bytes: int,
        certificates: Certificates | None,
        on_failed: Callable[[], None],
    ) -> None:
        self._handlers = tuple(
            generic_handler(name, methods, server) for name, methods in services.items()
        )
        self._options = server_options(message_bytes)
        self._on_failed = on_failed
        self._certificates = certificates
        self._addresses: list[str] = []
        self._watcher: asyncio.Task[None] | None = None

    async def start(self, addresses: Sequence[str]) -> list[str]:
        """Serves on addresses, or raises ListenError. Returns them with the chosen ports."""
        self._server = self._new_server()
        self._addresses = self._bind(addresses)
        await self._server.start()
        self._watcher = asyncio.create_task(self._restart_when_ended())
        return self._addresses

    async def stop(self) -> None:
        """Ends all calls and connections within a limited time, even if clients do not react."""
        if self._watcher is None:
            return  # it has not started
        self._watcher.cancel()
        try:
            await asyncio.wait_for(self._server.stop(_LAST_RESPONSES_SECONDS), _STOP_SECONDS)
        except TimeoutError:
            _log.warning("connections did not end within %s s", _STOP_SECONDS)

    def _new_server(self) -> grpc.aio.Server:
        server = grpc.aio.server(options=self._options)
        server.add_generic_rpc_handlers(self._handlers)
        return server

    def _bind(self, addresses: Sequence[str]) -> list[str]:
        certificates, bound = self._certificates, list[str]()
        try:
            for address in addresses:
                credentials = certificates.credentials() if certificates else None
                bound.append(bind(self._server, address, credentials))
        except ListenError:
            for address in bound:
                remove_socket(address)
            raise
        return bound

    async def _restart_when_ended(self) -> None:
        """Starts the server again if it has ended. Polls, as gRPC's own wait may never return."""
        while True:
            try:
                await self._server.wait_for_termination(_LOOK_SECONDS)
            except Exception as error:  # noqa: BLE001 - gRPC passes on whatever ended it
                _log.error("a bad call ended gRPC's server; Podium starts it again: %s", error)
                try:
                    await self._restart()
                except ListenError:
                    _log.exception("gRPC's server cannot start again")
                    self._on_failed()
                    return

    async def _restart(self) -> None:
        for left in reversed(range(_REBIND_TRIES)):
            self._server = self._new_server()
            try:
                self._bind(self._addresses)
                break
            except ListenError:
                if not left:
                    raise
            await asyncio.sleep(_REBIND_SECONDS)
        await self._server.start()
