"""The ways to make a call: over the wire with the generated stubs, or directly over a store."""

from typing import Any, Protocol

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from podium._limits.limits import Limits
from podium._wire.status import from_rpc_error
from podium.errors import PodiumError
from podium.v1 import access_service_pb2, recording_service_pb2, results_service_pb2
from podium.v1.access_service_pb2_grpc import AccessServiceStub
from podium.v1.recording_service_pb2 import RecordRequest, RecordResponse
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium_server.api.callers import CALLER, EVERYONE
from podium_server.api.recording import Recording
from podium_server.api.results import Results
from podium_server.api.tokens import Tokens
from podium_server.rpc.handlers import snake_case
from podium_server.store.contract import Store

__all__ = ["METHODS", "Direct", "Validated", "Way", "Wire"]

METHODS = {
    method.name: method
    for service in (
        recording_service_pb2.DESCRIPTOR.services_by_name["RecordingService"],
        results_service_pb2.DESCRIPTOR.services_by_name["ResultsService"],
        access_service_pb2.DESCRIPTOR.services_by_name["AccessService"],
    )
    for method in service.methods
}
"""Every rpc of all services by its name."""


class Way(Protocol):
    """Makes calls by the name of their rpc. A rejected call raises its `podium.PodiumError`."""

    async def call(self, method: str, request: Message) -> Message:
        """Returns the response to a call."""


class Wire:
    """Calls a running server."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stubs = tuple(
            stub(channel) for stub in (RecordingServiceStub, ResultsServiceStub, AccessServiceStub)
        )

    async def call(self, method: str, request: Message) -> Message:
        """Returns the response to a call."""
        stub = next(stub for stub in self._stubs if hasattr(stub, method))
        try:
            response: Message = getattr(stub, method)(request, timeout=120)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return _without_measured(response)


class Direct:
    """Calls the handlers of the services over a store, without a server."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._services: tuple[Any, ...] = tuple(
            service(store, limits) for service in (Recording, Results, Tokens)
        )

    async def call(self, method: str, request: Message) -> Message:
        """Returns the response to a call."""
        if CALLER.get(None) is None:
            CALLER.set(EVERYONE)
        name = snake_case(method)
        service = next(service for service in self._services if hasattr(service, name))
        answer: Message | bytes = await getattr(service, name)(request)
        if isinstance(answer, bytes):
            return GetMessageClass(METHODS[method].output_type).FromString(answer)
        return _without_measured(answer)


class Validated:
    """Validates each Record call before it makes it, and compares the two answers."""

    def __init__(self, way: Way) -> None:
        self._way = way

    async def call(self, method: str, request: Message) -> Message:
        """Returns the response to a call."""
        if not isinstance(request, RecordRequest):
            return await self._way.call(method, request)
        rehearsal = RecordRequest()
        rehearsal.CopyFrom(request)
        rehearsal.validate_only = True
        expected = await self._answer(method, rehearsal)
        answer = await self._answer(method, request)
        if isinstance(answer, PodiumError):
            assert isinstance(expected, PodiumError), answer
            assert _refusals(expected) == _refusals(answer)
            raise answer
        assert isinstance(expected, RecordResponse), expected
        assert expected.revision <= answer.revision
        expected.revision = answer.revision
        assert expected == answer
        return answer

    async def _answer(self, method: str, request: Message) -> RecordResponse | PodiumError:
        try:
            answer = await self._way.call(method, request)
        except PodiumError as error:
            return error
        assert isinstance(answer, RecordResponse)
        return answer


def _without_measured(response: Message) -> Message:
    """Removes `quiet_seconds`, which differ between two runs of the same calls."""
    if isinstance(response, RecordResponse):
        for replaced in response.replaced_attempts:
            replaced.ClearField("quiet_seconds")
    return response


def _refusals(error: PodiumError) -> list[tuple[int, str]]:
    return [(-1, error.reason), *((event.index, event.reason) for event in error.refusals)]
