"""Records Ray Tune searches: each trial is an arm.

Tuner(train, param_space=..., run_config=RunConfig(callbacks=[PodiumCallback("churn")])).fit()
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from podium._model.config import Component, RunConfig
from podium._values.enums import ArmStatus
from podium.importing._values import leaves
from podium.integrations._missing import missing
from podium.integrations._recorders import recorder_of
from podium.integrations._settings import seed_of, settings_of

try:
    from ray.tune import Callback
except ImportError as error:
    raise missing("ray_tune", "'ray[tune]'", error) from error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podium._interface.recorders import ArmRecorder, ExperimentRecorder

__all__ = ["PodiumCallback"]

_EVAL = "objective"
_STEP = "training_iteration"
_SECONDS = "time_total_s"
_OF_TUNE = frozenset(
    {_STEP, _SECONDS, "timestamp", "time_this_iter_s", "time_since_restore"}
    | {"iterations_since_restore", "pid", "config", "timesteps_total", "episodes_total"}
)
"""Values that Tune adds to each result."""


class PodiumCallback(Callback):  # type: ignore[misc, unused-ignore]
    """Records each trial while it runs: its reports are in-loop rows of the eval `objective`.

    Steps are Tune's training iterations. The last report of a trial that ended is its post-training
    row, even if a scheduler ended the trial early. A trial that failed is a failed arm with the
    error. A trial that is paused, recovered or restored continues its arm.

    Args:
        experiment: The name of the experiment, or the recorder that `podium.record` returned.
        group_name: The group of all trials.
    """

    def __init__(
        self, experiment: str | ExperimentRecorder, *, group_name: str | None = None
    ) -> None:
        self._experiment = experiment
        self._group_name = group_name
        self._arms: dict[str, ArmRecorder] = {}
        self._ended: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state without the arms. Tune saves it, to restore a search later."""
        return {**self.__dict__, "_arms": {}}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Begins the arm of a trial."""
        del iteration, trials, info
        if trial.trial_id not in self._ended:
            self._arm_of(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: Mapping[str, Any], **info: Any
    ) -> None:
        """Records a report of a trial."""
        del iteration, trials, info
        self._arm_of(trial).log_eval(_EVAL, _metrics(result), step=result.get(_STEP))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Records that a trial is completed, with its last report as the post-training row."""
        del iteration, trials, info
        last = trial.last_result or {}
        if last and trial.trial_id not in self._ended:
            self._arm_of(trial).log_eval(_EVAL, _metrics(last), tags=["test"])
        self._end(trial, ArmStatus.COMPLETED)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Records that a trial failed."""
        del iteration, trials, info
        self._end(trial, ArmStatus.FAILED, _error_of(trial))

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Records trials that have not ended as cancelled."""
        del info
        for trial in trials:
            if trial.trial_id in self._arms:
                self._end(trial, ArmStatus.CANCELLED, "the search ended before the trial did")

    def _arm_of(self, trial: Any) -> ArmRecorder:
        """Returns the arm of a trial, and starts it if this process has not started it yet."""
        if trial.trial_id not in self._arms:
            recorder = self._experiment
            if isinstance(recorder, str):
                recorder = recorder_of(recorder)
            step = (trial.last_result or {}).get(_STEP)
            config = _run_config(trial)
            self._arms[trial.trial_id] = recorder.start_arm(
                config, group_name=self._group_name, run_id=trial.trial_id, resume_step=step
            )
        return self._arms[trial.trial_id]

    def _end(self, trial: Any, status: ArmStatus, error: str | None = None) -> None:
        if trial.trial_id in self._ended:
            return
        arm = self._arm_of(trial)
        seconds = (trial.last_result or {}).get(_SECONDS)
        arm.finish(status, error=error, train_seconds=seconds)
        arm.__exit__(None, None, None)  # closes its files
        del self._arms[trial.trial_id]
        self._ended.add(trial.trial_id)


def _error_of(trial: Any) -> str:
    """Returns the error of a trial, from Ray's local file if there is one.

    Ray copies the file to the storage only after it has called the callbacks.
    """
    local = Path(trial.error_file) if trial.storage and trial.error_file else None
    text = local.read_text() if local and local.is_file() else trial.get_error()
    return str(text or "the trial failed")


def _run_config(trial: Any) -> RunConfig:
    settings = settings_of(trial.config, without=frozenset({"seed"}))
    return RunConfig(
        str(trial),
        algorithm=Component("ray_tune", settings),
        seed=seed_of(trial.config.get("seed")),
    )


def _metrics(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the numbers that a trial reported. Keys of nested reports are joined with dots."""
    reported = {key: value for key, value in result.items() if key not in _OF_TUNE}
    return {
        key: value
        for key, value in leaves(reported)
        if hasattr(value, "__float__") and not isinstance(value, bool)
    }
