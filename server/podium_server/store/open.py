"""Opens stores by URL. Only this module knows which kinds of stores exist."""

from collections.abc import Callable
from pathlib import Path

from podium_server.store.contract import Store, StoreError
from podium_server.store.sqlite import SqliteStore, back_up, check

__all__ = ["back_up_store", "check_store", "open_store"]

_SQLITE = "sqlite:///"


async def open_store(url: str, on_broken: Callable[[], None] = lambda: None) -> Store:
    """Opens the store of a URL.

    Args:
        url: `sqlite:///relative.db` or `sqlite:////absolute.db`.
        on_broken: Called once when the store can acknowledge no more calls; the process should
            then close the store and end.

    Raises:
        StoreError: The URL names no kind of store, or the store cannot be opened.
    """
    store = SqliteStore(_file(url), on_broken)
    await store.open()
    return store


def back_up_store(url: str, target: Path) -> None:
    """Writes a verified copy of a store to a new file, also while a server uses the store.

    Raises:
        StoreError: The store cannot be read, the copy cannot be written, or it is damaged.
    """
    back_up(_file(url), target)


def check_store(url: str) -> list[str]:
    """Checks the content of a store, which a server may use; returns the faults found.

    Args:
        url: The URL of a store, or the path of its file, such as a backup's.

    Raises:
        StoreError: The store cannot be read.
    """
    return check(_file(url) if url.startswith(_SQLITE) else Path(url))


def _file(url: str) -> Path:
    path = url.removeprefix(_SQLITE)
    if path in {url, "", ":memory:"}:
        raise StoreError(
            f"store {url!r} is not known; give sqlite:///FILE, or sqlite:////FILE for a path from /"
        )
    return Path(path)
