"""Defines the order and the ranks of scores: numbers, then NaN, then no score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from struct import Struct
from typing import NamedTuple

from podium._values import coerce
from podium._values.enums import Direction

__all__ = [
    "DIRECTION_KEY",
    "NAN_KEY",
    "OrderKey",
    "Ranks",
    "direction_for",
    "direction_metadata",
    "order_key",
    "ranked",
    "sort_key",
]

_DIRECTION = coerce.member_of(Direction)

DIRECTION_KEY = "direction:{metric}"
"""The metadata key under which an experiment stores the direction of a metric."""


_DOUBLE = Struct("<d")

_INTEGER = Struct("<q")

_MAGNITUDE = 2**63 - 1

NAN_KEY = 2**63 - 1
"""The sort key of NaN, which is greater than the sort key of every number."""


def direction_metadata(directions: Mapping[str, str]) -> dict[str, str]:
    """Returns the entries of an experiment's metadata that store the direction of each metric."""
    return {DIRECTION_KEY.format(metric=metric): way for metric, way in directions.items()}


def direction_for(
    metric: str, success_metric: str | None, direction: Direction | None, stated: object
) -> Direction | None:
    """Returns the direction of a metric in an experiment, or None if it has none.

    Args:
        metric: The metric.
        success_metric: The success metric of the experiment.
        direction: The direction of the experiment. It is used for the success metric, and for
            metrics without a stated direction.
        stated: The value that the experiment's metadata has under the metric's `DIRECTION_KEY`.
    """
    if stated not in tuple(Direction) or (direction and metric == success_metric):
        return direction
    return Direction(str(stated))


def sort_key(value: float) -> int:
    """Returns a 64-bit integer for a number. The integers have the order of the numbers.

    0.0 and -0.0 have the same integer. NaN has `NAN_KEY`.
    """
    if isnan(value):
        return NAN_KEY
    # The bits of positive doubles sort like the numbers, those of negative doubles in reverse.
    bits: int = _INTEGER.unpack(_DOUBLE.pack(value + 0.0))[0]
    return bits if bits >= 0 else bits ^ _MAGNITUDE


class OrderKey(NamedTuple):
    """The sort key of a score in a ranking. The least key comes first."""

    section: int
    """0 for numbers, 1 for NaN, 2 for no score."""
    key: int
    """The sort key of a number, negated if greater scores are better. 0 for NaN and no score."""


def order_key(score: float | None, direction: str | None = None) -> OrderKey:
    """Returns the sort key of a score. The best number is first, then NaN, then None."""
    if score is None:
        return OrderKey(2, 0)
    if isnan(score):
        return OrderKey(1, 0)
    key = sort_key(score)
    return OrderKey(0, key if direction == Direction.MINIMIZE else -key)


@dataclass(slots=True)
class Ranks:
    """Assigns ranks to scores, one after the other, the best first. Equal scores share a rank.

    The ranks are 1, 2, 2, 4 if the second and third score are equal. To continue a ranking on its
    next page, create a Ranks with the fields that this one has at the end of the page.
    """

    seen: int = 0
    rank: int = 0
    last: OrderKey | None = None

    def next(self, key: OrderKey) -> int | None:
        """Returns the rank of the next score, given its key, or None if the arm has no score."""
        self.seen += 1
        if key != self.last:
            self.rank, self.last = self.seen, key
        return None if key.section == order_key(None).section else self.rank


def ranked(
    scores: Sequence[float | None], direction: str | None = None
) -> list[tuple[int, int | None]]:
    """Returns the index and the rank of each score, the best first. The rank of None is None.

    Equal scores are in their original order.

    Raises:
        ValueError: The direction is neither `maximize` nor `minimize`.
    """
    direction = coerce.optional(_DIRECTION, direction, "direction")
    keys = [order_key(value, direction) for value in scores]
    ranks = Ranks()
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return [(index, ranks.next(keys[index])) for index in order]
