"""Draws curves as text: a chart with a letter for each curve, or one line of a table."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from string import ascii_letters
from typing import NamedTuple

from podium.curves import Curve

__all__ = ["LETTERS", "Series", "chart", "series_of", "spark"]

LETTERS = ascii_letters
"""The letters that mark curves in a chart: the first letter marks the first curve."""

_HEIGHT = 16
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-=+*%#"
_FRAME = ("│", "└", "─", "·")
_ASCII_FRAME = ("|", "+", "-", ".")
_TICKS = 4


class Series(NamedTuple):
    """The finite values of a curve by step. Each step occurs once."""

    steps: Sequence[int]
    values: Sequence[float]


def series_of(curve: Curve) -> Series:
    """Returns the finite means of a curve."""
    points = [
        (point.step, mean)
        for point in curve.points
        if (mean := point.statistics.mean) is not None and math.isfinite(mean)
    ]
    return Series([step for step, _ in points], [value for _, value in points])


def chart(series: Sequence[Series], width: int, *, is_ascii: bool = False) -> Iterator[str]:
    """Yields the lines of a chart of `width` characters; none if there are no values.

    A letter marks a measured point, and dots the straight line between two points. Where curves
    overlap, the first one is shown.
    """
    drawn = [one for one in series if one.steps]
    if not drawn:
        return
    low, high = _bounds(drawn)
    labels = _labels(low, high)
    margin = max(map(len, labels))
    columns = max(width - margin - 2, 10)
    side, corner, ground, between = _ASCII_FRAME if is_ascii else _FRAME
    grid = _grid(series, columns, low, high, between)
    for row, label in zip(grid, labels, strict=True):
        yield f"{label:>{margin}} {side}{''.join(row)}".rstrip()
    yield f"{'':{margin}} {corner}{ground * columns}"
    first, last = _steps(drawn)
    yield f"{'':{margin + 2}}{first:<{columns - len(str(last))}}{last}"


def spark(one: Series, others: Sequence[Series], width: int, *, is_ascii: bool = False) -> str:
    """Returns a curve as one line of text. Its axes fit all curves in `others`.

    The line begins with spaces if the curve begins at a later step than another one.
    """
    bars = _ASCII_BARS if is_ascii else _BARS
    low, high = _bounds([each for each in others if each.steps])
    cells = [" "] * width
    for column, value in _line(one, width, *_steps(others)):
        cells[column] = bars[_level(value, low, high, len(bars))]
    return "".join(cells).rstrip()


def _grid(
    series: Sequence[Series], columns: int, low: float, high: float, between: str
) -> list[list[str]]:
    grid = [[" "] * columns for _ in range(_HEIGHT)]
    first, last = _steps(series)
    drawn = list(zip(LETTERS, series, strict=False))
    for _, one in drawn:
        for column, value in _line(one, columns, first, last):
            grid[_HEIGHT - 1 - _level(value, low, high, _HEIGHT)][column] = between
    # The first curve is drawn last, over the others.
    for letter, one in reversed(drawn):
        for step, value in zip(one.steps, one.values, strict=True):
            row = _HEIGHT - 1 - _level(value, low, high, _HEIGHT)
            grid[row][_column(step, columns, first, last)] = letter
    return grid


def _line(one: Series, columns: int, first: int, last: int) -> Iterator[tuple[int, float]]:
    """Yields each column from the first to the last point, and the curve's value in this column."""
    places = [_column(step, columns, first, last) for step in one.steps]
    yield from zip(places, one.values, strict=True)
    for left, right in pairwise(zip(places, one.values, strict=True)):
        for column in range(left[0] + 1, right[0]):
            share = (column - left[0]) / (right[0] - left[0])
            yield column, left[1] + (right[1] - left[1]) * share


def _column(step: int, columns: int, first: int, last: int) -> int:
    return round((step - first) / max(last - first, 1) * (columns - 1))


def _level(value: float, low: float, high: float, levels: int) -> int:
    return min(math.floor((value - low) / (high - low) * levels), levels - 1)


def _bounds(series: Sequence[Series]) -> tuple[float, float]:
    values = [value for one in series for value in one.values]
    low, high = min(values, default=0.0), max(values, default=0.0)
    room = (abs(low) / 10 or 1.0) if low == high else 0.0
    return low - room, high + room


def _steps(series: Sequence[Series]) -> tuple[int, int]:
    steps = [step for one in series for step in one.steps]
    return min(steps, default=0), max(steps, default=0)


def _labels(low: float, high: float) -> list[str]:
    """Returns the labels of the lines of a chart, from the top.

    The label of every fourth line, and of the last line, is the value at the middle of the line.
    Other labels are empty.
    """
    height = (high - low) / _HEIGHT
    return [
        f"{high - (row + 0.5) * height:.4g}" if row % _TICKS == 0 or row == _HEIGHT - 1 else ""
        for row in range(_HEIGHT)
    ]
