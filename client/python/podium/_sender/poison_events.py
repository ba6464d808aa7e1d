"""How long a stream stays at an event that makes the server fail, before it goes on without it."""

from __future__ import annotations

__all__ = ["PoisonEventPolicy"]

_LEAST_TRIES = 3
_MOST_SECONDS = 3_600.0
_LEAST_PART = 64


class PoisonEventPolicy:
    """Ends for one event at a time, and learns from what becomes of those behind it.

    Where the server takes what comes next, only some events make it fail, and the stream stays
    half as long at the next one. Where it fails at that as well, everything may, so the stream
    stays twice as long: people have to send every rejected event again.

    Args:
        seconds: For how long at first.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._least = seconds / _LEAST_PART
        self._sequence = 0
        self._since = 0.0
        self._tries = 0
        self._has_given_up = False

    def is_over(self, sequence: int, now: float) -> bool:
        """Counts one more failure at an event; whether to go on without it."""
        if sequence != self._sequence:
            self._begin(sequence, now)
        self._tries += 1
        is_over = self._tries >= _LEAST_TRIES and now - self._since >= self._seconds
        self._has_given_up = self._has_given_up or is_over
        return is_over

    def _begin(self, sequence: int, now: float) -> None:
        self._sequence, self._since, self._tries = sequence, now, 0
        if self._has_given_up:
            self._seconds = min(2 * self._seconds, _MOST_SECONDS)

    def succeeded(self) -> None:
        """Takes note that the server took an event."""
        if self._has_given_up:
            self._has_given_up = False
            self._seconds = max(self._seconds / 2, self._least)
