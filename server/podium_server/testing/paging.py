"""Reads lists page by page, for tests."""

from collections.abc import Awaitable, Callable
from typing import Any

from podium.v1.eval_result_pb2 import EvalResult

__all__ = ["every_item", "step_of"]


async def every_item(
    read: Callable[[Any], Awaitable[Any]],
    start: Any,
    between: Callable[[], Awaitable[None]] | None = None,
) -> list[Any]:
    """Returns the items of all pages. Calls `between` after each page.

    `read` returns the page that begins at a place. `start` is the first place.
    """
    items, place = [], start
    while True:
        page = await read(place)
        items += page.items
        if between is not None:
            await between()
        if page.next is None:
            return items
        place = page.next


def step_of(content: bytes) -> int | None:
    """Returns the step of an encoded eval row."""
    result = EvalResult.FromString(content)
    return result.step if result.HasField("step") else None
