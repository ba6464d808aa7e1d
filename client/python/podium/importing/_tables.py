"""Reads tables of foreign files: CSV, TSV and JSON lines, also compressed."""

import csv
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from podium.importing._values import bounded_lines, decompressed, json_lines, opened_inside

__all__ = ["csv_rows", "is_table", "table_rows"]

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
_DELIMITERS = ",;\t"

Row = dict[str, Any]


def is_table(path: Path) -> bool:
    """Returns whether a file's name is that of a table."""
    return path.name.removesuffix(".gz").lower().endswith(_SUFFIXES)


def table_rows(path: Path) -> Iterator[tuple[int, Row | ValueError]]:
    """Yields the number of each line, and its row or the error.

    Raises:
        ValueError: The file has no valid header, or is a link out of the results.
    """
    name = path.name.removesuffix(".gz").lower()
    return csv_rows(path) if name.endswith((".csv", ".tsv")) else json_lines(path)


def csv_rows(path: Path, *, is_log: bool = False) -> Iterator[tuple[int, Row | ValueError]]:
    """Yields the number of each line of a CSV file, and its row or the error.

    Empty cells are left out. The delimiter is a comma, a semicolon or a tab, as in the header.

    Args:
        path: The file.
        is_log: Whether a program writes the file, so that a line without an end is cut off.

    Raises:
        ValueError: The file has no valid header, or is a link out of the results.
    """
    with opened_inside(path) as plain, decompressed(plain, path) as file:
        lines = _texts(bounded_lines(file), is_log=is_log)
        header = next(lines, "")
        if not header.strip():
            raise ValueError("the file is empty")
        delimiter = max(_DELIMITERS, key=header.count)
        columns = next(csv.reader([header], delimiter=delimiter))
        twice = next((name for name in columns if columns.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the column {twice!r} is there twice")
        reader = csv.reader(lines, delimiter=delimiter)
        try:
            for cells in reader:
                if cells:
                    yield reader.line_num + 1, _row(columns, cells)
        except csv.Error as error:
            yield reader.line_num + 1, _unreadable(error)
        except (EOFError, OSError, zlib.error) as error:
            yield reader.line_num + 2, _unreadable(error)


def _unreadable(error: Exception) -> ValueError:
    return ValueError(f"the line cannot be read, nor those after it: {error}")


def _texts(lines: Iterator[bytes], *, is_log: bool) -> Iterator[str]:
    for number, line in enumerate(lines):
        if is_log and not line.endswith(b"\n"):
            raise EOFError("it is incomplete: its writer was stopped")
        yield line.decode("utf-8-sig" if not number else "utf-8", errors="replace")


def _row(columns: list[str], cells: list[str]) -> Row | ValueError:
    if len(cells) != len(columns):
        return ValueError(f"the line has {len(cells):,} cells, and the header {len(columns):,}")
    return {name: cell for name, cell in zip(columns, cells, strict=True) if cell != ""}
