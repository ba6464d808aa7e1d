"""Tests of the callback for XGBoost: rows, results, errors, and training runs that continue."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import podium
import pytest
import xgboost
from podium.integrations.xgboost import PodiumCallback
from sklearn.model_selection import GridSearchCV

_ROWS = np.random.default_rng(0).normal(size=(300, 4))
_TRAIN = xgboost.DMatrix(_ROWS[:200], _ROWS[:200, 0] > 0)
_VAL = xgboost.DMatrix(_ROWS[200:], np.random.default_rng(1).random(100) > 0.5)
_PARAMS: dict[str, Any] = {
    "objective": "binary:logistic",
    "max_depth": 2,
    "eta": 0.5,
    "seed": 3,
    "eval_metric": ["logloss", "error"],
}

Ended = Callable[[str, str], podium.ArmResult]
Run = Callable[..., subprocess.CompletedProcess[str]]


def _train(rounds: int, *callbacks: Any, **params: Any) -> dict[str, Any]:
    history: dict[str, Any] = {}
    evals = [(_TRAIN, "train"), (_VAL, "val")]
    xgboost.train(
        _PARAMS | params,
        _TRAIN,
        rounds,
        evals=evals,
        evals_result=history,
        callbacks=[*callbacks],
        verbose_eval=False,
    )
    return history


def test_each_round_is_a_row_and_the_last_is_the_result(ended: Ended) -> None:
    """Rows and metrics equal XGBoost's own history. The configuration has the user's parameters."""
    given = {"eta": 0.1, "num_parallel_tree": 2, "base_score": 0.4}
    history = _train(3, PodiumCallback("plain", "arm"), **given)
    arm = ended("plain", "arm")
    assert arm.status == "completed"
    assert [(row.name, row.step) for row in arm.evals] == [
        ("val", 0),
        ("val", 1),
        ("val", 2),
        ("val", None),
    ]
    assert [row.metrics["logloss"] for row in arm.evals[:3]] == history["val"]["logloss"]
    assert arm.evals[-1].metrics == arm.evals[-2].metrics
    assert arm.evals[-1].tags == ["test"]
    assert arm.metrics == {key: values[-1] for key, values in history["train"].items()}
    config = arm.run_config
    assert config is not None
    assert config.algorithm is not None
    assert (config.seed, config.algorithm.kind) == (3, "xgboost")
    assert config.algorithm.params == {
        "objective": "binary:logistic",
        "max_depth": 2,
        "eta": 0.1,
        "num_parallel_tree": 2,
        "base_score": 0.4,
        "eval_metric": ["logloss", "error"],
    }
    assert config.extras == {"num_boost_round": 3}


@pytest.mark.parametrize("is_first", [True, False])
def test_early_stopping_makes_the_best_round_the_result(ended: Ended, *, is_first: bool) -> None:
    """With early stopping, the best round is the result, and each round is a row.

    The order of the two callbacks does not matter.
    """
    stop = xgboost.callback.EarlyStopping(rounds=3, data_name="val", metric_name="logloss")
    callback = PodiumCallback("early", "arm")
    history = _train(50, *([callback, stop] if is_first else [stop, callback]))
    losses = history["val"]["logloss"]
    arm = ended("early", "arm")
    assert len(losses) < 50
    assert [row.step for row in arm.evals] == [*range(len(losses)), None]
    assert arm.evals[-1].metrics["logloss"] == min(losses)
    assert arm.metrics["logloss"] == history["train"]["logloss"][-1]


def test_the_best_round_of_a_run_that_continues(ended: Ended) -> None:
    """If a run continues a model, its rounds are counted from the first round of that model.

    The best round is the result.
    """
    evals = [(_VAL, "val")]
    model = xgboost.train(_PARAMS, _TRAIN, 5, evals=evals, verbose_eval=False)
    stop = xgboost.callback.EarlyStopping(rounds=3, metric_name="logloss")
    history: dict[str, Any] = {}
    xgboost.train(
        _PARAMS,
        _TRAIN,
        50,
        evals=evals,
        evals_result=history,
        xgb_model=model,
        callbacks=[PodiumCallback("continued", "arm"), stop],
        verbose_eval=False,
    )
    losses = history["val"]["logloss"]
    arm = ended("continued", "arm")
    assert [row.step for row in arm.evals] == [*range(5, 5 + len(losses)), None]
    assert arm.evals[-1].metrics["logloss"] == min(losses)


class _Break(xgboost.callback.TrainingCallback):  # type: ignore[misc, unused-ignore]
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        if epoch == 1:
            raise self._error
        return False


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no more"), "failed"), (KeyboardInterrupt(), "cancelled")]
)
def test_a_training_that_breaks_off(ended: Ended, error: BaseException, status: str) -> None:
    """After an error, the arm is failed. After an interruption, it is cancelled.

    In both cases, the arm gets no result.
    """
    with pytest.raises(type(error)), PodiumCallback("broken", status) as callback:
        _train(5, callback, _Break(error))
    arm = ended("broken", status)
    assert arm.status == status
    assert [row.step for row in arm.evals] == [0, 1]
    assert type(error).__name__ in (arm.error or "")


def test_folds_are_a_mean_and_a_deviation(ended: Ended) -> None:
    """A cross-validation is recorded as the mean and the standard deviation of each metric."""
    table = xgboost.cv(
        _PARAMS,
        _TRAIN,
        2,
        nfold=3,
        seed=1,
        as_pandas=False,
        callbacks=[PodiumCallback("folds", "arm")],
    )
    arm = ended("folds", "arm")
    assert [row.step for row in arm.evals] == [0, 1, None]
    row = arm.eval("test")
    assert row is not None
    assert row.metrics["error"] == table["test-error-mean"][-1]
    assert row.metrics["error_std"] == table["test-error-std"][-1]


def test_a_search_of_scikit_learn(ended: Ended) -> None:
    """Each training run of a search is an arm with its own parameters. All share one callback."""
    model = xgboost.XGBRegressor(n_estimators=2, callbacks=[PodiumCallback("grid", "arm")])
    search = GridSearchCV(model, {"max_depth": [1, 2]}, cv=2, refit=False)
    search.fit(_ROWS, _ROWS[:, 0])
    depths = []
    for name in ("arm", "arm-2", "arm-3", "arm-4"):
        arm = ended("grid", name)
        assert arm.status == "completed"
        assert arm.run_config is not None
        assert arm.run_config.algorithm is not None
        depths.append(arm.run_config.algorithm.params["max_depth"])
    assert depths == [1, 1, 2, 2]


def test_names_that_are_free_text(ended: Ended) -> None:
    """Names of data sets may contain characters such as `/`, `^` and `ö`."""
    evals = [(_VAL, "b/c^3"), (_VAL, "größer")]
    callbacks = [PodiumCallback("names", "arm")]
    xgboost.train(_PARAMS, _TRAIN, 1, evals=evals, callbacks=callbacks, verbose_eval=False)
    names = [row.name for row in ended("names", "arm").evals if row.step is None]
    assert names == ["b/c^3", "größer"]


def test_the_example_killed_and_resumed(ended: Ended, run: Run, tmp_path: Path) -> None:
    """If the example is killed after 25 rounds, a second run completes the arm.

    The arm has each row exactly once.
    """
    first = run("train_xgboost.py", str(tmp_path / "models"), kill_after=25)
    assert first.returncode == -9, first.stderr
    again = run("train_xgboost.py", str(tmp_path / "models"))
    assert again.returncode == 0, again.stderr
    arm = ended("integrations/xgboost", "depth3")
    assert arm.status == "completed"
    assert [row.step for row in arm.evals] == [*range(40), None]
    whole = run("train_xgboost.py", str(tmp_path / "others"))
    assert whole.returncode == 0, whole.stderr
    assert [row.metrics for row in ended("integrations/xgboost", "depth3").evals] == [
        row.metrics for row in arm.evals
    ]
