"""Delivers the streams of an outbox, side by side, until nothing is left to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from podium._outbox import DamagedError, streams
from podium._sender._delivery import Pause
from podium._sender._gate import Gate
from podium._sender._stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from podium._sender._stream import Recording

__all__ = ["BACKGROUND", "FOREGROUND", "Rules", "Sender"]

_log = logging.getLogger(__name__)

_MOST_CALLS = 8
_FASTEST, _SLOWEST = 0.05, 1.0
"""Seconds between two looks at the outbox, while events come and when none have for long."""
_SLOWING = 10


@dataclass(frozen=True)
class Rules:
    """When a sender ends.

    Attributes:
        idle_seconds: How long after nothing waits any more.
        patience_seconds: How long after anything of what waits got further.
        is_bounded: Whether it delivers what it finds at its start and does not wait for those who
            might write more; what the server wants to wait is tried again only when others
            got further.
    """

    idle_seconds: float
    patience_seconds: float
    is_bounded: bool = False


BACKGROUND = Rules(idle_seconds=10, patience_seconds=3_600)
FOREGROUND = Rules(idle_seconds=0, patience_seconds=5, is_bounded=True)


class Sender:
    """Delivers an outbox. Its caller holds the outbox's `SenderLock`.

    Args:
        outbox: The folder.
        client: Where to.
        rules: When to end.
        observe: Called whenever something may have changed.

    Attributes:
        streams: Those that are known, by folder.
        damaged: Those that cannot be read, with the reason.
        gate: What is known of the server.
        delivered: How many events the server took.
        set_aside: How many it refused for good.
        missing: How many were gone from the outbox.
    """

    def __init__(
        self,
        outbox: Path,
        client: Recording,
        rules: Rules = BACKGROUND,
        observe: Callable[[Sender], None] = lambda _sender: None,
    ) -> None:
        self._outbox = outbox
        self._client = client
        self._rules = rules
        self._observe = observe
        self._tasks: dict[asyncio.Task[None], Stream] = {}
        self._advanced = self._lived = time.monotonic()
        self._advances = 0
        self._tried: dict[Path, int] = {}
        self._settled: set[Path] = set()
        self._unsent: list[Stream] = []
        self.streams: dict[Path, Stream] = {}
        self.damaged: dict[Path, str] = {}
        self.gate = Gate()
        self.delivered = self.set_aside = self.missing = 0

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Delivers until there is nothing more to do, or `stop` is set.

        It may be cancelled or killed at any point: the next one goes on where this one was.
        """
        stopped = asyncio.ensure_future((stop or asyncio.Event()).wait())
        try:
            while not stopped.done():
                self._look()
                self._start_calls()
                self._observe(self)
                if self._is_done():
                    break
                await asyncio.wait(
                    {stopped, *self._tasks},
                    timeout=self._rest(),
                    return_when=asyncio.FIRST_COMPLETED,
                )
        finally:
            await _cancelled(stopped, *self._tasks)
            self._observe(self)

    @property
    def is_delivering(self) -> bool:
        """Whether something is on its way."""
        return bool(self._tasks) or any(stream.pause is None for stream in self._unsent)

    @property
    def waiting(self) -> list[Stream]:
        """The streams that wait for reasons of their own."""
        return [stream for stream in self._unsent if stream.pause is not None]

    # ---- the streams -------------------------------------------------------------------------

    def _look(self) -> None:
        """Finds new streams and new events, and lets go of streams that are finished."""
        found = self._folders()
        for folder in self.streams.keys() - set(found) - self._busy():
            self._drop(folder)
        for folder in found:
            if folder not in self.streams and folder not in self.damaged:
                self._add(folder)
        self._unsent = [stream for stream in list(self.streams.values()) if self._has_work(stream)]

    def _folders(self) -> list[Path]:
        if self._rules.is_bounded and self.streams:
            return list(self.streams)
        try:
            return streams(self._outbox)
        except FileNotFoundError:
            # Somebody has deleted the outbox.
            return []
        except OSError as error:
            _log.warning("%s: %s", self._outbox, error)
            return list(self.streams)

    def _add(self, folder: Path) -> None:
        try:
            self.streams[folder] = Stream(folder, is_bounded=self._rules.is_bounded)
        except FileNotFoundError:
            # It has just been removed.
            return
        except (OSError, DamagedError) as error:
            self.damaged[folder] = str(error)
            _log.error("%s cannot be delivered: %s", folder, error)

    def _has_work(self, stream: Stream) -> bool:
        """Whether something of it waits. What is finished goes; what stays of it is settled."""
        if stream.folder in self._busy():
            return True
        if stream.folder in self._settled:
            return False
        try:
            if stream.has_pending:
                return True
            if not stream.lives and stream.finish():
                self._settled.add(stream.folder)
        except (OSError, DamagedError) as error:
            return stream.cannot_read(error)
        return False

    def _drop(self, folder: Path) -> None:
        del self.streams[folder]
        self._settled.discard(folder)

    def _busy(self) -> set[Path]:
        return {stream.folder for stream in self._tasks.values()}

    # ---- calls -------------------------------------------------------------------------------

    def _start_calls(self) -> None:
        now = time.monotonic()
        room = self.gate.room(now, _MOST_CALLS)
        for stream in self._ready(now):
            if len(self._tasks) >= room:
                break
            task = asyncio.ensure_future(self._send(stream))
            self._tasks[task] = stream
            task.add_done_callback(self._tasks.pop)
            # The others come first next time.
            self.streams[stream.folder] = self.streams.pop(stream.folder)

    def _ready(self, now: float) -> list[Stream]:
        """The streams that have something to send and may."""
        unsent = [stream for stream in self._unsent if stream.folder not in self._busy()]
        ready = [stream for stream in unsent if stream.pause is None or self._is_due(stream, now)]
        if ready or self._tasks or not self._rules.is_bounded:
            return ready
        return [stream for stream in unsent if self._may_have_come(stream)]

    def _is_due(self, stream: Stream, now: float) -> bool:
        return now >= stream.due and not self._waits_for_others(stream)

    def _waits_for_others(self, stream: Stream) -> bool:
        is_refused = stream.pause is not None and stream.pause.is_refusal
        return self._rules.is_bounded and is_refused

    def _may_have_come(self, stream: Stream) -> bool:
        """Whether others got further since a stream was told to wait."""
        return self._tried.get(stream.folder, -1) < self._advances

    async def _send(self, stream: Stream) -> None:
        before = (stream.advances, stream.taken, stream.set_aside, stream.missing)
        self._tried[stream.folder] = self._advances
        pause = await self._sent(stream)
        if pause is not None and pause.is_about_server:
            self.gate.shut(pause, time.monotonic())
        else:
            self.gate.open()
        after = (stream.advances, stream.taken, stream.set_aside, stream.missing)
        self._count(*(new - old for old, new in zip(before, after, strict=True)))

    def _count(self, advances: int, taken: int, set_aside: int, missing: int) -> None:
        self._advances += advances
        if advances:
            self._advanced = time.monotonic()
        self.delivered += taken
        self.set_aside += set_aside
        self.missing += missing

    async def _sent(self, stream: Stream) -> Pause | None:
        try:
            return await stream.send(self._client)
        except Exception as error:  # noqa: BLE001 - a defect must not hold up the other streams
            pause = Pause("INTERNAL", f"a defect of the sender: {error!r}")
            _log.error("a defect of the sender at %s", stream.folder, exc_info=error)
            stream.wait(pause)
            return pause

    # ---- time --------------------------------------------------------------------------------

    def _rest(self) -> float:
        """How long until the next look, in seconds."""
        now = time.monotonic()
        quiet = min(max((now - self._advanced) / _SLOWING, _FASTEST), _SLOWEST)
        if self.gate.pause is not None:
            return max(min(quiet, self.gate.due - now), 0) if not self._tasks else quiet
        dues = [stream.due - now for stream in self.waiting if not self._waits_for_others(stream)]
        return max(min([quiet, *dues]), 0)

    def _is_done(self) -> bool:
        if self._tasks:
            return False
        return self._is_done_for_now() if self._rules.is_bounded else self._is_done_for_good()

    def _is_done_for_good(self) -> bool:
        now = time.monotonic()
        if any(stream.lives for stream in self.streams.values()):
            self._lived = now
        quiet = now - max(self._lived, self._advanced)
        limit = self._rules.patience_seconds if self._unsent else self._rules.idle_seconds
        return quiet >= limit

    def _is_done_for_now(self) -> bool:
        now = time.monotonic()
        if not self._unsent or now - self._advanced >= self._rules.patience_seconds:
            return True
        return self.gate.pause is None and all(
            self._waits_for_others(stream) and not self._may_have_come(stream)
            for stream in self._unsent
        )


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    """Cancels tasks and waits until they have ended."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
