"""Places where the stores of the tests keep their rows: files, or schemas of a database."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import apsw
from podium_server.store.contract import Store
from podium_server.store.postgres import PostgresStore
from podium_server.store.sqlite import SqliteStore
from podium_server.testing import places as suite
from podium_server.testing.places import opened

from tests.postgres import dump_postgres, last_transaction, schema_url
from tests.stores import kind, store_url

__all__ = ["Dump", "Place", "PostgresPlace", "SqlitePlace", "dump_sqlite", "new_place", "opened"]

Dump = dict[str, list[tuple[Any, ...]]]
"""Every row of every table."""


class Place(suite.Place, Protocol):
    """A place for a store. It has a URL, so a server can open the store, too."""

    url: str
    """The URL of the place's store, as `podium serve --store` takes it."""

    def version(self) -> int:
        """Returns a number that changes whenever something is stored."""


class SqlitePlace:
    """The file of a SQLite store."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "podium.db"
        self.url = f"sqlite:///{self.path}"
        self._watch: apsw.Connection | None = None

    def store(self) -> Store:
        """Returns a store over the file."""
        return SqliteStore(self.path)

    def dump(self) -> Dump:
        """Returns every row of every table, read over a separate connection."""
        return dump_sqlite(self.path)

    def version(self) -> int:
        """Returns a number that changes whenever something is stored."""
        if self._watch is None:
            self._watch = apsw.Connection(str(self.path))
        return int(str(self._watch.pragma("data_version")))


class PostgresPlace:
    """A schema of the test's PostgreSQL database."""

    def __init__(self, folder: Path) -> None:
        self.url = schema_url(folder)

    def store(self) -> Store:
        """Returns a store over the schema."""
        return PostgresStore(self.url)

    def dump(self) -> Dump:
        """Returns every row of every table, read over a separate connection."""
        return dump_postgres(self.url)

    def version(self) -> int:
        """Returns a number that changes when something is stored, and sometimes when nothing is."""
        return last_transaction()


def dump_sqlite(path: Path) -> Dump:
    """Returns every row of every table of results.

    Reads with apsw, as the store does, and never with the standard library's sqlite3.
    """
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    with closing(connection):
        connection.execute("PRAGMA query_only = 1; BEGIN")
        # The two tables that are left out have random ids, so they differ between equal stores.
        tables = connection.execute(
            "SELECT name FROM sqlite_schema "
            "WHERE type = 'table' AND name NOT IN ('store', 'identity')"
        )
        return {str(name): _rows(connection, str(name)) for (name,) in tables.fetchall()}


def _rows(connection: apsw.Connection, table: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own names


_PLACES: dict[str, Callable[[Path], Place]] = {"sqlite": SqlitePlace, "postgres": PostgresPlace}


def new_place(folder: Path) -> Place:
    """Returns an empty place for a store of the kind that this run tests."""
    store_url(folder)  # makes the tables of a SQLite store
    return _PLACES[kind()](folder)
