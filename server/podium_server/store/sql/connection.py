"""The interface of a database connection, and functions that run statements on it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

__all__ = ["Connection", "Cursor", "fetch", "fetch_value"]


class Cursor(Protocol):
    """The result of a statement. Its rows are read when they are needed."""

    def __iter__(self) -> Iterator[Any]:
        """Yields the rows as tuples."""

    def fetchall(self) -> list[Any]:
        """Returns all rows that are left."""

    def close(self) -> None:
        """Ends the statement."""


class Connection(Protocol):
    """A connection to a SQL database, with one open transaction or none.

    Statements mark the places of their bindings as SQLite does: `?`, or `?1` with a number.
    """

    def execute(self, statement: str, bindings: Sequence[Any] = ..., /) -> Cursor:
        """Runs a statement."""

    def executemany(self, statement: str, bindings: Iterable[Sequence[Any]], /) -> Cursor:
        """Runs a statement once for each of the bindings."""


def fetch(
    connection: Connection, statement: str, bindings: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """Runs a statement and returns all rows of its result."""
    return connection.execute(statement, bindings).fetchall()


def fetch_value(connection: Connection, statement: str, bindings: Sequence[Any] = ()) -> Any:
    """Runs a statement and returns the only value of its only row, or None if there is no row."""
    rows = connection.execute(statement, bindings).fetchall()
    return rows[0][0] if rows else None
