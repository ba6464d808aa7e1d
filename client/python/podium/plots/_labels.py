"""Measures, shortens and wraps the texts in pictures."""

import textwrap
from collections.abc import Sequence

from podium._values.clean_text import clean
from podium._values.shorten_names import LONGEST_NAME, shorten_names

__all__ = ["listed", "shortened_to_fit", "width_of", "wrapped"]

_SHORTEST, _LISTED = 12, 3
_ELLIPSIS = "…"
_POINTS_AN_INCH = 72
_LINES = 3


def width_of(text: str, size: float, *, is_bold: bool = False) -> float:
    """Returns the width of a line of text in inches."""
    from matplotlib.font_manager import FontProperties  # noqa: PLC0415 - optional, slow to load
    from matplotlib.textpath import text_to_path  # noqa: PLC0415 - optional, slow to load

    font = FontProperties(size=size, weight="bold" if is_bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / _POINTS_AN_INCH


def wrapped(text: str, size: float, inches: float, *, is_bold: bool = False) -> list[str]:
    """Breaks a text into at most three lines that fit a width in inches. Shortens longer texts."""
    text = clean(" ".join(text.split()))
    columns = max(int(inches / (0.005 * size)), 1)
    lines: list[str] = []
    while columns > 1:
        lines = textwrap.wrap(
            text, columns, max_lines=_LINES, placeholder=_ELLIPSIS, break_on_hyphens=False
        )
        if all(width_of(line, size, is_bold=is_bold) <= inches for line in lines):
            break
        columns = int(columns * 0.95)
    return lines


def listed(names: Sequence[str]) -> str:
    """Joins the first three names. If there are more names, adds the number of the others."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def shortened_to_fit(names: Sequence[str], size: float, inches: float) -> list[str]:
    """Shortens names to a width in inches, but not below 12 characters.

    Different names stay different.
    """
    names = list(map(clean, names))
    length = max(map(len, names), default=0)
    length = min(length, LONGEST_NAME)
    result = shorten_names(names, length)
    while length > _SHORTEST and max(width_of(name, size) for name in result) > inches:
        length -= 2
        result = shorten_names(names, length)
    return result
