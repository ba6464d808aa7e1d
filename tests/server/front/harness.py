"""Runs the extension module of the native front without the rest of the server.

In place of the server, a test takes the module's events and answers the calls.
"""

import select
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import podium_front

__all__ = ["CLOSED", "DONE", "FULL", "NEW", "PATH", "SENT", "WRITABLE", "Served", "served"]

PATH = "/test.Test/Call"
NEW, _, WRITABLE, DONE = range(4)
SENT, FULL, CLOSED = range(3)
_SECONDS = 120.0
_OVERLOADED = (8, "no room", [("x-bin", b"\0\1")])


class Served:
    """A server of the extension module, whose events the test takes.

    Attributes:
        spent: The time in nanoseconds that Python is said to have spent since the last `take`.
    """

    def __init__(self, **limits: Any) -> None:
        given: dict[str, Any] = {"message_bytes": 1_000_000, "connections": 100, "threads": 1}
        self.native = podium_front.Server([PATH], _OVERLOADED, **given | limits)
        self.spent = 0
        self._taken = deque[tuple[Any, ...]]()
        self.address = f"127.0.0.1:{self.native.listen('127.0.0.1', 0)}"

    def event(self, kind: int) -> tuple[Any, ...]:
        """Waits for the next event, which must be of this kind. Returns the rest of the event."""
        found_kind, *content = found = self.next()
        assert found_kind == kind, found
        return tuple(content)

    def next(self) -> tuple[Any, ...]:
        """Waits for the next event, and returns it."""
        end = time.monotonic() + _SECONDS
        while not self._taken:
            assert time.monotonic() < end, "there is no event"
            select.select([self.native.fileno()], [], [], 1.0)
            self._taken.extend(self.native.take(1, self.spent))
        return self._taken.popleft()


@contextmanager
def served(**limits: Any) -> Iterator[Served]:
    """Runs a server inside the block."""
    server = Served(**limits)
    try:
        yield server
    finally:
        server.native.close()
