"""Followed experiments: a thread keeps their state up to date."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

from podium._client.blocking.watching import watch
from podium._client.follower import LiveBase

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from podium._client.blocking.connection import BlockingConnection
    from podium._client.follower import LiveState
    from podium._client.watching import WatchSession

__all__ = ["Live"]

_T = TypeVar("_T")


class Live(LiveBase):
    """The state of a followed experiment in memory. `follow` returns it.

    Inside the `with` block, a thread receives the changes of the experiment. All reads use the
    state in memory and the rules of the server, and make no calls.
    """

    def __init__(self, connection: BlockingConnection, session: WatchSession) -> None:
        super().__init__(session)
        self._connection = connection
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._follow, name="podium-follow", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.wait_until(lambda state: state.marker is not None)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, error_type: object, error: BaseException | None, trace: object) -> None:
        self._session.stop()
        self._thread.join()

    def wait_for(self, revision: int, timeout: float | None = None) -> None:
        """Waits until the state has a revision, such as the one that a recording call returned.

        Args:
            revision: The revision of the experiment.
            timeout: The most seconds to wait; None for no limit.

        Raises:
            TimeoutError: The time is over.
            NotFoundError: The experiment was deleted.
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
            TimeoutError: The time is over.
            NotFoundError: The experiment was deleted.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not (found := predicate(self.state)):
                self._check()
                left = None if ends is None else ends - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError
                self._changed.wait(left)
        return found

    def _follow(self) -> None:
        try:
            for update in watch(self._connection, self._session):
                state = self._state_after(update)
                with self._changed:
                    self._state = state
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - callers get it
            with self._changed:
                self._error = error
                self._changed.notify_all()
