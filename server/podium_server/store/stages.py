"""The times of the stages of a write, for the trace of its call."""

import time
from contextvars import ContextVar
from typing import NamedTuple

__all__ = ["STAGES", "Stage", "StageTimer", "stage_timer"]


class Stage(NamedTuple):
    """A part of the time of a write. Times are nanoseconds since 1970.

    Attributes:
        name: `queue` while the call waits for a transaction, or `commit` from the start of the
            transaction until it is durable.
        begin: When the stage began.
        end: When the stage ended.
    """

    name: str
    begin: int
    end: int


STAGES: ContextVar[list[Stage] | None] = ContextVar("podium_stages", default=None)
"""The list to which the store adds the stages of the running call.

None if the call is not traced.
"""


class StageTimer:
    """Adds the stages of a write to a list. The first stage begins now."""

    def __init__(self, stages: list[Stage]) -> None:
        self._stages = stages
        self._begin = time.time_ns()

    def end(self, name: str) -> None:
        """Adds the stage that ends now to the list. The next stage begins."""
        begin, self._begin = self._begin, time.time_ns()
        self._stages.append(Stage(name, begin, self._begin))


def stage_timer() -> StageTimer | None:
    """Returns a timer for the running call, or None if the call is not traced."""
    stages = STAGES.get()
    return None if stages is None else StageTimer(stages)
