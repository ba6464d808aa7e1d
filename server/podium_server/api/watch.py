"""The rpc Watch: sends the changes of an experiment to clients, as they are committed.

A watch reads the changes from the feed of the store. It keeps only the last revision that it has
sent completely, and at most one page of changes. So there is no queue of changes: for a slow
client, a message merges the changes of more commits. Each commit wakes the watches of its
experiment, so nothing is polled.

Messages are yielded as bytes, after the objects that they were made from are released. So the
server keeps only one copy of a page for a client that does not read.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from typing import NamedTuple

from podium.errors import NotFoundError
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.results_service_pb2 import WatchRequest, WatchResponse
from podium.v1.watch_pb2 import WatchedEval, WatchedSeries, WatchMarker, WatchRemoval

from podium_server.api import answers
from podium_server.api.callers import CALLER, EVERYONE
from podium_server.api.filters import arm_filter
from podium_server.errors import failure
from podium_server.store.calls import Subject
from podium_server.store.changes import (
    ChangedPoints,
    ChangedRow,
    ChangePage,
    ChangePlace,
    Removal,
)
from podium_server.store.contract import ChangeListener, PageLimits, Store
from podium_server.store.filters import ArmFilter, SeriesFilter
from podium_server.store.rows import ArmView, ExperimentRow
from podium_server.store.series_changes import FIRST_STEP

__all__ = ["Watches"]

_PAGE = PageLimits(100, 32 * 1024)
_SERIES_PAGE = PageLimits(4_000, 0)
_HEARTBEAT_SECONDS = 10.0
_CHECK_SECONDS = 2.0
"""The seconds between two checks of the token while nothing changes."""
_AHEAD_SECONDS = 5.0
"""The seconds to wait for the store if a client has a later revision than the store.

If the store has still not reached this revision, the client is told to discard its state.
"""
# After its messages, a watch pauses for the first number of seconds, plus the second number for
# each watch of the experiment. So the messages of many watches merge more commits.
_PAUSE_SECONDS = 0.004
_PAUSE_OF_EACH_SECONDS = 0.0005


class Watches(ChangeListener):
    """All watches of a server."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wakes: dict[str, set[asyncio.Event]] = {}
        self.watched = self._wakes.keys()
        self._is_stopped = False
        self._turn = asyncio.Lock()
        store.listen(self)

    def changing(self, _subjects: Collection[Subject], /) -> None:
        """Does nothing, because readers do not see the new state yet."""

    def changed(self, subjects: Collection[Subject], /) -> None:
        """Wakes the watches of the experiments that a commit has changed."""
        for experiment in {experiment for experiment, _ in subjects}:
            for wake in self._wakes.get(experiment, ()):
                wake.set()

    def stop(self) -> None:
        """Ends all running watches, and every later watch, with SHUTTING_DOWN."""
        self._is_stopped = True
        for wakes in self._wakes.values():
            for wake in wakes:
                wake.set()

    async def watch(self, request: WatchRequest) -> AsyncGenerator[bytes]:
        """Yields the changes of an experiment as they are committed, as encoded WatchResponses."""
        with self._joined(request.experiment) as wake:
            sent = _Sent(self._store, request, self._turn)
            yield await self._begin(sent, wake)
            while True:
                wake.clear()
                async with contextlib.aclosing(sent.advance()) as responses:
                    async for response in responses:
                        self._check_stopped()
                        yield response
                if sent.is_deleted:
                    return
                watches = len(self._wakes[request.experiment])
                await asyncio.sleep(_PAUSE_SECONDS + watches * _PAUSE_OF_EACH_SECONDS)
                await self._wait_for_change(wake)
                self._check_stopped()

    async def _begin(self, sent: "_Sent", wake: asyncio.Event) -> bytes:
        """Returns the first message.

        If the client has a later revision than the store, first waits until the store reaches it,
        for at most `_AHEAD_SECONDS`.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + _AHEAD_SECONDS
        while True:
            self._check_stopped()
            wake.clear()
            page = await sent.look()
            if not sent.is_ahead(page) or loop.time() >= ends:
                return sent.first_response(page).SerializeToString()
            await self._wait(wake, ends - loop.time())

    async def _wait_for_change(self, wake: asyncio.Event) -> None:
        """Waits for a commit or the next heartbeat.

        Raises TOKEN_INVALID if the token has expired or was revoked.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + _HEARTBEAT_SECONDS
        while not wake.is_set() and (left := ends - loop.time()) > 0:
            await CALLER.get(EVERYONE).check_again()
            await self._wait(wake, min(left, _CHECK_SECONDS))

    @contextlib.contextmanager
    def _joined(self, experiment: str) -> Iterator[asyncio.Event]:
        wake = asyncio.Event()
        wakes = self._wakes.setdefault(experiment, set())
        wakes.add(wake)
        try:
            yield wake
        finally:
            wakes.remove(wake)
            if not wakes:
                self._wakes.pop(experiment, None)

    @staticmethod
    async def _wait(wake: asyncio.Event, seconds: float) -> None:
        # asyncio.wait_for of Python 3.11 can lose the cancellation of a call that has ended.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await wake.wait()

    def _check_stopped(self) -> None:
        if self._is_stopped:
            raise failure(
                "SHUTTING_DOWN", "the server is stopping; watch again after the last marker"
            )


