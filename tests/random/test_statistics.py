"""Tests that compare statistics of random numbers with exact arithmetic and with scipy."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from podium.statistics import describe, student_t_quantile, welch
from scipy import stats

_NUMBERS = st.lists(st.floats(-1e300, 1e300).map(lambda x: x if abs(x) > 1e-280 else 0.0))
_SEEDS = st.lists(st.integers(-(10**6), 10**6).map(lambda n: n / 1000), min_size=2, max_size=30)


@given(_NUMBERS.filter(lambda numbers: len(numbers) > 0))
def test_any_numbers_against_exact_fractions(numbers: list[float]) -> None:
    """`describe` has the mean and variance of exact arithmetic, whatever the numbers.

    The order of the numbers does not matter.
    """
    found = describe(numbers)
    assert found == describe(sorted(numbers))
    exact = [Fraction(number) for number in numbers]
    mean = sum(exact, Fraction()) / len(exact)
    assert found.mean is not None
    greatest = max(map(abs, exact))
    assert abs(Fraction(found.mean) - mean) <= greatest * Fraction(2, 2**53)
    if len(numbers) > 1 and found.sd is not None:
        squares = ((number - mean) * (number - mean) for number in exact)
        variance = sum(squares, Fraction()) / (len(exact) - 1)
        assert abs(Fraction(found.sd) * Fraction(found.sd) - variance) <= variance * Fraction(
            1, 10**12
        )


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_intervals_are_those_of_scipy(numbers: list[float]) -> None:
    """The 95 % interval of `describe` is that of scipy for Student's t around the mean."""
    found = describe(numbers)
    assert found.mean is not None
    assert found.standard_error is not None
    if found.standard_error:
        expected = stats.t.interval(0.95, len(numbers) - 1, found.mean, found.standard_error)
        accuracy = 1e-12 * (abs(found.mean) + found.standard_error)
        assert (found.ci_low, found.ci_high) == pytest.approx(expected, rel=1e-12, abs=accuracy)


@given(st.floats(1, 1e5), st.floats(0.51, 0.9999))
def test_quantiles_are_those_of_scipy(df: float, probability: float) -> None:
    """`student_t_quantile` agrees with scipy, even for degrees of freedom that are not whole."""
    expected = stats.t.ppf(probability, df)
    assert student_t_quantile(probability, df) == pytest.approx(expected, rel=1e-9)


@given(_SEEDS, _SEEDS)
def test_any_two_samples_against_scipy(left: list[float], right: list[float]) -> None:
    """`welch` has the degrees of freedom, interval and p-value of scipy's test.

    Exchanged samples have the opposite difference and the same p-value.
    """
    sides = describe(left), describe(right)
    found, turned = welch(*sides), welch(*reversed(sides))
    assert found.difference == -(turned.difference or 0.0)
    if not all(side.sd for side in sides):
        return
    assert found.p_value == pytest.approx(turned.p_value, rel=1e-12)
    expected = stats.ttest_ind(left, right, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found.df == pytest.approx(expected.df, rel=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-8, abs=1e-290)
    assert found.ci_low == pytest.approx(interval.low, rel=1e-8, abs=1e-8)
    assert found.ci_high == pytest.approx(interval.high, rel=1e-8, abs=1e-8)
