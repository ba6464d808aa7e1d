"""The stores that tests use: SQLite, or PostgreSQL with `pytest --store=postgres`."""

import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest
from podium_server.store.sqlite import schema
from podium_server.store.sqlite.connection import connect

__all__ = ["KINDS", "kind", "only_sqlite", "set_kind", "store_url"]

F = TypeVar("F", bound=Callable[..., object])
KINDS = ("sqlite", "postgres")
_kind = KINDS[0]


def kind() -> str:
    """Returns the kind of store that this run tests."""
    return _kind


def set_kind(chosen: str) -> None:
    """Sets the kind of store that this run tests."""
    global _kind  # noqa: PLW0603 - one for the whole run
    _kind = chosen


def store_url(folder: Path) -> str:
    """Returns the URL of the store of a folder. A new store is empty."""
    if _kind == "sqlite":
        file = folder / "podium.db"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_empty_store())
        return f"sqlite:///{file}"
    from tests.postgres import schema_url  # noqa: PLC0415 - other environments lack its driver

    return schema_url(folder)


@cache
def _empty_store() -> bytes:
    """Returns the file of an empty store.

    Writing this file is much quicker than creating all tables.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "podium.db"
        with closing(connect(file)) as connection:
            schema.mark(connection)
            connection.pragma("journal_mode", "wal")
            schema.migrate(connection)
        return file.read_bytes()


def only_sqlite(test: F) -> F:
    """Skips a test if this run tests another store than SQLite.

    Use it for tests that read the file of the store.
    """
    mark = pytest.mark.skipif(kind() != "sqlite", reason="it is about the file of a store")
    marked: F = mark(test)
    return marked
