"""Attempts at training an arm.

If the task of an attempt is cancelled, the end of the attempt is recorded before the task ends.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, Self, TypeVar

from podium._client import calls
from podium._client.aio.arm import AsyncArmHandle
from podium._client.aio.connection import AsyncConnection
from podium._interface.provenance import collected
from podium._wire import codec
from podium.errors import PodiumError
from podium.v1.event_pb2 import Event

__all__ = ["AsyncArmRun", "AsyncArmStart", "begin_attempt"]

_T = TypeVar("_T")


class AsyncArmRun(AsyncArmHandle):
    """An attempt at training an arm, which `start_arm` starts.

    When an `async with` block ends, the arm is recorded as completed. If the block raises an error,
    the arm is recorded as failed, with the error. If the task is cancelled, or after
    KeyboardInterrupt, it is recorded as cancelled. If `finish` has recorded a status before, the
    end of the block records nothing.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, error_type: object, error: BaseException | None, trace: object
    ) -> None:
        requests = self._ended(error)
        if requests is None:
            return
        try:
            # If the task is cancelled now, the end of the attempt is recorded nevertheless.
            await _uninterrupted(self._connection.run(requests))
        except PodiumError as failure:
            self._note_failure(error, failure)


class AsyncArmStart(Awaitable[AsyncArmRun]):
    """The start of an attempt. Await it, or enter it with `async with`, to get the AsyncArmRun."""

    def __init__(self, start: Coroutine[Any, Any, AsyncArmRun]) -> None:
        self._start = start

    def __await__(self) -> Generator[Any, Any, AsyncArmRun]:
        return self._start.__await__()

    async def __aenter__(self) -> AsyncArmRun:
        start = asyncio.ensure_future(self._start)
        try:
            self._run = await _uninterrupted(start)
        except asyncio.CancelledError as cancelled:
            if not start.cancelled() and start.exception() is None:
                await start.result().__aexit__(type(cancelled), cancelled, None)
            raise
        return self._run

    async def __aexit__(
        self, error_type: object, error: BaseException | None, trace: object
    ) -> None:
        await self._run.__aexit__(None, error, None)


async def _uninterrupted(call: Awaitable[_T]) -> _T:
    """Awaits a call until it ends, even if the current task is cancelled meanwhile.

    If the task was cancelled, raises CancelledError after the end of the call.
    """
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def begin_attempt(connection: AsyncConnection, experiment: str, event: Event) -> AsyncArmStart:
    """Returns the start of an attempt, to be awaited. `event` is the event that starts it."""
    return AsyncArmStart(_begin(connection, experiment, event))


async def _begin(connection: AsyncConnection, experiment: str, event: Event) -> AsyncArmRun:
    started = event.arm_started
    if not started.HasField("provenance"):
        # Collecting may run git. In a thread, it does not block other tasks.
        found = await asyncio.to_thread(collected)
        if found is not None:
            started.provenance.CopyFrom(codec.provenance_to_proto(found))
    await connection.run(calls.record(experiment, [event]))
    return AsyncArmRun(connection, experiment, started.arm, started.attempt.id)
