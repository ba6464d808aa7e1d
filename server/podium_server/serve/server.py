"""The server as a whole: starts and stops its store, its services and health.

When the server stops, health reports NOT_SERVING first, and watches end. New calls are rejected
with SHUTTING_DOWN. Running calls get the grace period to end. The store is closed when all accepted
writes are durable.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from podium.v1 import access_service_pb2, recording_service_pb2, results_service_pb2

from podium_server.api.quotas import Quotas
from podium_server.api.recording import Recording
from podium_server.api.results import Results
from podium_server.api.tokens import Tokens
from podium_server.rpc.access.rules import check_rules
from podium_server.rpc.access.tokens import Access
from podium_server.rpc.admission import Admission
from podium_server.rpc.audit import Audit
from podium_server.rpc.handlers import StreamMethod, service_methods
from podium_server.rpc.health import HEALTH_SERVICE, Health
from podium_server.rpc.reflection import reflection_services
from podium_server.rpc.serving import CallServer
from podium_server.rpc.telemetry import Telemetry
from podium_server.serve import fronts
from podium_server.serve.addresses import Reach, check_addresses, needs_tokens
from podium_server.serve.settings import Settings
from podium_server.serve.tls import Certificates
from podium_server.store.contract import Store
from podium_server.store.open import open_store
from podium_server.store.shown_url import shown_url

__all__ = ["running"]

_log = logging.getLogger(__name__)

_RESULTS = results_service_pb2.DESCRIPTOR.services_by_name["ResultsService"]
_RECORDING = recording_service_pb2.DESCRIPTOR.services_by_name["RecordingService"]
_ACCESS = access_service_pb2.DESCRIPTOR.services_by_name["AccessService"]
_SERVICES = ("", _RESULTS.full_name, _RECORDING.full_name, _ACCESS.full_name)


@contextlib.asynccontextmanager
async def running(settings: Settings, broken: asyncio.Event) -> AsyncIterator[Sequence[str]]:
    """Serves inside the block. Yields the addresses that the server listens on.

    Sets `broken` when the server has failed. The process must then end.
    """
    reach = check_addresses(settings)
    certificates = None if settings.tls is None else Certificates(settings.tls)
    make_front = fronts.front_of(settings.front)
    make_http = fronts.http_front() if settings.http else None
    tracing = None if settings.traces is None else fronts.tracing(settings.traces)
    store = await open_store(settings.store, on_broken=broken.set)
    audit = None
    is_started = False
    try:
        audit = None if settings.audit is None else Audit(settings.audit)
        # Reads may work without the leader of a database, so the server as a whole still serves.
        health = Health(dict.fromkeys(_SERVICES) | {_RECORDING.full_name: store.takes_writes})
        results = Results(store, settings.limits, settings.answer_cache_bytes)
        message_bytes = settings.limits.message_bytes
        at_once = {
            name: number
            for name, number in settings.total_limits.given().items()
            if name in {"calls", "watches"}
        }
        limits = replace(settings.admission, message_bytes=message_bytes, **at_once)
        admission = Admission(limits)
        quotas = Quotas(settings.token_limits, settings.total_limits, store.row_count)
        access = await _access(store, settings, reach, quotas)
        services = {
            _RESULTS.full_name: service_methods(_RESULTS, results),
            _RECORDING.full_name: service_methods(_RECORDING, Recording(store, settings.limits)),
            _ACCESS.full_name: service_methods(_ACCESS, Tokens(store, settings.limits)),
            HEALTH_SERVICE: health.methods(),
        }
        grpc_services = services | (reflection_services(services) if settings.reflection else {})
        methods = [method for group in grpc_services.values() for method in group]
        check_rules(method.name for method in methods)
        telemetry = Telemetry(
            [admission.gauges, store.gauges, *([audit.gauges] if audit else ())],
            audit,
            (method.name for method in methods if isinstance(method, StreamMethod)),
            None if tracing is None else tracing.begin,
            quotas.row_gauges,
            store.histograms,
        )
        front = make_front(
            grpc_services,
            CallServer(admission, access, telemetry),
            message_bytes=message_bytes,
            certificates=certificates,
            on_failed=broken.set,
        )
        http = None
        if make_http is not None:
            http = make_http(
                services,
                admission,
                access,
                telemetry,
                tls=None if certificates is None else certificates.context(),
                origins=settings.http_origins,
            )
        try:
            # All addresses are bound before the first call, so that a failed start stores nothing.
            urls = http.bind(settings.http) if http else []
            addresses = await front.start(settings.listen)
            is_started = True
            if http is not None:
                http.start()
            yield [*addresses, *urls]
        finally:
            health.stop()
            results.watches.stop()
            await admission.close(settings.grace_seconds)
            if http is not None:
                await http.stop()
            await front.stop()
    finally:
        await (store.close if is_started else store.discard)()
        if audit is not None:
            await asyncio.to_thread(audit.close if is_started else audit.discard)
        if tracing is not None:
            await asyncio.to_thread(tracing.close)


async def _access(store: Store, settings: Settings, reach: Reach, quotas: Quotas) -> Access:
    is_on = await needs_tokens(settings, store, reach)
    if is_on and not await store.tokens():
        _log.warning(
            "calls need a token, and the store has none: podium token create --store %s",
            shown_url(settings.store),
        )
    return Access(store.tokens, is_on=is_on, is_exposed=reach.is_exposed, quotas=quotas)
