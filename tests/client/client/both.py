"""Runs one test over the blocking client and over the asynchronous one.

`result(call)`, `items(listing)` and `entered(manager)` do what both kinds of client need, so
that a test says once what a call means.
"""

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

__all__ = ["AnyClient", "entered", "items", "result"]

# Typing both at once would say nothing that tests/project/typing does not say better.
AnyClient = Any


async def result(call: Any) -> Any:
    """Returns the result of a call."""
    return await call if inspect.isawaitable(call) else call


async def items(listing: Any) -> list[Any]:
    """Returns everything that a listing yields."""
    if isinstance(listing, AsyncIterable):
        return [item async for item in listing]
    assert isinstance(listing, Iterable)
    return list(listing)


@asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    """Enters a context manager of either kind."""
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value
