"""Records one arm into the outbox."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from podium import events
from podium._interface.arm_base import ArmBase
from podium._interface.endings import Ending
from podium._interface.timed_eval import TimedEvalMixin
from podium._limits.event_checks import check_event
from podium._limits.limits import Limits
from podium._model.results import EvalResult
from podium._recorder import kept_annotations, kept_results, kept_values
from podium._recorder.counts import Counters, Flushed  # noqa: TC001 - signatures are inspected
from podium._recorder.keeper import Keeper
from podium._recorder.plain_rows import plain_row_event
from podium._recorder.problems import Problems, Target
from podium._recorder.signatures import forgiving
from podium._recorder.sparing_evaluation import SparingEvaluation
from podium._recorder.stream import StreamEndedError
from podium._values.enums import ArmStatus
from podium.errors import PodiumError, RecordingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from podium._interface.timed_eval import Evaluation
    from podium._model.results import RunResult
    from podium._recorder.experiment import ExperimentRecording
    from podium._recorder.settings import Subject
    from podium._recorder.stream import Stream
    from podium._values.arguments import FinalStatus, StepLike, Strings
    from podium._values.coerce import Metrics
    from podium.v1.event_pb2 import Event

__all__ = ["ArmRecording"]

_LIMITS = Limits()
_NO_SECONDS = 0.0
"""The default of `eval_seconds`. It is compared with `is`, because -0.0 is equal to it."""


class ArmRecording(ArmBase, TimedEvalMixin):
    """Records one arm. `experiment.start_arm` returns it.

    Each call writes an event to a local file, within microseconds, and another process delivers
    the event. An invalid argument is left out, and a warning names it. A strict recorder raises an
    error instead.

    When a `with` block ends, the arm is recorded as completed. If the block raises an error, the
    arm is recorded as failed, with the error. After KeyboardInterrupt, `sys.exit()` without an
    error code, or the cancellation of a task, it is recorded as cancelled. If `finish` has recorded
    a status before, the end of the block does not change it.

    A forked process, or one that gets the recorder as an argument, may log to the arm as well.
    Only the process that started the arm records how the arm ended.
    """

    def __init__(
        self,
        experiment: ExperimentRecording,
        subject: Subject,
        *,
        is_silent: bool = False,
        owner: int | None = None,
    ) -> None:
        super().__init__(experiment.name, subject.arm or "", subject.attempt_id)
        self._recorder = experiment
        self.notices = experiment.notices
        self._subject = subject
        self._is_silent = is_silent or experiment.is_silent
        self._owner = os.getpid() if owner is None else owner
        self._stream: Stream | None = None
        self._past: list[Stream] = []
        self._keys: set[str] = set()
        self._keeper = Keeper(self.notices, Target(experiment.name, subject.arm))
        if not self._is_silent and owner is None:
            self._begin()

    def __reduce__(self) -> tuple[Any, ...]:
        return _sent, (self._recorder, self._subject, self._is_silent, self._owner)

    @property
    def is_silent(self) -> bool:
        """Whether nothing is recorded, because this is not the main process or the start failed."""
        return self._is_silent

    @property
    def has_finished(self) -> bool:
        """Whether this process has recorded how the arm ended."""
        return self._finished

    @property
    def counters(self) -> Counters:
        """Counts of all events that this process has logged for this arm."""
        return sum((stream.counters for stream in self._streams()), self._keeper.lost)

    @forgiving
    def log(self, metrics: Metrics, *, step: StepLike | None = None) -> None:
        """Records training metrics. The latest value of each key is kept.

        The arguments are those of `ArmRecorder.log`.
        """
        if self._is_silent:
            return
        try:
            event = self._metrics_event(metrics, step)
            self._note_keys(metrics)
            self._put(event)
        except Exception as error:  # noqa: BLE001 - whatever was logged, training goes on
            self._keeper.keep(
                "log", error, lambda problems: self._log_valid(metrics, step, problems)
            )

    @forgiving
    def log_eval(
        self,
        name: str,
        metrics: Metrics,
        *,
        step: StepLike | None = None,
        tags: Strings = (),
        breakdowns: Mapping[Any, Any] | None = None,
        benchmark_id: str | None = None,
        eval_seconds: float = _NO_SECONDS,
        model_ref: str | None = None,
    ) -> None:
        """Records an eval row. It replaces an earlier row with the same name and step.

        The arguments are those of `ArmRecorder.log_eval`.
        """
        if self._is_silent:
            return

        given = {
            "name": name,
            "metrics": metrics,
            "step": step,
            "tags": tags,
            "breakdowns": {} if breakdowns is None else breakdowns,
            "benchmark_id": benchmark_id,
            "eval_seconds": eval_seconds,
            "model_ref": model_ref,
        }
        try:
            event = None
            is_short = breakdowns is None and benchmark_id is None and model_ref is None
            if is_short and eval_seconds is _NO_SECONDS:
                event = plain_row_event(self._name, self._attempt_id, name, metrics, step, tags)
            self._put(self._row_event(_row_of(given)) if event is None else event)
        except Exception as error:  # noqa: BLE001 - whatever was logged, training goes on
            self._keeper.keep("log_eval", error, lambda problems: self._log_row(given, problems))

    @forgiving
    def finish(
        self,
        status: FinalStatus = ArmStatus.COMPLETED,
        *,
        error: str | None = None,
        train_seconds: float | None = None,
        run_result: RunResult | None = None,
    ) -> None:
        """Records how the training ended. A later call replaces an earlier one.

        The arguments are those of `ArmRecorder.finish`.
        """
        if self._is_silent:
            return

        def finish_kept(problems: Problems) -> None:
            final_status = kept_results.status(status, problems, has_error=error is not None)
            self._finish(
                final_status,
                kept_results.error(error, "error", problems),
                kept_values.seconds(train_seconds, "train_seconds", problems),
                kept_results.run_result(run_result, problems),
            )

        with self._keeper.keeping("finish", finish_kept):
            self._finish(status, error, train_seconds, run_result)

    @forgiving
    def annotate(
        self,
        *,
        notes: str | None = None,
        add_tags: Strings = (),
        remove_tags: Strings = (),
        group_name: str | None = None,
    ) -> None:
        """Changes the notes, tags or group of the arm. Values that are not given stay unchanged.

        The arguments are those of `ArmRecorder.annotate`.
        """
        if self._is_silent:
            return

        def annotate_kept(problems: Problems) -> None:
            kept = kept_annotations.changes(notes, add_tags, remove_tags, group_name, problems)
            self._annotate(*kept)

        with self._keeper.keeping("annotate", annotate_kept):
            self._annotate(notes, add_tags, remove_tags, group_name)

    @forgiving
    def flush(self, timeout: float = 10.0) -> Flushed:
        """Waits until this process's events of this arm are delivered or rejected.

        Returns the counts of the events that this process had logged for the arm before the call.

        Args:
            timeout: The most seconds to wait. If 0, the events are only counted.
        """
        return self._recorder.flush_streams(self._streams(), timeout, self._keeper.lost)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type: object, error: BaseException | None, trace: object) -> None:
        if self._is_silent:
            return
        try:
            with self.notices.guard("the end", self._keeper.target):
                self._end(error)
        except Exception as failure:  # noqa: BLE001 - it is raised, or noted on the error
            self._note_failure(error, failure)

    evaluating = forgiving(TimedEvalMixin.evaluating)

    # ---- Events ------------------------------------------------------------------------------

    def _metrics_event(self, metrics: Any, step: Any) -> Event:
        event = events.metrics_recorded(self._name, metrics, step=step, attempt_id=self._attempt_id)
        check_event(event, _LIMITS)
        return event

    def _row_event(self, row: EvalResult) -> Event:
        event = events.eval_recorded(self._name, row, attempt_id=self._attempt_id)
        check_event(event, _LIMITS)
        return event

    def _annotate(
        self, notes: str | None, add_tags: Strings, remove_tags: Strings, group_name: str | None
    ) -> None:
        event = events.arm_annotated(
            self._name,
            notes=notes,
            add_tags=add_tags,
            remove_tags=remove_tags,
            group_name=group_name,
        )
        check_event(event, _LIMITS)
        self._put(event)

    def _log_valid(self, metrics: Any, step: Any, problems: Problems) -> None:
        """Records the valid metrics of a call that could not be recorded unchanged.

        Splits them into several events if they are too many for one.
        """
        known_step = kept_values.step(step, "step", problems)
        good = kept_values.metrics(metrics, "metrics", problems)
        keys = [key for key in good if key in self._keys]
        new = [key for key in good if key not in self._keys]
        room = _LIMITS.map_keys - len(self._keys)
        if len(new) > room:
            problems.changed(
                "the number of metrics",
                f"an arm has at most {_LIMITS.map_keys:,} training metrics; {len(new) - room:,} "
                f"new keys are left out, from {new[room]!r} to {new[-1]!r}",
            )
        self._keys.update(new[:room])
        keys += new[:room]
        for begin in range(0, len(keys), _LIMITS.map_keys):
            some = keys[begin : begin + _LIMITS.map_keys]
            self._put(self._metrics_event({key: good[key] for key in some}, known_step))

    def _note_keys(self, metrics: Any) -> None:
        """Remembers the keys of metrics, unless the recorder is strict.

        Raises a ValueError if the arm would then have too many keys.
        """
        if self.notices.is_strict or self._keys.issuperset(metrics):
            return
        if len(self._keys.union(metrics)) > _LIMITS.map_keys:
            raise ValueError("too many keys")
        if all(map(_is_key, metrics)):
            self._keys.update(metrics)

    def _log_row(self, given: dict[str, Any], problems: Problems) -> None:
        row = kept_results.row(problems, given)
        try:
            event = self._row_event(row)
        except PodiumError as error:
            problems.lost("breakdowns", error)
            row.breakdowns = {}
            event = self._row_event(row)
        self._put(event)

    def _put(self, event: Event, *, needed: bool = False) -> None:
        payload = event.SerializeToString()
        while True:
            stream = self._stream
            if stream is None or stream.has_ended or stream.pid != os.getpid():
                stream = self._take(self._recorder.stream_of(self._subject))
            try:
                return stream.put(payload, needed=needed)
            except StreamEndedError:
                # Another thread has just ended the stream.
                continue

    def _begin(self) -> None:
        if self._subject.opening is not None:
            self._take(self._recorder.start(self._subject))

    def _take(self, stream: Stream) -> Stream:
        """Makes this recorder log to a stream from now on. Returns the stream."""
        before = self._stream
        if before is not None and before is not stream:
            self._past.append(before)
        self._stream = stream
        return stream

    def _streams(self) -> list[Stream]:
        """Returns the streams of this process to which this recorder has logged."""
        streams = [*self._past, *filter(None, [self._stream])]
        return [stream for stream in streams if stream.pid == os.getpid()]

    # ---- The end -----------------------------------------------------------------------------

    def _finish(
        self,
        status: FinalStatus,
        error: str | None = None,
        train_seconds: float | None = None,
        run_result: RunResult | None = None,
    ) -> None:
        event = events.arm_finished(
            self._name,
            status,
            error=error,
            train_seconds=train_seconds,
            run_result=run_result,
            attempt_id=self._attempt_id,
        )
        check_event(event, _LIMITS)
        self._ending = Ending(ArmStatus(status), error)
        if self._may_record(self._ending):
            self._put(event, needed=True)
            self._finished = True

    def _may_record(self, ending: Ending) -> bool:
        """Returns whether this process may record how the arm ended.

        Raises a RecordingError in a forked process.
        """
        if os.getpid() != self._owner:
            raise RecordingError(
                f"process {os.getpid()} is a fork of process {self._owner}, which started arm "
                f"{self._name!r}: only process {self._owner} records how the arm ended"
            )
        # If several processes share an attempt, each may record that the arm failed, but only the
        # main one may record that the arm completed.
        return self._recorder.is_main or ending.status is not ArmStatus.COMPLETED

    def _end(self, error: BaseException | None) -> None:
        ending = self._end_of_block(error)
        if ending is not None:
            self._finish(ending.status, ending.error)
        if self._stream is not None and self._stream.pid == os.getpid():
            self._recorder.end(self._stream)

    def _new_evaluation(self, name: str, fields: dict[str, Any]) -> Evaluation:
        return SparingEvaluation(self.log_eval, name, fields, self.notices, self._keeper.target)


def _sent(
    experiment: ExperimentRecording,
    subject: Subject,
    is_silent: bool,
    owner: int,
) -> ArmRecording:
    return experiment.received_arm(subject, is_silent=is_silent, owner=owner)


def _row_of(given: dict[str, Any]) -> EvalResult:
    """Returns a row with the arguments of `log_eval`, neither checked nor converted.

    The event's constructor, `events.eval_recorded`, converts them.
    """
    row = object.__new__(EvalResult)
    vars(row).update(given, revision=0, event_time=None, record_time=None)
    return row


def _is_key(key: object) -> bool:
    return type(key) is str and 0 < len(key) <= _LIMITS.name_bytes // 4 and key.isprintable()
