"""Tests of the parts that read files for all importers: tables, limits, times and the search."""

import gzip
import math
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from podium.importing import _tables, _values
from podium.importing._databases import opened
from podium.importing._detecting import places

from tests.each import each


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\n1,2\n\n3\n", [(2, {"a": "1", "b": "2"}), (4, None)]),
        ("a;b\n1,5;2\n", [(2, {"a": "1,5", "b": "2"})]),
        ("a,b;c;d\n1,5;2;3\n", [(2, {"a,b": "1,5", "c": "2", "d": "3"})]),
        ("a\tb\n1\t2\n", [(2, {"a": "1", "b": "2"})]),
        ('\ufeffa,b\n"1\n2",3\n4,5\n', [(3, {"a": "1\n2", "b": "3"}), (4, {"a": "4", "b": "5"})]),
    ],
)
def test_rows_of_a_table(tmp_path: Path, text: str, rows: list[tuple[int, Any]]) -> None:
    """Each row of a table is read with the number of the line on which it ends.

    A row without a cell for each column is an error.
    """
    file = tmp_path / "t.csv"
    file.write_text(text, encoding="utf-8")
    found = [(n, None if isinstance(row, ValueError) else row) for n, row in _tables.csv_rows(file)]
    assert found == rows


def test_a_log_whose_last_line_is_cut_off(tmp_path: Path) -> None:
    """If the last line lacks its line break, it is an error in a log, and a row in a table."""
    file = tmp_path / "t.csv"
    file.write_text("a,b\n1,2\n3,4", encoding="utf-8")
    assert [row for _, row in _tables.csv_rows(file)][1] == {"a": "3", "b": "4"}
    (_, first), (line, error) = _tables.csv_rows(file, is_log=True)
    assert first == {"a": "1", "b": "2"}
    assert line == 3
    assert "the line is incomplete" in str(error)


@each(
    ("name", "is_table", "stem"),
    [
        ("a.csv", True, "a"),
        ("a.b.TSV", True, "a.b"),
        ("a.JSONL.gz", True, "a"),
        ("a.txt", False, "a.txt"),
    ],
)
def test_the_name_of_a_table(name: str, *, is_table: bool, stem: str) -> None:
    """A table is recognized by its suffix, in upper or lower case, even if it is compressed."""
    assert (_tables.is_table(Path(name)), _tables.stem_of(Path(name))) == (is_table, stem)


def test_a_header_has_each_column_once(tmp_path: Path) -> None:
    """A header that has a column twice is an error."""
    (tmp_path / "t.csv").write_text("a,b,a\n", encoding="utf-8")
    with pytest.raises(ValueError, match="the header has the column 'a' twice"):
        _tables.columns_of(tmp_path / "t.csv")


def test_the_columns_of_json_lines_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON lines that have more keys than the limit are an error."""
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n{"b": 1}\n{"c": 1}\n', encoding="utf-8")
    monkeypatch.setattr(_tables, "_MAX_COLUMNS", 2)
    with pytest.raises(ValueError, match="the file has over 2 columns"):
        _tables.columns_of(tmp_path / "t.jsonl")


@pytest.mark.parametrize(
    ("limit", "read"),
    [
        ("_MAX_FILE_BYTES", lambda path: _values.content_of(path, 8)),
        ("_MAX_LINE_BYTES", lambda path: [row for _, row in _values.json_lines(path)]),
        ("_MAX_YAML_BYTES", _values.yaml_object),
    ],
)
def test_the_size_of_what_is_read_is_bounded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    read: Callable[[Path], Any],
) -> None:
    """A file, a line and a YAML file of exactly their limit are read. Larger ones are errors."""
    monkeypatch.setattr(_values, limit, 8)
    file = tmp_path / "f"
    file.write_bytes(b'{"a": 1}')
    assert read(file)
    file.write_bytes(b'{"a": 12}')
    try:
        (found,) = read(file)
    except ValueError as error:
        found = error
    assert "larger than the limit of 8 bytes" in str(found)


def test_the_default_limits() -> None:
    """A file has up to 256 MiB, a line 64 MiB, and a YAML file, which takes more memory, 4 MiB."""
    limits = _values._MAX_FILE_BYTES, _values._MAX_LINE_BYTES, _values._MAX_YAML_BYTES
    assert [limit >> 20 for limit in limits] == [256, 64, 4]


def test_damaged_compressed_lines(tmp_path: Path) -> None:
    """The lines before the damage are read. Then an error has the number of the next line."""
    file = tmp_path / "t.jsonl.gz"
    whole = gzip.compress(b"".join(b'{"a": %d}\n' % n for n in range(20_000)))
    middle = len(whole) // 2
    for damaged in (whole[:middle], whole[:middle] + b"\xff" * 20 + whole[middle + 20 :]):
        file.write_bytes(damaged)
        *rows, (line, error) = _values.json_lines(file)
        assert rows
        assert line == len(rows) + 1
        assert "incomplete or damaged" in str(error)


@each(
    ("value", "number"),
    [(1, 1.0), ("1.5", 1.5), ("nan", math.nan), (True, None), ("x", None), (10**400, None)],
)
def test_a_number(value: object, number: float | None) -> None:
    """Numbers, and strings of numbers, are read.

    Flags, and numbers too large for a double, are not.
    """
    found = _values.number(value)
    assert repr(found) == repr(number)


@each("seconds", [math.nan, math.inf, 1e20, "soon", None, True])
def test_no_time(seconds: object) -> None:
    """A value is not read as a time if it is not a number, or its year is beyond Python's years."""
    assert _values.time_from_seconds(seconds) is None


def test_a_time_is_in_utc() -> None:
    """A time in seconds is read as a time in UTC."""
    assert _values.time_from_seconds("0.5") == datetime(1970, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)


@each(
    ("begin", "is_torn"),
    [(b"", True), (b" \n", True), (b'{"a": 1', True), (b'{"a": 1}\n', False), (b"[1", False)],
)
def test_an_object_that_is_cut_off(begin: bytes, *, is_torn: bool) -> None:
    """A JSON file that is empty, or lacks the end of its object, counts as cut off."""
    assert _values.is_torn_object(begin) is is_torn


def test_a_database_is_only_read(tmp_path: Path) -> None:
    """A missing database is not created, and an existing one is opened for reading only.

    A value in it may have up to 16 MiB.
    """
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        opened(tmp_path / "none.db").execute("SELECT 1").fetchone()
    assert list(tmp_path.iterdir()) == []
    sqlite3.connect(tmp_path / "some.db").execute("CREATE TABLE t (a)").connection.close()
    database = opened(tmp_path / "some.db")
    assert database.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) == 16 << 20
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.execute("CREATE TABLE u (a)")
    database.close()


def test_a_linked_folder_is_searched_once(tmp_path: Path) -> None:
    """If two links lead to the same folder, it is searched once.

    A link to a folder that contains the results, or to a folder in them, adds nothing.
    """
    results, other = tmp_path / "results", tmp_path / "other"
    for folder in (results / "own", other):
        folder.mkdir(parents=True)
        (folder / "notes.txt").touch()
    for name, target in (("a", other), ("b", other), ("c", tmp_path), ("d", results / "own")):
        (results / name).symlink_to(target)
    found: list[str] = []
    assert places(results, on_other_file=lambda path: found.append(path.parent.name)) == []
    assert found == ["a", "own"]
