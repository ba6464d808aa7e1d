"""Opens connections to the file of a store."""

from pathlib import Path

import apsw

from podium_server.store.contract import StoreError

__all__ = ["check_version", "connect", "make_log_durable"]

_SAFE_VERSION = (3, 51, 3)
"""Older versions of SQLite can lose committed writes in WAL mode."""
_CACHE_KIB = 12 * 1024
_COPY_BYTES = 64 * 1024


def check_version(version: str) -> None:
    """Raises StoreError for a SQLite library that can lose committed writes."""
    if tuple(map(int, version.split(".")[:3])) < _SAFE_VERSION:
        safe = ".".join(map(str, _SAFE_VERSION))
        raise StoreError(
            f"SQLite {version} can lose committed writes in WAL mode; install apsw {safe} or later"
        )


def connect(path: Path) -> apsw.Connection:
    """Opens a connection.

    The plan of a statement does not depend on the values of its bindings, so each statement is
    planned only once.
    """
    try:
        connection = apsw.Connection(str(path))
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        connection.pragma("cache_size", -_CACHE_KIB)
        connection.pragma("user_version")
    except apsw.Error as error:
        raise StoreError(f"cannot open {path}: {error}") from error
    return connection


def make_log_durable(path: Path) -> None:
    """Makes the commits in the log of an earlier process durable, before they are read.

    A killed process leaves commits that are written but not synced. Results that are read from them
    must survive a power cut too. The log is written again instead of only synced, because a sync
    after a failed sync does nothing.
    """
    name = f"{path}-wal"
    if not (path.exists() and Path(name).exists()):
        return
    flags = [apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_READWRITE, 0]
    log = apsw.VFSFile("", name, flags)
    size = log.xFileSize()
    for offset in range(0, size, _COPY_BYTES):
        # A read beyond the end would leave out the zeros at the end of the log.
        log.xWrite(log.xRead(min(_COPY_BYTES, size - offset), offset), offset)
    log.xSync(apsw.SQLITE_SYNC_FULL)
    log.xClose()
