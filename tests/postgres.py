"""A PostgreSQL server for tests: the one that PODIUM_TEST_POSTGRES names, or a new one."""

import asyncio
import atexit
import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

__all__ = [
    "connected",
    "dump_postgres",
    "last_transaction",
    "programs",
    "run_apart",
    "running_postgres",
    "schema_url",
]

T = TypeVar("T")

_DATABASE = os.environ.get("PODIUM_TEST_POSTGRES", "")
_DEBIAN = Path("/usr/lib/postgresql")
_USER = "postgres"
_OPTIONS = ("-c", "listen_addresses=", "-c", "max_connections=300")
_INITDB = ("-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
_UNTIL_WE_END = '"$@" & read line; kill -QUIT $!; wait $!'
"""Runs a command until the pipe of its standard input is closed, even if this process is killed."""
_START_SECONDS = 300


def programs() -> str | None:
    """Returns the folder with the programs of PostgreSQL, or None if it is not installed.

    It is the folder of the first `initdb` on the PATH or else of the newest Debian package.
    """
    found = shutil.which("initdb")
    if found is not None:
        return str(Path(found).resolve().parent)
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return str(versions[-1].parent) if versions else None


def running_postgres(*, durable: bool = False) -> str:
    """Returns the URL of the PostgreSQL server for tests.

    If PODIUM_TEST_POSTGRES names no server, the first call starts one. That server runs until this
    process ends. It syncs commits to disk only if the first call has `durable`.
    """
    if not _running:
        _running.append(_start(durable=durable))
    return _running[0]


_running: list[str] = []


def _start(*, durable: bool) -> str:
    if _DATABASE:
        return _DATABASE if "?" in _DATABASE else f"{_DATABASE}?"
    place = programs()
    assert place is not None, "install postgresql, or set PODIUM_TEST_POSTGRES"
    folder = tempfile.mkdtemp(prefix="podium-postgres-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    data = f"{folder}/data"
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, _USER)
        as_user = ["runuser", "-u", _USER, "--"]
    subprocess.run(
        [*as_user, f"{place}/initdb", "-D", data, "-U", "podium", *_INITDB],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    fsync = ("-c", f"fsync={'on' if durable else 'off'}")
    options = ("-D", data, "-k", folder, *_OPTIONS)
    with Path(folder, "log").open("w") as log:
        process = subprocess.Popen(
            [*as_user, "sh", "-c", _UNTIL_WE_END, "sh", f"{place}/postgres", *options, *fsync],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    atexit.register(_stop, process)
    url = f"postgresql://podium@/postgres?host={folder}"
    _wait_until_ready([f"{place}/pg_isready", "-q", "-h", folder, "-U", "podium"], process)
    return url


def _wait_until_ready(command: list[str], process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + _START_SECONDS
    while subprocess.run(command, check=False).returncode:
        assert process.poll() is None, "PostgreSQL did not start"
        assert time.monotonic() < ends, "PostgreSQL does not answer"
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stops the server at once: its content is not needed any more."""
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def schema_url(folder: Path) -> str:
    """Returns the URL of the database schema that is the store of a folder.

    The first call for a folder creates its schema.
    """
    if folder not in _schemas:
        schema = f"test_{secrets.token_hex(6)}"
        run_apart(_create(schema))
        _schemas[folder] = f"{running_postgres()}&search_path={schema}"
    return _schemas[folder]


_schemas: dict[Path, str] = {}


async def _create(schema: str) -> None:
    async with connected(running_postgres()) as connection:
        await connection.execute(f"CREATE SCHEMA {schema}")


def dump_postgres(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Returns the rows of each table of results, by the name of the table."""
    return run_apart(_dump(url))


async def _dump(url: str) -> dict[str, list[tuple[Any, ...]]]:
    async with connected(url) as connection, connection.transaction(isolation="repeatable_read"):
        tables = await connection.fetch(
            "SELECT table_name FROM information_schema.tables "
            "WHERE table_schema = current_schema() AND table_name <> 'store'"
        )
        return {table: await _rows(connection, table) for (table,) in tables}


async def _rows(connection: Any, table: str) -> list[tuple[Any, ...]]:
    rows = await connection.fetch(f"SELECT * FROM {table}")  # noqa: S608 - our own names
    # The value of `write_id` is random.
    known = (tuple(value for name, value in row.items() if name != "write_id") for row in rows)
    return sorted(known, key=repr)


def last_transaction() -> int:
    """Returns a number that is greater after each transaction that changes something."""
    return run_apart(_last_transaction())


async def _last_transaction() -> int:
    async with connected(running_postgres()) as connection:
        text = "SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS TEXT) AS BIGINT)"
        return int(await connection.fetchval(text))


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """Connects to the database inside the block."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine in another thread, so it works even while an event loop runs in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