class _Step(NamedTuple):
    """A message to a client.

    Attributes:
        content: The encoded WatchResponse. It is empty if there is nothing to send.
        next: The place where the next page begins; None after the last.
        begun: A revision. An arm that began to match the filters after it is new to the client.
        entered: The arms that newly match the client's filters.
    """

    content: bytes
    next: ChangePlace | None = None
    begun: int = 0
    entered: Sequence[str] = ()


class _Sent:
    """A client of Watch: the last revision that was sent to it, and the arms that it watches.

    Attributes:
        is_deleted: Whether the client was told that the experiment was deleted.
    """

    def __init__(self, store: Store, request: WatchRequest, turn: asyncio.Lock) -> None:
        self._store = store
        self._turn = turn
        self._experiment = request.experiment
        self._revision = request.after_revision
        self._epoch = request.epoch
        self._filter = arm_filter(request)
        self._with_rows = not request.without_evals
        self._with_breakdowns = not request.without_breakdowns
        self._series: SeriesFilter | None = None
        if request.with_series:
            self._series = SeriesFilter(frozenset(request.series_keys))
        self._declared: bytes | None = None
        self.is_deleted = False

    async def look(self) -> ChangePage:
        """Returns the first page of changes. Callers only use its experiment and epoch."""
        return await self._store.changes(self._experiment, self._revision, None, PageLimits(1, 0))

    def is_ahead(self, page: ChangePage) -> bool:
        """Returns whether the client has a later revision than the store, and no other epoch."""
        return self._epoch in ("", page.epoch) and self._revision > page.experiment.revision

    def first_response(self, page: ChangePage) -> WatchResponse:
        """Returns the first message. It has `reset` set if the client must discard its state."""
        is_other = self._epoch not in ("", page.epoch) or self._revision < page.experiment.deletion
        response = WatchResponse(
            reset=self._revision > 0 and (is_other or self._revision > page.experiment.revision)
        )
        self._epoch = page.epoch
        if response.reset:
            self._revision = 0
        self._add_experiment(response, page.experiment)
        return response

    async def advance(self) -> AsyncGenerator[bytes]:
        """Yields everything that changed since the last marker, and the next marker.

        An arm that newly matches the filters is sent with all its rows and series. These can be
        newer than the page of changes. The changes up to their revision follow before the marker.
        """
        step = _Step(b"", begun=self._revision)
        is_complete = False
        while not is_complete:
            step = await self._step(step)
            is_complete = step.next is None and not step.entered
            if step.content:
                yield step.content
            for arm in step.entered:
                async for content in self._content(arm):
                    yield content

    async def _step(self, last: _Step) -> _Step:
        """Returns the message of the next page, or the message that the experiment is deleted."""
        try:
            async with self._taking_turns():
                page = await self._store.changes(
                    self._experiment, self._revision, last.next, _PAGE, self._series
                )
        except NotFoundError:
            return self._deletion()
        if page.epoch != self._epoch:
            return self._deletion()
        revision = page.experiment.revision
        begun = last.begun or (page.next.begun if page.next else revision)
        response, entered = self._response(page, begun)
        if page.next is None:
            self._revision = begun = revision
            self._add_experiment(response, page.experiment)
            if not entered:
                response.marker.CopyFrom(WatchMarker(revision=revision, epoch=self._epoch))
        return _Step(response.SerializeToString(), page.next, begun, entered)

    def _deletion(self) -> _Step:
        self.is_deleted = True
        return _Step(WatchResponse(deleted=True).SerializeToString())

    @contextlib.asynccontextmanager
    async def _taking_turns(self) -> AsyncGenerator[None]:
        """Makes watches read in turn, so that many new watches do not delay all other calls."""
        async with self._turn:
            yield
            await asyncio.sleep(0)

    async def _content(self, arm: str) -> AsyncGenerator[bytes]:
        """Yields all rows and series of an arm that newly matches the filters.

        Ends early if the arm no longer exists. Its removal follows with the changes.
        """
        with contextlib.suppress(NotFoundError):
            after: int | None = -1 if self._with_rows else None
            while after is not None:
                content, after = await self._rows_of(arm, after)
                yield content
            first = None if self._series is None else FIRST_STEP
            while first is not None and self._series is not None:
                content, first = await self._points_of(arm, first, self._series)
                yield content

    async def _rows_of(self, arm: str, after: int) -> tuple[bytes, int | None]:
        """Returns a message with the rows of an arm after a position.

        Also returns the position of the last row, or None if no rows follow it.
        """
        async with self._taking_turns():
            rows = await self._store.rows(self._experiment, arm, after, _PAGE)
        response = WatchResponse(evals=map(self._watched, rows.items))
        return response.SerializeToString(), None if rows.next is None else int(rows.next)

    async def _points_of(
        self, arm: str, first: int, series: SeriesFilter
    ) -> tuple[bytes, int | None]:
        """Returns a message with the points of an arm from a step on.

        Also returns the step of the next point, or None if no points follow.
        """
        async with self._taking_turns():
            points = await self._store.series(self._experiment, arm, first, _SERIES_PAGE, series)
        piece = WatchedSeries(arm=arm, from_step=first, series=answers.series(points.items))
        content = WatchResponse(series=[piece]).SerializeToString()
        return content, None if points.next is None else int(points.next)

    def _response(self, page: ChangePage, begun: int) -> tuple[WatchResponse, list[str]]:
        """Returns the message of a page, and the arms that newly match the filters."""
        response, entered = WatchResponse(), list[str]()
        for item in page.items:
            if isinstance(item, ArmView):
                self._add_arm(response, item, begun, entered)
            elif not item.arm.startswith(self._filter.name_prefix):
                continue
            elif isinstance(item, Removal):
                if item.key is None or self._with_rows:
                    response.removals.append(_removal(item))
            elif not _is_selected(self._filter, item.status, item.group_name):
                continue
            elif isinstance(item, ChangedPoints):
                response.series.append(_watched_series(item))
            elif self._with_rows:
                response.evals.append(self._watched(item))
        return response, entered

    def _add_arm(
        self, response: WatchResponse, view: ArmView, begun: int, entered: list[str]
    ) -> None:
        row = view.row
        if not row.name.startswith(self._filter.name_prefix):
            return
        has_moved = row.moved > begun
        if not _is_selected(self._filter, row.status, row.group_name):
            if has_moved:
                response.removals.append(WatchRemoval(arm=row.name))
            return
        arm = answers.watched_arm(self._experiment, view, breakdowns=self._with_breakdowns)
        response.arms.append(arm)
        is_narrow = bool(self._filter.statuses) or self._filter.group_name is not None
        if has_moved and is_narrow and (self._with_rows or self._series is not None):
            entered.append(row.name)

    def _watched(self, item: ChangedRow) -> WatchedEval:
        row = EvalResult.FromString(item.content)
        if not self._with_breakdowns:
            row.ClearField("breakdowns")
        return WatchedEval(arm=item.arm, position=item.position, eval_result=row)

    def _add_experiment(self, response: WatchResponse, row: ExperimentRow) -> None:
        """Adds the experiment unless the last one sent has the same declaration and conclusion."""
        content = row.content or b""
        if content != self._declared:
            self._declared = content
            response.experiment.CopyFrom(answers.experiment(row))


def _is_selected(shown: ArmFilter, status: int, group_name: str | None) -> bool:
    is_status = not shown.statuses or status in shown.statuses
    return is_status and shown.group_name in (None, group_name)


def _watched_series(item: ChangedPoints) -> WatchedSeries:
    return WatchedSeries(arm=item.arm, from_step=item.first, series=answers.series(item.points))


def _removal(item: Removal) -> WatchRemoval:
    if item.key is None:
        return WatchRemoval(arm=item.arm)
    return WatchRemoval(arm=item.arm, name=item.key.name, step=item.key.step)
