"""Followed experiments: a task keeps the state of each up to date in memory."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

from podium._client.aio.watching import watch
from podium._client.follower import LiveBase

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from podium._client.aio.connection import AsyncConnection
    from podium._client.live_state import LiveState
    from podium._client.watching import WatchSession

__all__ = ["AsyncLive"]

_T = TypeVar("_T")


class AsyncLive(LiveBase):
    """The state of a followed experiment in memory. `ExperimentHandle.follow` returns it.

    Inside the `async with` block, a task of the event loop receives the changes of the experiment.
    Reads use the state in memory and make no calls. They return the same results as reads of the
    server.
    """

    def __init__(self, connection: AsyncConnection, session: WatchSession) -> None:
        super().__init__(session)
        self._connection = connection
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        try:
            await self._wait(lambda state: state.marker is not None)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, error_type: object, error: BaseException | None, trace: object
    ) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._notify_end()

    async def wait_for(
        self,
        revision: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as in the blocking client
    ) -> None:
        """Waits until the state has reached a revision, such as one that a recording call returned.

        Args:
            revision: The revision of the experiment.
            timeout: The most seconds to wait; None for no limit.

        Raises:
            TimeoutError: The state has not reached the revision in this time.
            NotFoundError: The experiment was deleted.
            ClientStateError: The block has ended, or this is a fork of the process that follows the
                experiment.
        """
        await self.wait_until(lambda state: state.revision >= revision, timeout)

    async def wait_until(
        self,
        predicate: Callable[[LiveState], _T | None],
        timeout: float | None = None,  # noqa: ASYNC109 - as in the blocking client
    ) -> _T:
        """Waits until a function of the state returns a true value, and returns that value.

        Args:
            predicate: The function. It is called with the state, and again after each change.
            timeout: The most seconds to wait; None for no limit.

        Raises:
            TimeoutError: The function has returned no true value in this time.
            NotFoundError: The experiment was deleted.
            ClientStateError: The block has ended, or this is a fork of the process that follows the
                experiment.
        """
        self._check_begun()
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                return await self._wait(predicate)
        except TimeoutError:
            if limit.expired():
                raise self._timeout_error(timeout) from None
            raise  # the predicate has raised it

    async def _wait(self, predicate: Callable[[LiveState], _T | None]) -> _T:
        async with self._changed:
            while not (found := predicate(self._state)):
                self._check()
                await self._changed.wait()
        return found

    async def _follow(self) -> None:
        try:
            async for update in watch(self._connection, self._session):
                state = self._state_after(update)
                async with self._changed:
                    self._state = state
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - callers get it
            self._error = error
        await self._notify_end()

    async def _notify_end(self) -> None:
        async with self._changed:
            self._end()
            self._changed.notify_all()
