"""Recording an experiment into the outbox."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from podium import events
from podium._interface.recorders import new_attempt
from podium._limits.checks import check_count, check_name
from podium._limits.event_checks import check_event, check_metric_count
from podium._limits.limits import Limits
from podium._recorder.arm import ArmRecording
from podium._recorder.counts import Counters, Flushed
from podium._recorder.process_outbox import ProcessOutbox
from podium._recorder.settings import Settings, Subject
from podium._recorder.stream import StreamEndedError
from podium._recorder.stream_order import stream_order
from podium._recorder.termination import on_sigterm
from podium._values import coerce
from podium._values.enums import ArmStatus
from podium.errors import RecordingError
from podium.v1.recording_service_pb2 import RecordRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from podium._model.results import ArmResult, Attempt, RunConfig
    from podium._recorder.stream import Stream
    from podium._recorder.warnings import RecorderWarnings
    from podium._values.arguments import StepLike
    from podium.v1.event_pb2 import Event

__all__ = ["ExperimentRecording"]

_LOGGER = logging.getLogger("podium")
_LIMITS = Limits()
_INTERRUPTED_SECONDS = 1.0
_FLUSH_SECONDS = 10.0
_SEGMENT_MARGIN = 4096
_TERMINATED = "the process was ended by SIGTERM"
_NUMBERS = (("is", "it waits", "it"), ("are", "they wait", "them"))
_STARTED_TWICE = (
    "arm {!r} is started a second time, before this process has said how it ended: it begins anew, "
    "and what is logged to the first one from now on is refused; each arm needs a name of its own"
)


class ExperimentRecording:
    """Records arms of one experiment: what `podium.record` returns.

    As a context manager it waits at the end of its block for the server to have everything, some
    seconds at most, and says what waits where if that is not enough.
    """

    def __init__(
        self, settings: Settings, notices: RecorderWarnings, owner: int | None = None
    ) -> None:
        self.notices = notices
        self._settings = settings
        self._owner = os.getpid() if owner is None else owner
        self._process_outbox: ProcessOutbox | None = None
        self._subject = Subject(None, opening=settings.declared)
        self._arms: dict[Subject, ArmRecording] = {}
        self._started: WeakValueDictionary[str, ArmRecording] = WeakValueDictionary()
        if not settings.is_silent and owner is None:
            self._begin()

    def _begin(self) -> None:
        try:
            self.start(self._subject)
        except RecordingError:
            self._close(0.0)
            raise
        on_sigterm(_terminate_all)

    def __reduce__(self) -> tuple[Any, ...]:
        return _sent, (self._settings, self.notices, self._owner)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self._settings.experiment

    @property
    def is_silent(self) -> bool:
        """Whether nothing is recorded: this is not the main process, or nothing could be."""
        return self._settings.is_silent

    @property
    def outbox(self) -> Path | None:
        """The folder that results wait in; None before there is one."""
        outlet = self._outlet_here()
        return None if outlet is None else outlet.folder

    @property
    def counters(self) -> Counters:
        """How far what this process logged has come, of all arms."""
        outlet = self._outlet_here()
        return Counters() if outlet is None else outlet.counters()

    def start_arm(
        self,
        run_config: RunConfig,
        *,
        name: str | None = None,
        group_id: str | None = None,
        group_name: str | None = None,
        run_id: str | None = None,
        attempt_id: str | None = None,
        order: int | None = None,
        resume_step: StepLike | None = None,
        restart: bool = False,
    ) -> ArmRecording:
        """Begins an attempt at training an arm.

        Where that is not possible, such as with a bad run_config, what it returns does nothing.

        The arguments are those of `ExperimentRecorder.start_arm`.
        """
        with self.notices.guard("start_arm"):
            attempt = self._attempt(attempt_id, order)
            event = events.arm_started(
                name,
                run_config,
                attempt,
                group_id=group_id,
                group_name=group_name,
                run_id=run_id,
                resume_step=resume_step,
                restart=restart,
            )
            check_event(event, _LIMITS)
            started = event.arm_started.arm
            opening = event.SerializeToString()
            arm = ArmRecording(self, Subject(started, attempt.id, attempt.order, opening))
            self._note_start(arm)
            return arm
        given = getattr(run_config, "name", run_config) if name is None else name
        return ArmRecording(self, Subject(str(given)), is_silent=True)

    def arm(self, name: str, *, attempt_id: str | None = None) -> ArmRecording:
        """Records for whoever is no attempt at training an arm, such as an evaluator elsewhere.

        Args:
            name: The name of the arm. It may be started later.
            attempt_id: The attempt that what is recorded is part of, if it is.
        """
        with self.notices.guard("arm"):
            check_name(coerce.text(name, "arm"), "arm", _LIMITS)
            return ArmRecording(self, Subject(name, attempt_id))
        return ArmRecording(self, Subject(str(name)), is_silent=True)

    def record_arm(self, arm_result: ArmResult, *, replace: bool = False) -> None:
        """Records a whole arm: the arm becomes equal to it.

        Args:
            arm_result: The arm; its output-only fields are ignored.
            replace: Whether also an arm that has attempts becomes equal to it.
        """
        if self.is_silent:
            return
        with self.notices.guard("record_arm"):
            event = events.arm_recorded(arm_result, replace=replace)
            _check_whole(event)
            payload = event.SerializeToString()
            stream = self.start(
                Subject(arm_result.name, opening=payload), len(payload) + _SEGMENT_MARGIN
            )
            self.end(stream)

    def conclude(self, conclusion: str) -> None:
        """Stores what was found out. The last conclusion stands."""
        if self.is_silent:
            return
        with self.notices.guard("conclude"):
            event = events.experiment_concluded(conclusion)
            check_event(event, _LIMITS)
            self._put(event.SerializeToString())

    def flush(self, timeout: float = _FLUSH_SECONDS) -> Flushed:
        """Waits until the server has everything that was logged by this process.

        Args:
            timeout: For how many seconds at most; 0 asks without waiting.
        """
        return self.flush_streams(None, timeout)

    def close(self) -> None:
        """Ends recording: waits for delivery, some seconds at most, and says what waits where."""
        self._close(self._settings.close_timeout)

    def terminate(self) -> None:
        """Ends recording because the process is told to end: its arms are cancelled."""
        if os.getpid() == self._owner:
            for arm in tuple(self._started.values()):
                if not arm.has_finished:
                    arm.finish(ArmStatus.CANCELLED, error=_TERMINATED)
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        timeout = self._settings.close_timeout
        if error is not None and not isinstance(error, Exception):
            # Who interrupts a training does not want to wait.
            timeout = min(timeout, _INTERRUPTED_SECONDS)
        self._close(timeout)

    # ---- For the arms of this experiment -----------------------------------------------------

    @property
    def is_main(self) -> bool:
        """Whether this process says how arms end, where several share an attempt."""
        return self._settings.is_main

    def start(self, subject: Subject, size: int = 0) -> Stream:
        """Logs the start of an attempt; returns the stream that has it.

        Raises:
            RecordingError: There is no outbox, and that is to be an error.
        """
        outlet = self._outlet_here() or self._new_outlet()
        return stream_order(self._settings).start(subject, outlet, size)

    def stream_of(self, subject: Subject) -> Stream:
        """Returns the stream that takes the next event of a subject in this process.

        Raises:
            RecordingError: There is no outbox, and that is to be an error.
        """
        outlet = self._outlet_here() or self._new_outlet()
        return stream_order(self._settings).stream_of(subject, outlet)

    def received_arm(self, subject: Subject, *, is_silent: bool, owner: int) -> ArmRecording:
        """The recorder of an arm that another process has sent: one, however often it comes."""
        arm = ArmRecording(self, subject, is_silent=is_silent, owner=owner)
        return self._arms.setdefault(subject, arm)

    def end(self, stream: Stream) -> None:
        """Ends a stream of this process."""
        outlet = self._outlet_here()
        if outlet is not None:
            outlet.end(stream)

    def flush_streams(self, streams: Sequence[Stream] | None, timeout: float) -> Flushed:
        """Waits until streams of this process are delivered, or all of them."""
        outlet = self._outlet_here()
        if outlet is None:
            return Flushed(0, 0, 0, 0, synced=True)
        seconds = _FLUSH_SECONDS
        with self.notices.guard("flush"):
            seconds = coerce.seconds(timeout, "timeout")
        return outlet.flush(streams, min(max(seconds, 0.0), threading.TIMEOUT_MAX))

    def _attempt(self, attempt_id: str | None, order: int | None) -> Attempt:
        shared = self._settings.attempt
        if shared is not None:
            attempt_id = shared.id if attempt_id is None else attempt_id
            order = shared.order if order is None else order
        return new_attempt(attempt_id, order)

    def _note_start(self, arm: ArmRecording) -> None:
        """Says so where an arm begins anew under somebody who is still recording it here."""
        before = self._started.get(arm.name)
        is_other = before is not None and before.attempt_id != arm.attempt_id
        if before is not None and is_other and not before.has_finished:
            self.notices.say("started twice", _STARTED_TWICE.format(arm.name))
        self._started[arm.name] = arm

    def _put(self, payload: bytes) -> None:
        """Logs an event of the experiment itself."""
        while True:
            with contextlib.suppress(StreamEndedError):
                return self.stream_of(self._subject).put(payload)

    def _outlet_here(self) -> ProcessOutbox | None:
        """The outlet of this process; one that came through a fork is the parent's."""
        outlet = self._process_outbox
        return outlet if outlet is not None and outlet.pid == os.getpid() else None

    def _new_outlet(self) -> ProcessOutbox:
        is_child = os.getpid() != self._owner
        self._process_outbox = ProcessOutbox(self._settings, self.notices, is_child=is_child)
        _recording.add(self)
        return self._process_outbox

    def _close(self, timeout: float) -> None:
        outlet = self._outlet_here()
        if outlet is None:
            return
        _recording.discard(self)
        self._process_outbox = None
        counters = outlet.close(timeout if os.getpid() == self._owner else 0.0)
        for line in self._last_words(outlet, counters):
            _LOGGER.warning("podium: %s", line)

    def _last_words(self, outlet: ProcessOutbox, counters: Counters) -> Iterator[str]:
        """What the user has to know when recording ends; nothing if everything is delivered."""
        if counters.pending:
            reason = outlet.why_pending()
            are, they_wait, them = _NUMBERS[counters.pending > 1]
            yield (
                f"{_events(counters.pending)} of {self.name!r} {are} not delivered yet ({reason}): "
                f"{they_wait} in {outlet.folder}; `podium sync` delivers {them}"
            )
        if counters.rejected:
            were = "were" if counters.rejected > 1 else "was"
            yield f"{_events(counters.rejected)} {were} rejected for good: see `podium outbox`"
        if counters.dropped:
            yield f"{_events(counters.dropped)} {_NUMBERS[counters.dropped > 1][0]} lost"
        summary = self.notices.summary()
        if summary:
            yield f"in all: {summary}"


def _sent(settings: Settings, notices: RecorderWarnings, owner: int) -> ExperimentRecording:
    """The recorder that another process has sent: one, however often it comes."""
    recording = ExperimentRecording(settings, notices, owner)
    return _received.setdefault(settings.key, recording)


_received: dict[str, ExperimentRecording] = {}
"""Recorders that came from other processes, by key."""
_recording: set[ExperimentRecording] = set()
"""What this process records: it ends with the process at the latest."""


@atexit.register
def _close_all() -> None:
    for recording in tuple(_recording):
        recording.close()


def _terminate_all() -> None:
    for recording in tuple(_recording):
        recording.terminate()


def _events(count: int) -> str:
    return f"{count} event" if count == 1 else f"{count} events"


def _check_whole(event: Event) -> None:
    """Holds a whole arm to the bounds of a call, which it is alone."""
    check_event(event, _LIMITS)
    call = RecordRequest(events=[event])
    check_count(call.ByteSize(), "the arm", _LIMITS.message_bytes, "bytes")
    check_metric_count(call.events, call.ByteSize(), _LIMITS)
