"""Helpers with which one test runs over the blocking and the asynchronous client.

`result(call)`, `items(listing)` and `entered(manager)` work with both kinds of client, so a test
needs only one version.
"""

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

__all__ = ["AnyClient", "entered", "items", "result"]

# Not typed: tests/project/typing checks the types of both clients.
AnyClient = Any


async def result(call: Any) -> Any:
    """Returns the result of a call, which it awaits if the client is asynchronous."""
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
