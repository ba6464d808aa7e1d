"""Connections to the file: how they are opened, and how statements run on them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
from podium.scoring import experiment_status

from podium_server.store.contract import StoreError

__all__ = ["check_version", "connect", "fetch", "fetch_value", "make_log_durable", "one_state"]

_SAFE_VERSION = (3, 51, 3)
"""Earlier versions can lose committed writes in WAL mode with two connections."""
_CACHE_KIB = 12 * 1024
_COPY_BYTES = 64 * 1024


def check_version(version: str) -> None:
    """Refuses a SQLite library that can lose what it committed."""
    if tuple(map(int, version.split(".")[:3])) < _SAFE_VERSION:
        safe = ".".join(map(str, _SAFE_VERSION))
        raise StoreError(
            f"SQLite {version} can lose committed writes in WAL mode; install apsw {safe} or later"
        )


def connect(path: Path) -> apsw.Connection:
    """Opens a connection whose plans don't depend on values: point reads are planned once."""
    try:
        connection = apsw.Connection(str(path))
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        connection.pragma("cache_size", -_CACHE_KIB)
        connection.create_scalar_function("experiment_status", _status, 3, deterministic=True)
        connection.pragma("user_version")
    except apsw.Error as error:
        raise StoreError(f"cannot open {path}: {error}") from error
    return connection


def _status(*counts: Any) -> str:
    total, completed, failed = counts
    return experiment_status(total=total, completed=completed, failed=failed)


def make_log_durable(path: Path) -> None:
    """Makes durable what an earlier process left in the log, before anybody reads it.

    A process that was killed leaves commits that are written and not synced. What is read
    from them, and what a call sent again finds there, must survive a power cut too. The log
    is written again, since after a failed sync a mere second one would do nothing.
    """
    name = f"{path}-wal"
    if not (path.exists() and Path(name).exists()):
        return
    flags = [apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_READWRITE, 0]
    log = apsw.VFSFile("", name, flags)
    size = log.xFileSize()
    for offset in range(0, size, _COPY_BYTES):
        log.xWrite(log.xRead(min(_COPY_BYTES, size - offset), offset), offset)
    log.xSync(apsw.SQLITE_SYNC_FULL)
    log.xClose()


def fetch(
    connection: apsw.Connection, statement: str, bindings: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """Runs a statement to its end; every row of its result."""
    return connection.execute(statement, bindings).fetchall()


def fetch_value(connection: apsw.Connection, statement: str, bindings: Sequence[Any] = ()) -> Any:
    """Returns the only value of a result's only row; None without a row."""
    rows = connection.execute(statement, bindings).fetchall()
    return rows[0][0] if rows else None


@contextmanager
def one_state(connection: apsw.Connection) -> Iterator[None]:
    """Has every statement inside see the same committed state."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")
