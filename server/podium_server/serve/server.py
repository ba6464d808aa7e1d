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
from podium.v1 import recording_service_pb2, results_service_pb2

from podium_server.api.answer_cache import AnswerCache
from podium_server.api.recording import Recording
from podium_server.api.results import Results
from podium_server.rpc.admission import Admission
from podium_server.rpc.fronts.grpcio import generic_handler, server_options
from podium_server.rpc.handlers import service_methods
from podium_server.rpc.health import HEALTH_SERVICE, Health
from podium_server.serve.settings import (
    ConfigError,
    Settings,
    host_and_port,
    is_reachable,
)
from podium_server.store.contract import Store
from podium_server.store.open import open_store

__all__ = ["running"]

_log = logging.getLogger(__name__)

_RESULTS = results_service_pb2.DESCRIPTOR.services_by_name["ResultsService"]
_RECORDING = recording_service_pb2.DESCRIPTOR.services_by_name["RecordingService"]
_SERVICES = ("", _RESULTS.full_name, _RECORDING.full_name)
_CACHED = ("Eval", "Score")
"""The rpcs whose responses are cached: small ones about one arm, asked for again and again."""
_LAST_RESPONSES_SECONDS = 0.1
"""The time for the last responses to reach their clients; then gRPC ends all calls."""
_STOP_SECONDS = 1.0
"""The time for gRPC to end. The process exits soon afterwards in any case."""


@contextlib.asynccontextmanager
async def running(settings: Settings, broken: asyncio.Event) -> AsyncIterator[Sequence[str]]:
    """Serves inside the block; yields the addresses that the server listens on.

    Args:
        settings: The settings of the server.
        broken: Set when the store failed, so that the process has to end.
    """
    check_addresses(settings)
    store = await open_store(settings.store, on_broken=broken.set)
    try:
        server = grpc.aio.server(options=server_options(settings.limits.message_bytes))
        health = Health(_SERVICES)
        admission = Admission(settings.admission)
        _add_services(server, health, store, settings, admission)
        addresses = [_listen(server, address) for address in settings.listen]
        await server.start()
        try:
            yield addresses
        finally:
            health.stop()
            await admission.close(settings.grace_seconds)
            await _stop(server)
    finally:
        await store.close()


async def _stop(server: grpc.aio.Server) -> None:
    """Ends gRPC, in bounded time: a client that reads nothing must not hold it up."""
    try:
        await asyncio.wait_for(server.stop(_LAST_RESPONSES_SECONDS), _STOP_SECONDS)
    except TimeoutError:
        _log.warning("connections did not end within %s s", _STOP_SECONDS)


def check_addresses(settings: Settings) -> None:
    """Checks the addresses to listen on, and warns of those that other machines can reach.

    Raises:
        ConfigError: Other machines can reach an address, and `insecure` is not set.
    """
    for address in settings.listen:
        if not is_reachable(address):
            continue
        if not settings.insecure:
            raise ConfigError(
                f"other machines can reach {address}, and all of them could read and change every "
                "result; listen on 127.0.0.1 or unix:PATH, or give --insecure if you trust the "
                "network"
            )
        _log.warning("other machines can reach %s: they can read and change every result", address)


def _add_services(
    server: grpc.aio.Server,
    health: Health,
    store: Store,
    settings: Settings,
    admission: Admission,
) -> None:
    for_rankings = settings.answer_cache_bytes // 4
    cache = AnswerCache(settings.answer_cache_bytes - for_rankings)
    store.listen(cache)
    cached = {rpc: cache.rpc() for rpc in _CACHED}
    results = Results(store, settings.limits, for_rankings)
    recording = Recording(store, settings.limits)
    services = {
        _RESULTS.full_name: service_methods(_RESULTS, results, cached),
        _RECORDING.full_name: service_methods(_RECORDING, recording, {}),
        HEALTH_SERVICE: health.methods(),
    }
    server.add_generic_rpc_handlers(
        tuple(generic_handler(name, methods, admission) for name, methods in services.items())
    )
    if settings.reflection:
        # Imported only when it is used: the import takes a tenth of a second.
        from grpc_reflection.v1alpha import reflection  # noqa: PLC0415

        names = (*services, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)


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
