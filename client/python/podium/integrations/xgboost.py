"""Records XGBoost training runs.

callback = PodiumCallback("churn", "depth6")
xgboost.train(params, dtrain, 200, evals=[(dtrain, "train"), (dval, "val")], callbacks=[callback])
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Unpack

from podium._interface.recorders import ExperimentRecorder
from podium._model.config import Component, RunConfig
from podium.integrations._boosting import TRAINING_SETS, log_round, rows_of
from podium.integrations._callers import caller_variables
from podium.integrations._missing import missing
from podium.integrations._settings import seed_of, settings_of
from podium.integrations._training import ArmOptions, CallbackBase, Row, Training

try:
    from xgboost import collective
    from xgboost.callback import TrainingCallback
except ImportError as error:
    raise missing("xgboost", "xgboost", error) from error

__all__ = ["PodiumCallback"]

_BEST = "best_iteration"
_SEEDS = ("seed", "random_state")
_MACHINE = frozenset({"nthread", "n_jobs", "verbosity", "validate_parameters"})
_ARGUMENTS = ("early_stopping_rounds", "obj", "custom_metric", "metrics", "nfold", "stratified")
"""The arguments of `xgboost.train` and `xgboost.cv` that are part of the configuration."""


class PodiumCallback(CallbackBase[Training], TrainingCallback):  # type: ignore[misc, unused-ignore]
    """Records a training run: for each round, a row for each evaluated data set.

    Rounds count from 0, as XGBoost prints them. A run with `xgb_model` continues the count. The
    post-training rows are those of the last round or, after early stopping, the best one. The
    order of the callbacks does not matter.

    Use it as a context manager to record at once that the run failed or was cancelled. Otherwise,
    this is recorded when the next training run begins, or at the end of the process.

    Args:
        experiment: The name of the experiment, or the recorder that `podium.record` returned.
        name: The name of the arm.
        run_config: The configuration of the arm. By default, XGBoost's own parameters.
        training_sets: The names of data sets whose scores are training metrics and not rows.
        options: The same options as `start_arm`: group_id, group_name, run_id, attempt_id, order,
            restart.
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
        self._next = 0

    def before_training(self, model: Any) -> Any:
        """Begins the arm, or continues it after the rounds of `xgb_model` if that was given."""
        booster = _booster(model)
        self._rounds = booster.num_boosted_rounds()
        self._best_before = booster.attr(_BEST)
        self._history = {}
        self._next = 0
        config = self._run_config or run_config(
            # A booster returns its parameters only as 32-bit numbers, and with all defaults.
            self._name,
            caller_variables("xgboost.training", "params"),
        )
        self._training.begin(
            config,
            resume_step=self._rounds - 1 if self._rounds else None,
            rank=collective.get_rank() if collective.is_distributed() else None,
            trainer="xgboost",
        )
        return model

    def before_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Stores a reference to the run's log, to which XGBoost adds each round."""
        del model, epoch
        self._history = evals_log
        return False

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Records the scores of a round."""
        del model
        self._history = evals_log
        self._log_rounds(epoch + 1)
        return False

    def after_training(self, model: Any) -> Any:
        """Ends the arm, with the rows of the best round if the run was stopped early."""
        # XGBoost skips the callbacks that follow one that stops the run.
        self._log_rounds(max(map(len, _scores(self._history)), default=0))
        best = _booster(model).attr(_BEST)
        is_new = best is not None and best != self._best_before
        # XGBoost counts the best round from the first round of `xgb_model`.
        rows = self._rows(int(best) - self._rounds) if is_new else []
        self._training.end(best=[row for row in rows if row.name not in self._training_sets])
        return model

    def _log_rounds(self, end: int) -> None:
        for epoch in range(self._next, end):
            log_round(self._training, self._rows(epoch), self._training_sets)
        self._next = max(self._next, end)

    def _rows(self, epoch: int) -> list[Row]:
        scores = {
            name: {key: scores[epoch] for key, scores in metrics.items() if epoch < len(scores)}
            for name, metrics in self._history.items()
        }
        return rows_of(scores, self._rounds + epoch)


def run_config(name: str, given: Mapping[str, Any]) -> RunConfig:
    """Returns the configuration of an arm, with the parameters as the user gave them."""
    params = dict(given.get("params") or {})
    seeds = (seed_of(params.get(key, given.get(key))) for key in _SEEDS)
    arguments = {key: given.get(key) for key in _ARGUMENTS}
    facts = settings_of({**arguments, **params}, without=frozenset({*_SEEDS, *_MACHINE}))
    return RunConfig(
        name,
        algorithm=Component("xgboost", facts),
        seed=next((seed for seed in seeds if seed is not None), None),
        # For a run that continues, the caller passes only the number of remaining rounds.
        extras=settings_of({"num_boost_round": given.get("num_boost_round")}),
    )


def _scores(history: Mapping[str, Mapping[str, Any]]) -> Iterator[Any]:
    return (scores for metrics in history.values() for scores in metrics.values())


def _booster(model: Any) -> Any:
    """Returns the booster of a model, or of the first fold in a cross-validation."""
    folds = getattr(model, "cvfolds", None)
    return folds[0].bst if folds else model
