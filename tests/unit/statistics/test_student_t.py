"""Tests of Student's t: its tails and quantiles equal those of tables and of scipy."""

import math
from typing import Any

import pytest
from podium.statistics import student_t_quantile, student_t_tails

from tests.each import each
from tests.lazy import Lazy

stats: Any = Lazy("scipy.stats")

_DEGREES = (1, 1.5, 2, 3, 4.7, 10, 29.9, 100, 1000, 99_999)


@each(
    ("df", "expected"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (29, 2.045), (120, 1.980)],
)
def test_the_printed_table(df: int, expected: float) -> None:
    """The quantiles at 97.5 % are those of printed tables."""
    assert round(student_t_quantile(0.975, df), 3) == expected


@each("t", [1e-8, 0.01, 0.5, 1.0, 3.0, 50.0, 1e10])
def test_one_and_two_degrees_in_closed_form(t: float) -> None:
    """The tails equal 1 - 2 atan(t)/pi for one degree of freedom.

    For two degrees, they equal 1 - t/sqrt(2 + t²).
    """
    assert student_t_tails(t, 1) == pytest.approx(2 * math.atan(1 / t) / math.pi, rel=1e-13)
    assert student_t_tails(t, 2) == pytest.approx(
        2 / (math.hypot(t, math.sqrt(2)) * (math.hypot(t, math.sqrt(2)) + t)), rel=1e-13
    )


def test_the_ends() -> None:
    """The tails are 1 at zero and 0 at infinity. The quantile at 50 % is 0."""
    assert student_t_tails(0.0, 3) == 1.0
    assert student_t_tails(math.inf, 3) == 0.0
    assert student_t_tails(-math.inf, 3) == 0.0
    assert student_t_tails(1e200, 2.5) == 0.0
    assert student_t_quantile(0.5, 3) == 0.0


@pytest.mark.slow
@each("df", _DEGREES)
@each("t", [-0.3, 0.01, 0.5, 1.0, 2.0, 5.0, 30.0])
def test_tails_are_those_of_scipy(t: float, df: float) -> None:
    """The tails agree with scipy to 12 digits, or to 9 from 100 degrees of freedom."""
    expected = 2 * stats.t.sf(abs(t), df)
    accuracy = 1e-12 if df < 100 else 1e-9
    assert student_t_tails(t, df) == pytest.approx(expected, rel=accuracy, abs=1e-290)
