"""The service grpc.health.v1.Health. Its methods take and return bytes like all others."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from grpc_health.v1 import health_pb2
from podium.errors import NotFoundError

from podium_server.errors import shutting_down
from podium_server.rpc.handlers import Method, StreamMethod, UnaryMethod, parsed

__all__ = ["HEALTH_SERVICE", "Health"]

HEALTH_SERVICE: str = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_pb2: Any = health_pb2
"""The module without its types: the type stubs of the package lack the messages of List."""


class Health:
    """Reports whether services are served, by name. `""` is the server as a whole."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = tuple(services)
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
        return self._response(service)

    async def _list(self, raw: bytes) -> bytes:
        parsed(_pb2.HealthListRequest.FromString, raw)
        response = _pb2.HealthListResponse()
        for service in self._services:
            response.statuses[service].ParseFromString(self._response(service))
        return bytes(response.SerializeToString())

    async def _watch(self, raw: bytes) -> AsyncGenerator[bytes]:
        service = _service_of(raw)
        yield self._response(service)
        await self._stopped.wait()
        yield self._response(service)
        raise shutting_down()

    def _response(self, service: str) -> bytes:
        status = "SERVING" if self._is_serving else "NOT_SERVING"
        if service not in self._services:
            status = "SERVICE_UNKNOWN"
        return bytes(_pb2.HealthCheckResponse(status=status).SerializeToString())


def _service_of(raw: bytes) -> str:
    return str(parsed(_pb2.HealthCheckRequest.FromString, raw).service)
