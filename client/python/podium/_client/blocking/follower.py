"""Followed experiments: a thread keeps the state of each up to date in memory."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from podium._client.blocking.watching import watch
from podium._client.follower import LiveBase

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from podium._client.blocking.connection import BlockingConnection
    from podium._client.live_state import LiveState
    from podium._client.watching import WatchSession

__all__ = ["Live"]

_T = TypeVar("_T")


class Live(LiveBase):
    """The state of a followed experiment in memory. `ExperimentHandle.follow` returns it.

    Inside the `with` block, a thread receives the changes of the experiment. Reads use the state in
    memory and make no calls. They return the same results as reads of the server.
    """

    def __init__(self, connection: BlockingConnection, session: WatchSession) -> None:
        super().__init__(session)
        self._connection = connection
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._follow, name="podium-follow", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._wait(lambda state: state.marker is not None, None)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, error_type: object, error: BaseException | None, trace: object) -> None:
        if self._pid == os.getpid():  # a fork has neither the thread nor the connection
            self._session.stop()
            self._thread.join()

    def wait_for(self, revision: int, timeout: float | None = None) -> None:
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
        self.wait_until(lambda state: state.revision >= revision, timeout)

    def wait_until(
        self, predicate: Callable[[LiveState], _T | None], timeout: float | None = None
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
        return self._wait(predicate, timeout)

    def _wait(self, predicate: Callable[[LiveState], _T | None], timeout: float | None) -> _T:
        # The predicate is called without the lock, so a slow one does not delay the next state.
        ends = None if timeout is None else time.monotonic() + timeout
        while not (found := predicate(state := self._state)):
            left = None if ends is None else ends - time.monotonic()
            if left is not None and left <= 0:
                raise self._timeout_error(timeout)
            if self._state is state:
                self._check()
                self._wait_for_change(state, left)
        return found

    def _wait_for_change(self, state: LiveState, seconds: float | None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._state is not state or self._is_over(), seconds)

    def _follow(self) -> None:
        try:
            for update in watch(self._connection, self._session):
                state = self._state_after(update)
                with self._changed:
                    self._state = state
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - callers get it
            self._error = error
        with self._changed:
            self._end()
            self._changed.notify_all()
