"""A file that takes part in a migration, and the tables that are copied."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from podium_server.store.contract import StoreError
from podium_server.store.sql.connection import fetch, fetch_value
from podium_server.store.sql.transfer import ResultTable, Side, check_version
from podium_server.store.sqlite import schema
from podium_server.store.sqlite.connection import connect
from podium_server.store.sqlite.copies import reading
from podium_server.store.sqlite.dialect import SQLITE
from podium_server.store.sqlite.store_file import StoreFile

__all__ = ["result_tables", "source", "target"]

_WAIT_MS = 10_000
_WITHOUT_EXPERIMENT = ("store", "identity", "tokens")
_COLUMNS = (
    "SELECT t.name, c.name, c.pk FROM sqlite_schema t, pragma_table_info(t.name) c "
    "WHERE t.type = 'table' ORDER BY t.name, c.cid"
)
_NEW_ID = "SELECT ifnull(max(id), 0) + 1 FROM experiments"


def result_tables() -> dict[str, ResultTable]:
    """Returns the tables of results in the current schema.

    The tables are read from an empty store, so that a new table or column needs no change here.
    """
    columns: dict[str, list[tuple[str, int]]] = {}
    with closing(apsw.Connection(":memory:")) as connection:
        schema.migrate(connection)
        for table, column, place in fetch(connection, _COLUMNS):
            columns.setdefault(table, []).append((column, place))
    return {
        name: _table(name, columns[name]) for name in columns if name not in _WITHOUT_EXPERIMENT
    }


def _table(name: str, columns: list[tuple[str, int]]) -> ResultTable:
    id_column = "id" if name == "experiments" else "experiment"
    key = sorted((place, column) for column, place in columns if place)
    names = tuple(column for column, _ in columns if column != id_column)
    return ResultTable(name, id_column, names, tuple(column for _, column in key))


@contextmanager
def source(path: Path) -> Iterator[Side]:
    """Opens a file to read it, even while a server uses it. Its schema must be current."""
    with reading(path) as connection:
        connection.set_busy_timeout(_WAIT_MS)
        schema.check(connection, str(path))
        check_version(str(path), connection.pragma("user_version"), schema.VERSION)
        yield _side(path, connection, "BEGIN")


@contextmanager
def target(path: Path) -> Iterator[Side]:
    """Opens a file with the current schema to write to it. No server can use the file meanwhile."""
    file = StoreFile(path)
    try:
        with closing(connect(file.path)) as connection:
            connection.pragma("synchronous", "full")
            yield _side(path, connection, "BEGIN IMMEDIATE")
    except apsw.Error as error:
        raise StoreError(f"cannot write {path}: {error}") from error
    finally:
        file.close()


def _side(path: Path, connection: apsw.Connection, begin: str) -> Side:
    def new_row(_name: str, before: int | None) -> Mapping[str, int]:
        return {"id": fetch_value(connection, _NEW_ID) if before is None else before}

    return Side(str(path), connection, SQLITE, begin, (apsw.Error,), new_row)
