"""Measures the time that callbacks for trainers add to the recorder, with the real libraries.

    make .cache/integrations/ready
    .cache/integrations/bin/python benchmarks/callbacks.py

Each library trains for 300 recorded steps, offline. The cost of a callback is the CPU time of its
hooks, without the time in the recorder. The medians over the steps are printed.
"""

import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

os.environ |= {"PODIUM_OFFLINE": "1", "OMP_NUM_THREADS": "1", "KERAS_BACKEND": "torch"}

import numpy as np
from podium import ArmRecording

_STEPS = 300
_TARGET = 50
_X = np.random.default_rng(0).normal(size=(64, 4))
_Y = (_X[:, 0] > 0).astype("float32")


class _Clock:
    """Measures the time in the hooks of callbacks, and the time in the recorder, in nanoseconds."""

    def __init__(self) -> None:
        self._hooks = self._recorder = self._calls = self._depth = 0
        self.own: list[int] = []
        self.recorders: list[int] = []

    def recorded(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Wraps a method of the recorder, so that the time of its calls is measured."""

        @functools.wraps(method)
        def call(*given: Any, **named: Any) -> Any:
            begin = time.thread_time_ns()
            result = method(*given, **named)
            self._recorder += time.thread_time_ns() - begin
            self._calls += 1
            return result

        return call

    def hook(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Wraps a hook, so that the time of its calls is measured.

        The time of hooks that record nothing is added to the next recorded step.
        """

        @functools.wraps(method)
        def call(*given: Any, **named: Any) -> Any:
            self._depth += 1
            begin = time.thread_time_ns()
            try:
                return method(*given, **named)
            finally:
                self._depth -= 1
                if not self._depth:
                    self._hooks += time.thread_time_ns() - begin
                    self._note()

        return call

    def _note(self) -> None:
        if self._calls:
            self.own.append(self._hooks - self._recorder)
            self.recorders.append(self._recorder)
            self._hooks = self._recorder = self._calls = 0


def _lightgbm(clock: _Clock) -> None:
    import lightgbm  # noqa: PLC0415 - each library takes seconds to import
    from podium.integrations.lightgbm import PodiumCallback  # noqa: PLC0415

    _watch(clock, PodiumCallback, "__call__")
    train, val = (lightgbm.Dataset(_X, _Y) for _ in range(2))
    params = {"objective": "binary", "num_leaves": 3, "verbosity": -1, "min_data_in_leaf": 1}
    sets = {"valid_sets": [train, val], "valid_names": ["train", "val"]}
    lightgbm.train(params, train, _STEPS, callbacks=[PodiumCallback("b", "lightgbm")], **sets)


def _xgboost(clock: _Clock) -> None:
    import xgboost  # noqa: PLC0415
    from podium.integrations.xgboost import PodiumCallback  # noqa: PLC0415

    _watch(clock, PodiumCallback, "before_iteration", "after_iteration")
    data = xgboost.DMatrix(_X, _Y)
    evals = [(data, "train"), (data, "val")]
    callbacks = [PodiumCallback("b", "xgboost")]
    params = {"objective": "binary:logistic", "max_depth": 2}
    xgboost.train(params, data, _STEPS, evals=evals, callbacks=callbacks, verbose_eval=False)


def _keras(clock: _Clock) -> None:
    import keras  # noqa: PLC0415
    from podium.integrations.keras import PodiumCallback  # noqa: PLC0415

    _watch(clock, PodiumCallback, "on_epoch_begin", "on_epoch_end", "on_test_end")
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    callbacks = [PodiumCallback("b", "keras")]
    given = {"validation_data": (_X, _Y), "epochs": _STEPS, "batch_size": 64, "verbose": 0}
    model.fit(_X, _Y, callbacks=callbacks, **given)


def _transformers(clock: _Clock) -> None:
    import torch  # noqa: PLC0415
    from podium.integrations.transformers import PodiumCallback  # noqa: PLC0415
    from transformers import (  # noqa: PLC0415
        GPT2Config,
        GPT2LMHeadModel,
        Trainer,
        TrainingArguments,
    )

    _watch(clock, PodiumCallback, "on_log", "on_evaluate")
    rows = [{"input_ids": row, "labels": row} for row in torch.arange(32).reshape(8, 4) % 7]
    size = GPT2Config(vocab_size=7, n_positions=4, n_embd=8, n_layer=1, n_head=1)
    given: dict[str, Any] = {"output_dir": tempfile.mkdtemp(), "max_steps": _STEPS}
    given |= {"logging_steps": 1, "eval_strategy": "steps", "eval_steps": 1}
    given |= {"save_strategy": "no", "report_to": [], "use_cpu": True, "disable_tqdm": True}
    Trainer(
        GPT2LMHeadModel(size),
        TrainingArguments(**given),
        train_dataset=rows,
        eval_dataset=rows[:2],
        callbacks=[PodiumCallback("b", "transformers")],
    ).train()


def _lightning(clock: _Clock) -> None:
    import torch  # noqa: PLC0415
    from podium.integrations.lightning import PodiumCallback  # noqa: PLC0415
    from pytorch_lightning import LightningModule, Trainer  # noqa: PLC0415
    from torch.utils.data import DataLoader, TensorDataset  # noqa: PLC0415

    class Model(LightningModule):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch: Any, _: int) -> Any:
            loss = self.layer(batch[0]).square().mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.01)

    _watch(clock, PodiumCallback, "on_train_batch_end", "on_train_epoch_end")
    given = {"max_epochs": 1, "accelerator": "cpu", "logger": False, "log_every_n_steps": 1}
    given |= {"enable_checkpointing": False, "enable_progress_bar": False}
    data = DataLoader(TensorDataset(torch.ones(4 * _STEPS, 2)), 4)
    callbacks = [PodiumCallback("b", "lightning")]
    Trainer(callbacks=callbacks, enable_model_summary=False, **given).fit(Model(), data)


