"""Records the training runs of a callback, for most integrations."""

from __future__ import annotations

import atexit
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypedDict, TypeVar

from podium._interface.endings import ending_of, is_pruned
from podium._values.enums import ArmStatus
from podium.integrations._callers import TrainerCall, caller_variables, is_script_over, trial_state
from podium.integrations._names import ArmNames
from podium.integrations._notebooks import after_each_cell
from podium.integrations._recorders import recorder_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self, Unpack

    from podium._interface.recorders import ArmRecorder, ExperimentRecorder
    from podium._model.config import RunConfig
    from podium._recorder import ExperimentRecording

__all__ = ["ArmOptions", "CallbackBase", "Row", "Training", "unsettled"]

_LOGGER = logging.getLogger("podium")


class ArmOptions(TypedDict, total=False):
    """Arguments of a callback that are passed to `start_arm`."""

    group_id: str | None
    group_name: str | None
    run_id: str | None
    attempt_id: str | None
    order: int | None
    restart: bool


class Row(NamedTuple):
    """The result of one evaluation during a training run."""

    name: str
    metrics: Mapping[str, Any]
    step: int
    seconds: float = 0.0


def _received(kind: type[Training], experiment: Any, names: ArmNames, options: Any) -> Training:
    return kind(experiment, names=names, **options)


