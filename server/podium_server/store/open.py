"""Opens stores by URL. All kinds of stores are listed in this module.

Each function raises StoreError if a store cannot be opened, read or written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from podium.errors import PodiumError

from podium_server.store.contract import Store, StoreError
from podium_server.store.shown_url import shown_url
from podium_server.store.sql.transfer import Migration, Side
from podium_server.store.sqlite import SqliteStore, back_up, check, tokens, transfer
from podium_server.store.tokens import TokenRow

__all__ = [
    "add_token",
    "back_up_store",
    "check_store",
    "count_rows",
    "migrate_store",
    "open_store",
    "read_tokens",
    "revoke_token",
    "store_file",
]

T = TypeVar("T")
_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")


async def open_store(url: str, on_broken: Callable[[], None] = lambda: None) -> Store:
    """Opens the store of a URL.

    Args:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db`, or the `postgresql://` URL of a
            database.
        on_broken: Called once if the store can no longer acknowledge calls. The process should then
            close the store and end.

    Raises:
        StoreError: The URL is of an unknown kind, or the store cannot be opened.
    """
    store: Store
    if _is_postgres(url):
        store = _postgres().PostgresStore(url)
    else:
        store = SqliteStore(store_file(url), on_broken)
    await store.open()
    return store


def _is_postgres(url: str) -> bool:
    return url.startswith(_POSTGRES)


def _postgres() -> ModuleType:
    try:
        from podium_server.store import postgres  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise StoreError(
            "a postgresql:// store needs more packages: pip install 'podium[postgres]'"
        ) from error
    return postgres


def back_up_store(url: str, target: Path) -> None:
    """Writes a verified copy of a store to a new file, even while a server uses the store."""
    back_up(store_file(url), target)


def check_store(url: str) -> list[str]:
    """Checks a store or a backup, even while a server uses it. Returns the faults found.

    `url` is the URL of a store, or the path of a file.
    """
    return check(store_file(url) if url.startswith(_SQLITE) else Path(url))


def migrate_store(
    source: str, target: str, report: Callable[[str], None], *, verify: bool = False
) -> Migration:
    """Copies all results of a store to another one: see `podium_server.store.sql.transfer`.

    Servers may use the source meanwhile, but not the target.

    Raises:
        StoreError: A store cannot be opened or fails, the source has another version of the schema,
            or the target has results of another source.
    """

    def copy() -> Migration:
        with _side(source, is_source=True) as here, _side(target) as there:
            migration = Migration(here, there, transfer.result_tables(), report)
            migration.run(verify=verify)
            return migration

    def check_source() -> None:
        with _side(source, is_source=True):
            pass

    def run(action: Callable[[], T]) -> T:
        if not (_is_postgres(source) or _is_postgres(target)):
            return action()
        result: T = asyncio.run(_postgres().transfer.in_greenlet(action))
        return result

    run(check_source)
    # Opening the target creates its tables, or migrates them.
    asyncio.run(_with_store(target, lambda store: store.tokens()))
    return run(copy)


def _side(url: str, *, is_source: bool = False) -> AbstractContextManager[Side]:
    if not _is_postgres(url):
        return (transfer.source if is_source else transfer.target)(store_file(url))
    side: AbstractContextManager[Side] = _postgres().transfer.side(url, is_source=is_source)
    return side


def store_file(url: str) -> Path:
    """Returns the file of a SQLite store, or raises StoreError for another URL."""
    if _is_postgres(url):
        raise StoreError(
            f"{shown_url(url)} is a PostgreSQL database; check it with pg_amcheck, and back it up "
            "with pg_basebackup or pg_dump"
        )
    path = url.removeprefix(_SQLITE)
    if path in {url, "", ":memory:"}:
        raise StoreError(
            f"{url!r} is not the URL of a store; give sqlite:///FILE, sqlite:////FILE for an "
            "absolute path, or postgresql://HOST/DATABASE"
        )
    return Path(path)


def read_tokens(url: str) -> list[TokenRow]:
    """Returns the tokens of a store, even while a server uses it."""
    return _in_store_or_file(url, lambda store: store.tokens(), tokens.listed)


def count_rows(url: str, prefixes: Iterable[tuple[str, ...]]) -> list[int]:
    """Returns the number of stored rows for each group of prefixes: see `Store.row_count`."""

    async def count(store: Store) -> list[int]:
        return [await store.row_count(each) for each in prefixes]

    return _in_store_or_file(url, count, lambda path: tokens.count_rows(path, prefixes))


def add_token(url: str, row: TokenRow) -> None:
    """Adds a token to a store, even while a server uses it. Creates a missing store."""

    def add(path: Path) -> None:
        # The file is always ready while a server uses it.
        if not tokens.is_ready(path):
            asyncio.run(_with_store(url, lambda store: store.tokens()))
        tokens.add(path, row)

    _in_store_or_file(url, lambda store: store.add_token(row), add)


def revoke_token(url: str, token_id: str, now: int) -> None:
    """Revokes a token of a store, even while a server uses it."""
    _in_store_or_file(
        url,
        lambda store: store.revoke_token(token_id, now),
        lambda path: tokens.revoke(path, token_id, now),
    )


def _in_store_or_file(
    url: str, in_store: Callable[[Store], Awaitable[T]], in_file: Callable[[Path], T]
) -> T:
    """Runs `in_store` for a database. Runs `in_file` for a file, which a server may have locked."""
    if _is_postgres(url):
        return asyncio.run(_with_store(url, in_store))
    return in_file(store_file(url))


async def _with_store(url: str, action: Callable[[Store], Awaitable[T]]) -> T:
    store = await open_store(url)
    try:
        return await action(store)
    except PodiumError as error:
        raise StoreError(str(error)) from error
    finally:
        await store.close()
