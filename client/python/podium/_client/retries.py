"""Determines which failed calls are retried, and when, for both clients."""

import random
import time
from dataclasses import dataclass
from typing import NamedTuple

from podium.errors import PodiumError, UnavailableError

__all__ = ["Failure", "Retries", "RetryPolicy"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
_RANDOM = random.SystemRandom()
_TURNED_AWAY = frozenset({"OVERLOADED", "QUOTA_EXCEEDED", "SHUTTING_DOWN"})
"""The error reasons of calls that a server rejects before it has begun to process them."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Determines for how long a client retries failed calls.

    Attributes:
        is_on: Whether failed calls are retried.
        connect_seconds: The seconds for which calls are retried while no server has ever answered
            this client. If None, reads are retried until their deadline, and writes are not
            retried.
    """

    is_on: bool = True
    connect_seconds: float | None = None


class Failure(NamedTuple):
    """A failed try of a call."""

    error: PodiumError
    was_sent: bool
    """Whether the request may have reached the server."""

    @property
    def is_of_server(self) -> bool:
        """Whether the server has not run the call, because it cannot be reached or is stopping."""
        return not self.was_sent or self.error.reason == "SHUTTING_DOWN"


class Retries:
    """Decides whether and when one call is retried.

    Args:
        policy: Determines for how long failed calls are retried.
        timeout: The seconds from now to the deadline of the call.
        is_write: Whether the call may change something.
        others: The number of the client's servers besides the one that is called.
    """

    def __init__(
        self, policy: RetryPolicy, timeout: float, *, is_write: bool, others: int = 0
    ) -> None:
        self._policy = policy
        self._begin = time.monotonic()
        self._timeout = timeout
        self._is_write = is_write
        self._others = self._untried = others
        self._backoff = _FIRST_PAUSE

    def remaining(self) -> float:
        """Returns the seconds that are left until the deadline of the call."""
        return self._begin + self._timeout - time.monotonic()

    def pause(self, failure: Failure, *, is_known: bool) -> float | None:
        """Returns the seconds to wait before a retry, or None if the call is not retried.

        `is_known` must be True if any server has ever answered a call of this client.
        """
        if failure.is_of_server and self._untried:
            # The next server is tried at once. This is not a retry, because the call has not run.
            self._untried -= 1
            return 0.0
        self._untried = self._others
        if not (self._policy.is_on and self._may_repeat(failure)):
            return None
        # The pause is random, so that clients that were rejected together do not retry together.
        asked = (failure.error.retry_after or 0.0) * _RANDOM.uniform(1.0, 1.5)
        pause = max(asked, self._backoff * _RANDOM.uniform(0.5, 1.0))
        self._backoff = min(2 * self._backoff, _LONGEST_PAUSE)
        return pause if pause < self._seconds_left(failure, is_known=is_known) else None

    def _may_repeat(self, failure: Failure) -> bool:
        error = failure.error
        if error.reason in _TURNED_AWAY or (error.reason and error.retry_after is not None):
            return True
        # A write whose response was lost may have been stored.
        return isinstance(error, UnavailableError) and not (self._is_write and failure.was_sent)

    def _seconds_left(self, failure: Failure, *, is_known: bool) -> float:
        if failure.was_sent or is_known:
            return self.remaining()
        connect = self._policy.connect_seconds
        if connect is None:
            return 0.0 if self._is_write else self.remaining()
        return min(self.remaining(), connect - (self._timeout - self.remaining()))
