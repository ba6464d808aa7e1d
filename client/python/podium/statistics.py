"""Statistics of a few numbers, such as the scores of one configuration with several seeds.

Uses only the standard library. Sources of the formulas:

- standard deviation, in two passes and corrected: T. F. Chan, G. H. Golub, R. J. LeVeque,
  "Algorithms for Computing the Sample Variance", The American Statistician 37 (1983);
- Student's t through the incomplete beta function: NIST Digital Library of Mathematical Functions,
  https://dlmf.nist.gov, 8.17; its continued fraction by the modified Lentz algorithm:
  W. H. Press et al., "Numerical Recipes", 3rd ed. (2007), 5.2 and 6.4;
- several tests at once: S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure",
  Scandinavian Journal of Statistics 6 (1979);
- two means whose variances differ: B. L. Welch, "The Generalization of 'Student's' Problem When
  Several Different Population Variances Are Involved", Biometrika 34 (1947).

Intervals and p-values assume that the numbers are independent draws from a normal distribution. If
all runs used the same data, they do not show how the numbers would vary with other data.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

__all__ = [
    "CONFIDENCE",
    "Description",
    "Difference",
    "describe",
    "holm",
    "mean",
    "student_t_quantile",
    "student_t_tails",
    "welch",
]

CONFIDENCE = 0.95
"""The confidence level of the intervals."""

_TINY = 1e-300
_PRECISION = 1e-16
_TERMS = 100_000


@dataclass(frozen=True, slots=True)
class Description:
    """Statistics of some numbers, here called values. A statistic that is not defined is None.

    If a value is infinite, the mean is infinite, and the standard deviation and the interval are
    None. With infinities of both signs, the mean is None, too.
    """

    n: int
    """The number of values."""
    mean: float | None = None
    """The mean; None without values."""
    sd: float | None = None
    """The sample standard deviation (divisor n - 1); None for fewer than two values."""
    standard_error: float | None = None
    """The standard error of the mean, sd / sqrt(n); None without sd."""
    ci_low: float | None = None
    """The lower end of the 95 % interval of the mean (Student's t)."""
    ci_high: float | None = None
    """The upper end of the 95 % interval of the mean (Student's t)."""
    min: float | None = None
    """The least value."""
    max: float | None = None
    """The greatest value."""

    @property
    def half_width(self) -> float | None:
        """Half the width of the 95 % interval of the mean; None without an interval."""
        return _half_width(self.ci_low, self.ci_high)


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two means, by Welch's test.

    There is an interval and a p-value only if both sides have two values or more, and the values of
    at least one side differ.
    """

    difference: float | None = None
    """The left mean minus the right mean; None without a mean, or if both are the same infinity."""
    standard_error: float | None = None
    """The standard error of the difference."""
    df: float | None = None
    """The degrees of freedom, by Welch and Satterthwaite."""
    ci_low: float | None = None
    """The lower end of the 95 % interval of the difference."""
    ci_high: float | None = None
    """The upper end of the 95 % interval of the difference."""
    p_value: float | None = None
    """The two-sided p-value: how probable so large a difference is if the true means are equal."""

    @property
    def half_width(self) -> float | None:
        """Half the width of the 95 % interval of the difference; None without an interval."""
        return _half_width(self.ci_low, self.ci_high)


def describe(values: Iterable[float]) -> Description:
    """Returns statistics of numbers. Their order does not matter.

    Raises:
        ValueError: One of the numbers is NaN.
    """
    numbers = [float(value) for value in values]
    if any(map(math.isnan, numbers)):
        raise ValueError(
            "the values contain NaN, which has no mean: remove NaN, and report its count separately"
        )
    if not numbers:
        return Description(0)
    center, sd = mean(numbers), _sd(numbers, min(numbers), max(numbers))
    standard_error = None if sd is None else sd / math.sqrt(len(numbers))
    low, high = _interval(center, standard_error, len(numbers) - 1)
    return Description(
        len(numbers), center, sd, standard_error, low, high, min(numbers), max(numbers)
    )


def mean(numbers: Sequence[float]) -> float | None:
    """Returns the mean of numbers, which must not be NaN: the same value as `describe(…).mean`."""
    if not numbers:
        return None
    least, greatest = min(numbers), max(numbers)
    if math.isinf(least) or math.isinf(greatest):
        infinity = least + greatest
        return None if math.isnan(infinity) else infinity
    if least == greatest:
        return least
    scaled, scale = _scaled(numbers, least, greatest)
    return math.ldexp(math.fsum(scaled) / len(scaled), scale)


def _scaled(numbers: Sequence[float], least: float, greatest: float) -> tuple[list[float], int]:
    """Divides the numbers by a power of two. Returns the quotients and the exponent.

    The division is exact, except for quotients too small for a normal double. Sums and squares of
    the quotients do not overflow.
    """
    scale = math.frexp(max(-least, greatest))[1]
    return [math.ldexp(number, -scale) for number in numbers], scale


def _sd(numbers: Sequence[float], least: float, greatest: float) -> float | None:
    if len(numbers) == 1 or math.isinf(least) or math.isinf(greatest):
        return None
    if least == greatest:
        return 0.0
    scaled, scale = _scaled(numbers, least, greatest)
    center = math.fsum(scaled) / len(scaled)
    deviations = [number - center for number in scaled]
    # The second sum corrects the error that rounding the mean causes in the first one.
    squares = math.fsum(d * d for d in deviations) - math.fsum(deviations) ** 2 / len(numbers)
    return _unscaled(math.sqrt(squares / (len(numbers) - 1)), scale)


def _unscaled(number: float, scale: int) -> float | None:
    try:
        return math.ldexp(number, scale)
    except OverflowError:
        return None


def welch(left: Description, right: Description) -> Difference:
    """Compares two means by Welch's test. Differences are left minus right."""
    if left.mean is None or right.mean is None:
        return Difference()
    difference = left.mean - right.mean
    if math.isnan(difference):
        return Difference()
    if left.standard_error is None or right.standard_error is None:
        return Difference(difference)
    standard_error = math.hypot(left.standard_error, right.standard_error)
    if not standard_error:
        return Difference(difference, standard_error)
    df = _welch_df((left.standard_error / standard_error) ** 2, left.n, right.n)
    low, high = _interval(difference, standard_error, df)
    p_value = student_t_tails(difference / standard_error, df)
    return Difference(difference, standard_error, df, low, high, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns the p-values of several tests, adjusted by Holm's method, in the given order."""
    adjusted = [0.0] * len(p_values)
    greatest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        greatest = max(greatest, min((len(p_values) - place) * p_values[index], 1.0))
        adjusted[index] = greatest
    return adjusted


def _welch_df(share: float, left: int, right: int) -> float:
    """Returns the degrees of freedom of Welch's test.

    `share` is the left side's share of the variance of the difference. `left` and `right` are the
    numbers of values on the two sides.
    """
    return 1 / (share**2 / (left - 1) + (1 - share) ** 2 / (right - 1))


def _interval(
    center: float | None, standard_error: float | None, df: float
) -> tuple[float | None, float | None]:
    if center is None or standard_error is None:
        return None, None
    half = student_t_quantile((1 + CONFIDENCE) / 2, df) * standard_error
    return _finite(center - half), _finite(center + half)


def _half_width(low: float | None, high: float | None) -> float | None:
    return None if low is None or high is None else high / 2 - low / 2


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


# ---- Student's t ---------------------------------------------------------------------------


def student_t_tails(t: float, df: float) -> float:
    """Returns the probability that |T| >= |t| for T with Student's t distribution.

    Computes I_x(df/2, 1/2) with x = df/(df + t²), the regularized incomplete beta function. Ten
    digits are correct up to 100,000 degrees of freedom.

    Args:
        t: Any number.
        df: The degrees of freedom, above 0; not necessarily an integer.
    """
    if math.isinf(t):
        return 0.0
    scale = math.hypot(math.sqrt(df), t)
    return _beta(df / 2, 0.5, (math.sqrt(df) / scale) ** 2, (t / scale) ** 2)


@lru_cache(maxsize=1024)
def student_t_quantile(probability: float, df: float) -> float:
    """Returns the quantile of Student's t distribution.

    Args:
        probability: At least 0.5, and less than 1.
        df: The degrees of freedom, above 0.
    """
    tails = 2 * (1 - probability)
    low, high = 0.0, 1.0
    while student_t_tails(high, df) > tails:
        low, high = high, 2 * high
    middle = (low + high) / 2
    while low < middle < high:
        if student_t_tails(middle, df) > tails:
            low = middle
        else:
            high = middle
        middle = (low + high) / 2
    return middle


def _beta(a: float, b: float, x: float, rest: float) -> float:
    """Returns I_x(a, b), the regularized incomplete beta function.

    `rest` is 1 - x, which is exact even if x is close to 1.
    """
    if not x or not rest:
        return 0.0 if not x else 1.0
    log_factor = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    log_factor += a * _log(x, rest) + b * _log(rest, x)
    factor = math.exp(log_factor)
    # If the fraction converges slowly, use the symmetry relation of DLMF 8.17.4.
    if x < (a + 1) / (a + b + 2):
        return factor * _beta_fraction(a, b, x) / a
    return 1 - factor * _beta_fraction(b, a, rest) / b


def _log(x: float, rest: float) -> float:
    return math.log(x) if x < rest else math.log1p(-rest)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Evaluates the continued fraction of DLMF 8.17.22 with the modified Lentz algorithm."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = fraction
        for term in (even, odd):
            c, d = _not_zero(1 + term / c), 1 / _not_zero(1 + term * d)
            fraction *= c * d
        if abs(fraction - before) <= _PRECISION * abs(fraction):
            break
    return fraction


def _not_zero(number: float) -> float:
    return number if abs(number) > _TINY else _TINY
