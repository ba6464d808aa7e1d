"""Reads tables of foreign files: CSV, TSV and JSON lines, compressed or not."""

import csv
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from podium.importing._values import bounded_lines, decompressed, json_lines, leaves, opened_inside

__all__ = ["columns_of", "csv_rows", "is_table", "stem_of", "table_rows"]

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
_DELIMITERS = ",;\t"
_MAX_COLUMNS = 10_000

Row = dict[str, Any]


def is_table(path: Path) -> bool:
    """Returns whether the name of a file ends with the suffix of a table, such as `.csv`."""
    return path.name.removesuffix(".gz").lower().endswith(_SUFFIXES)


def stem_of(path: Path) -> str:
    """Returns the name of a file without its ending, such as `.csv.gz`, or the name of a folder."""
    name = path.resolve().name.removesuffix(".gz")
    ending = next((suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(ending)] or name


def columns_of(path: Path) -> list[str]:
    """Returns the columns of a file: the header of CSV, or the keys of all JSON lines."""
    if not _is_json(path):
        with opened_inside(path) as plain, decompressed(plain, path) as file:
            return _header(_texts(bounded_lines(file), is_log=False))[0]
    columns: dict[str, None] = {}
    for _line, row in table_rows(path):
        columns |= dict.fromkeys([] if isinstance(row, ValueError) else row)
        if len(columns) > _MAX_COLUMNS:
            raise ValueError(f"the file has over {_MAX_COLUMNS:,} columns, which is the limit")
    return list(columns)


def table_rows(path: Path) -> Iterator[tuple[int, Row | ValueError]]:
    """Yields the number of each line, and its row or the error. Joins nested keys with dots."""
    if not _is_json(path):
        yield from csv_rows(path)
        return
    for line, row in json_lines(path):
        yield line, row if isinstance(row, ValueError) else dict(leaves(row))


def _is_json(path: Path) -> bool:
    return path.name.removesuffix(".gz").lower().endswith((".jsonl", ".ndjson"))


def csv_rows(path: Path, *, is_log: bool = False) -> Iterator[tuple[int, Row | ValueError]]:
    """Yields the number of each line of a CSV file, and its row or the error.

    The delimiter is a comma, a semicolon or a tab, as in the header.

    Args:
        path: The file.
        is_log: Whether the file is a log that a program writes. If so, a last line without a line
            break is incomplete, which is an error.

    Raises:
        ValueError: The file has no valid header, or is a link to a place outside of the results.
    """
    with opened_inside(path) as plain, decompressed(plain, path) as file:
        lines = _texts(bounded_lines(file), is_log=is_log)
        columns, delimiter = _header(lines)
        reader = csv.reader(lines, delimiter=delimiter)
        try:
            for cells in reader:
                if cells:
                    yield reader.line_num + 1, _row(columns, cells)
        except csv.Error as error:
            yield reader.line_num + 1, _unreadable(error)
        except (EOFError, OSError, zlib.error) as error:
            yield reader.line_num + 2, _unreadable(error)


def _header(lines: Iterator[str]) -> tuple[list[str], str]:
    """Reads the first line of a table. Returns its columns and the delimiter."""
    header = next(lines, "")
    _check_encoding(header)
    if not header.strip():
        raise ValueError("the file is empty")
    delimiter = max(_DELIMITERS, key=header.count)
    columns = next(csv.reader([header], delimiter=delimiter))
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise ValueError(f"the header has the column {twice[0]!r} twice")
    return columns, delimiter


def _unreadable(error: Exception) -> ValueError:
    return ValueError(f"this line and all lines after it cannot be read: {error}")


def _texts(lines: Iterator[bytes], *, is_log: bool) -> Iterator[str]:
    for number, line in enumerate(lines):
        if is_log and not line.endswith(b"\n"):
            raise EOFError("the line is incomplete: its writer was stopped")
        yield line.decode("utf-8-sig" if not number else "utf-8", errors="surrogateescape")


def _check_encoding(text: str) -> None:
    # With replaced bytes, two names could become the same one.
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("the text is not UTF-8; save the file as UTF-8")


def _row(columns: list[str], cells: list[str]) -> Row | ValueError:
    if len(cells) != len(columns):
        noun = "cell" if len(cells) == 1 else "cells"
        return ValueError(
            f"the line has {len(cells):,} {noun}, and the header has {len(columns):,}"
        )
    try:
        _check_encoding("".join(cells))
    except ValueError as error:
        return error
    return dict(zip(columns, cells, strict=True))
