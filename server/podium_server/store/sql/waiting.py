"""Calls that wait for a transaction, and the listeners of its commit."""

import asyncio
import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from podium_server.store.calls import Call, Subject
from podium_server.store.contract import ChangeListener
from podium_server.store.stages import StageTimer, stage_timer

__all__ = ["Waiting", "notifying"]


@dataclass(slots=True, eq=False)
class Waiting:
    """A call with its result or error, and the future for which its caller waits."""

    call: Call[Any]
    answer: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None
    timer: StageTimer | None = field(default_factory=stage_timer)

    def again(self) -> "Waiting":
        """Forgets the result and the error, because the call runs again."""
        self.result = self.error = None
        return self

    def begin(self) -> None:
        """Notes that the transaction of the call begins."""
        if self.timer is not None:
            self.timer.end("queue")

    def give(self) -> None:
        """Passes the result or the error to the caller, unless the caller was cancelled."""
        if self.timer is not None:
            self.timer.end("commit")
        if self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)


@contextlib.contextmanager
def notifying(
    listeners: Collection[ChangeListener], subjects: Collection[Subject]
) -> Iterator[None]:
    """Calls the listeners before and after the commit inside the block."""
    for listener in listeners:
        listener.changing(subjects)
    try:
        yield
    finally:
        for listener in listeners:
            listener.changed(subjects)
