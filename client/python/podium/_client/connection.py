"""What the connections of both clients have in common. The packages `blocking` and `aio` add I/O.

A connection opens a channel to each server at the first call. If it was closed, or opened before a
fork, each call raises a ClientStateError, because gRPC would hang or crash.
"""

from __future__ import annotations

import itertools
import os
import time
import weakref
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import grpc
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message_factory import GetMessageClass

from podium._client.channel import OUTCOME_UNKNOWN, channel_options, connection_failure, deadline
from podium._client.retries import Failure, Retries, RetryPolicy
from podium._client.security import Security, tls_problem
from podium._values.address import server_address, server_addresses
from podium._wire.status import from_rpc_error
from podium.errors import (
    CanceledError,
    ClientStateError,
    DeadlineExceededError,
    PodiumError,
    UnavailableError,
    UnimplementedError,
)
from podium.v1 import access_service_pb2, recording_service_pb2, results_service_pb2
from podium.v1.access_service_pb2_grpc import AccessServiceStub
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium.v1.results_service_pb2_grpc import ResultsServiceStub

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    from podium._values.tls import TLS

__all__ = ["CALLS_AT_ONCE", "Connection"]

_C = TypeVar("_C", grpc.Channel, grpc.aio.Channel)

_SERVICES: tuple[tuple[Any, Any], ...] = (
    (results_service_pb2.DESCRIPTOR.services_by_name["ResultsService"], ResultsServiceStub),
    (recording_service_pb2.DESCRIPTOR.services_by_name["RecordingService"], RecordingServiceStub),
    (access_service_pb2.DESCRIPTOR.services_by_name["AccessService"], AccessServiceStub),
)

CALLS_AT_ONCE = 256
"""The most calls of a client at the same time. Further calls wait until others have ended.

A server accepts 1,000 calls at the same time on one connection.
"""

_LEFT_OUT_SECONDS = 1.0
"""The seconds for which a server that could not be reached gets no calls, if there are others."""

_IS_CLOSED = "this client is closed; create a new one"

_INHERITED: list[object] = []
"""Channels that were opened before a fork. They are never destroyed, because that can hang."""


class _Method(NamedTuple):
    """One rpc of one server, on an open channel."""

    call: Callable[..., Any]
    address: str
    name: str
    timeout: float
    is_write: bool


class _Opened(NamedTuple, Generic[_C]):
    """The open channels to the servers, and each channel's methods by the type of their request.

    `pid` is the process that opened the channels.
    """

    pid: int
    channels: Sequence[_C]
    methods: Sequence[dict[type[Message], _Method]]


