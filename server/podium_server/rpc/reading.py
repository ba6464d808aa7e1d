"""Limits the number of incomplete requests, and so the memory that they use.

A request is read only when it has a slot. Until then, HTTP/2 flow control makes its client wait.
Each connection always gets one slot, even if all slots are in use. If more slots are in use than
the limit allows, a regular check rejects slow requests, beginning with the connections that use
the most slots.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from podium.errors import PodiumError

from podium_server.errors import overloaded
from podium_server.rpc.shares import SharedBudget

__all__ = ["ReadGate", "Reader"]

_SLOW_SECONDS = 0.02
"""The regular check rejects no request that has been read for less than this time.

A request from the same machine arrives within this time.
"""
_READ_SECONDS = 30.0
"""The most seconds that a request may take to arrive: the default deadline of a write."""


class Reader(Protocol):
    """A call whose request is being read."""

    peer: str

    def refuse(self, error: PodiumError) -> None:
        """Ends the call with an error."""


class ReadGate:
    """Reads requests, as many at a time as there are slots, each up to `message_bytes`."""

    def __init__(self, slots: int, message_bytes: int) -> None:
        self._slots = SharedBudget(slots, least=1)
        self._bytes, self._most_bytes = 0, slots * message_bytes
        self._has_room = asyncio.Event()
        self._since: dict[Reader, float] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def read(
        self, call: Reader, receive: Callable[[], Awaitable[bytes | None]]
    ) -> bytes | None:
        """Waits for a slot, then reads the request of a call.

        Returns None if the request was cut off.
        """
        if not self._slots.take(call.peer):
            await self._wait(call.peer)
        loop = asyncio.get_running_loop()
        self._since[call] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(_SLOW_SECONDS, self._sweep)
        try:
            return await receive()
        finally:
            self._end(call)

    @contextmanager
    def holding(self) -> Iterator[Callable[[int], Awaitable[None]]]:
        """Counts the bytes of one incomplete request inside the block.

        Yields a function that adds bytes. While all requests together have more bytes than the
        slots allow, the function waits. Meanwhile, the regular check rejects some requests.
        """
        held = 0

        async def hold(count: int) -> None:
            nonlocal held
            held += count
            self._note_bytes(count)
            await self._has_room.wait()

        try:
            yield hold
        finally:
            self._note_bytes(-held)

    def _note_bytes(self, change: int) -> None:
        self._bytes += change
        if self._bytes > self._most_bytes:
            self._has_room.clear()
        else:
            self._has_room.set()

    def _end(self, call: Reader) -> None:
        if self._since.pop(call, None) is not None:
            self._free(call.peer)

    def _free(self, peer: str) -> None:
        self._slots.give_back(peer)
        for waiting_peer in list(self._waiting):
            self._wake(waiting_peer)

    async def _wait(self, peer: str) -> None:
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(peer, deque()).append(slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self._free(peer)
            raise

    def _wake(self, peer: str) -> None:
        """Gives a slot to the oldest waiting request of a connection, if a slot is free for it."""
        queue = self._waiting[peer]
        while queue and queue[0].cancelled():
            queue.popleft()
        if queue and self._slots.take(peer):
            queue.popleft().set_result(None)
        if not queue:
            del self._waiting[peer]

    def _sweep(self) -> None:
        """Rejects requests that take too long, and slow ones if too many slots are in use."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for call in self._late(now - _READ_SECONDS):
            self._refuse(call, f"the request did not arrive within {_READ_SECONDS:.0f} s")
        excess = self._slots.used - self._slots.capacity
        if excess > 0:
            slow = self._late(now - _SLOW_SECONDS)
            slow.sort(key=lambda call: (self._slots.used_by(call.peer), self._since[call]))
            for call in slow[-excess:]:
                self._refuse(call, "too many requests arrive slowly at the same time")
        self._timer = loop.call_later(_SLOW_SECONDS, self._sweep) if self._since else None

    def _late(self, moment: float) -> list[Reader]:
        """Returns the calls that began to read their requests before a moment, the oldest first."""
        return [call for call, since in self._since.items() if since <= moment]

    def _refuse(self, call: Reader, why: str) -> None:
        self._end(call)
        call.refuse(overloaded(f"{why}; try again later"))
