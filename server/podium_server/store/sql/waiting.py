"""A call that waits for its turn in a transaction."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from podium_server.store.calls import Call
from podium_server.store.stages import StageTimer, stage_timer

__all__ = ["Waiting"]


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
