"""Admission: limits the concurrent calls, and the memory of their messages.

Admission decides about a call before the request is read. A call beyond a limit is rejected at
once. So the other calls are answered in time, and the process stays within its memory.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from podium.errors import PodiumError, ResourceExhaustedError

from podium_server.errors import failure, overloaded, shutting_down
from podium_server.rpc.reading import ReadGate
from podium_server.rpc.shares import SharedBudget

__all__ = ["Admission", "AdmissionLimits", "AdmittedCall", "too_large"]

_log = logging.getLogger(__name__)

_WARNING_SECONDS = 60.0
_SMALL_BYTES = 16 * 1024
"""Requests and responses up to this size do not count for the limits on bytes."""
_COPIES = 2
"""The number of copies in memory of a request that is processed, and of a response that is sent."""
_CALLS_OF_EACH = 8
"""The calls that each connection may always have, even if the server is at its limit."""
_LAST_REFUSALS_SECONDS = 0.2
_LAST_WATCHES_SECONDS = 0.1
_QUIET_SECONDS = 0.03
_HEALTH_WATCH = "grpc.health.v1.Health.Watch"
_UNREAD = "clients do not read their responses fast enough; try again later"


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """The limits of what a server does at the same time.

    Attributes:
        calls: The number of running calls.
        message_bytes: The size of a request in bytes.
        incomplete_requests: The number of requests of which only a part has arrived.
        request_bytes: The memory of the requests that are processed, in bytes.
        response_bytes: The memory of the responses that clients have not read yet, in bytes.
        watches: The number of streams that wait for changes.
        write_seconds: The time in seconds that one message of a stream may wait until its client
            reads it.
    """

    calls: int = 4_000
    message_bytes: int = 4 * 1024 * 1024
    incomplete_requests: int = 12
    request_bytes: int = 64 * 1024 * 1024
    response_bytes: int = 48 * 1024 * 1024
    watches: int = 500
    write_seconds: float = 10.0


Abort = Callable[[PodiumError], Awaitable[object]]


class Admission:
    """Limits running calls, incomplete requests, and bytes of requests and responses."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self.calls = SharedBudget(limits.calls, least=_CALLS_OF_EACH)
        self.watches = SharedBudget(limits.watches)
        # A client that balances over several servers uses only those whose health it can watch.
        self.health_watches = SharedBudget(limits.watches, least=1)
        self.request_bytes = SharedBudget(limits.request_bytes)
        self.response_bytes = SharedBudget(limits.response_bytes)
        self.reads = ReadGate(limits.incomplete_requests, limits.message_bytes)
        self.message_bytes = limits.message_bytes
        self.write_seconds = limits.write_seconds
        self._under_way: dict[AdmittedCall, None] = {}
        self._watching: dict[AdmittedCall, None] = {}
        self._is_closed = False
        self._all_left = asyncio.Event()
        self._refused_while_closed = 0
        self._wait_until: dict[str, float] = {}
        self._refused = 0
        self._next_warning = 0.0

    def gauges(self) -> Mapping[str, float]:
        """Returns metrics by name, for monitoring."""
        return {
            "calls_under_way": len(self._under_way),
            "watches": len(self._watching),
            "request_bytes": self.request_bytes.used,
            "response_bytes": self.response_bytes.used,
            "overloaded_total": self._refused,
        }

    def enter(self, peer: str, abort: Abort) -> "AdmittedCall":
        """Admits a call of a connection before its request is read.

        Args:
            peer: The address of the connection.
            abort: Ends the call with an error. Tasks other than the call's own may use it.

        Raises:
            PodiumError: OVERLOADED if there is no room, SHUTTING_DOWN while the server stops.
        """
        if self._is_closed:
            self._refused_while_closed += 1
            raise shutting_down()
        if self._wait_until and self._must_wait(peer):
            raise overloaded(_UNREAD)
        if not self.calls.take(peer):
            raise self.overload("the server has too many calls at once; try again later")
        call = AdmittedCall(self, peer, abort)
        self._under_way[call] = None
        return call

    def overload(self, message: str) -> PodiumError:
        """Counts a rejected call. Returns its error."""
        self.note_overloaded(1)
        return overloaded(message)

    def note_overloaded(self, calls: int) -> None:
        """Counts rejected calls, and logs a warning at most once in a minute."""
        self._refused += calls
        now = time.monotonic()
        if now >= self._next_warning:
            self._next_warning = now + _WARNING_SECONDS
            _log.warning(
                "OVERLOADED: %d running calls, %d bytes of requests, "
                "%d bytes of responses; %d calls rejected so far",
                self.calls.used,
                self.request_bytes.used,
                self.response_bytes.used,
                self._refused,
            )

    def unread(self, peer: str) -> PodiumError:
        """Returns the error of a call if there is no memory for its response.

        Until the retry time of this error, further calls of the connection are rejected. So are the
        calls of other connections that have unread responses. Otherwise the server would compute
        responses that it cannot send, and so delay other calls.
        """
        error = self.overload(_UNREAD)
        self._wait_until[peer] = time.monotonic() + (error.retry_after or 0.0)
        return error

    def _must_wait(self, peer: str) -> bool:
        now = time.monotonic()
        self._wait_until = {key: end for key, end in self._wait_until.items() if end > now}
        if not self._wait_until:
            return False
        return peer in self._wait_until or self.response_bytes.used_by(peer) > 0

    def leave(self, call: "AdmittedCall") -> None:
        """Stops counting a call as a running call or as a watch."""
        (self._under_way if call in self._under_way else self._watching).pop(call)
        self.calls.give_back(call.peer)
        if self._is_closed and not self._under_way:
            self._all_left.set()

    def note_watch(self, call: "AdmittedCall") -> None:
        """Counts a call as a watch from now on, and no longer as a running call."""
        self._watching[call] = self._under_way.pop(call)

    async def close(self, seconds: float) -> None:
        """Rejects new calls, waits for running calls, and ends calls still running after `seconds`.

        First ends the watches whose clients do not read. The other watches end by themselves.
        """
        self._is_closed = True
        if self._watching:
            await asyncio.sleep(_LAST_WATCHES_SECONDS)
        for call in list(self._watching):
            call.refuse(shutting_down())
        await self._wait_until_left(seconds)
        for call in list(self._under_way):
            call.refuse(shutting_down())
        await self._wait_until_left(_LAST_REFUSALS_SECONDS)
        await self._wait_until_quiet()

    async def _wait_until_left(self, seconds: float) -> None:
        if self._under_way:
            self._all_left.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_left.wait(), seconds)

    async def _wait_until_quiet(self) -> None:
        """Waits until no more calls arrive, but only a short time, so that late calls get an error.

        After that, gRPC stops, and ends any further call without a reason.
        """
        end = time.monotonic() + _LAST_REFUSALS_SECONDS
        while True:
            refused = self._refused_while_closed
            await asyncio.sleep(_QUIET_SECONDS)
            if self._refused_while_closed == refused or time.monotonic() >= end:
                return


