"""The service grpc.health.v1.Health. Its methods take and return bytes, as all methods do."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from grpc_health.v1 import health_pb2
from podium.errors import NotFoundError

from podium_server.errors import shutting_down
from podium_server.rpc.handlers import Method, StreamMethod, UnaryMethod, parsed

__all__ = ["HEALTH_SERVICE", "Health"]

HEALTH_SERVICE: str = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_pb2: Any = health_pb2
"""The module without its types: the type stubs of the package lack the messages of List."""


_CHECK_SECONDS = 1.0
"""The seconds between two checks of a service, however many clients ask for its health."""


class Health:
    """Reports whether services are served, by name. `""` is the server as a whole.

    Args:
        services: The services. Some have a function that returns whether they are served now;
            the others are served until `stop` is called.
    """

    def __init__(self, services: Mapping[str, Callable[[], Awaitable[bool]] | None]) -> None:
        self._services = {name: check and _Check(check) for name, check in services.items()}
        self._is_serving = True
        self._stopped = asyncio.Event()

    def methods(self) -> list[Method]:
        """Returns the methods of the service."""
        methods: list[Method] = [
            UnaryMethod(f"{HEALTH_SERVICE}.Check", self._check),
            StreamMethod(f"{HEALTH_SERVICE}.Watch", self._watch),
        ]
        # Old versions of grpcio-health-checking lack List. The server then answers UNIMPLEMENTED.
        if hasattr(_pb2, "HealthListRequest"):
            methods.append(UnaryMethod(f"{HEALTH_SERVICE}.List", self._list))
        return methods

    def stop(self) -> None:
        """Reports NOT_SERVING from now on, and ends all watches."""
        self._is_serving = False
        self._stopped.set()

    async def _check(self, raw: bytes) -> bytes:
        service = _service_of(raw)
        if service not in self._services:
            raise NotFoundError(f"the server has no service {service!r}")
        return await self._response(service)

    async def _list(self, raw: bytes) -> bytes:
        parsed(_pb2.HealthListRequest.FromString, raw)
        response = _pb2.HealthListResponse()
        for service in self._services:
            response.statuses[service].ParseFromString(await self._response(service))
        return bytes(response.SerializeToString())

    async def _watch(self, raw: bytes) -> AsyncGenerator[bytes]:
        service = _service_of(raw)
        seconds = _CHECK_SECONDS if self._services.get(service) else None
        shown = None
        while not self._stopped.is_set():
            response = await self._response(service)
            if response != shown:
                shown = response
                yield response
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopped.wait()
        yield await self._response(service)
        raise shutting_down()

    async def _response(self, service: str) -> bytes:
        check = self._services.get(service)
        is_serving = self._is_serving and (check is None or await check.is_serving())
        status = "SERVING" if is_serving else "NOT_SERVING"
        if service not in self._services:
            status = "SERVICE_UNKNOWN"
        return bytes(_pb2.HealthCheckResponse(status=status).SerializeToString())


class _Check:
    """Checks whether a service is served, at most once in `_CHECK_SECONDS`."""

    def __init__(self, check: Callable[[], Awaitable[bool]]) -> None:
        self._check = check
        self._lock = asyncio.Lock()
        self._is_serving = True
        self._next = 0.0

    async def is_serving(self) -> bool:
        async with self._lock:
            if time.monotonic() >= self._next:
                self._is_serving = await self._check()
                self._next = time.monotonic() + _CHECK_SECONDS
            return self._is_serving


def _service_of(raw: bytes) -> str:
    return str(parsed(_pb2.HealthCheckRequest.FromString, raw).service)
