"""The background thread of a recorder, which does all disk work."""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

__all__ = ["Signal", "Upkeep"]

_INTERVAL = 0.25

_T = TypeVar("_T")


class Signal:
    """Wakes a thread. Unlike `threading.Event.set`, `set` cannot hang in a signal handler."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wakes the thread that waits. If none waits, the next call of `wait` returns at once."""
        try:
            self._lock.release()
        except RuntimeError:
            return  # already set

    def wait(self, timeout: float) -> bool:
        """Waits until the signal is set.

        Returns False if it is not set within `timeout` seconds.
        """
        return self._lock.acquire(timeout=timeout)


class _Errand(Generic[_T]):
    """An action that the upkeep thread does for another thread."""

    def __init__(self, action: Callable[[], _T]) -> None:
        self._action = action
        self._done = Signal()
        self.result: _T | None = None

    def run(self) -> None:
        try:
            self.result = self._action()
        finally:
            self._done.set()

    def wait(self, timeout: float) -> bool:
        return self._done.wait(timeout)


class Upkeep:
    """A thread that calls `work` four times a second, and passes every error to `tell`."""

    def __init__(self, work: Callable[[], None], tell: Callable[[Exception], None]) -> None:
        self._work = work
        self._tell = tell
        self._next = 0.0
        self._signal = Signal()
        self._errands: deque[_Errand[Any]] = deque()
        self._is_stopping = False
        self._thread: Thread | None = None

    def start(self) -> None:
        """Starts the thread.

        Python starts no threads while it ends. In this case, `call` runs its action in the thread
        of the caller.
        """
        thread = Thread(target=self._run, name="podium", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return
        self._thread = thread

    def wake(self) -> None:
        """Makes the thread call `work` soon. A signal handler may call this method."""
        self._next = 0.0
        self._signal.set()

    def call(self, action: Callable[[], _T], timeout: float) -> _T | None:
        """Calls an action in the thread and returns its result.

        Returns None if the action raises an error or takes longer than `timeout` seconds.
        """
        errand = _Errand(action)
        if self._thread is None:
            self._do(errand.run)
            return errand.result
        self._errands.append(errand)
        self._signal.set()
        return errand.result if errand.wait(timeout) else None

    def stop(self, timeout: float) -> None:
        """Ends the thread. Waits at most `timeout` seconds for its end, because a disk may hang."""
        self._is_stopping = True
        self.wake()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._is_stopping:
            if time.monotonic() >= self._next:
                self._next = time.monotonic() + _INTERVAL
                self._do(self._work)
            while self._errands:
                self._do(self._errands.popleft().run)
            self._signal.wait(max(0.0, self._next - time.monotonic()))

    def _do(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - training goes on, and so does all other upkeep
            self._tell(error)
