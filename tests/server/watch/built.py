"""A fixed history of an experiment, with each situation in which watches of other systems failed.

After each step, every watch connects again and again. The first connection ends after one message,
the next one after two, until one receives the marker of the newest revision. So each watch is cut
off once between any two messages.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Protocol

from google.protobuf.message import Message
from podium.errors import NotFoundError
from podium.v1.event_pb2 import ArmFinished, Event
from podium.v1.recording_service_pb2 import (
    DeleteArmRequest,
    DeleteExperimentRequest,
    RecordRequest,
)
from podium.v1.results_service_pb2 import WatchRequest, WatchResponse
from podium_server.store.sqlite.copies import back_up
from podium_server.testing.calls import arm, declared, metrics, row, started

from tests.server.watch.judge import Filter, Judge, State
from tests.server.watch.servers import replace_store
from tests.server.watch.states import NAME, read_state
from tests.server.writes.ways import Way

__all__ = ["BUILT_FILTERS", "BuiltHistory", "Server"]

BUILT_FILTERS = (
    Filter(with_series=True),
    Filter(name_prefix="a"),
    Filter(statuses=(2,), with_series=True, series_keys=("loss",)),
    Filter(group_name="g", without_evals=True),
)
_AHEAD = 1_000
_MOST_CONNECTIONS = 200


class Server(Protocol):
    """A server of the experiment, in this process or in another one."""

    @property
    def way(self) -> Way:
        """The way to call the server while it runs."""

    async def start(self) -> None:
        """Opens the store."""

    async def stop(self) -> None:
        """Closes the store."""

    def watch(self, request: WatchRequest) -> AsyncGenerator[WatchResponse]:
        """Yields the messages of a watch. Errors are `podium.PodiumError`s."""


def _record(*events: Event) -> RecordRequest:
    return RecordRequest(experiment=NAME, events=events)


def _rows(arm_name: str, *steps: int, value: float = 0.5) -> list[Event]:
    return [row("val", step, arm_name, metrics={"x": value}) for step in steps]


def _points(arm_name: str, *steps: int) -> list[Event]:
    return [metrics({"loss": 1 / (1 + step)}, arm_name, step=step) for step in steps]


def _finished(arm_name: str, attempt: str) -> Event:
    return Event(arm_finished=ArmFinished(arm=arm_name, attempt_id=attempt, status=4))  # type: ignore[arg-type]


_FIRST_ARM = (declared(), arm("a1", group_name="g"), *_rows("a1", 1, 2, 3), *_points("a1", 1, 2, 3))
_DELETE = DeleteExperimentRequest(experiment=NAME)

_STEPS: Sequence[Sequence[Message | str]] = (
    (),  # no experiment yet
    (_record(*_FIRST_ARM),),  # a snapshot with several pages, at the first revision
    (_record(*_rows("a1", 4)),),  # a single row, at the revision after a marker
    # Some filters do not show this arm.
    (_record(started("b1", "first", 1)), _record(*_rows("b1", 1, 2, 3))),
    # In two commits, the arm gets a row and ends, so one filter no longer shows it.
    (_record(*_rows("b1", 4)), _record(_finished("b1", "first"))),
    (
        _record(started("a2", "first", 1)),
        _record(*_rows("a2", *range(1, 6)), *_points("a2", 1, 2, 3)),
    ),
    # Rows and points are removed, and one of these rows is recorded again.
    (_record(started("a2", "second", 2, resume_step=2)), _record(*_rows("a2", 3, value=0.7))),
    (DeleteArmRequest(experiment=NAME, arm="b1"),),
    ("restart",),
    ("ahead",),
    # The store is replaced by a backup, which is at the revision that the watches have.
    ("back_up", _record(*_rows("a1", 5, 6)), _record(*_rows("a1", 7)), "restore"),
    # The store is replaced by a backup, and then passes the revision that the watches have.
    ("back_up", _record(*_rows("a1", 8)), "restore", *(_record(*_rows("a2", n)) for n in (8, 9))),
    (_DELETE,),
    (_record(*_FIRST_ARM),),
    # No watch sees this deletion.
    (_record(*_rows("a1", 5)), _DELETE, _record(*_FIRST_ARM), _record(*_rows("a1", 9))),
    ("ahead",),
)
"""The steps: requests, and names of methods of `BuiltHistory`.

