"""Reads and changes the tokens in the file of a store, even while a server uses it.

Each function raises StoreError if the file cannot be read or written.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import apsw

from podium_server.store.contract import StoreError
from podium_server.store.sql import codec
from podium_server.store.sql.connection import fetch
from podium_server.store.sql.reads import Reader
from podium_server.store.sqlite import schema
from podium_server.store.sqlite.connection import connect
from podium_server.store.sqlite.dialect import SQLITE
from podium_server.store.tokens import TokenRow

__all__ = ["add", "count_rows", "is_ready", "listed", "read_tokens", "revoke"]

_WAIT_MS = 10_000


def read_tokens(connection: apsw.Connection) -> list[TokenRow]:
    """Returns all tokens, in the order of their creation."""
    return [codec.token_from(values) for values in fetch(connection, codec.TOKENS)]


def is_ready(path: Path) -> bool:
    """Returns whether the file exists and has the current version of the schema."""
    if not path.exists():
        return False
    with _opened(path) as connection:
        schema.check(connection, str(path))
        return bool(connection.pragma("user_version") == schema.VERSION)


def listed(path: Path) -> list[TokenRow]:
    """Returns all tokens of a file, which must be a store of the current version."""
    if not path.exists():
        raise StoreError(
            f"there is no store {path}; name one with --store, or make one with "
            "`podium token create`"
        )
    if not is_ready(path):
        raise StoreError(
            f"{path} has the format of an older Podium; to upgrade it, "
            "start a server with this store"
        )
    with _opened(path) as connection:
        return read_tokens(connection)


def count_rows(path: Path, prefixes: Iterable[tuple[str, ...]]) -> list[int]:
    """Returns the number of stored rows for each group of prefixes: see `Store.row_count`."""
    with _opened(path) as connection:
        reader = Reader(connection, SQLITE)
        return [reader.row_count(each) for each in prefixes]


def add(path: Path, row: TokenRow) -> None:
    """Adds a token."""
    with _writing(path) as connection:
        connection.execute(codec.PUT_TOKEN, codec.token_values(row))


def revoke(path: Path, token_id: str, now: int) -> None:
    """Revokes a token. A token that was revoked before keeps its time of revocation."""
    with _writing(path) as connection:
        connection.execute(codec.REVOKE, (now, token_id))


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[apsw.Connection]:
    """Opens the file for one durable write."""
    with _opened(path) as connection:
        connection.pragma("synchronous", "full")
        yield connection


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    """Opens the file. Never copies the log into it, because only the server may do that."""
    connection = connect(path)
    try:
        connection.set_busy_timeout(_WAIT_MS)
        connection.wal_autocheckpoint(0)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        yield connection
    except apsw.Error as error:
        raise StoreError(f"cannot use {path}: {error}") from error
    finally:
        connection.close()
