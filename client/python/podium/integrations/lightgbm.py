"""Records LightGBM training runs.

with PodiumCallback("churn", "leaves31") as callback:
    lightgbm.train(params, train_set, valid_sets=[val_set], callbacks=[callback])
"""

import atexit
from collections import defaultdict
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Unpack

from podium._interface.recorders import ExperimentRecorder
from podium._model.config import Component, RunConfig
from podium.integrations._boosting import TRAINING_SETS, log_round, rows_of
from podium.integrations._missing import missing
from podium.integrations._settings import seed_of, settings_of
from podium.integrations._training import ArmOptions, CallbackBase, Row, Training, unsettled

try:
    import lightgbm
except ImportError as error:
    raise missing("lightgbm", "lightgbm", error) from error

__all__ = ["PodiumCallback"]

_SEEDS = ("seed", "random_seed", "random_state")
_ROUNDS = frozenset({"num_iterations", "num_boost_round", "n_estimators", "num_round", "n_iter"})
_MACHINE = frozenset({"num_threads", "n_jobs", "verbosity", "verbose"})
_VERSION: str = lightgbm.__version__


class PodiumCallback(CallbackBase["_Training"]):
    """Records a training run: for each round, a row for each evaluated data set.

    Rounds are counted from 1, as LightGBM prints them. A run with `init_model` continues the count.
    The post-training rows are those of the last round or, after early stopping, the best one.

    LightGBM does not notify callbacks when it stops early or fails. As a context manager, the
    callback records that at the end of its block. Otherwise, it is recorded when the callback is
    garbage-collected, when the next run begins, or at the end of the process.

    Args:
        experiment: The name of the experiment, or the recorder that `podium.record` returned.
        name: The name of the arm.
        run_config: The configuration of the arm. By default, LightGBM's own parameters.
        training_sets: The names of data sets whose scores are training metrics and not rows. The
            scores of the run's own training data are always training metrics.
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
        # This callback runs before LightGBM's early stopping (30). If early stopping ends the run,
        # the callbacks after it do not get the last round.
        self.order = 25
        self.before_iteration = False
        self._training = _Training(experiment, **options)
        self._name = name
        self._run_config = run_config
        self._training_sets = frozenset(training_sets)

    def __call__(self, env: Any) -> None:
        """Records a round. The first round begins the arm, and the last round ends it."""
        step = env.iteration + 1
        if env.iteration == env.begin_iteration:
            self._begin(env)
        train = getattr(env.model, "_train_data_name", "training")
        training_sets = self._training_sets | {train}
        rows = rows_of(_scores(env.evaluation_result_list or ()), step)
        log_round(self._training, rows, training_sets)
        self._training.keep([row for row in rows if row.name not in training_sets])
        if step == env.end_iteration:
            self._training.end()

    def _begin(self, env: Any) -> None:
        config = self._run_config or run_config(self._name, _params(env))
        self._training.begin_rounds(config, env.model, env.begin_iteration or None)


class _Training(Training):
    """Records LightGBM runs. A model has the number of its best round only after its run."""

    _model: Any = None
    _rows: Mapping[int, list[Row]] = MappingProxyType({})

    def begin_rounds(self, config: RunConfig, model: Any, resume_step: int | None) -> None:
        self.begin(config, resume_step=resume_step, trainer="lightgbm")
        self._model = model
        self._rows = defaultdict(list)
        unsettled.add(self)
        atexit.register(self.settle)

    def keep(self, rows: list[Row]) -> None:
        for row in rows:
            self._rows[row.step].append(row)

    def settle(self) -> None:
        """Ends the arm if the model has the number of a best round, as after early stopping."""
        super().settle()
        step: int = getattr(self._model, "best_iteration", 0)
        if self.is_running and step <= 0:
            return
        best = self._rows.get(step, [])
        self._forget()
        if self.is_running:
            self.end(best=best)
        else:
            for row in best:
                self.log_row(row)

    def leave(self, error: BaseException | None) -> None:
        self.settle()
        super().leave(error)
        self._forget()

    def _forget(self) -> None:
        unsettled.discard(self)
        atexit.unregister(self.settle)
        self._model = None


def _params(env: Any) -> dict[str, Any]:
    """Returns the parameters of a run as they were before callbacks changed them."""
    booster = env.model.boosters[0] if hasattr(env.model, "boosters") else env.model
    given = getattr(getattr(booster, "train_set", None), "params", None)
    return {key: given.get(key) for key in env.params} if given else env.params


def run_config(name: str, params: Mapping[str, Any]) -> RunConfig:
    """Returns the configuration of an arm.

    The number of rounds is in `extras`, because a resumed run has fewer rounds.
    """
    seeds = (seed_of(params.get(key)) for key in _SEEDS)
    facts = settings_of(params, without=frozenset({*_SEEDS, *_ROUNDS, *_MACHINE}))
    extras = settings_of({key: params.get(key) for key in sorted(_ROUNDS)})
    return RunConfig(
        name,
        algorithm=Component("lightgbm", facts),
        seed=next((seed for seed in seeds if seed is not None), None),
        extras={**extras, "lightgbm_version": _VERSION},
    )


def _scores(results: Any) -> dict[str, dict[str, Any]]:
    """Returns the scores of each data set. If there are several folds, adds standard deviations."""
    scores: dict[str, dict[str, Any]] = {}
    for result in results:
        name, metric, value, _, *spread = result
        if name == "cv_agg":
            name, _, metric = metric.partition(" ")
        scores.setdefault(name, {})[metric] = (value, *spread) if spread else value
    return scores
