"""Makes calls on an event loop."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from podium._client.calls import Pages, Requests
from podium._client.channel import lag_metadata, trace_metadata
from podium._client.connection import CALLS_AT_ONCE, Connection
from podium._client.listing import AsyncListing, Recorded
from podium._client.near_names import with_near_names
from podium._client.retries import Failure, Retries
from podium._client.watching import WatchSession
from podium.errors import CanceledError, ClientStateError, InternalError, PodiumError

__all__ = ["AsyncConnection"]

_T = TypeVar("_T")
_R = TypeVar("_R", bound=Recorded)


class AsyncConnection(Connection[grpc.aio.Channel]):
    """Makes the calls of a client on one event loop: that of the client's first call."""

    _loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)

    async def run(self, requests: Requests[_T]) -> _T:
        """Sends each request that a generator yields, and passes it the response.

        Returns the result of the generator.
        """
        requests = with_near_names(requests)
        try:
            request = next(requests)
            while True:
                try:
                    response = await self._call(request)
                except PodiumError as error:
                    request = requests.throw(error)
                else:
                    request = requests.send(response)
        except StopIteration as end:
            result: _T = end.value
            return result

    def listing(self, pages: Pages[_R]) -> AsyncListing[_R]:
        """Returns a listing that fetches pages when they are needed. Makes no call."""
        return AsyncListing(pages, self._fetch)

    async def _fetch(self, pages: Pages[_R]) -> list[_R]:
        return await self.run(pages.next_page())

    async def stream(
        self, request: Message, begin: Callable[[Callable[[], object]], None]
    ) -> AsyncIterator[Any]:
        """Yields the responses of a streaming call. Closing the iterator cancels the call.

        Args:
            request: The request.
            begin: A function that is called when the call begins. Its argument is a function that
                cancels the call.
        """
        method = self._next_method(request)
        self._check_loop()
        metadata = self._security.metadata()
        call = method.call(request, metadata=(*metadata, *trace_metadata()))
        begin(call.cancel)
        try:
            async for response in call:
                self._answered_at = time.monotonic()
                yield response
        except grpc.RpcError as error:
            raise self._stream_failure(error, method, metadata) from None
        except (asyncio.CancelledError, grpc.aio.UsageError):
            self._check_cancelled()
            raise
        finally:
            call.cancel()

    async def pause(self, _session: WatchSession, seconds: float) -> None:
        """Waits before the next call of a watch."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Closes the channels. Calls that are under way are cancelled."""
        for channel in self._detach():
            await channel.close()

    def _new_channel(self, address: str) -> grpc.aio.Channel:
        self._loop = asyncio.get_running_loop()
        options, credentials = self._channel_options(address), self._security.channel_credentials()
        if credentials is None:
            return grpc.aio.insecure_channel(address, options)
        return grpc.aio.secure_channel(address, credentials, options)

    async def _call(self, request: Message) -> Any:
        method = self._method(request)
        self._check_loop()
        await self._take_slot(method.timeout)
        try:
            return await self._answer(request, self._retries(method))
        finally:
            self._slots.release()

    def _check_loop(self) -> None:
        if self._loop is not asyncio.get_running_loop():
            raise ClientStateError(
                "this client belongs to another event loop; create a client in this event loop"
            )

    async def _take_slot(self, seconds: float) -> None:
        if not self._slots.locked():
            await self._slots.acquire()
            return
        since = time.monotonic()
        while True:
            left = self._queue_seconds(since, seconds)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._slots.acquire()
                    return

    async def _answer(self, request: Message, retries: Retries) -> Any:
        while True:
            outcome = await self._attempt(request, retries.remaining())
            if not isinstance(outcome, Failure):
                self._answered_at = time.monotonic()
                return outcome
            await asyncio.sleep(self._pause(outcome, retries))

    def _check_cancelled(self) -> None:
        """Raises a CanceledError if closing the client has cancelled the current call."""
        task = asyncio.current_task()
        if self._closed and not (task and task.cancelling()):
            raise CanceledError("the client was closed during the call") from None

    async def _attempt(self, request: Message, seconds: float) -> Any:
        method = self._next_method(request)
        try:
            response = await method.call(
                request,
                timeout=seconds,
                metadata=(*self._security.metadata(), *lag_metadata(), *trace_metadata()),
            )
        except grpc.RpcError as error:
            return self._failure(error, method)
        except (asyncio.CancelledError, grpc.aio.UsageError):
            self._check_cancelled()
            raise
        if response is None:
            # grpc.aio returns None for a response that it cannot read, and writes to its log.
            raise InternalError(f"{method.address}: the response to {method.name} cannot be read")
        return response
