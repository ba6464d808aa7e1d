"""From bytes to handlers and back: what every rpc has in common, built once per method.

The handlers take raw bytes and parse themselves, so that a malformed message is
INVALID_ARGUMENT. Errors become statuses here and nowhere else.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from podium._wire.status import to_status
from podium.errors import PodiumError

from podium_server.api.answer_cache import KeptAnswers
from podium_server.errors import failure

__all__ = ["Admission", "service_handler", "snake_case", "unary_handler"]

_log = logging.getLogger(__name__)

_WARNING_SECONDS = 60.0

Handler = Callable[[Any], Awaitable[Message | bytes]]
Answer = Callable[[bytes], Awaitable[bytes]]
Parser = Callable[[bytes], Message]
Context = grpc.aio.ServicerContext[bytes, bytes]


class Admission:
    """How many calls, and bytes of requests, are worked on at a time.

    What goes beyond is refused at once, so that those inside are answered in time and the
    process stays within its memory.
    """

    def __init__(self, calls: int, request_bytes: int) -> None:
        self._calls = 0
        self._most_calls = calls
        self._bytes_left = request_bytes
        self._closed = False
        self._left = asyncio.Event()
        self._turned_away = 0
        self._next_warning = 0.0

    def enter(self, size: int) -> None:
        """Takes a call of so many bytes in; OVERLOADED if there is no room."""
        if self._closed:
            raise failure("SHUTTING_DOWN", "the server is stopping; try again later")
        if self._calls >= self._most_calls or size > self._bytes_left:
            self._warn()
            raise failure("OVERLOADED", "the server has too many calls at once; try again later")
        self._calls += 1
        self._bytes_left -= size

    def _warn(self) -> None:
        """Says that calls are turned away, which is for the operator to know: once a minute."""
        self._turned_away += 1
        now = time.monotonic()
        if now >= self._next_warning:
            self._next_warning = now + _WARNING_SECONDS
            _log.warning(
                "OVERLOADED: %d calls under way, %d bytes left for requests; %d turned away so far",
                self._calls,
                self._bytes_left,
                self._turned_away,
            )

    def leave(self, size: int) -> None:
        """Lets the call of so many bytes out."""
        self._calls -= 1
        self._bytes_left += size
        if self._closed and self._calls == 0:
            self._left.set()

    async def close(self, seconds: float) -> None:
        """Takes nobody in any more, and waits so long for those inside to leave."""
        self._closed = True
        if self._calls:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), seconds)


def service_handler(
    service: ServiceDescriptor,
    servicer: object,
    admission: Admission,
    kept: Mapping[str, KeptAnswers],
) -> grpc.GenericRpcHandler:
    """Serves every rpc of a service with the servicer's method of its name in snake case.

    Answers of the rpcs in `kept` are kept there; their requests name an experiment and an arm.
    """
    methods: dict[str, Any] = {}
    for method in service.methods:
        parse, handle = _parser(method), getattr(servicer, snake_case(method.name))
        place = kept.get(method.name)
        answer = _remembering(parse, handle, place) if place else _answering(parse, handle)
        methods[method.name] = unary_handler(method.full_name, answer, admission)
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def unary_handler(name: str, answer: Answer, admission: Admission) -> Any:
    """Serves an rpc by a function of bytes: within the server's room, its errors as statuses."""

    async def call(raw: bytes, context: Context) -> bytes:
        try:
            admission.enter(len(raw))
            try:
                return await answer(raw)
            finally:
                admission.leave(len(raw))
        except PodiumError as error:
            _log.debug("%s: %s: %s", name, error.reason, error.message)
            status = to_status(error)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, its text stays in the log
            status = to_status(_defect(name, error))
        # gRPC keeps what abort raises, and with it the variables of this function, until
        # garbage is collected: the request must not be among them.
        del raw
        await context.abort(status.code, status.text, status.trailing_metadata)
        raise AssertionError  # abort raises

    return grpc.unary_unary_rpc_method_handler(call)


def snake_case(name: str) -> str:
    """The name of an rpc as a Python method: `GetArm` is `get_arm`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]


def _parser(method: MethodDescriptor) -> Parser:
    return cast("Parser", GetMessageClass(method.input_type).FromString)


def _answering(parse: Parser, handle: Handler) -> Answer:
    async def answer(raw: bytes) -> bytes:
        return _encoded(await handle(_parsed(parse, raw)))

    return answer


def _remembering(parse: Parser, handle: Handler, kept: KeptAnswers) -> Answer:
    async def answer(raw: bytes) -> bytes:
        known = kept.find(raw)
        if known is not None:
            return known
        moment = kept.moment
        request: Any = _parsed(parse, raw)
        encoded = _encoded(await handle(request))
        kept.keep(raw, (request.experiment, request.arm), encoded, moment)
        return encoded

    return answer


def _encoded(answer: Message | bytes) -> bytes:
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


def _parsed(parse: Parser, raw: bytes) -> Message:
    try:
        return parse(raw)
    except DecodeError as error:
        raise failure(
            "MALFORMED_REQUEST",
            "the request is not a message of its type: it is cut off, nested more than 100 deep, "
            "or holds text that is not UTF-8",
        ) from error


def _defect(name: str, error: Exception) -> PodiumError:
    incident = secrets.token_hex(4)
    _log.error("incident %s in %s", incident, name, exc_info=error)
    return failure(
        "INTERNAL",
        f"a defect of the server, incident {incident}; its log says more under this id",
        incident=incident,
    )
