"""Decides when the sender skips an event that makes the server fail each time it is sent."""

from __future__ import annotations

__all__ = ["PoisonEventPolicy"]

_LEAST_TRIES = 3
_MOST_SECONDS = 3_600.0
_LEAST_PART = 64


class PoisonEventPolicy:
    """Decides how long one event of a stream is retried before it is skipped.

    If the server accepts the event after a skipped one, only some events make the server fail. So
    the next event at which it fails is retried for half the time. If the server also fails at the
    event after a skipped one, it may fail at all events. So this event is retried for twice the
    time, because users have to send skipped events again.

    Args:
        seconds: How long the first event at which the server fails is retried, in seconds.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._least = seconds / _LEAST_PART
        self._sequence = 0
        self._since = 0.0
        self._tries = 0
        self._has_given_up = False

    def is_over(self, sequence: int, now: float) -> bool:
        """Counts a failure at the event with a sequence number. Returns whether to skip it."""
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
        """Handles the acceptance of an event by the server.

        After a skipped event, halves the time for which the next failing event is retried.
        """
        if self._has_given_up:
            self._has_given_up = False
            self._seconds = max(self._seconds / 2, self._least)