class Connection(Generic[_C]):
    """The base class of the connections. The type of a request determines the rpc that is called.

    Args:
        address: The address of the server, or of several servers, which get calls in turns. If
            None, it is that of PODIUM_ADDRESS, or localhost:50051.
        read_timeout: The time limit of each call that reads, in seconds.
        write_timeout: The time limit of each call that writes, in seconds.
        policy: Determines which failed calls are retried.
        tls: The files of an encrypted connection; see `Security`.
        token: The token, or the path of its file; see `Security`.
    """

    def __init__(
        self,
        address: str | None,
        read_timeout: float,
        write_timeout: float,
        policy: RetryPolicy,
        tls: TLS | bool | None = None,
        token: str | os.PathLike[str] | None = None,
    ) -> None:
        self.address = server_address(address)
        self._servers = server_addresses(self.address)
        self._turns = itertools.count()
        self._left_out: dict[str, float] = {}
        self._read_timeout = deadline(read_timeout, "read_timeout")
        self._write_timeout = deadline(write_timeout, "write_timeout")
        self._policy = policy
        self._security = Security(self.address, tls, token)
        self._opened: _Opened[_C] | None = None
        self._closed = False
        self._answered_at: float | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy, such as in another process, opens its own connection.
        if self._closed:
            raise ClientStateError(_IS_CLOSED)
        return type(self), (
            self.address,
            self._read_timeout,
            self._write_timeout,
            self._policy,
            *self._security.settings,
        )

    def _new_channel(self, address: str) -> _C:
        raise NotImplementedError

    def _channel_options(self, address: str) -> list[tuple[str, Any]]:
        return channel_options(address, has_others=len(self._servers) > 1)

    def _method(self, request: Message) -> _Method:
        """Returns the method for a request at the first server.

        Callers use only its name and timeout, which are the same at all servers.
        """
        return self._methods_of_servers()[0][type(request)]

    def _next_method(self, request: Message) -> _Method:
        """Returns the method for a request at the server whose turn it is.

        Skips servers that could not be reached within the last second, unless all servers would be
        skipped.
        """
        servers, kind = self._methods_of_servers(), type(request)
        if len(servers) == 1:
            return servers[0][kind]
        first, now = next(self._turns), time.monotonic()
        methods = [servers[(first + at) % len(servers)][kind] for at in range(len(servers))]
        return next((each for each in methods if self._is_up(each.address, now)), methods[0])

    def _is_up(self, address: str, now: float) -> bool:
        return self._left_out.get(address, now) <= now

    def _methods_of_servers(self) -> Sequence[dict[type[Message], _Method]]:
        # Threads that make the first call at the same time may open two channels. The one that is
        # not kept is closed after its last call.
        opened = self._opened or self._open()
        if opened.pid != os.getpid():
            raise ClientStateError(
                f"this client belongs to process {opened.pid} "
                f"and cannot be used in its fork {os.getpid()}: "
                "record with podium.record, which supports forks, or start the process with "
                "spawn and create a client in it"
            )
        return opened.methods

    def _open(self) -> _Opened[_C]:
        if self._closed:
            raise ClientStateError(_IS_CLOSED)
        channels = [self._new_channel(address) for address in self._servers]
        methods = list(map(self._methods, channels, self._servers))
        self._opened = _Opened(os.getpid(), channels, methods)
        weakref.finalize(self, _abandon, self._opened)
        return self._opened

    def _methods(self, channel: _C, address: str) -> dict[type[Message], _Method]:
        methods = {}
        for service, make_stub in _SERVICES:
            stub = make_stub(channel)
            for rpc in service.methods:
                level = rpc.GetOptions().idempotency_level
                is_write = level != MethodOptions.NO_SIDE_EFFECTS
                timeout = self._write_timeout if is_write else self._read_timeout
                method = _Method(getattr(stub, rpc.name), address, rpc.full_name, timeout, is_write)
                methods[GetMessageClass(rpc.input_type)] = method
        return methods

    def _detach(self) -> Sequence[_C]:
        """Marks the connection as closed. Returns the channels for the caller to close."""
        opened, self._opened, self._closed = self._opened, None, True
        if opened is None:
            return ()
        if opened.pid != os.getpid():
            _INHERITED.append(opened.channels)
            return ()
        return opened.channels

    def _retries(self, method: _Method) -> Retries:
        others = len(self._servers) - 1
        return Retries(self._policy, method.timeout, is_write=method.is_write, others=others)

    def _pause(self, failure: Failure, retries: Retries) -> float:
        """Returns the seconds to wait before a retry.

        Raises the error if the call is not retried.
        """
        if failure.error.reason:
            self._answered_at = time.monotonic()
        pause = retries.pause(failure, is_known=self._answered_at is not None)
        if pause is None:
            raise failure.error from None
        return pause

    def _queue_seconds(self, since: float, timeout: float) -> float:
        """Returns for how many more seconds a call may wait until fewer calls are under way.

        `since` is the time at which the wait began. The wait may continue while other calls are
        answered. It ends `timeout` seconds after the last answer.

        Raises:
            DeadlineExceededError: No call was answered for `timeout` seconds.
        """
        left = max(since, self._answered_at or since) + timeout - time.monotonic()
        if left <= 0:
            raise DeadlineExceededError(
                f"{self.address} has not answered for {timeout:g} s, so this call was not sent"
            )
        return left

    def _failure(self, error: grpc.RpcError, method: _Method) -> Failure:
        """Converts a gRPC error to a Failure.

        If no connection was made, and the TLS files have changed, the next call opens new channels.
        """
        result = from_rpc_error(error)
        if isinstance(result, CanceledError) and not self._closed:
            # This client did not cancel the call. A server that stops cancels calls that have just
            # arrived.
            result = UnavailableError(result.message)
        is_refused = isinstance(result, UnavailableError) and connection_failure(result.message)
        if is_refused and self._security.has_changed():
            # Calls that are under way end on the channel with the older files.
            self._opened = None
        failure = Failure(result, was_sent=not is_refused)
        if failure.is_of_server:
            self._left_out[method.address] = time.monotonic() + _LEFT_OUT_SECONDS
        if not result.reason:
            result.message = self._text(result, method)
            result.args = (result.message,)
        return failure

    def _stream_failure(
        self, error: grpc.RpcError, method: _Method, metadata: tuple[tuple[str, str], ...]
    ) -> PodiumError:
        """Returns the error of a streaming call that was made with `metadata`.

        If the server rejected the token, but the client has a new token by now, returns an
        UnavailableError, so that the call is repeated.
        """
        result = self._failure(error, method).error
        if result.reason == "TOKEN_INVALID" and self._security.metadata() != metadata:
            return UnavailableError("the token was replaced; the next call sends the new one")
        return result

    def _text(self, error: PodiumError, method: _Method) -> str:
        match error:
            case UnavailableError():
                why = connection_failure(error.message)
                problem = tls_problem(method.address, why or "", self._security.tls)
                if problem is not None:
                    return problem
                if why is not None:
                    return (
                        f"no Podium server answers at {self.address}: start one with "
                        f"`podium serve`, or give the right address ({why})"
                    )
                text = (
                    f"the connection to {method.address} was lost during the call ({error.message})"
                )
            case DeadlineExceededError():
                text = f"{method.address} did not answer within {method.timeout:g} s"
            case CanceledError():
                text = "the client was closed during the call"
            case UnimplementedError():
                return (
                    f"{method.address} is not a Podium server, or an older one "
                    f"without {method.name}"
                )
            case _:
                return f"{method.address}: {error.message}"
        return text + OUTCOME_UNKNOWN if method.is_write else text


def _abandon(opened: _Opened[Any]) -> None:
    """Keeps the channels of a deleted client in memory if they were opened before a fork."""
    if opened.pid != os.getpid():
        _INHERITED.append(opened.channels)
