"""Connections to the file: how they are opened, and how statements run on them."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from podium_server.store.base import StoreError

__all__ = ["check_version", "connect", "fetch", "fetch_value", "make_durable"]

_SAFE_VERSION = (3, 51, 3)
"""Earlier versions can lose committed writes in WAL mode with two connections."""
_CACHE_KIB = 8 * 1024


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
        connection.pragma("user_version")
    except apsw.Error as error:
        raise StoreError(f"cannot open {path}: {error}") from error
    return connection


def make_durable(connection: apsw.Connection) -> None:
    """Makes durable what an earlier process left in the log, before anybody reads it.

    A process that was killed, or whose disk failed, leaves commits that are written and not
    synced, and after a failed sync the system may not write them again by itself. So they
    are copied to the database and synced there, and the log is begun anew with a commit that
    changes nothing. A full disk, or somebody who reads the file, prevents only the copy.
    """
    with contextlib.suppress(apsw.FullError, apsw.BusyError):
        frames, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        if frames:
            connection.pragma("user_version", connection.pragma("user_version"))


def fetch(
    connection: apsw.Connection, statement: str, bindings: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """Runs a statement to its end; every row of its result."""
    return connection.execute(statement, bindings).fetchall()


def fetch_value(connection: apsw.Connection, statement: str, bindings: Sequence[Any] = ()) -> Any:
    """The one value of the one row of a result; None where there is no row."""
    rows = connection.execute(statement, bindings).fetchall()
    return rows[0][0] if rows else None
