"""Delivers the streams of outboxes to a server, several at a time."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from podium._client.channel import OUTBOX_LAG
from podium._sender.circuit_breaker import CircuitBreaker
from podium._sender.recording_client import RecordingClient
from podium._sender.stream import Stream
from podium._sender.streams import Streams
from podium._sender.verdicts import Pause

__all__ = ["BACKGROUND", "FOREGROUND", "Rules", "Sender", "Tally"]

_log = logging.getLogger(__name__)

_MOST_CALLS = 8
_SLOWEST = 10
"""The longest time between two searches, as a multiple of `Rules.poll_seconds`."""
_SLOWING = 10
"""The time between two searches is the time since the last event, divided by this number."""


@dataclass(frozen=True)
class Rules:
    """Determines when a sender ends, and how long it retries.

    Attributes:
        idle_seconds: The seconds after which a sender ends if no events are pending and no process
            records.
        patience_seconds: The seconds without progress after which a sender ends although events are
            pending.
        is_bounded: Whether a sender delivers only the events that exist at its start. It then
            retries events of a missing experiment or arm only after other streams have progressed.
        poll_seconds: The seconds between two searches of an outbox while events arrive. Without new
            events, this time grows to a tenth of the time since the last event. It is at most ten
            times as long as while events arrive.
        defect_seconds: The seconds for which the sender retries the first event of a stream that
            makes the server fail. Then the sender skips the event.
    """

    idle_seconds: float
    patience_seconds: float
    is_bounded: bool = False
    defect_seconds: float = 600
    poll_seconds: float = 0.1


BACKGROUND = Rules(idle_seconds=10, patience_seconds=3_600)
"""The rules of a sender process."""
FOREGROUND = Rules(idle_seconds=0, patience_seconds=5, is_bounded=True, defect_seconds=2)
"""The rules of `podium sync`."""


@dataclass
class Tally:
    """Counts the delivered, rejected and missing events of one outbox."""

    delivered: int = 0
    """The number of events that the server accepted."""
    rejected: int = 0
    """The number of events that the server rejected permanently."""
    missing: int = 0
    """The number of events that neither the server nor the outbox has."""
    notices: list[str] = field(default_factory=list)
    """Messages for the user, such as about fields that a declaration did not change."""


class Sender:
    """Delivers outboxes to one server. The caller must hold the `SenderLock` of each outbox.

    Args:
        outboxes: The folders of the outboxes.
        client: The client of the server.
        rules: Determines when the sender ends, and how long it retries.
        observe: A function that is called with the sender whenever its state may have changed.

    Attributes:
        streams: The streams to deliver.
        circuit_breaker: Pauses all calls while the server cannot be used.
        tallies: The counts of events, by the folder of the outbox.
    """

    def __init__(
        self,
        outboxes: Sequence[Path],
        client: RecordingClient,
        rules: Rules = BACKGROUND,
        observe: "Callable[[Sender], None]" = lambda _sender: None,
    ) -> None:
        self._client = client
        self._rules = rules
        self._observe = observe
        self._tasks: dict[asyncio.Task[None], Stream] = {}
        self._advanced = self._lived = time.monotonic()
        self._advances = 0
        self._tried: dict[Path, int] = {}
        self._next_look = 0.0
        self._is_stale = False
        self.streams = Streams(
            outboxes, is_bounded=rules.is_bounded, defect_seconds=rules.defect_seconds
        )
        self.circuit_breaker = CircuitBreaker()
        self.tallies = {outbox: Tally() for outbox in outboxes}

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Delivers events until the rules say that the sender ends, or until `stop` is set.

        Even if the process is killed, no event is lost or applied twice.
        """
        OUTBOX_LAG.set(self._lag)
        stopped = asyncio.ensure_future((stop or asyncio.Event()).wait())
        try:
            while not stopped.done():
                if self._is_look_due():
                    self._look()
                self._start_calls()
                self._start_heartbeats()
                self._observe(self)
                if self._is_done():
                    break
                await asyncio.wait(
                    {stopped, *self._tasks},
                    timeout=self._seconds_to_next_poll(),
                    return_when=asyncio.FIRST_COMPLETED,
                )
        finally:
            await _cancelled(stopped, *self._tasks)
            self._observe(self)

    def _is_look_due(self) -> bool:
        return time.monotonic() >= self._next_look or (self._is_stale and self._is_done())

    def _look(self) -> None:
        """Searches the outboxes for streams and events, and sets the time of the next search.

        The pause before the next search is at least three times as long as this search took.
        """
        begin = time.monotonic()
        self.streams.look(self._busy())
        self._listen()
        self._is_stale = False
        now = time.monotonic()
        fastest = self._rules.poll_seconds
        quiet = min(max((now - self._advanced) / _SLOWING, fastest), _SLOWEST * fastest)
        self._next_look = now + max(quiet, 3 * (now - begin))

    # ---- calls -------------------------------------------------------------------------------

    def _start_calls(self) -> None:
        now = time.monotonic()
        room = self.circuit_breaker.room(now, _MOST_CALLS)
        for stream in self._ready(now):
            if len(self._tasks) >= room:
                break
            task = asyncio.ensure_future(self._send(stream))
            self._tasks[task] = stream
            task.add_done_callback(self._tasks.pop)
            self.streams.move_back(stream)

    def _start_heartbeats(self) -> None:
        """Sends heartbeats for streams without undelivered events, if the limit of calls allows."""
        if self._rules.is_bounded:
            return
        room = self.circuit_breaker.room(time.monotonic(), _MOST_CALLS) - len(self._tasks)
        waiting = self._busy() | {stream.folder for stream in self.streams.unsent}
        quiet = (
            stream
            for folder, stream in self.streams.known.items()
            if folder not in waiting and stream.needs_heartbeat()
        )
        for stream in islice(quiet, max(room, 0)):
            task = asyncio.ensure_future(stream.heartbeat.send(self._client))
            self._tasks[task] = stream
            task.add_done_callback(self._tasks.pop)

    def _listen(self) -> None:
        """Retries paused streams sooner if the processes that write them have asked for it."""
        waiting = [
            stream
            for stream in self.streams.unsent
            if self.circuit_breaker.pause or stream.pause is not None
        ]
        for stream in waiting:
            if stream.was_woken():
                self.circuit_breaker.hurry()
                stream.hurry()

    def _ready(self, now: float) -> list[Stream]:
        """Returns the streams that have undelivered events and may send now."""
        busy = self._busy()
        unsent = [
            stream
            for stream in self.streams.unsent
            if stream.folder not in busy and not stream.is_behind
        ]
        ready = [stream for stream in unsent if stream.pause is None or self._is_due(stream, now)]
        # Ended streams come first: over a slow connection, complete results are worth most.
        ready.sort(key=lambda stream: not stream.has_ended)
        if ready or self._tasks or not self._rules.is_bounded:
            return ready
        return [stream for stream in unsent if self._progressed_since_pause(stream)]

    def _is_due(self, stream: Stream, now: float) -> bool:
        return now >= stream.due and not self._waits_for_others(stream)

    def _waits_for_others(self, stream: Stream) -> bool:
        is_refused = stream.pause is not None and stream.pause.is_refusal
        return self._rules.is_bounded and is_refused

    def _progressed_since_pause(self, stream: Stream) -> bool:
        """Returns whether another stream has progressed since a stream was paused."""
        return self._tried.get(stream.folder, -1) < self._advances

    def _busy(self) -> set[Path]:
        return {stream.folder for stream in self._tasks.values()}

    async def _send(self, stream: Stream) -> None:
        before = _counts(stream)
        self._tried[stream.folder] = self._advances
        pause = await self._sent(stream)
        self._is_stale = True
        self.streams.note_sent(stream)
        answers, advances, taken, rejected, missing = (
            new - old for new, old in zip(_counts(stream), before, strict=True)
        )
        if answers:
            self.circuit_breaker.open()
        elif pause is not None and pause.is_about_server:
            self.circuit_breaker.shut(pause, time.monotonic())
            # The server did not look at the events, so this call does not count as a try.
            self._tried.pop(stream.folder, None)
        if advances:
            self._advances += advances
            self._advanced = time.monotonic()
        tally = self.tallies[stream.folder.parent]
        tally.delivered += taken
        tally.rejected += rejected
        tally.missing += missing
        tally.notices += stream.notices
        stream.notices.clear()

    async def _sent(self, stream: Stream) -> Pause | None:
        try:
            return await stream.send(self._client)
        except Exception as error:  # noqa: BLE001 - a defect must not hold up the other streams
            pause = Pause("INTERNAL", f"Podium has a bug: the events cannot be sent now: {error!r}")
            text = (
                "Podium has a bug: the events in %s cannot be sent now. They are kept and sent "
                "again later. Please report this traceback."
            )
            _log.error(text, stream.folder, exc_info=error)
            stream.wait(pause)
            return pause

    def _lag(self) -> float:
        """Returns the age in seconds of the oldest event that was sent without success, or 0."""
        oldest = [s.oldest for s in self.streams.unsent if s.oldest is not None]
        return max(0.0, time.time() - min(oldest)) if oldest else 0.0

    # ---- time --------------------------------------------------------------------------------

    def _seconds_to_next_poll(self) -> float:
        now = time.monotonic()
        look = self._next_look - now
        if self.circuit_breaker.pause is not None:
            return max(min(look, self.circuit_breaker.due - now) if not self._tasks else look, 0)
        dues = (
            stream.due - now
            for stream in self.streams.unsent
            if stream.pause is not None and not self._is_blocked(stream)
        )
        return max(min([look, *(due for due in dues if due > 0)]), 0)

    def _is_done(self) -> bool:
        if self._tasks:
            return False
        return self._is_done_for_now() if self._rules.is_bounded else self._is_done_for_good()

    def _is_done_for_good(self) -> bool:
        now = time.monotonic()
        if any(stream.writer_alive for stream in self.streams.known.values()):
            self._lived = now
        quiet = now - max(self._lived, self._advanced)
        limit = self._rules.patience_seconds if self.streams.unsent else self._rules.idle_seconds
        return quiet >= limit

    def _is_done_for_now(self) -> bool:
        now = time.monotonic()
        if now - self._advanced >= self._rules.patience_seconds:
            return True
        if not self.streams.unsent:
            return not self.streams.is_settling
        return self.circuit_breaker.pause is None and all(
            map(self._is_blocked, self.streams.unsent)
        )

    def _is_blocked(self, stream: Stream) -> bool:
        """Returns whether a stream cannot progress before another stream does."""
        if stream.is_behind:
            return True
        return self._waits_for_others(stream) and not self._progressed_since_pause(stream)


def _counts(stream: Stream) -> tuple[int, ...]:
    return (
        stream.answers,
        stream.advances,
        stream.taken,
        stream.rejected,
        stream.missing,
    )


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    """Cancels tasks and waits until they have ended."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
