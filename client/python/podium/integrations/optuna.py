"""Records Optuna studies: each trial is an arm.

study.optimize(objective, n_trials=100, callbacks=[PodiumCallback("churn")])
"""

import logging
from typing import Any

from podium._interface.recorders import ExperimentRecorder
from podium.importing.kinds.optuna import Study, Trial, arm_of, experiment_of
from podium.integrations._missing import missing
from podium.integrations._recorders import recorder_of
from podium.scoring import direction_metadata

try:
    import optuna
except ImportError as error:
    raise missing("optuna", "optuna", error) from error

__all__ = ["PodiumCallback"]

_LOGGER = logging.getLogger("podium")


class PodiumCallback:
    """Records each trial of a study when it has ended, in the same form as an import does.

    A trial is the arm `trial-NUMBER`: completed, cancelled if it was pruned, or failed. Values that
    the trial reported are in-loop rows of the eval `objective`. Its result is the post-training
    row. If a trial raises an error that `catch=` does not name, it is not recorded, because Optuna
    calls no callback.

    Importing the study's storage into the same experiment later changes nothing.

    Args:
        experiment: The name of the experiment, or the recorder that `podium.record` returned. By
            default, the name of the study. Unless a recorder is given, the metric and the direction
            of the study become those of the experiment.
    """

    def __init__(self, experiment: str | ExperimentRecorder | None = None) -> None:
        self._experiment = experiment

    def __call__(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        """Records a trial. An error is logged, and does not stop the study."""
        try:
            self._record(study, trial)
        except Exception:
            _LOGGER.exception("podium: trial %s is not recorded", getattr(trial, "number", trial))

    def _record(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        # The first trial is part of the identity of the study, as in an import.
        first = study.get_trials(deepcopy=False)[0]
        known = Study(
            study.study_name,
            [direction.name.lower() for direction in study.directions],
            study.metric_names or [],
            study.user_attrs,
            [_trial_of(first)],
        )
        self._recorder(known).record_arm(arm_of(known, _trial_of(trial)))

    def _recorder(self, study: Study) -> ExperimentRecorder:
        if self._experiment is not None and not isinstance(self._experiment, str):
            return self._experiment
        found = experiment_of(study, "")
        return recorder_of(
            self._experiment or study.name,
            success_metric=found.success_metric,
            direction=found.direction,
            metadata={**found.metadata, **direction_metadata(found.directions)},
        )


def _trial_of(trial: optuna.trial.FrozenTrial) -> Trial:
    values: Any = trial.values
    return Trial(
        trial.number,
        trial.state.name,
        trial.params,
        values or [],
        trial.intermediate_values,
        trial.user_attrs,
        trial.datetime_start,
        trial.datetime_complete,
    )
