"""Tests of how many items a page has: as many as the client asks for, within the limits."""

from collections.abc import Callable

import pytest
from podium._limits.limits import Limits
from podium.errors import InvalidArgumentError
from podium_server.api.pages import matrix_limits, page_limits, series_limits
from podium_server.store.contract import PageLimits

from tests.each import each

_LIMITS = Limits(page_rows=500, page_scores=600, page_bytes=1_001)


@each(("asked", "rows"), [(0, 100), (1, 1), (499, 499), (500, 500), (501, 500)])
def test_a_page_of_rows(asked: int, rows: int) -> None:
    """A page has 100 rows unless the client asks for another number, up to the limit."""
    assert page_limits(asked, _LIMITS) == PageLimits(rows, 1_001)


def test_a_limit_below_the_default() -> None:
    """If the limit is below the default number of rows, a page has as many as the limit."""
    assert page_limits(0, Limits(page_rows=7)).rows == 7


@each(
    ("asked", "metrics", "rows"),
    [(0, 1, 100), (0, 6, 100), (0, 7, 85), (500, 2, 300), (3, 7, 3), (0, 600, 1), (0, 601, 1)],
)
def test_a_page_of_a_matrix(asked: int, metrics: int, rows: int) -> None:
    """A page of a matrix has at most as many scores as the limit, but at least one row.

    The limit of its bytes is half of the limit for other pages.
    """
    assert matrix_limits(asked, metrics, _LIMITS) == PageLimits(rows, 500)


@each(("asked", "points"), [(0, 600), (1, 1), (600, 600), (601, 600)])
def test_a_page_of_points(asked: int, points: int) -> None:
    """A page has as many points as the limit allows, unless the client asks for fewer."""
    assert series_limits(asked, _LIMITS) == PageLimits(points, 1_001)


@each("limits", [page_limits, series_limits, lambda size, limits: matrix_limits(size, 1, limits)])
@each("asked", [-1, 2**31])
def test_an_invalid_page_size(limits: Callable[[int, Limits], PageLimits], asked: int) -> None:
    """If the size of a page is invalid, the error names the field `page_size`."""
    with pytest.raises(InvalidArgumentError, match="page_size is") as raised:
        limits(asked, _LIMITS)
    assert raised.value.metadata["field"] == "page_size"
