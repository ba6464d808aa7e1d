"""Tests of searches: trials that are pruned, and training runs in several processes."""

import contextlib
import gc
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import podium
import pytest
import xgboost
from podium.integrations.xgboost import PodiumCallback
from podium_server.testing import RunningServer
from sklearn.model_selection import GridSearchCV

Ended = Callable[[str, str], podium.ArmResult]

_ROWS = np.random.default_rng(0).normal(size=(60, 2))
_DATA = xgboost.DMatrix(_ROWS, _ROWS[:, 0])


class _Pruning(xgboost.callback.TrainingCallback):  # type: ignore[misc, unused-ignore]
    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        if epoch == 2:
            raise optuna.TrialPruned
        return False


@pytest.mark.parametrize("has_block", [True, False])
def test_a_pruned_trial(ended: Ended, *, has_block: bool) -> None:
    """The arm of a pruned trial is cancelled, and its error names the last step.

    A `with` block makes no difference.
    """
    name = f"pruned{has_block}"

    def objective(trial: optuna.Trial) -> float:
        callback = PodiumCallback(name, f"trial{trial.number}")
        with callback if has_block else contextlib.nullcontext():
            evals = [(_DATA, "val")]
            callbacks = [callback, _Pruning()]
            xgboost.train({}, _DATA, 5, evals=evals, callbacks=callbacks, verbose_eval=False)
        return 0.0

    optuna.create_study().optimize(objective, n_trials=2)
    gc.collect()  # the error that pruned the last trial holds its callback in a cycle
    for number in range(2):
        arm = ended(name, f"trial{number}")
        assert (arm.status, arm.error) == ("cancelled", "pruned at step 2")
        assert [row.step for row in arm.evals] == [0, 1, 2]


def test_a_search_in_two_processes(ended: Ended, server: RunningServer) -> None:
    """Each of the seven training runs is an arm, although all processes have the same callback."""
    callback = PodiumCallback("processes", "arm")
    model = xgboost.XGBRegressor(n_estimators=2, callbacks=[callback], n_jobs=1)
    GridSearchCV(model, {"max_depth": [1, 2, 3]}, cv=2, n_jobs=2).fit(_ROWS, _ROWS[:, 0])
    assert ended("processes", "arm").status == "completed"
    with podium.Client(server.address) as client:
        deadline = time.monotonic() + 240
        while len(arms := list(client.experiment("processes").arms())) < 7:
            assert time.monotonic() < deadline, arms
            time.sleep(0.1)
    assert [ended("processes", arm.name).status for arm in arms] == ["completed"] * 7
