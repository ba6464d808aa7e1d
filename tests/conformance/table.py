"""Draws the table of results."""

from collections.abc import Mapping

__all__ = ["table"]


def table(rows: Mapping[str, Mapping[str, str]]) -> str:
    """Draws a table with a row for each file and way, and a column for each language.

    There are more files than languages, so this table is narrow. A cell is empty if its check was
    not run.
    """
    lines = list(dict.fromkeys(line for cells in rows.values() for line in cells))
    drawn = [["", *rows]]
    drawn += [[line, *(cells.get(line, "") for cells in rows.values())] for line in lines]
    widths = [max(map(len, column)) for column in zip(*drawn, strict=True)]
    return "\n".join(_line(line, widths) for line in drawn)


def _line(cells: list[str], widths: list[int]) -> str:
    first, *rest = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
    return "  ".join([first, *rest]).rstrip()