def _accelerate(clock: _Clock) -> None:
    from accelerate import Accelerator  # noqa: PLC0415
    from podium.integrations.accelerate import PodiumTracker  # noqa: PLC0415

    _watch(clock, PodiumTracker, "log")
    accelerator = Accelerator(cpu=True, log_with=PodiumTracker("b", "accelerate"))
    accelerator.init_trackers("b", {"lr": 0.1})
    for step in range(_STEPS):
        accelerator.log({"loss": 1 / (step + 1), "val_loss": 2.0}, step=step)
    accelerator.end_training()


def _watch(clock: _Clock, kind: type, *hooks: str) -> None:
    for hook in hooks:
        setattr(kind, hook, clock.hook(getattr(kind, hook)))


def _measure(train: Callable[[_Clock], None]) -> None:
    """Trains with one library, and prints the line with its figures."""
    clock = _Clock()
    for name in ("log", "log_eval"):
        setattr(ArmRecording, name, clock.recorded(getattr(ArmRecording, name)))
    train(clock)
    own, recorder = (median(times) / 1e3 for times in (clock.own, clock.recorders))
    sys.stdout.write(
        f"{train.__name__[1:]:12} {len(clock.own):4} recorded steps: callback {own:5.1f} µs "
        f"(<= {_TARGET} µs) beside {recorder:5.1f} µs of the recorder\n"
    )


def main() -> None:
    """Measures each library in a process of its own."""
    for name in _TRAININGS:
        with tempfile.TemporaryDirectory() as outbox:
            environment = os.environ | {"PODIUM_OUTBOX": outbox}
            command = [sys.executable, __file__, name]
            pipe = subprocess.PIPE
            done = subprocess.run(command, env=environment, stdout=pipe, text=True, check=True)
        sys.stdout.write(f"{done.stdout.splitlines()[-1]}\n")


_TRAININGS = {
    train.__name__[1:]: train
    for train in (_lightgbm, _xgboost, _keras, _transformers, _lightning, _accelerate)
}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        _measure(_TRAININGS[sys.argv[1]])
    else:
        main()
