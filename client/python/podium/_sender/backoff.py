"""Computes the waits between retries: random, up to a limit that doubles with each failure."""

from collections.abc import Callable
from random import SystemRandom

__all__ = ["Backoff"]

_FIRST_SECONDS = 0.1
_MOST_SECONDS = 30.0
_DOUBLINGS = 10
_SOON_SECONDS = (0.5, 1.5)

_random = SystemRandom()


class Backoff:
    """The waits between the retries of a call, in seconds.

    A wait is random, so that senders do not retry together. Its limit doubles with each failure,
    from 0.1 s to 30 s. This is "full jitter": M. Brooker, Exponential Backoff And Jitter, AWS
    Architecture Blog, 2015.
    """

    def __init__(self, uniform: Callable[[float, float], float] = _random.uniform) -> None:
        self._uniform = uniform
        self.failures = 0

    def next(self) -> float:
        """Counts one more failure, and returns the seconds to wait before the retry."""
        bound = min(_MOST_SECONDS, _FIRST_SECONDS * 2 ** min(self.failures, _DOUBLINGS))
        self.failures += 1
        return self._uniform(0, bound)

    def soon(self) -> float:
        """Returns the seconds to wait if a process has asked for an early retry: about one."""
        return self._uniform(*_SOON_SECONDS)

    def reset(self) -> None:
        """Resets the number of failures after a success."""
        self.failures = 0
