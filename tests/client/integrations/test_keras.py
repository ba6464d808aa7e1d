"""Tests of the callback for Keras: rows, results, errors, and training runs that continue."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import podium
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from podium.integrations.keras import PodiumCallback

Ended = Callable[[str, str], podium.ArmResult]
Run = Callable[..., subprocess.CompletedProcess[str]]

_X = np.random.default_rng(0).normal(size=(16, 2))
_Y = _X.sum(1)


def _fit(*callbacks: Any) -> tuple[Any, dict[str, list[float]]]:
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss="mse")
    history = model.fit(
        _X, _Y, validation_data=(_X, _Y), epochs=3, verbose=0, callbacks=[*callbacks]
    )
    return model, history.history


def test_epochs_are_rows_and_the_last_is_the_result(ended: Ended) -> None:
    """Rows and metrics equal Keras's own history. A later evaluation is recorded as a result."""
    with PodiumCallback("plain", "arm") as callback:
        model, history = _fit(callback)
        tested = model.evaluate(_X, _Y, verbose=0, callbacks=[callback])
    arm = ended("plain", "arm")
    assert arm.status == "completed"
    val = [row for row in arm.evals if row.name == "val"]
    assert [row.step for row in val] == [0, 1, 2, None]
    assert [row.metrics["loss"] for row in val[:3]] == history["val_loss"]
    assert val[-1].metrics == val[-2].metrics
    assert arm.metrics == {"loss": history["loss"][-1]}
    row = arm.eval("test")
    assert row is not None
    assert (row.step, row.metrics["loss"]) == (None, tested)
    config = arm.run_config
    assert config is not None
    assert config.algorithm is not None
    assert (config.algorithm.kind, config.extras["epochs"]) == ("keras", 3)
    assert config.algorithm.params["optimizer"]["kind"] == "SGD"
    assert config.extras["learning_rate"] == pytest.approx(0.05)


@pytest.mark.parametrize("is_first", [True, False])
def test_weights_that_are_restored_are_the_result(ended: Ended, *, is_first: bool) -> None:
    """If EarlyStopping restores the best weights, the best epoch is the result.

    The order of the two callbacks does not matter.
    """
    stop = keras.callbacks.EarlyStopping(min_delta=100, patience=1, restore_best_weights=True)
    callback = PodiumCallback("early", "arm")
    _, history = _fit(*([callback, stop] if is_first else [stop, callback]))
    losses = history["val_loss"]
    arm = ended("early", "arm")
    assert [row.step for row in arm.evals] == [0, 1, None]
    assert arm.evals[-1].metrics["loss"] == losses[0] > losses[1]


def test_more_epochs_are_the_same_arm(ended: Ended) -> None:
    """If `fit` is called again for later epochs, it continues the same arm."""
    with PodiumCallback("more", "arm") as callback:
        model, _ = _fit(callback)
        more: dict[str, Any] = {"initial_epoch": 3, "epochs": 5, "callbacks": [callback]}
        model.fit(_X, _Y, validation_data=(_X, _Y), verbose=0, **more)
    steps = [row.step for row in ended("more", "arm").evals]
    assert (sorted(step for step in steps if step is not None), steps.count(None)) == (
        [0, 1, 2, 3, 4],
        1,
    )


def _wide(width: int) -> Any:
    layers = [keras.layers.Input((2,)), keras.layers.Dense(width, activation="relu")]
    model = keras.Sequential([*layers, keras.layers.Dropout(0.25), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss="mse")
    return model


def test_the_configuration_of_a_model(ended: Ended) -> None:
    """The configuration has the layers, the batch size, the seed, and the initial learning rate."""
    keras.utils.set_random_seed(11)
    schedule = keras.callbacks.LearningRateScheduler(lambda _, rate: rate * 0.9)
    _wide(32).fit(
        _X, _Y, batch_size=4, verbose=0, callbacks=[schedule, PodiumCallback("config", "arm")]
    )
    config = ended("config", "arm").run_config
    assert config is not None
    assert config.algorithm is not None
    layers = config.algorithm.params["layers"]
    assert [layer["kind"] for layer in layers] == ["Dense", "Dropout", "Dense"]
    assert [layer.get("units") for layer in layers] == [32, None, 1]
    assert (layers[0]["activation"], layers[1]["rate"]) == ("relu", 0.25)
    assert (config.algorithm.params["batch_size"], config.seed) == (4, 11)
    assert config.extras == {"learning_rate": 0.5, "epochs": 1}


def test_an_evaluation_without_training(ended: Ended, caplog: pytest.LogCaptureFixture) -> None:
    """An evaluation before training is an arm of its own.

    The arm of a later `fit` has the row of this evaluation at step 0.
    """
    with PodiumCallback("evaluated", "arm") as callback:
        model = _wide(4)
        loss = model.evaluate(_X, _Y, verbose=0, callbacks=[callback])
        arm = ended("evaluated", "arm-evaluation")
        assert (arm.status, [row.step for row in arm.evals]) == ("completed", [None])
        assert arm.score("test.loss") == loss
        assert "the results are recorded as arm 'arm-evaluation'" in caplog.text
        model.fit(_X, _Y, verbose=0, callbacks=[callback])
    rows = ended("evaluated", "arm").evals
    assert [(row.name, row.step) for row in rows] == [("test", 0), ("test", None)]
    assert rows[0].metrics["loss"] == loss


class _Break(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        if epoch == 1:
            raise self._error


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no more"), "failed"), (KeyboardInterrupt(), "cancelled")]
)
def test_a_training_that_breaks_off(ended: Ended, error: BaseException, status: str) -> None:
    """After an error, the arm is failed. After an interruption, it is cancelled.

    In both cases, the arm gets no result.
    """
    with pytest.raises(type(error)), PodiumCallback("broken", status) as callback:
        _fit(callback, _Break(error))
    arm = ended("broken", status)
    assert arm.status == status
    assert [row.step for row in arm.evals] == [0]
    assert type(error).__name__ in (arm.error or "")


def test_the_example_killed_and_resumed(ended: Ended, run: Run, tmp_path: Path) -> None:
    """If the example is killed at its fourth epoch, a second run completes the arm.

    The arm has each row exactly once.
    """
    first = run("train_keras.py", str(tmp_path / "run"), kill_after=4)
    assert first.returncode == -9, first.stderr
    again = run("train_keras.py", str(tmp_path / "run"))
    assert again.returncode == 0, again.stderr
    arm = ended("integrations/keras", "line")
    assert arm.status == "completed"
    assert [row.step for row in arm.evals] == [*range(8), None]