class AdmittedCall:
    """A running call, and its share of the server's limits."""

    __slots__ = ("_abort", "_admission", "_held", "_is_answered", "_watches", "peer", "refusal")

    def __init__(self, admission: Admission, peer: str, abort: Abort) -> None:
        self.peer = peer
        self.refusal: Awaitable[object] | None = None
        self._abort = abort
        self._admission = admission
        self._held: tuple[SharedBudget, int] | None = None
        self._is_answered = False
        self._watches: SharedBudget | None = None

    async def read(self, receive: Callable[[], Awaitable[bytes | None]]) -> bytes:
        """Reads the request.

        Raises an error if the request is cut off or too large, or if too many bytes are in use.
        """
        raw = await self._admission.reads.read(self, receive)
        if raw is None:
            raise failure("MALFORMED_REQUEST", "the request ended before it was complete")
        return self._held_request(raw)

    async def read_next(self, receive: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        """Frees the memory of the previous request of a stream, and reads the next one.

        Returns None at the end of the stream.
        """
        self._release_bytes()
        raw = await self._admission.reads.read(self, receive)
        return None if raw is None else self._held_request(raw)

    def _held_request(self, raw: bytes) -> bytes:
        """Checks the size of a request, and reserves memory for it."""
        if len(raw) > self._admission.message_bytes:
            raise too_large(len(raw), self._admission.message_bytes)
        if not self._hold(self._admission.request_bytes, len(raw)):
            raise self._admission.overload(
                "the server has too many bytes of requests in memory; try again later"
            )
        return raw

    def watch(self, method: str) -> None:
        """Counts the call as a watch. Raises OVERLOADED if there are too many watches."""
        is_health = method == _HEALTH_WATCH
        watches = self._admission.health_watches if is_health else self._admission.watches
        if not watches.take(self.peer):
            raise self._admission.overload(
                "the server has too many watches at once; try again later"
            )
        self._watches = watches
        self._admission.note_watch(self)

    def answer(self, response: bytes) -> bytes:
        """Returns the response, and reserves memory for it until the client has read it.

        Frees the memory of the request.
        Raises OVERLOADED if too many responses are unread, or if `refuse` has ended the call.
        """
        if self.refusal is not None:
            raise overloaded(
                "the server is overloaded and gave up this "
                "call before it had an answer; try again later"
            )
        self._release_bytes()
        if not self._hold(self._admission.response_bytes, len(response)):
            raise self._admission.unread(self.peer)
        self._is_answered = True
        return response

    def refuse(self, error: PodiumError) -> None:
        """Ends the call with an error. To wait for its end, await `refusal`.

        Does nothing if the call is already answered, or was ended in this way before.
        """
        if self.refusal is None and not self._is_answered:
            self.refusal = self._abort(error)

    def leave(self) -> None:
        """Releases everything that the call holds."""
        self._release_bytes()
        if self._watches is not None:
            self._watches.give_back(self.peer)
        self._admission.leave(self)

    def _hold(self, budget: SharedBudget, size: int) -> bool:
        if size <= _SMALL_BYTES:
            return True
        if not budget.take(self.peer, _COPIES * size):
            return False
        self._held = (budget, _COPIES * size)
        return True

    def _release_bytes(self) -> None:
        if self._held is not None:
            budget, size = self._held
            budget.give_back(self.peer, size)
            self._held = None


def too_large(size: int, limit: int) -> PodiumError:
    """Returns the error of a message over the limit, with the code that gRPC itself uses."""
    return ResourceExhaustedError(
        f"the request has {size} bytes; send at most {limit} bytes per call",
        reason="LIMIT_EXCEEDED",
        metadata={"limit": "message_bytes"},
    )
