"""The server as a whole: store, services, health, and the way down.

On the way down health says NOT_SERVING first, new calls are answered SHUTTING_DOWN while those
under way get the grace period to end, and the store is closed when everything that was
accepted is durable.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import OVERALL_HEALTH
from grpc_health.v1.health import aio as health
from podium.v1 import recording_service_pb2, results_service_pb2

from podium_server.api.answer_cache import AnswerCache
from podium_server.api.recording import Recording
from podium_server.api.results import Results
from podium_server.rpc.methods import Admission, service_handler
from podium_server.serve.settings import (
    ConfigError,
    Settings,
    host_and_port,
    is_reachable,
    sqlite_path,
)
from podium_server.store.contract import Store
from podium_server.store.sqlite import SqliteStore

__all__ = ["running", "server_options"]

_log = logging.getLogger(__name__)

_RESULTS = results_service_pb2.DESCRIPTOR.services_by_name["ResultsService"]
_RECORDING = recording_service_pb2.DESCRIPTOR.services_by_name["RecordingService"]
_KEPT = ("Eval", "Score")
"""The rpcs whose answers are kept: small ones about one arm, asked for again and again."""
_LAST_ANSWERS_SECONDS = 0.2
"""How long the last answers may take to reach their callers; watches of health end then."""
_NAMES = (OVERALL_HEALTH, _RESULTS.full_name, _RECORDING.full_name)


@contextlib.asynccontextmanager
async def running(settings: Settings, broken: asyncio.Event) -> AsyncIterator[Sequence[str]]:
    """Serves inside the block; gives the addresses that it listens on.

    `broken` is set when the store failed so that the process has to end.
    """
    check_addresses(settings)
    store = SqliteStore(sqlite_path(settings.store), on_broken=broken.set)
    await store.open()
    try:
        server = grpc.aio.server(options=server_options(settings))
        checks = health.HealthServicer()
        admission = Admission(settings.concurrent_calls, settings.pending_bytes)
        _add_services(server, checks, store, settings, admission)
        addresses = [_listen(server, address) for address in settings.listen]
        await server.start()
        await _set_health(checks, health_pb2.HealthCheckResponse.SERVING)
        try:
            yield addresses
        finally:
            await checks.enter_graceful_shutdown()
            await admission.close(settings.grace_seconds)
            await server.stop(_LAST_ANSWERS_SECONDS)
    finally:
        await store.close()


def check_addresses(settings: Settings) -> None:
    """Refuses addresses that others can reach, unless that was asked for; then it warns."""
    for address in settings.listen:
        if not is_reachable(address):
            continue
        if not settings.insecure:
            raise ConfigError(
                f"others can reach {address}, and whoever does can read and change every result; "
                "listen on 127.0.0.1 or unix:PATH, or say --insecure if the network is yours alone"
            )
        _log.warning("others can reach %s: they can read and change every result", address)


def server_options(settings: Settings) -> list[tuple[str, int]]:
    """The options of the gRPC server."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.limits.message_bytes),
        ("grpc.max_concurrent_streams", 1_000),
        ("grpc.server_handshake_timeout_ms", 5_000),
        ("grpc.max_connection_idle_ms", 300_000),
        ("grpc.max_connection_age_ms", 600_000),
        ("grpc.max_connection_age_grace_ms", 30_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _add_services(
    server: grpc.aio.Server,
    checks: health.HealthServicer,
    store: Store,
    settings: Settings,
    admission: Admission,
) -> None:
    for_rankings = settings.answer_cache_bytes // 4
    cache = AnswerCache(settings.answer_cache_bytes - for_rankings)
    store.listen(cache)
    kept = {rpc: cache.rpc() for rpc in _KEPT}
    results = Results(store, settings.limits, for_rankings)
    server.add_generic_rpc_handlers(
        (
            service_handler(_RESULTS, results, admission, kept),
            service_handler(_RECORDING, Recording(store, settings.limits), admission, {}),
        )
    )
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    if settings.reflection:
        # Only here, since its import costs every start a tenth of a second.
        from grpc_reflection.v1alpha import reflection  # noqa: PLC0415

        health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        names = (*_NAMES[1:], health_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)


async def _set_health(checks: health.HealthServicer, status: int) -> None:
    for name in _NAMES:
        await checks.set(name, status)


def _listen(server: grpc.aio.Server, address: str) -> str:
    """Binds an address; gives it with the port that was chosen."""
    try:
        if address.startswith("unix:"):
            return _listen_on_socket(server, address)
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigError(f"cannot listen on {address}: {_why_not(address)}") from error
    return f"{address.rpartition(':')[0]}:{port}"


def _why_not(address: str) -> str:
    """What the operating system says of an address; gRPC has said it to its own log only."""
    try:
        if address.startswith("unix:"):
            Path(address.removeprefix("unix:")).parent.stat()
            return "there is a file, or it cannot be made"
        host, port = host_and_port(address)
        for family, kind, _, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
    except OSError as error:
        hint = "; is another server there?" if error.errno == errno.EADDRINUSE else ""
        return f"{error.strerror}{hint}"
    return "is another server there?"


def _listen_on_socket(server: grpc.aio.Server, address: str) -> str:
    """Binds a socket that only this user can open; one that is served already is kept."""
    path = Path(address.removeprefix("unix:"))
    if _is_served(path):
        raise ConfigError(f"cannot listen on {address}: another server does")
    before = os.umask(0o177)
    try:
        server.add_insecure_port(address)
    finally:
        os.umask(before)
    return address


def _is_served(path: Path) -> bool:
    if not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
