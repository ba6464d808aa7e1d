"""Copies and checks the file of a store, even while a server uses it.

Each function raises StoreError if the file cannot be read, or is not a store of Podium.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from podium_server.store.contract import StoreError
from podium_server.store.sql.connection import fetch
from podium_server.store.sqlite import schema
from podium_server.store.sqlite.store_file import HEADER_BYTES, check_kind

__all__ = ["back_up", "check", "reading"]

_MOST_FAULTS = 20
_WITH_IDENTITY = 7
"""The first version of the schema in which a file has an identity. Each copy gets a new one."""
_FILES = ("", "-journal", "-wal", "-shm")


def check(path: Path) -> list[str]:
    """Reads every page and every index of a file. Returns the faults found, at most 20."""
    with reading(path) as connection:
        return _faults(connection)


def back_up(path: Path, target: Path) -> None:
    """Copies the state of a file at one moment to a new file that only this user can read.

    The copy has everything that was acknowledged before the call. The copy is checked and synced
    before it gets its final name, so a file of that name is always complete.

    Raises:
        StoreError: The file cannot be read, or the copy cannot be written or is damaged.
    """
    part = target.with_name(f"{target.name}.part")
    with reading(path) as source:
        try:
            if target.exists():
                raise StoreError(f"{target} exists; name a new file")
            _create(part)
            _copy(source, part)
            _sync(part)
            part.rename(target)
            _sync(target.parent)
        except (OSError, apsw.Error) as error:
            raise StoreError(f"cannot write the backup {target}: {_text(error)}") from error
        finally:
            _remove(part)


@contextmanager
def reading(path: Path) -> Iterator[apsw.Connection]:
    """Opens a file of Podium to read it, without changing it."""
    try:
        check_kind(path)
        with path.open("rb") as file:
            is_marked = schema.is_marked(file.read(HEADER_BYTES))
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    if not is_marked:
        raise StoreError(f"{path} is not a store of Podium")
    try:
        connection = apsw.Connection(str(path.resolve()), flags=apsw.SQLITE_OPEN_READONLY)
        with closing(connection):
            yield connection
    except apsw.Error as error:
        raise StoreError(f"cannot read {path}: {error}") from error


def _create(part: Path) -> None:
    """Creates an empty file. Replaces a file that an interrupted backup has left."""
    _remove(part)
    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _copy(source: apsw.Connection, part: Path) -> None:
    """Copies all pages in one step. Between steps, a write to the store would restart the copy."""
    with closing(apsw.Connection(str(part))) as copy:
        with copy.backup("main", source, "main") as backup:
            backup.step(-1)
        if copy.pragma("user_version") >= _WITH_IDENTITY:
            copy.execute("UPDATE identity SET id = randomblob(8), inode = 0")
        # The copy is then one file without a log beside it, so it can be moved safely.
        copy.pragma("journal_mode", "delete")
        faults = _faults(copy)
    if faults:
        raise StoreError(f"the copy is damaged, and the store may be damaged too: {faults[0]}")


def _faults(connection: apsw.Connection) -> list[str]:
    try:
        found = fetch(connection, f"PRAGMA integrity_check({_MOST_FAULTS})")
    except (apsw.CorruptError, apsw.NotADBError) as error:
        return [str(error)]
    return [text for (text,) in found if text != "ok"]


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _remove(part: Path) -> None:
    for ending in _FILES:
        part.with_name(part.name + ending).unlink(missing_ok=True)


def _text(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
