"""Tests of the callback for LightGBM: rows, results, errors, and training runs that continue."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import podium
import pytest
from podium.integrations.lightgbm import PodiumCallback

_ROWS = np.random.default_rng(0).normal(size=(300, 4))
_PARAMS: dict[str, Any] = {
    "objective": "binary",
    "num_leaves": 4,
    "learning_rate": 0.5,
    "seed": 3,
    "metric": ["binary_logloss", "binary_error"],
    "verbosity": -1,
}

Ended = Callable[[str, str], podium.ArmResult]
Run = Callable[..., subprocess.CompletedProcess[str]]


def _train(rounds: int, *callbacks: Any) -> dict[str, Any]:
    history: dict[str, Any] = {}
    train = lightgbm.Dataset(_ROWS[:200], _ROWS[:200, 0] > 0)
    val = lightgbm.Dataset(_ROWS[200:], np.random.default_rng(1).random(100) > 0.5, train)
    keeping = lightgbm.record_evaluation(history)
    sets = {"valid_sets": [train, val], "valid_names": ["mine", "val"]}
    lightgbm.train(_PARAMS, train, rounds, callbacks=[keeping, *callbacks], **sets)
    return history


def test_each_round_is_a_row_and_the_last_is_the_result(ended: Ended) -> None:
    """Rows and metrics equal LightGBM's own history, even without a `with` block."""
    history = _train(3, PodiumCallback("plain", "arm"))
    arm = ended("plain", "arm")
    assert arm.status == "completed"
    assert [(row.name, row.step) for row in arm.evals] == [
        ("val", 1),
        ("val", 2),
        ("val", 3),
        ("val", None),
    ]
    losses = [row.metrics["binary_logloss"] for row in arm.evals[:3]]
    assert losses == history["val"]["binary_logloss"]
    assert arm.evals[-1].metrics == arm.evals[-2].metrics
    assert arm.metrics == {key: values[-1] for key, values in history["mine"].items()}
    config = arm.run_config
    assert config is not None
    assert config.algorithm is not None
    assert (config.seed, config.algorithm.kind) == (3, "lightgbm")
    assert config.algorithm.params["num_leaves"] == 4
    assert config.extras["num_iterations"] == 3


@pytest.mark.parametrize("rounds", [5, 50])
def test_early_stopping_makes_the_best_round_the_result(ended: Ended, rounds: int) -> None:
    """With the early stopping callback, the best round is the result.

    This is so whether training really stops early or all rounds are trained.
    """
    with PodiumCallback("early", f"arm{rounds}") as callback:
        history = _train(rounds, callback, lightgbm.early_stopping(20, True, verbose=False))  # noqa: FBT003
    losses = history["val"]["binary_logloss"]
    arm = ended("early", f"arm{rounds}")
    assert (len(losses), arm.status) == (min(rounds, 21), "completed")
    assert [row.step for row in arm.evals] == [*range(1, len(losses) + 1), None]
    assert arm.evals[-1].metrics["binary_logloss"] == min(losses) < losses[-1]


_STOPPED_EARLY = """
import lightgbm, numpy as np
from podium.integrations.lightgbm import PodiumCallback

rows = np.random.default_rng(0).normal(size=(300, 4))
train = lightgbm.Dataset(rows[:200], rows[:200, 0] > 0)
val = lightgbm.Dataset(rows[200:], np.random.default_rng(1).random(100) > 0.5, train)
params = {"objective": "binary", "num_leaves": 4, "learning_rate": 0.5, "verbosity": -1}
kept = []
for number in range(3):
    kept.append(PodiumCallback("stopped", f"arm{number}"))
    callbacks = [kept[-1], lightgbm.early_stopping(3, verbose=False)]
    lightgbm.train(params, train, 50, valid_sets=[val], valid_names=["val"], callbacks=callbacks)
raise ValueError("a later error")
"""


