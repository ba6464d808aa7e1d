"""Histograms for monitoring."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

__all__ = ["COUNTS", "SECONDS", "Histogram"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the buckets for times."""
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""The upper bounds of the buckets for numbers of calls."""


class Histogram:
    """Counts how many numbers are in each bucket, and keeps the sum of all numbers.

    `bounds` are the upper bounds of the buckets. A further bucket has all greater numbers.
    """

    __slots__ = ("_bounds", "_buckets", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._buckets = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, number: float) -> None:
        """Counts a number."""
        self._buckets[bisect_left(self._bounds, number)] += 1
        self._sum += number

    def lines(self, name: str, label: str = "") -> Iterator[str]:
        """Yields the lines of the histogram in the text format of Prometheus.

        `label` has the histogram's labels, such as `method="m"`. As Prometheus expects, each bucket
        also counts the numbers of the buckets before it.
        """
        count = 0
        for bound, number in zip((*self._bounds, "+Inf"), self._buckets, strict=True):
            count += number
            labels = ",".join(filter(None, (label, f'le="{bound}"')))
            yield f"{name}_bucket{{{labels}}} {count}"
        suffix = f"{{{label}}}" if label else ""
        yield f"{name}_sum{suffix} {self._sum:.9g}"
        yield f"{name}_count{suffix} {count}"
