"""Tests of Welch's comparison of two means, by hand and against scipy."""

import math

import pytest
from podium.statistics import Description, Difference, describe, welch

from tests.each import each


def test_by_hand() -> None:
    """The comparison of 1, 2, 3 with 2, 4, 6, 8 equals the one computed by hand.

    The variances over n are 1/3 and 5/3, so the standard error is sqrt(2).
    """
    found = welch(describe([1, 2, 3]), describe([2, 4, 6, 8]))
    assert found.difference == -3.0
    assert found.standard_error == pytest.approx(math.sqrt(2), rel=1e-15)
    assert found.df == pytest.approx(4 / (1 / 9 / 2 + 25 / 9 / 3), rel=1e-15)
    assert found.ci_low == pytest.approx(-6.89798, abs=1e-5)
    assert found.ci_high == pytest.approx(0.89798, abs=1e-5)
    assert found.p_value == pytest.approx(0.0999, abs=1e-4)


@each(
    ("left", "right", "expected"),
    [
        ([], [1.0, 2.0], Difference()),
        ([3.0], [1.0, 2.0], Difference(1.5)),
        ([3.0, 3.0], [1.0, 1.0], Difference(2.0, 0.0)),
        ([math.inf, 1.0], [1.0, 2.0], Difference(math.inf)),
        ([math.inf], [math.inf], Difference()),
        ([-math.inf, math.inf], [1.0, 2.0], Difference()),
    ],
)
def test_what_cannot_be_tested(left: list[float], right: list[float], expected: Difference) -> None:
    """There is no p-value if a side has too few numbers or an infinity, or if no side varies.

    There is no difference either if a side is empty, or if infinities cancel out.
    """
    assert welch(describe(left), describe(right)) == expected


def test_a_spread_on_one_side_is_enough() -> None:
    """If one side has equal numbers, the degrees of freedom are those of the other side."""
    found = welch(describe([1.0, 1.0]), describe([1.0, 2.0, 3.0]))
    assert (found.difference, found.df) == (-1.0, 2.0)
    assert found.p_value == pytest.approx(0.2254, abs=1e-4)


def test_descriptions_from_elsewhere() -> None:
    """`welch` needs only the mean, standard error and n of each side."""
    left = Description(10, mean=20.6, sd=1.62, standard_error=1.62 / math.sqrt(10))
    right = Description(20, mean=22.1, sd=9.92, standard_error=9.92 / math.sqrt(20))
    # What scipy.stats.ttest_ind_from_stats returns for both sides, with equal_var=False.
    assert welch(left, right).p_value == pytest.approx(0.5171438901607155, rel=1e-10)
