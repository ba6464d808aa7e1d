"""Handlers of methods. They take and return bytes, are built once, and are the same for all fronts.

Handlers parse requests themselves, so that a malformed message gets INVALID_ARGUMENT.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from podium_server.api.callers import CALLER
from podium_server.errors import failure
from podium_server.rpc.access.rules import name_check
from podium_server.rpc.telemetry import CURRENT_CALL

__all__ = [
    "Answer",
    "Method",
    "Stream",
    "StreamMethod",
    "UnaryMethod",
    "parsed",
    "service_methods",
    "snake_case",
]

Answer = Callable[[bytes], Awaitable[bytes]]
Stream = Callable[[bytes], AsyncGenerator[bytes]]
Handler = Callable[[Any], Awaitable[Message | bytes]]
Parser = Callable[[bytes], Message]
Check = Callable[[Any], bytes | None]


@dataclass(frozen=True, slots=True)
class UnaryMethod:
    """A method that answers a request with one response.

    Attributes:
        name: The full name, such as `podium.v1.ResultsService.Eval`.
        answer: Returns the response to a request, or raises an error.
    """

    name: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class StreamMethod:
    """A method that answers a request with a stream of responses.

    Attributes:
        name: The full name.
        stream: Yields the responses to a request, or raises an error.
        has_more_requests: Whether a call may have several requests, which are answered in turn.
    """

    name: str
    stream: Stream
    has_more_requests: bool = False


Method = UnaryMethod | StreamMethod


def service_methods(service: ServiceDescriptor, servicer: object) -> list[Method]:
    """Returns the methods of a service.

    The servicer has a method for each rpc, with the rpc's name in snake case.
    """
    methods: list[Method] = []
    for method in service.methods:
        parse, handle = _parser(method), getattr(servicer, snake_case(method.name))
        check = name_check(method)
        methods.append(
            StreamMethod(method.full_name, _streaming(parse, check, handle))
            if method.server_streaming
            else UnaryMethod(method.full_name, _answering(parse, check, handle))
        )
    return methods


def snake_case(name: str) -> str:
    """Returns the name of an rpc as a Python method: `get_arm` for `GetArm`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]


def parsed(parse: Parser, raw: bytes) -> Any:
    """Parses a request. Raises MALFORMED_REQUEST if its bytes are not of this type."""
    try:
        return parse(raw)
    except DecodeError as error:
        raise failure(
            "MALFORMED_REQUEST",
            "the request is not a message of its type: it is cut off, "
            "nested more than 100 levels deep, or contains text that is not UTF-8",
        ) from error


def _parser(method: MethodDescriptor) -> Parser:
    return cast("Parser", GetMessageClass(method.input_type).FromString)


def _answering(parse: Parser, check: Check, handle: Handler) -> Answer:
    async def answer(raw: bytes) -> bytes:
        request = parsed(parse, raw)
        del raw  # so a large request is only once in memory while it is handled
        missing = check(request)
        call = CURRENT_CALL.get()
        if call is not None:
            call.note_request(request)
        return _encoded(await handle(request) if missing is None else missing)

    return answer


def _streaming(
    parse: Parser, check: Check, handle: Callable[[Any], AsyncGenerator[bytes]]
) -> Stream:
    async def stream(raw: bytes) -> AsyncGenerator[bytes]:
        request, caller = parsed(parse, raw), CALLER.get()
        check(request)
        with caller.usage.watching():
            async with aclosing(handle(request)) as responses:
                async for response in responses:
                    await caller.check_again()
                    yield response

    return stream


def _encoded(answer: Message | bytes) -> bytes:
    return answer if isinstance(answer, bytes) else answer.SerializeToString()
