"""Runs functions that read and write synchronously, without blocking the event loop.

The functions of `podium_server.store.sql` run statements and use the results at once. Here such a
function runs in a greenlet. When it needs a result, `wait` switches to the event loop, and back
when the result is there. Functions that take long to compute run in a thread instead.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar

from greenlet import getcurrent, greenlet

__all__ = ["in_greenlet", "in_thread", "wait"]

P = ParamSpec("P")
T = TypeVar("T")
_LOOP: contextvars.ContextVar[asyncio.AbstractEventLoop] = contextvars.ContextVar("loop")
"""The event loop of a function that runs in a thread."""


class _Greenlet(greenlet):  # type: ignore[misc]
    """A greenlet that `in_greenlet` has started."""


async def in_greenlet(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a function that calls `wait`. Returns its result."""
    task: Any = _Greenlet(function)
    task.gr_context = contextvars.copy_context()
    outcome = task.switch(*args, **kwargs)
    while not task.dead:
        try:
            result = await outcome
        except BaseException as error:  # noqa: BLE001 - the function gets it
            outcome = task.throw(error)
        else:
            outcome = task.switch(result)
    return outcome  # type: ignore[no-any-return]


async def in_thread(threads: Executor, function: Callable[..., T], *args: Any) -> T:
    """Runs a function in a thread, where it can call `wait`. Returns its result.

    If the caller is cancelled, waits until the function ends, because it uses a connection.
    """
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    context.run(_LOOP.set, loop)
    running = loop.run_in_executor(threads, lambda: context.run(function, *args))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def wait(awaitable: Awaitable[T]) -> T:
    """Waits for an awaitable and returns its result.

    Call it only in functions that `in_greenlet` or `in_thread` runs.
    """
    here = getcurrent()
    if isinstance(here, _Greenlet):
        return here.parent.switch(awaitable)  # type: ignore[no-any-return]
    return asyncio.run_coroutine_threadsafe(_awaited(awaitable), _LOOP.get()).result()


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable
