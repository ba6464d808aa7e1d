"""The server as a whole: store, services, health, and the way down.

On the way down health reports NOT_SERVING first, and watches end. New calls are refused with
SHUTTING_DOWN, those under way get the grace period to end, and the store is closed when everything
that was accepted is durable.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from podium.v1 import recording_service_pb2, results_service_pb2

from podium_server.api.recording import Recording
from podium_server.api.results import Results
from podium_server.rpc.admission import Admission
from podium_server.rpc.fronts.grpcio import GrpcioFront
from podium_server.rpc.handlers import Method, service_methods
from podium_server.rpc.health import HEALTH_SERVICE, Health
from podium_server.serve.addresses import check_addresses
from podium_server.serve.settings import ConfigError, Settings
from podium_server.serve.tls import Certificates
from podium_server.store.open import open_store

if TYPE_CHECKING:
    from podium_server.rpc.fronts.connect import ConnectFront

__all__ = ["running"]

_RESULTS = results_service_pb2.DESCRIPTOR.services_by_name["ResultsService"]
_RECORDING = recording_service_pb2.DESCRIPTOR.services_by_name["RecordingService"]
_SERVICES = ("", _RESULTS.full_name, _RECORDING.full_name)


@contextlib.asynccontextmanager
async def running(settings: Settings, broken: asyncio.Event) -> AsyncIterator[Sequence[str]]:
    """Serves inside the block; yields the addresses that the server listens on.

    Args:
        settings: The settings of the server.
        broken: Set when the server failed, so that the process has to end.
    """
    check_addresses(settings.listen, insecure=settings.insecure, encrypted=settings.tls is not None)
    check_addresses(settings.http, insecure=settings.insecure, encrypted=False)
    certificates = None if settings.tls is None else Certificates(settings.tls)
    store = await open_store(settings.store, on_broken=broken.set)
    try:
        health = Health(_SERVICES)
        results = Results(store, settings.limits, settings.answer_cache_bytes)
        message_bytes = settings.limits.message_bytes
        admission = Admission(replace(settings.admission, message_bytes=message_bytes))
        services = _services(results, Recording(store, settings.limits), health)
        front = GrpcioFront(
            services,
            admission,
            message_bytes=message_bytes,
            reflection=settings.reflection,
            on_failed=broken.set,
            credentials=None if certificates is None else certificates.credentials,
        )
        http = _http_front(services, admission) if settings.http else None
        addresses = await front.start(settings.listen)
        try:
            yield [*addresses, *(await http.start(settings.http) if http else ())]
        finally:
            health.stop()
            results.watches.stop()
            await admission.close(settings.grace_seconds)
            if http is not None:
                await http.stop()
            await front.stop()
    finally:
        await store.close()


def _http_front(services: Mapping[str, Sequence[Method]], admission: Admission) -> "ConnectFront":
    try:
        from podium_server.rpc.fronts.connect import ConnectFront  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError("--http needs more packages: pip install 'podium[http]'") from error
    return ConnectFront(services, admission)


def _services(
    results: Results, recording: Recording, health: Health
) -> Mapping[str, Sequence[Method]]:
    return {
        _RESULTS.full_name: service_methods(_RESULTS, results),
        _RECORDING.full_name: service_methods(_RECORDING, recording),
        HEALTH_SERVICE: health.methods(),
    }