def test_early_stopping_without_a_block(ended: Ended) -> None:
    """Without a `with` block, training runs that stop early complete with their best rounds.

    A later error that ends the process does not change them.
    """
    command = [sys.executable, "-c", _STOPPED_EARLY]
    subprocess.run(command, check=False, capture_output=True, env=dict(os.environ), timeout=300)
    for number in range(3):
        arm = ended("stopped", f"arm{number}")
        assert (arm.status, arm.error) == ("completed", None)
        losses = [row.metrics["binary_logloss"] for row in arm.evals if row.step is not None]
        assert len(losses) < 50
        assert arm.evals[-1].step is None
        assert arm.evals[-1].metrics["binary_logloss"] == min(losses)


def test_early_stopping_ends_an_arm_at_once(ended: Ended) -> None:
    """If only LightGBM refers to the callback, the arm ends together with the training run."""
    for rounds in (5, 50):
        name = f"arm{rounds}"
        stop = lightgbm.early_stopping(20, True, verbose=False)  # noqa: FBT003
        losses = _train(rounds, PodiumCallback("at_once", name), stop)["val"]["binary_logloss"]
        arm = ended("at_once", name)
        assert arm.status == "completed"
        assert arm.evals[-1].metrics["binary_logloss"] == min(losses) < losses[-1]


def test_the_configuration_is_that_before_a_schedule(ended: Ended) -> None:
    """If a schedule changes the learning rate, the configuration still has the original one."""
    schedule = lightgbm.reset_parameter(learning_rate=[0.4, 0.3, 0.2])
    _train(3, PodiumCallback("schedule", "arm"), schedule)
    config = ended("schedule", "arm").run_config
    assert config is not None
    assert config.algorithm is not None
    assert config.algorithm.params["learning_rate"] == 0.5


def _breaking(error: BaseException) -> Callable[[Any], None]:
    def callback(env: Any) -> None:
        if env.iteration == 2:
            raise error

    return callback


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no more"), "failed"), (KeyboardInterrupt(), "cancelled")]
)
def test_a_training_that_breaks_off(ended: Ended, error: BaseException, status: str) -> None:
    """After an error, the arm is failed. After an interruption, it is cancelled.

    In both cases, the arm gets no result.
    """
    with pytest.raises(type(error)), PodiumCallback("broken", status) as callback:
        _train(5, callback, _breaking(error))
    arm = ended("broken", status)
    assert arm.status == status
    assert [row.step for row in arm.evals][:2] == [1, 2]
    assert arm.eval("val", step=None) == arm.evals[-1]
    assert arm.evals[-1].step is not None
    assert type(error).__name__ in (arm.error or "")


def test_folds_are_a_mean_and_a_deviation(ended: Ended) -> None:
    """A cross-validation is recorded as the mean and the standard deviation of each metric."""
    train = lightgbm.Dataset(_ROWS, _ROWS[:, 0] > 0)
    with PodiumCallback("folds", "arm") as callback:
        table = lightgbm.cv(_PARAMS, train, 2, nfold=3, callbacks=[callback])
    arm = ended("folds", "arm")
    assert [row.step for row in arm.evals] == [1, 2, None]
    assert arm.evals[-1].metrics["binary_error"] == table["valid binary_error-mean"][-1]
    assert arm.evals[-1].metrics["binary_error_std"] == table["valid binary_error-stdv"][-1]


def test_the_example_killed_and_resumed(ended: Ended, run: Run, tmp_path: Path) -> None:
    """If the example is killed after 25 rounds, a second run completes the arm.

    The arm has each row exactly once.
    """
    first = run("train_lightgbm.py", str(tmp_path / "models"), kill_after=25)
    assert first.returncode == -9, first.stderr
    again = run("train_lightgbm.py", str(tmp_path / "models"))
    assert again.returncode == 0, again.stderr
    arm = ended("integrations/lightgbm", "leaves7")
    assert arm.status == "completed"
    assert [row.step for row in arm.evals] == [*range(1, 41), None]
