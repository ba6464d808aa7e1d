"""The service grpc.reflection, with which tools such as grpcurl list the services of a server."""

from collections.abc import AsyncGenerator, Iterable
from typing import Any

from podium_server.rpc.handlers import Method, StreamMethod, parsed

__all__ = ["reflection_services"]

_VERSIONS = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


def reflection_services(services: Iterable[str]) -> dict[str, list[Method]]:
    """Returns the methods of both versions of the reflection service. They list `services`."""
    # Imported only when it is used: the import takes a tenth of a second. Both versions have the
    # same messages.
    from grpc_reflection.v1alpha import reflection, reflection_pb2  # noqa: PLC0415

    servicer: Any = reflection.aio.ReflectionServicer((*services, *_VERSIONS))

    async def answer(raw: bytes) -> AsyncGenerator[bytes]:
        request = parsed(reflection_pb2.ServerReflectionRequest.FromString, raw)
        async for response in servicer.ServerReflectionInfo(_only(request), None):
            yield response.SerializeToString()

    return {
        name: [StreamMethod(f"{name}.ServerReflectionInfo", answer, has_more_requests=True)]
        for name in _VERSIONS
    }


async def _only(request: Any) -> AsyncGenerator[Any]:
    yield request
