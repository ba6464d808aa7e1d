"""Records an experiment into the outbox."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from podium import events
from podium._limits.batches import batches
from podium._limits.checks import check_name
from podium._limits.event_checks import check_event
from podium._limits.limits import Limits
from podium._model.results import ArmResult, Provenance, RunConfig
from podium._recorder import kept_results, kept_values
from podium._recorder.arm import ArmRecording
from podium._recorder.arm_start import started_event
from podium._recorder.counts import Counters, Flushed
from podium._recorder.keeper import Keeper
from podium._recorder.last_words import last_words, postponed_words, warn_of_unfinished
from podium._recorder.problems import Problems, Target, shown
from podium._recorder.process_outbox import ProcessOutbox
from podium._recorder.settings import Settings, Subject
from podium._recorder.signatures import forgiving
from podium._recorder.stream import StreamEndedError
from podium._recorder.stream_order import stream_order
from podium._recorder.termination import on_sigterm
from podium._values import coerce
from podium._values.enums import ArmStatus
from podium.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    from podium._recorder.stream import Stream
    from podium._recorder.warnings import RecorderWarnings
    from podium._values.arguments import StepLike

__all__ = ["ExperimentRecording"]

_LOGGER = logging.getLogger("podium")
_LIMITS = Limits()
_INTERRUPTED_SECONDS = 1.0
_FLUSH_SECONDS = 10.0
_SEGMENT_MARGIN = 4096
_TERMINATED = "the process was ended by SIGTERM"
_STARTED_TWICE = (
    "arm {!r} is started again before its previous attempt ended. The new attempt {}, and the "
    "server rejects later events of the previous attempt. Give each training run its own arm name. "
    "While the previous attempt runs, the server rejects a new attempt with another run_config"
)


class ExperimentRecording:
    """Records arms of one experiment. `podium.record` returns it.

    At the end of a `with` block the recorder waits until all events are delivered. It stops waiting
    after `close_timeout` seconds, after 5 to 20 seconds without a delivery, or at once if the
    server cannot be reached. If undelivered events are left, a warning gives their number and their
    folder.
    """

    def __init__(
        self, settings: Settings, notices: RecorderWarnings, owner: int | None = None
    ) -> None:
        self.notices = notices
        self._settings = settings
        self._owner = os.getpid() if owner is None else owner
        self._process_outbox: ProcessOutbox | None = None
        self._closed: dict[int, Counters] = {}
        """The counts of each process at its last `close`, by process id."""
        self._keeper = Keeper(notices, Target(settings.experiment))
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
        """Whether nothing is recorded, because this is not the main process."""
        return self._settings.is_silent

    @property
    def outbox(self) -> Path | None:
        """The folder of this process's undelivered events.

        None before the first event and after `close`.
        """
        outlet = self._outlet_here()
        return None if outlet is None else outlet.folder

    @property
    def counters(self) -> Counters:
        """Counts of all events that this process has logged for the experiment and its arms."""
        outlet = self._outlet_here()
        return self._earlier if outlet is None else outlet.counters() + self._earlier

    @forgiving
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
        provenance: Provenance | None = None,
    ) -> ArmRecording:
        """Starts an attempt at training an arm.

        The arguments are those of `ExperimentRecorder.start_arm`. Invalid arguments are left out or
        shortened, and a warning names them.
        """
        given = {key: item for key, item in locals().items() if key != "self"}
        if self.is_silent:
            named = getattr(run_config, "name", run_config) if name is None else name
            return ArmRecording(self, Subject(str(named)), is_silent=True)
        started = started_event(given, self._settings, self._keeper)
        arm, attempt = started.arm_started.arm, started.arm_started.attempt
        opening = started.SerializeToString()
        with self.notices.guard("start_arm", Target(self.name, arm)):
            recording = ArmRecording(self, Subject(arm, attempt.id, attempt.order, opening))
            is_resumed = started.arm_started.HasField("resume_step")
            self._note_start(recording, started.arm_started.resume_step if is_resumed else None)
            return recording
        return ArmRecording(self, Subject(arm), is_silent=True)

    @forgiving
    def arm(self, name: str, *, attempt_id: str | None = None) -> ArmRecording:
        """Returns a recorder of an arm for a process that does not train it, such as an evaluator.

        Args:
            name: The name of the arm. It may be started later.
            attempt_id: The id of the attempt that the results belong to. If None, they belong to
                the arm, whichever attempt is the newest.
        """
        found = [Subject(str(name), attempt_id)]

        def keep(problems: Problems) -> None:
            named = kept_values.name(name, "name", problems) or "unnamed"
            id_ = kept_values.optional_name(attempt_id, "attempt_id", problems)
            found.append(Subject(named, id_))

        with self._keeper.keeping("arm", keep):
            check_name(coerce.text(name, "arm"), "arm", _LIMITS)
            if attempt_id is not None:
                check_name(coerce.text(attempt_id, "attempt_id"), "attempt_id", _LIMITS)
        return ArmRecording(self, found[-1])

    @forgiving
    def record_arm(self, arm_result: ArmResult, *, replace: bool = False) -> None:
        """Records an arm with all its results. The stored arm becomes equal to the given one.

        Args:
            arm_result: The arm. Its output-only fields are ignored.
            replace: Whether to replace the stored arm even if it has attempts.
        """
        if self.is_silent:
            return

        def keep(problems: Problems) -> None:
            whole = coerce.instance_of(ArmResult)(arm_result, "arm_result")
            valid = kept_results.arm_result(whole, problems)
            if valid is None:
                raise ValueError(f"arm_result.name is {shown(whole.name)}, not a valid name")
            problems.arm = valid.name
            self._record_whole(valid, replace=kept_values.flag(replace, "replace", problems))

        with self._keeper.keeping("record_arm", keep):
            self._record_whole(arm_result, replace=replace)

    def _record_whole(self, arm_result: ArmResult, *, replace: bool) -> None:
        event = events.arm_recorded(arm_result, replace=replace)
        check_event(event, _LIMITS)
        # An arm over the limits of a call becomes several events.
        parts = [each for part in batches([("", event)]) for each in part.events()]
        payloads = [part.SerializeToString() for part in parts]
        outlet = self._outlet_here() or self._new_outlet()
        subject, size = Subject(arm_result.name), len(payloads[0]) + _SEGMENT_MARGIN
        self.end(stream_order(self._settings).record_whole(subject, payloads, outlet, size))

    @forgiving
    def conclude(self, conclusion: str) -> None:
        """Records the conclusion of the experiment. It replaces an earlier conclusion."""
        if self.is_silent:
            return

        def keep(problems: Problems) -> None:
            found = kept_values.text(conclusion, "conclusion", problems)
            self._conclude(coerce.text(found, "conclusion"))

        with self._keeper.keeping("conclude", keep):
            self._conclude(conclusion)

    def _conclude(self, conclusion: str) -> None:
        event = events.experiment_concluded(conclusion)
        check_event(event, _LIMITS)
        self._put(event.SerializeToString())

    @forgiving
    def flush(self, timeout: float = _FLUSH_SECONDS) -> Flushed:
        """Waits until the events that this process has logged are delivered or rejected.

        Returns the counts of these events.

        Args:
            timeout: The most seconds to wait. If 0, the events are only counted.
        """
        return self.flush_streams(None, timeout, self._earlier)

    @property
    def _earlier(self) -> Counters:
        """The counts at the last `close`, plus the numbers of dropped and incomplete calls."""
        lost = Counters(dropped=self.notices.dropped, incomplete=self.notices.incomplete)
        return self._closed.get(os.getpid(), Counters()) + lost

    def close(self) -> None:
        """Waits up to `close_timeout` seconds for delivery, and ends recording.

        If events are not delivered by then, a warning gives their number.
        """
        self._close(self._settings.close_timeout)

    def terminate(self) -> None:
        """Ends recording on a SIGTERM, with unfinished arms as cancelled. Children do nothing."""
        if os.getpid() == self._owner:
            for arm in tuple(self._started.values()):
                if not arm.has_finished:
                    arm.finish(ArmStatus.CANCELLED, error=_TERMINATED)
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type: object, error: BaseException | None, trace: object) -> None:
        timeout = self._settings.close_timeout
        if error is not None and not isinstance(error, Exception):
            # A user who interrupts a training run does not want to wait.
            timeout = min(timeout, _INTERRUPTED_SECONDS)
        self._close(timeout)

    # ---- For the arms of this experiment -----------------------------------------------------

    @property
    def is_main(self) -> bool:
        """Whether this is the main process, which records that arms completed."""
        return self._settings.is_main

    def start(self, subject: Subject) -> Stream:
        """Logs the opening event of a subject, and returns the stream that it was logged to."""
        outlet = self._outlet_here() or self._new_outlet()
        return stream_order(self._settings).start(subject, outlet)

    def stream_of(self, subject: Subject) -> Stream:
        """Returns the stream for the next event of an attempt, or of the experiment itself."""
        outlet = self._outlet_here() or self._new_outlet()
        return stream_order(self._settings).stream_of(subject, outlet)

    def received_arm(self, subject: Subject, *, is_silent: bool, owner: int) -> ArmRecording:
        """Returns the object that an unpickled recorder of an arm becomes in this process.

        All unpickled copies of one recorder become the same object.
        """
        arm = ArmRecording(self, subject, is_silent=is_silent, owner=owner)
        return self._arms.setdefault(subject, arm)

    def end(self, stream: Stream) -> None:
        """Ends a stream of this process, so that it takes no further events."""
        outlet = self._outlet_here()
        if outlet is not None:
            outlet.end(stream)

    def flush_streams(
        self, streams: Sequence[Stream] | None, timeout: float, lost: Counters
    ) -> Flushed:
        """Waits for the delivery of streams of this process, and returns the counts of events.

        Args:
            streams: The streams. None stands for all streams of this process.
            timeout: The most seconds to wait.
            lost: Counts to add to the result: those of calls that were not recorded, or only in
                part. If `streams` is None, they include all counts from before the last `close`.
        """
        outlet = self._outlet_here()
        if outlet is None:
            return Flushed.of(sum((stream.counters for stream in streams or ()), lost))
        seconds = _FLUSH_SECONDS
        try:
            seconds = coerce.seconds(timeout, "timeout")
        except Exception as error:
            if self.notices.is_strict:
                raise
            problems = Problems()
            problems.taken("timeout", f"{error}; flush waits at most {_FLUSH_SECONDS:g} seconds")
            self.notices.report("flush", self._keeper.target, problems)
        flushed = outlet.flush(streams, min(max(seconds, 0.0), threading.TIMEOUT_MAX))
        counted = Counters(flushed.pending, flushed.delivered, flushed.rejected, flushed.dropped)
        return Flushed.of(counted + lost, synced=flushed.synced)

    def _note_start(self, arm: ArmRecording, step: int | None) -> None:
        """Remembers a started arm. Warns if its previous attempt in this process has not ended."""
        before = self._started.get(arm.name)
        is_other = before is not None and before.attempt_id != arm.attempt_id
        if before is not None and is_other and not before.has_finished:
            begins = "starts from the beginning" if step is None else f"continues from step {step}"
            text = _STARTED_TWICE.format(arm.name, begins)
            kind = "arms started again before the previous attempt ended"
            self.notices.say(kind, text, Target(self.name, arm.name))
        self._started[arm.name] = arm

    def _put(self, payload: bytes) -> None:
        """Logs an event of the experiment itself."""
        while True:
            with contextlib.suppress(StreamEndedError):
                return self.stream_of(self._subject).put(payload)

    def _outlet_here(self) -> ProcessOutbox | None:
        """Returns the outbox of this process, or None if it has none, as in a new forked child."""
        outlet = self._process_outbox
        return outlet if outlet is not None and outlet.pid == os.getpid() else None

    def _new_outlet(self) -> ProcessOutbox:
        if sys.is_finalizing():
            # This happens when an unclosed generator ends. Threads and files no longer work then.
            raise RecordingError("Python is ending, and the recorder is closed")
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
        if self.is_main and os.getpid() == self._owner:
            warn_of_unfinished(self.name, tuple(self._started.values()), self.notices)
        counters = outlet.close(timeout if os.getpid() == self._owner else 0.0)
        self._closed[os.getpid()] = self._closed.get(os.getpid(), Counters()) + counters
        for line in (*last_words(self.name, outlet, counters), *self.notices.summary()):
            _LOGGER.warning("podium: %s", line)


def _sent(settings: Settings, notices: RecorderWarnings, owner: int) -> ExperimentRecording:
    """Returns the object that an unpickled recorder becomes in this process.

    All unpickled copies of one recorder become the same object.
    """
    return _received.setdefault(settings.key, ExperimentRecording(settings, notices, owner))


_received: dict[str, ExperimentRecording] = {}
"""The recorders that were unpickled in this process, by the key of their settings."""
_recording: set[ExperimentRecording] = set()
"""The recorders of this process that are open. They are closed when the process ends."""


@atexit.register
def _close_all() -> None:
    for recording in tuple(_recording):
        recording.close()
    for line in postponed_words():
        _LOGGER.warning("podium: %s", line)


def _terminate_all() -> None:
    for recording in tuple(_recording):
        recording.terminate()
