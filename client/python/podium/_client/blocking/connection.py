"""Makes calls in the calling thread."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from podium._client.calls import Pages, Requests
from podium._client.channel import trace_metadata
from podium._client.connection import CALLS_AT_ONCE, Connection
from podium._client.listing import Listing, Recorded
from podium._client.near_names import with_near_names
from podium._client.retries import Failure, Retries
from podium._client.watching import WatchSession
from podium.errors import PodiumError

__all__ = ["BlockingConnection"]

_T = TypeVar("_T")
_R = TypeVar("_R", bound=Recorded)


class BlockingConnection(Connection[grpc.Channel]):
    """Makes the calls of a client in the calling thread. Threads may share a connection."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._slots = threading.Semaphore(CALLS_AT_ONCE)

    def run(self, requests: Requests[_T]) -> _T:
        """Sends each request that a generator yields, and passes it the response.

        Returns the result of the generator.
        """
        requests = with_near_names(requests)
        try:
            request = next(requests)
            while True:
                try:
                    response = self._call(request)
                except PodiumError as error:
                    request = requests.throw(error)
                else:
                    request = requests.send(response)
        except StopIteration as end:
            result: _T = end.value
            return result

    def listing(self, pages: Pages[_R]) -> Listing[_R]:
        """Returns a listing that fetches pages when they are needed. Makes no call."""
        return Listing(pages.noun, [], pages, self._fetch)

    def _fetch(self, pages: Pages[_R]) -> list[_R]:
        return self.run(pages.next_page())

    def stream(
        self, request: Message, begin: Callable[[Callable[[], object]], None]
    ) -> Iterator[Any]:
        """Yields the responses of a streaming call. Closing the iterator cancels the call.

        Args:
            request: The request.
            begin: A function that is called when the call begins. Its argument is a function that
                cancels the call.
        """
        method = self._next_method(request)
        metadata = self._security.metadata()
        call = method.call(request, metadata=(*metadata, *trace_metadata()))
        begin(call.cancel)
        try:
            for response in call:
                self._answered_at = time.monotonic()
                yield response
        except grpc.RpcError as error:
            raise self._stream_failure(error, method, metadata) from None
        finally:
            call.cancel()

    def pause(self, session: WatchSession, seconds: float) -> None:
        """Waits before the next call of a watch."""
        session.wait(seconds)

    def close(self) -> None:
        """Closes the channels. Calls that are under way are cancelled."""
        for channel in self._detach():
            channel.close()

    def _new_channel(self, address: str) -> grpc.Channel:
        options, credentials = self._channel_options(address), self._security.channel_credentials()
        if credentials is None:
            return grpc.insecure_channel(address, options)
        return grpc.secure_channel(address, credentials, options)

    def _call(self, request: Message) -> Any:
        method = self._method(request)
        self._take_slot(method.timeout)
        try:
            return self._answer(request, self._retries(method))
        finally:
            self._slots.release()

    def _take_slot(self, seconds: float) -> None:
        if self._slots.acquire(blocking=False):
            return
        since = time.monotonic()
        while not self._slots.acquire(timeout=self._queue_seconds(since, seconds)):
            pass

    def _answer(self, request: Message, retries: Retries) -> Any:
        while True:
            outcome = self._attempt(request, retries.remaining())
            if not isinstance(outcome, Failure):
                self._answered_at = time.monotonic()
                return outcome
            time.sleep(self._pause(outcome, retries))

    def _attempt(self, request: Message, seconds: float) -> Any:
        method = self._next_method(request)
        try:
            metadata = (*self._security.metadata(), *trace_metadata())
            return method.call(request, timeout=seconds, metadata=metadata)
        except grpc.RpcError as error:
            return self._failure(error, method)
        except ValueError:
            # gRPC raises a ValueError for a channel that another thread has just closed. In this
            # case, `_method` raises a ClientStateError.
            self._method(request)
            raise