class Training:
    """Records the training runs of one callback, one arm after the other.

    A run that continues from a checkpoint is another attempt at the same arm. The same holds for a
    run that begins again before it has ended, for example after it ran out of memory. Any other
    run is another arm.

    If a trainer does not end its arm, the arm ends when another training run begins, when the
    callback is garbage-collected, or with the process. If an error ended the training run or the
    process, the arm is failed with that error; otherwise it is cancelled. If the script caught the
    error, the arm is failed. But at the end of a process that no error ended, the arm is cancelled,
    since a caught error then looks the same as `sys.exit()`.

    Args:
        experiment: The recorder of the experiment, or the experiment's name.
        names: The arm names that this object and its copies have used.
        options: Arguments for `start_arm`.
    """

    def __init__(
        self,
        experiment: str | ExperimentRecorder,
        *,
        names: ArmNames | None = None,
        **options: Unpack[ArmOptions],
    ) -> None:
        self._experiment = experiment
        self._options = options
        self._names = names or ArmNames()
        self._asked: RunConfig | None = None
        self._name = ""
        self._arm: ArmRecorder | None = None
        self._recorder_of_our_own: ExperimentRecording | None = None
        self._is_running = False
        self._began = 0.0
        self._last: dict[str, Row] = {}
        self._trial: Any = None
        self._call: TrainerCall | None = None
        self._baseline: list[Row] | None = None
        """The rows of an evaluation before training, to be recorded at step 0, or None."""

    def __deepcopy__(self, copied: dict[int, Any]) -> Self:
        """Returns a copy that records its own arms, with the same recorder and names."""
        return type(self)(self._experiment, names=self._names, **self._options)

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (type(self), self._experiment, self._names, self._options)

    @property
    def arm(self) -> ArmRecorder | None:
        """The arm that is being recorded or was recorded last; None before the first one."""
        return self._arm

    @property
    def is_running(self) -> bool:
        """Whether a training run has begun and has not ended."""
        return self._is_running

    def begin(
        self,
        run_config: RunConfig,
        *,
        resume_step: int | None = None,
        rank: int | None = None,
        repeats: bool = False,
        trainer: str = "",
    ) -> None:
        """Begins an attempt at an arm.

        In a process that is not the main one, only logs that this process records nothing.

        Args:
            run_config: The configuration and the name of the arm.
            resume_step: The step after which the run continues; None if it begins from scratch.
            rank: The rank of this process; None if the trainer does not know it.
            repeats: Whether the trainer may begin a run again with other arguments.
            trainer: The package whose function trains and calls this method. Empty if the function
                that calls this method ends before the run does.
        """
        if not _is_main(rank):
            self._recorder(rank)
            return
        self.settle()
        _end_broken_off(self)
        after_each_cell(_end_broken_off)
        _release()
        baseline, self._baseline = self._baseline or [], None
        goes_on = resume_step is not None
        if repeats and not goes_on and self._is_running and self._asked != run_config:
            # The configuration of an arm may change only after its attempt has ended.
            self.stop("the trainer began the training run again with other arguments")
            self._asked = run_config
        else:
            self._choose_arm(run_config, goes_on=goes_on)
        options = self._options.copy()
        if resume_step is not None:
            options["restart"] = False
        self._arm = None  # so that the recorder treats a locked stream as that of another run
        self._arm = self._recorder(rank).start_arm(
            run_config, name=self._name, resume_step=resume_step, **options
        )
        self._is_running = True
        self._began = time.monotonic()
        self._last.clear()
        self._trial = caller_variables("optuna.study", "trial").get("trial")
        self._call = TrainerCall.of(trainer) if trainer else None
        if self._trial is not None or self._call is not None:
            unsettled.add(self)
        atexit.unregister(self._end_with_process)
        atexit.register(self._end_with_process)
        for row in baseline if resume_step is None else ():
            self.log_row(row)

    def begin_evaluation(self, run_config: RunConfig, *, rank: int | None = None) -> None:
        """Begins an arm for an evaluation, if this callback has recorded no training run before.

        The evaluation gets an arm of its own, because a new attempt at the arm of a training run
        would delete the rows of the run. All processes that evaluate under this name share one
        attempt, so that no process deletes the rows of another.

        Args:
            run_config: The configuration that a training run would have.
            rank: The rank of this process; None if the trainer does not know it.
        """
        if self._arm is not None:
            return
        recorder = self._recorder(rank)
        if not _is_main(rank):
            return
        name = f"{run_config.name}{_EVALUATION}"
        _LOGGER.warning(
            "podium: %r is evaluated without training; the results are recorded as arm %r",
            run_config.name,
            name,
        )
        options = self._options | {"attempt_id": "evaluation", "order": 1, "restart": False}
        self._arm = recorder.start_arm(run_config, name=name, **options)
        self._baseline = []

    def _choose_arm(self, run_config: RunConfig, *, goes_on: bool) -> None:
        before, self._asked = self._asked, run_config
        has_name = before is not None and before.name == run_config.name
        is_same = has_name and (goes_on or (self._is_running and before == run_config))
        if is_same:
            return
        self.end_if_broken_off()
        self.stop("the trainer began another training run")
        self._name = self._names.next(run_config.name)

    def log(self, metrics: Mapping[str, Any], step: int | None) -> None:
        """Records training metrics. During the run, they also become points of training series."""
        if self._arm is not None and metrics:
            self._arm.log(metrics, step=step if self._is_running else None)
            self._may_release()

    def log_row(self, row: Row) -> None:
        """Records an in-loop row during the training run, and a post-training row after it."""
        if self._arm is None:
            return
        if not self._is_running:
            self._log_final(row)
            return
        self._last[row.name] = row
        self._arm.log_eval(row.name, row.metrics, step=row.step, eval_seconds=row.seconds)

    def log_final(self, name: str, metrics: Mapping[str, Any], seconds: float = 0.0) -> None:
        """Records a result of the trained model as a post-training row, tagged `test`."""
        if self._arm is not None:
            if self._baseline is not None:
                self._baseline.append(Row(name, metrics, 0, seconds))
            self._arm.log_eval(name, metrics, tags=["test"], eval_seconds=seconds)
            if self._baseline is not None:
                self._arm.finish()
            self._may_release()

    def end(self, *, best: Iterable[Row] = (), train_seconds: float | None = None) -> None:
        """Records that the run is completed, and each eval's last row as its post-training row.

        Args:
            best: The rows of the best model, if the trainer keeps it instead of the last model.
                They are then the post-training rows.
            train_seconds: The duration. By default, the time since the run began.
        """
        if self._arm is None or not self._is_running:
            return
        for row in (self._last | {row.name: row for row in best}).values():
            self._log_final(row)
        took = time.monotonic() - self._began if train_seconds is None else train_seconds
        self._over()
        self._arm.finish(train_seconds=took)
        self._may_release()

    def stop(self, why: str) -> None:
        """Records that the run was cancelled, with the reason."""
        self._finish(ArmStatus.CANCELLED, why)

    def prune(self) -> None:
        """Records that a search ended the run early."""
        step = max((row.step for row in self._last.values()), default=None)
        self.stop("pruned" if step is None else f"pruned at step {step}")

    def settle(self) -> None:
        """Ends the arm if its Optuna trial was pruned or failed, which trainers do not report."""
        state = trial_state(self._trial) if self._is_running else ""
        if state == "PRUNED":
            self.prune()
        elif state == "FAIL":
            self._finish(ArmStatus.FAILED, "the trial of Optuna failed")

    def end_if_broken_off(self) -> None:
        """Ends the arm if the function that trains has ended without reporting the end of the run.

        In this case, the function has raised an error. The arm ends with this error, or as failed
        if the error is not found because the script has caught it.
        """
        if self._is_running and self._call is not None and self._call.has_ended():
            error = self._call.error()
            if error is not None:
                self._end_by(error)
            else:
                self._finish(ArmStatus.FAILED, _CAUGHT)

    def leave(self, error: BaseException | None) -> None:
        """Ends the run if it has not ended: as completed, or as failed or cancelled by `error`.

        If this object has created the recorder, closes it, which waits for the delivery of events.
        """
        if error is None:
            self.end_if_broken_off()
        self._end_by(error)
        if self._recorder_of_our_own is not None:
            self._recorder_of_our_own.close()

    # ---- Parts -------------------------------------------------------------------------------

    def _recorder(self, rank: int | None) -> ExperimentRecorder:
        if not isinstance(self._experiment, str):
            return self._experiment
        self._recorder_of_our_own = recorder_of(self._experiment, rank)
        return self._recorder_of_our_own

    def _may_release(self) -> None:
        if self._arm is not None and not self._is_running and self._arm not in _ended:
            _ended.append(self._arm)

    def _log_final(self, row: Row) -> None:
        self.log_final(row.name, row.metrics, row.seconds)

    def _finish(self, status: ArmStatus, error: str | None) -> None:
        if self._arm is not None and self._is_running:
            took = time.monotonic() - self._began
            self._over()
            self._arm.finish(status, error=error, train_seconds=took)
            self._may_release()

    def _end_by(self, error: BaseException | None) -> None:
        if self._is_running and error is None:
            self.end()
        elif is_pruned(error):
            self.prune()
        elif self._is_running:
            ending = ending_of(error)
            self._finish(ending.status, ending.error)

    def _over(self) -> None:
        self._is_running = False
        unsettled.discard(self)
        atexit.unregister(self._end_with_process)

    def _end_with_process(self) -> None:
        self.settle()
        # Python keeps the error that ended a script here, even if nothing imports traceback.
        error: BaseException | None = getattr(sys, "last_value", None)
        if error is None:
            self.stop("the process ended before the training run did")
        # The error that ended the script may not be the error of the training run.
        self.end_if_broken_off()
        # The recorder closes itself afterwards, so that it waits and reports once.
        self._end_by(error)