Watches connect only at the end of each step.
"""


class BuiltHistory:
    """Makes the steps, and judges what the watches receive.

    Args:
        server: The server, which is not started yet.
        file: The file of its store.
        patience: The seconds after which a missing marker is a violation.
    """

    def __init__(self, server: Server, file: Path, *, patience: float = 60) -> None:
        self._server, self._file, self._patience = server, file, patience
        self._backup = file.with_name("backup.db")
        self._states: dict[tuple[int, int], State] = {}
        self._lives = self._revision = 0
        self._life_of: dict[str, int] = {}
        self._judges = [Judge(shown, self._is_other_life) for shown in BUILT_FILTERS]
        self.connections = 0

    async def run(self) -> list[str]:
        """Makes all steps, or ends at the first step with violations. Returns the violations."""
        await self._server.start()
        try:
            for step in _STEPS:
                for action in step:
                    await self._make(action)
                for judge in self._judges:
                    await self._visit(judge)
                if violations := [text for judge in self._judges for text in judge.violations]:
                    return violations
        finally:
            await self._server.stop()
        return []

    def _is_other_life(self, _revision: int, epoch: str) -> bool:
        return self._life_of.get(epoch) != self._lives

    async def _make(self, action: Message | str) -> None:
        if isinstance(action, str):
            await getattr(self, f"_{action}")()
        else:
            await self._server.way.call(type(action).__name__.removesuffix("Request"), action)
            self._lives += action == _DELETE
        await self._note_state()

    async def _note_state(self) -> None:
        self._revision, state = await read_state(self._server.way)
        self._states[self._lives, self._revision] = state

    async def _restart(self) -> None:
        await self._server.stop()
        await self._server.start()

    async def _back_up(self) -> None:
        self._backup.unlink(missing_ok=True)
        await asyncio.to_thread(back_up, self._file, self._backup)

    async def _restore(self) -> None:
        await self._server.stop()
        replace_store(self._file, self._backup)
        self._lives += 1
        await self._server.start()

    async def _ahead(self) -> None:
        """Continues a watch after a revision that the store does not have. It must be reset."""
        known = self._judges[0]
        judge = Judge(known.shown, lambda *_: True)
        judge.revision, judge.epoch = known.revision + _AHEAD, known.epoch
        await self._read(judge, _MOST_CONNECTIONS)
        judge.verify(self._state_of)
        known.violations += judge.violations

    def _state_of(self, revision: int, epoch: str) -> State | None:
        return self._states.get((self._life_of[epoch], revision))

    async def _visit(self, judge: Judge) -> None:
        """Connects for one message, then for two, until the newest marker arrives."""
        for messages in itertools.count(1):
            is_complete = await self._read(judge, messages)
            judge.verify(self._state_of)
            if is_complete or judge.violations:
                return

    async def _read(self, judge: Judge, messages: int) -> bool:
        """Reads messages. Returns whether the watch is at the newest revision, or has ended."""
        self.connections += 1
        stream = self._server.watch(judge.request(NAME))
        try:
            async with asyncio.timeout(self._patience), contextlib.aclosing(stream):
                async for response in stream:
                    marker = response.marker
                    if response.HasField("marker"):
                        self._life_of.setdefault(marker.epoch, self._lives)
                    judge.take(response)
                    messages -= 1
                    if response.deleted or marker.revision >= self._revision > 0:
                        return True
                    if not messages:
                        return False
        except NotFoundError:
            judge.forget()
        except TimeoutError:
            judge.violations.append(f"true: no marker of {self._revision} for {judge.shown}")
        return True
