"""Whether the server is to be called at all now: what one stream learns of it holds for all."""

import logging
import time

from podium._sender.backoff import Backoff
from podium._sender.protocol import Pause

__all__ = ["CircuitBreaker"]

_log = logging.getLogger(__name__)

_OVERLOADED = "OVERLOADED"
"""The reason of a server that everybody has to leave alone for a while."""


class CircuitBreaker:
    """Shut while the server does not answer; then one call at a time tries whether it does again.

    Attributes:
        pause: Why it is shut; None if it is open.
        due: When the next call may try, on the clock of `time.monotonic`.
        due_time: The same in seconds since 1970.
        since_time: Since when it is shut, in seconds since 1970.
    """

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff()
        self.pause: Pause | None = None
        self.due = self.due_time = self.since_time = 0.0
        self._tried = 0.0

    def room(self, now: float, most: int) -> int:
        """Returns how many calls may be in flight now, up to a maximum."""
        if self.pause is None:
            return most
        return 1 if now >= self.due else 0

    def shut(self, pause: Pause, now: float) -> None:
        """Takes note of a call that says something bad of the server."""
        if self.pause is not None and now < self.due:
            # It began before the others had failed.
            return
        if self.pause is None:
            self.since_time = time.time()
        if self.pause is None or self.pause.reason != pause.reason:
            _log.warning("the server takes nothing now: %s (%s)", pause.message, pause.reason)
        self.pause = pause
        self._tried = now
        seconds = self._backoff.next()
        self.due, self.due_time = now + seconds, time.time() + seconds

    def hurry(self) -> None:
        """Lets the next call try about a second after the last one: somebody waits for it."""
        if self.pause is None or self.pause.reason == _OVERLOADED:
            return
        sooner = self.due - (self._tried + self._backoff.soon())
        if sooner > 0:
            self.due, self.due_time = self.due - sooner, self.due_time - sooner

    def open(self) -> None:
        """Takes note of an answer."""
        if self.pause is not None:
            _log.warning("the server answers again")
        self.pause = None
        self._backoff.reset()