_EVALUATION = "-evaluation"
_CAUGHT = "the training run was ended by an error, which the script caught"
unsettled: set[Training] = set()
"""The training runs that may have ended although their trainer has not reported the end."""
_ended: list[ArmRecorder] = []
"""The arms whose training run has ended and whose streams still have open files."""


def _end_broken_off(but: object) -> None:
    """Ends the arms of all training runs that have ended, except the run `but`."""
    for training in unsettled - {but}:
        try:
            training.settle()
            training.end_if_broken_off()
        except Exception:
            # An error about another training run must not stop this one.
            _LOGGER.exception("podium: the end of a training run is not recorded")


def _release() -> None:
    """Ends the streams of arms whose training run has ended. Called when another run begins.

    Until then, a stream stays open for later results of its arm. In another stream, these results
    could be delivered before the results of the run.
    """
    while _ended:
        _ended.pop().__exit__(None, None, None)


_T = TypeVar("_T", bound=Training)


def _is_main(rank: int | None) -> bool:
    # Imported here, since the package loads protobuf, which only a training run needs.
    from podium._recorder.process_rank import is_main  # noqa: PLC0415

    return is_main(rank)


class CallbackBase(Generic[_T]):
    """The base of all callbacks: a context manager with the arm that it records."""

    _training: _T

    @property
    def arm(self) -> ArmRecorder | None:
        """The arm that is being recorded or was recorded last; None before the first one."""
        return self._training.arm

    def __del__(self) -> None:
        # A trainer drops its reference to a callback when the run has ended.
        training = getattr(self, "_training", None)
        if training is not None and not (training.is_running and is_script_over()):
            training.settle()
            training.end_if_broken_off()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type: object, error: BaseException | None, trace: object) -> None:
        """Ends a run that has not ended: as completed, or as failed or cancelled by an error."""
        self._training.leave(error)
