"""Decides whether the sender may make calls now.

If a call fails because the server cannot be used, the calls of all streams are paused.
"""

import logging
import time

from podium._sender.backoff import Backoff
from podium._sender.verdicts import Pause

__all__ = ["CircuitBreaker"]

_log = logging.getLogger(__name__)


class CircuitBreaker:
    """Pauses all calls while the server cannot be used. After a wait, allows one call as a retry.

    Attributes:
        pause: The failure because of which calls are paused; None if calls are allowed.
        due: The time of the next retry, on the clock of `time.monotonic`.
        due_time: The time of the next retry, in seconds since 1970.
        since_time: The time at which calls were paused, in seconds since 1970.
    """

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff()
        self.pause: Pause | None = None
        self.due = self.due_time = self.since_time = 0.0
        self._tried = 0.0

    def room(self, now: float, most: int) -> int:
        """Returns how many calls may run now: `most`, unless calls are paused.

        While calls are paused, returns 1 if the retry is due, and otherwise 0.
        """
        if self.pause is None:
            return most
        return 1 if now >= self.due else 0

    def shut(self, pause: Pause, now: float) -> None:
        """Pauses all calls, because a call has failed and the server cannot be used now."""
        if self.pause is not None and now < self.due:
            # The call began before the pause. Only the failure that began the pause counts.
            return
        if self.pause is None:
            self.since_time = time.time()
        if self.pause is None or self.pause.reason != pause.reason:
            _log.warning("the server accepts no events now: %s (%s)", pause.message, pause.reason)
        self.pause = pause
        self._tried = now
        seconds = pause.least_seconds + self._backoff.next()
        self.due, self.due_time = now + seconds, time.time() + seconds

    def hurry(self) -> None:
        """Moves the next retry forward, to about a second after the last one.

        Does nothing if the server asked the sender to wait because a limit is reached.
        """
        if self.pause is None or self.pause.is_throttled:
            return
        sooner = self.due - (self._tried + self._backoff.soon())
        if sooner > 0:
            self.due, self.due_time = self.due - sooner, self.due_time - sooner

    def open(self) -> None:
        """Allows calls again, because the server has answered."""
        if self.pause is not None:
            _log.warning("the server answers again")
        self.pause = None
        self._backoff.reset()
