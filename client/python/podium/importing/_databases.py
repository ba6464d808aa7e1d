"""Opens SQLite files of other tools, for reading only."""

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from podium.importing._values import head

__all__ = ["has_tables", "opened"]

_MAGIC = b"SQLite format 3\x00"
_SCHEMA_BYTES = 1024 * 1024
_MAX_TEXT_BYTES = 16 * 1024 * 1024


def has_tables(path: Path, tables: Collection[str]) -> bool:
    """Returns whether a file is a SQLite file with these tables.

    For a damaged file, returns whether its beginning has the statements that create the tables.
    """
    if not head(path).startswith(_MAGIC):
        return False
    try:
        with closing(opened(path)) as database:
            names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {str(row["name"]) for row in names}.issuperset(tables)
    except sqlite3.Error:
        with path.open("rb") as file:
            begin = file.read(_SCHEMA_BYTES)
        return all(f"CREATE TABLE {name}".encode() in begin for name in tables)


def opened(path: Path) -> sqlite3.Connection:
    """Returns a read-only connection to a SQLite file, with a limit for the size of a value."""
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_TEXT_BYTES)
    return database
