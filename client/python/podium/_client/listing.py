"""Lists that a client fetches from the server in pages."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

from podium._values.base import same
from podium._values.tabular import SHOWN_ROWS, Tabular, without_configs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator

    from podium._client.calls import Pages

__all__ = ["AsyncListing", "Listing", "Recorded"]


class Recorded(Protocol):
    """An item of a list that can be a row of a table."""

    def record(self) -> dict[str, Any]:
        """Returns the values of the row by column name."""
        ...


_T = TypeVar("_T", bound=Recorded)


class Listing(Tabular, Sequence[_T]):
    """A list that fetches its items from the server, page by page, when they are first needed.

    A `for` loop and an index fetch only the pages that they need. A repr fetches one page. `len`,
    negative indexes, slices without an end, `==` and `to_pandas` fetch all pages. Fetched items are
    kept, so they do not change. `stream` keeps no items. If a call fails, the next use of the list
    repeats the call.
    """

    def __init__(
        self,
        noun: str,
        items: list[_T],
        pages: Pages[_T] | None = None,
        fetch: Callable[[Pages[_T]], list[_T]] | None = None,
    ) -> None:
        self._noun, self._items = noun, items
        self._pages, self._fetch = pages, fetch
        self._rest = pages and pages.from_start()
        self._lock = Lock()

    def stream(self) -> Iterator[_T]:
        """Fetches the list again from its first page, and yields the items without keeping them.

        Use it for lists that are too large for the memory.
        """
        if self._pages is None or self._fetch is None:
            yield from self._items
            return
        pages = self._pages.from_start()
        while pages.request is not None:
            yield from self._fetch(pages)

    def __iter__(self) -> Iterator[_T]:
        at = 0
        while len(self._first(at + 1)) > at:
            yield self._items[at]
            at += 1

    def __len__(self) -> int:
        return len(self._first(None))

    def __bool__(self) -> bool:
        return bool(self._first(1))

    @overload
    def __getitem__(self, at: int, /) -> _T: ...

    @overload
    def __getitem__(self, at: slice, /) -> Listing[_T]: ...

    def __getitem__(self, at: int | slice, /) -> _T | Listing[_T]:
        """Returns an item, or the list of the items of a slice."""
        if isinstance(at, slice):
            return Listing(self._noun, self._first(_end(at))[at])
        place = index(at)
        return self._first(place + 1 if place >= 0 else None)[place]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | Listing):
            return NotImplemented
        return same(list(self), list(other))

    __hash__ = None  # type: ignore[assignment]  # its items may still be fetched

    def __reduce__(self) -> tuple[Any, ...]:
        return Listing, (self._noun, self._first(None))

    def _first(self, count: int | None) -> list[_T]:
        """Fetches pages until there are `count` items, or all pages if `count` is None.

        Returns all items that are fetched so far, which may be more or fewer.
        """
        while self._rest is not None and (count is None or len(self._items) < count):
            with self._lock:
                self._fetch_page()
        return self._items

    def _fetch_page(self) -> None:
        if self._rest is not None and self._fetch is not None:
            self._items += self._fetch(self._rest)
            if self._rest.request is None:
                self._rest = None

    def _heading(self) -> str:
        count = len(self._first(1))
        noun = self._noun.removesuffix("s") if count == 1 else self._noun
        start, end = ("the first ", "; len() fetches all") if self._rest else ("", "")
        return f"{start}{count:,} {noun}{end}"

    def _records(self) -> Sequence[dict[str, Any]]:
        return [item.record() for item in self._first(None)]

    def _shown(self) -> Sequence[dict[str, Any]]:
        return without_configs([item.record() for item in self._first(1)[:SHOWN_ROWS]])

    def _shown_count(self, _shown: object) -> int:
        return len(self._items)


class AsyncListing(Generic[_T]):
    """A list on the server. `await` fetches the whole list, and `async for` fetches it in pages.

    The result of `await` has `len`, indexes and `to_pandas`. In a notebook, it is shown as a table.
    """

    def __init__(self, pages: Pages[_T], fetch: Callable[[Pages[_T]], Awaitable[list[_T]]]) -> None:
        self._pages, self._fetch = pages, fetch

    async def __aiter__(self) -> AsyncIterator[_T]:
        pages = self._pages.from_start()
        while pages.request is not None:
            for item in await self._fetch(pages):
                yield item

    def __await__(self) -> Generator[Any, None, Listing[_T]]:
        return self._all().__await__()

    async def _all(self) -> Listing[_T]:
        return Listing(self._pages.noun, [item async for item in self])

    def __repr__(self) -> str:
        noun = self._pages.noun
        return f"<AsyncListing of {noun}: `await` it for a list, or use `async for`>"


def _end(part: slice) -> int | None:
    """Returns how many items from the start a slice needs, or None if it may need all."""
    ends = (0 if part.start is None else part.start, part.stop, part.step or 1)
    return part.stop if all(end is not None and end >= 0 for end in ends) else None
