"""The stores that the benchmarks measure: SQLite files, or schemas of a PostgreSQL database."""

import asyncio
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from data import fill
from podium_server.store.open import migrate_store, store_file

__all__ = ["SQLITE", "fill_store", "stores"]

SQLITE = "sqlite"
_OWN = "postgres"


@contextmanager
def stores(kind: str) -> Iterator[Callable[[str], str]]:
    """Yields a function that returns the URL of a new store, given its name.

    Deletes the stores after the block.

    Args:
        kind: `sqlite`, `postgres` for a PostgreSQL server that ends with this process, or the URL
            of a PostgreSQL database.
    """
    if kind == SQLITE:
        with tempfile.TemporaryDirectory() as folder:
            yield lambda name: f"sqlite:///{folder}/{name}.db"
        return
    database = _own_postgres() if kind == _OWN else kind
    schemas: list[str] = []

    def create(name: str) -> str:
        schemas.append(f"bench_{name}_{secrets.token_hex(4)}")
        _execute(database, f"CREATE SCHEMA {schemas[-1]}")
        return f"{database}{'&' if '?' in database else '?'}search_path={schemas[-1]}"

    try:
        yield create
    finally:
        for schema in schemas:
            _execute(database, f"DROP SCHEMA {schema} CASCADE")


def _own_postgres() -> str:
    """Starts a PostgreSQL server that syncs each commit to disk. Returns its URL."""
    sys.path.append(str(Path(__file__).parents[1]))
    from tests.postgres import running_postgres  # noqa: PLC0415 - found by the line before

    return running_postgres(durable=True)


def _execute(database: str, statement: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(database)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(execute())


def fill_store(url: str) -> None:
    """Fills a store with 1,000,000 rows and some smaller experiments.

    A PostgreSQL database gets the rows from a SQLite file. This is many times as fast as calls that
    record them.
    """
    if url.startswith("sqlite:"):
        fill(store_file(url))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "source.db")
        fill(path)
        migrate_store(f"sqlite:///{path}", url, lambda _progress: None)
    # Autovacuum would do this later, beside the measurements.
    _execute(url, "VACUUM (ANALYZE)")
