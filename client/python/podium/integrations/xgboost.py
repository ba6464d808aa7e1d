"""Records what XGBoost trains.

callback = PodiumCallback("churn", "depth6")
xgboost.train(params, dtrain, 200, evals=[(dtrain, "train"), (dval, "val")], callbacks=[callback])
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from podium._model.config import Component, RunConfig
from podium.integrations._boosting import TRAINING_SETS, log_round, rows_of
from podium.integrations._missing import missing
from podium.integrations._settings import seed_of
from podium.integrations._training import CallbackBase, Training

try:
    from xgboost import collective
    from xgboost.callback import TrainingCallback
except ImportError as error:
    raise missing("xgboost", "xgboost", error) from error

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Unpack

    from podium._interface.recorders import ExperimentRecorder
    from podium.integrations._training import ArmOptions, Row

__all__ = ["PodiumCallback"]

_BEST = "best_iteration"
_PARAMS = "_param"
_NO_SETTINGS = frozenset({"generic_param", "learner_model_param", "gbtree_model_param"})

_CHOSEN = ("updater", "updater_seq", "base_score")
"""What XGBoost itself chooses when it sees the data."""


class PodiumCallback(CallbackBase[Training], TrainingCallback):  # type: ignore[misc, unused-ignore]
    """Records a training: one row of each evaluated data set for each round.

    Rounds are counted as XGBoost prints them, from 0; a training that goes on with `xgb_model`
    counts on. After early stopping the best round is the result, otherwise the last one.

    As a context manager it also says how a training ended that raised an error. Without that, the
    end of the process says so.

    Args:
        experiment: The name of the experiment, or what `podium.record` returned.
        name: The name of the arm.
        run_config: What the arm is asked to do, if not XGBoost's own parameters.
        training_sets: Data sets whose scores are training metrics, and no rows.
        options: As of `start_arm`: group_id, group_name, run_id, attempt_id, order, restart.
    """

    def __init__(
        self,
        experiment: str | ExperimentRecorder,
        name: str,
        *,
        run_config: RunConfig | None = None,
        training_sets: Collection[str] = TRAINING_SETS,
        **options: Unpack[ArmOptions],
    ) -> None:
        super().__init__()
        self._training = Training(experiment, **options)
        self._name = name
        self._run_config = run_config
        self._training_sets = frozenset(training_sets)
        self._rounds = 0
        self._best_before: str | None = None
        self._history: Mapping[str, Mapping[str, Any]] = {}

    def before_training(self, model: Any) -> Any:
        """Begins the arm; it goes on after the rounds that the model has."""
        booster = _booster(model)
        self._rounds = booster.num_boosted_rounds()
        self._best_before = booster.attr(_BEST)
        self._history = {}
        config = self._run_config or run_config(self._name, booster.save_config())
        self._training.begin(
            config,
            resume_step=self._rounds - 1 if self._rounds else None,
            rank=collective.get_rank() if collective.is_distributed() else None,
        )
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Records a round."""
        del model
        self._history = evals_log
        log_round(self._training, self._rows(epoch), self._training_sets)
        return False

    def after_training(self, model: Any) -> Any:
        """Records the result: the best round if training was stopped early, else the last."""
        best = _booster(model).attr(_BEST)
        is_new = best is not None and best != self._best_before
        rows = self._rows(int(best)) if is_new else []
        self._training.end(best=[row for row in rows if row.name not in self._training_sets])
        return model

    def _rows(self, epoch: int) -> list[Row]:
        scores = {
            name: {key: scores[epoch] for key, scores in metrics.items() if epoch < len(scores)}
            for name, metrics in self._history.items()
        }
        return rows_of(scores, self._rounds + epoch)


def run_config(name: str, saved: str) -> RunConfig:
    """The configuration of an arm, from what `Booster.save_config` says.

    The parameters that a booster trains by, but not what it has learned, so that a training that
    goes on has the configuration of the one before.
    """
    learner = json.loads(saved)["learner"]
    params = _params(learner)
    for key in _CHOSEN:
        params.pop(key, None)
    params["objective"] = learner.get("objective", {}).get("name", "")
    seed = seed_of(learner.get("generic_param", {}).get("seed"))
    return RunConfig(name, algorithm=Component("xgboost", params), seed=seed)


def _params(config: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters in a saved configuration, wherever they stand in it."""
    found: dict[str, Any] = {}
    for key, item in config.items():
        if isinstance(item, dict) and key not in _NO_SETTINGS:
            is_params = key.endswith(_PARAMS)
            found |= {name: _value(text) for name, text in item.items()} if is_params else {}
            found |= {} if is_params else _params(item)
    return found


def _value(text: Any) -> Any:
    """The number that a text is, or the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except (TypeError, ValueError):
            pass
    return text


def _booster(model: Any) -> Any:
    """The booster; of a cross-validation, that of its first fold."""
    folds = getattr(model, "cvfolds", None)
    return folds[0].bst if folds else model
