"""Tests of means, standard deviations and intervals, by hand."""

import math
from typing import Any

import pytest
from podium.statistics import Description, describe

from tests.each import each
from tests.lazy import Lazy

stats: Any = Lazy("scipy.stats")


def test_three_seeds_by_hand() -> None:
    """The mean of 0.5, 0.6 and 0.7 is 0.6, and the standard deviation is 0.1.

    The interval uses t = 4.3027, for two degrees of freedom.
    """
    found = describe([0.7, 0.5, 0.6])
    assert (found.n, found.min, found.max) == (3, 0.5, 0.7)
    assert found.mean == pytest.approx(0.6, rel=1e-15)
    assert found.sd == pytest.approx(0.1, rel=1e-14)
    assert found.standard_error == pytest.approx(0.057735026918962574, rel=1e-14)
    assert found.ci_low == pytest.approx(0.6 - 4.302652729749462 * 0.057735026918962574)
    assert found.ci_high == pytest.approx(0.6 + 4.302652729749462 * 0.057735026918962574)


@each(
    ("values", "expected"),
    [
        ([], Description(0)),
        ([0.25], Description(1, 0.25, min=0.25, max=0.25)),
        ([1, 1], Description(2, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0)),
        ([0.1] * 3, Description(3, 0.1, 0.0, 0.0, 0.1, 0.1, 0.1, 0.1)),
        ([1.0, math.inf], Description(2, math.inf, min=1.0, max=math.inf)),
        ([-math.inf, 1.0], Description(2, -math.inf, min=-math.inf, max=1.0)),
        ([math.inf] * 2, Description(2, math.inf, min=math.inf, max=math.inf)),
        ([-math.inf, 0.0, math.inf], Description(3, min=-math.inf, max=math.inf)),
    ],
)
def test_statistics_of_few_or_equal_numbers(values: list[float], expected: Description) -> None:
    """The standard deviation of equal numbers is 0.

    A single number has no standard deviation, and neither have numbers with an infinity.
    """
    assert describe(values) == expected


def test_nan_is_an_error() -> None:
    """NaN raises a ValueError."""
    with pytest.raises(ValueError, match="NaN, which has no mean"):
        describe([0.5, math.nan])


def test_numbers_at_the_ends_of_a_double_s_range() -> None:
    """Sums and squares of very large or small numbers do not overflow or underflow.

    A deviation that is too large for a double is None.
    """
    assert describe([1.5e308, 1.7e308]).mean == pytest.approx(1.6e308)
    assert describe([1.5e308, 1.7e308]).sd == pytest.approx(math.sqrt(2) * 1e307)
    assert describe([3e-200, 1e-200]).sd == pytest.approx(math.sqrt(2) * 1e-200)
    wide = describe([-1.7e308, 1.7e308])
    assert wide == Description(2, 0.0, min=-1.7e308, max=1.7e308)


def test_order_does_not_matter() -> None:
    """Large numbers that cancel out do not affect the mean, in any order."""
    assert describe([1e16, 0.75, -1e16]).mean == 0.25
    assert describe([0.75, 1e16, -1e16]).mean == 0.25


def test_a_small_spread_around_a_great_mean() -> None:
    """The standard deviation is exact even if the mean is much larger."""
    found = describe([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16])
    assert found.mean == 1e9 + 10
    assert found.sd == pytest.approx(math.sqrt(30), rel=1e-15)
