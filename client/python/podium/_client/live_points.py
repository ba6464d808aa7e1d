"""The points of training series in memory: 16 bytes each. Successive states share them."""

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from podium.curves import Series

__all__ = ["LivePoints"]


class LivePoints:
    """The points of a training series at one revision.

    The points of the next revision use the same arrays, with the new points at their end.
    """

    __slots__ = ("_length", "_steps", "_values")

    def __init__(
        self, steps: "array[int] | None" = None, values: "array[float] | None" = None
    ) -> None:
        self._steps = array("q") if steps is None else steps
        self._values = array("d") if values is None else values
        self._length = len(self._steps)

    def before(self, step: int) -> "LivePoints":
        """Returns the points before a step."""
        at = bisect_left(self._steps, step, 0, self._length)
        return self if at == self._length else LivePoints(self._steps[:at], self._values[:at])

    def followed_by(self, steps: Sequence[int], values: Sequence[float]) -> "LivePoints":
        """Returns these points followed by the given points, which must be at later steps."""
        shared, numbers = self._steps, self._values
        if len(shared) > self._length:  # another state has appended to them already
            shared, numbers = shared[: self._length], numbers[: self._length]
        shared.extend(steps)
        numbers.extend(values)
        return LivePoints(shared, numbers)

    def series(self, key: str) -> Series:
        """Returns the points as the training series of a key."""
        return Series(key, list(self._steps[: self._length]), list(self._values[: self._length]))
