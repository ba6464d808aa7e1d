"""Formats tables for people: aligned columns that fit the terminal. Does no I/O."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from podium._values.shorten_text import shorten
from podium._values.text_width import character_width, padded, width_of

__all__ = ["Column", "columns_of", "cut", "fits", "table"]

_GAP = "  "
_NARROWEST = 8
_NARROWEST_LONG = 12
_ELLIPSIS = "…"


class Column(NamedTuple):
    """A column: its header and its cells, one for each row."""

    header: str
    cells: list[str]
    is_number: bool = False
    """Whether the column has numbers, which are aligned to the right."""
    is_long: bool = False
    """Whether the column has long texts, which are shortened first if there is not enough room."""


def columns_of(rows: Iterable[Sequence[str]], *headers: str) -> list[Column]:
    """Returns the columns of a table from its rows, without empty columns.

    A header that begins with `>` marks a column of numbers, one with `~` a column of long texts.
    """
    cells = list(zip(*rows, strict=True)) or [()] * len(headers)
    columns = [
        Column(header.lstrip(">~"), list(column), header[:1] == ">", header[:1] == "~")
        for header, column in zip(headers, cells, strict=True)
    ]
    return [column for column in columns if any(column.cells)]


def table(columns: Sequence[Column], width: int | None) -> Iterator[str]:
    """Yields the lines of a table that is at most `width` wide, if possible.

    If there is not enough room, columns of long texts are made narrower first. If that is not
    enough, they are left out, the last one first, and the header ends with an ellipsis. If even
    that is not enough, the other columns are made narrower.
    """
    shown, widths = _fitted(columns, width)
    for line in zip(*([column.header, *column.cells] for column in shown), strict=True):
        cells = (
            padded(cut(cell, size), size, is_number=column.is_number)
            for cell, size, column in zip(line, widths, shown, strict=True)
        )
        yield _GAP.join(cells).rstrip()


def fits(columns: Sequence[Column], width: int | None) -> bool:
    """Returns whether a table has room for its columns without shortening any text."""
    natural = sum(map(_natural_width, columns)) + len(_GAP) * (len(columns) - 1)
    return width is None or natural <= width


def cut(text: str, width: int) -> str:
    """Shortens a text to a width. A shortened text ends with an ellipsis."""
    return shorten(text, width, character_width)


def _fitted(columns: Sequence[Column], width: int | None) -> tuple[Sequence[Column], list[int]]:
    if width is None:
        return columns, list(map(_natural_width, columns))
    for shown in _with_fewer(columns):
        widths = list(map(_natural_width, shown))
        least = [_NARROWEST_LONG if column.is_long else width for column in shown]
        if _narrowed(widths, least, width):
            break
    else:
        _narrowed(widths, [_NARROWEST] * len(widths), width)
    return shown, widths


def _with_fewer(columns: Sequence[Column]) -> Iterator[Sequence[Column]]:
    """Yields all columns, then those without the last column of long texts, and so on.

    A column with an ellipsis as its header stands for the columns that are left out.
    """
    yield columns
    sign = Column(_ELLIPSIS, [""] * max((len(column.cells) for column in columns), default=0))
    last = [index for index, column in enumerate(columns) if column.is_long]
    while last:
        columns = [column for index, column in enumerate(columns) if index != last[-1]]
        last.pop()
        yield [*columns, sign]


def _natural_width(column: Column) -> int:
    return max(map(width_of, (column.header, *column.cells)))


def _narrowed(widths: list[int], least: Sequence[int], width: int) -> bool:
    """Narrows the widest columns, down to their least widths. Returns whether they fit."""
    while sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        shrinkable = [(size, i) for i, size in enumerate(widths) if size > least[i]]
        if not shrinkable:
            return False
        widths[max(shrinkable)[1]] -= 1
    return True
