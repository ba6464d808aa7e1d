"""Tests of the callback and the logger for PyTorch Lightning: rows, results and errors."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import podium
import pytest
import torch
from podium.integrations.lightning import PodiumCallback, PodiumLogger
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

Ended = Callable[[str, str], podium.ArmResult]
Run = Callable[..., subprocess.CompletedProcess[str]]

_DATA = DataLoader(TensorDataset(torch.ones(8, 2)), 4)


class _Model(LightningModule):  # type: ignore[misc, unused-ignore]
    def __init__(self, rate: float, error: BaseException | None = None) -> None:
        super().__init__()
        self.save_hyperparameters("rate")
        self.rate = rate
        self.error = error
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch: Any, _: int) -> Any:
        if self.error is not None and self.current_epoch == 1:
            raise self.error
        loss = self.layer(batch[0]).square().mean()
        self.log("loss", loss, on_epoch=True, on_step=False)
        return loss

    def validation_step(self, batch: Any, _: int) -> None:
        del batch
        self.log("val_accuracy", float(self.current_epoch))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        del batch, batch_idx
        self.log("test/accuracy", 0.75)
        self.log("f1", 0.5)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), self.rate)


def _trainer(*callbacks: PodiumCallback, **arguments: Any) -> Trainer:
    given: dict[str, Any] = {
        "max_epochs": 3,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "log_every_n_steps": 1,
    }
    return Trainer(callbacks=[*callbacks], **(given | arguments))


def test_validations_are_rows_and_the_last_is_the_result(ended: Ended) -> None:
    """Rows have the trainer's global steps. The configuration has the hyperparameters."""
    trainer = _trainer(PodiumCallback("plain", "arm"))
    model = _Model(0.01)
    trainer.fit(model, _DATA, _DATA)
    arm = ended("plain", "arm")
    assert arm.status == "completed"
    assert [(row.name, row.step, row.metrics["accuracy"]) for row in arm.evals] == [
        ("val", 2, 0.0),
        ("val", 4, 1.0),
        ("val", 6, 2.0),
        ("val", None, 2.0),
    ]
    assert arm.metrics["loss"] == float(trainer.callback_metrics["loss"])
    config = arm.run_config
    assert config is not None
    assert config.algorithm is not None
    assert config.algorithm.kind == "lightning"
    assert (config.algorithm.params["rate"], config.extras["max_epochs"]) == (0.01, 3)
    [optimizer] = config.algorithm.params["optimizers"]
    assert (optimizer["kind"], optimizer["lr"]) == ("SGD", 0.01)


def test_an_evaluation_after_training_is_a_result(ended: Ended) -> None:
    """The results of `trainer.test` and `trainer.validate` are rows without a step.

    Metrics need no prefix: `f1` is recorded, too.
    """
    with PodiumCallback("tested", "arm") as callback:
        trainer = _trainer(callback)
        model = _Model(0.01)
        trainer.fit(model, _DATA)
        trainer.test(model, _DATA, verbose=False)
        trainer.validate(model, _DATA, verbose=False)
    arm = ended("tested", "arm")
    assert [(row.name, row.step, row.metrics, row.tags) for row in arm.evals] == [
        ("test", None, {"accuracy": 0.75, "f1": 0.5}, ["test"]),
        ("val", None, {"accuracy": 3.0}, ["test"]),
    ]
    assert arm.metrics.keys() == {"loss"}


@pytest.mark.parametrize("by_logger", [True, False])
def test_an_evaluation_without_training(ended: Ended, tmp_path: Path, *, by_logger: bool) -> None:
    """Without training, `trainer.test` and `trainer.validate` are recorded as an arm of their own.

    Both the callback and the logger do so.
    """
    name = f"arm{by_logger}"
    if by_logger:
        logger = PodiumLogger("untrained", name)
        trainer = _trainer(logger=logger, default_root_dir=str(tmp_path))
    else:
        trainer = _trainer(PodiumCallback("untrained", name))
    trainer.test(_Model(0.01), _DATA, verbose=False)
    trainer.validate(_Model(0.01), _DATA, verbose=False)
    deadline = time.monotonic() + 240
    while len((arm := ended("untrained", f"{name}-evaluation")).evals) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert arm.status == "completed"
    assert [(row.name, row.step, row.metrics) for row in arm.evals] == [
        ("test", None, {"accuracy": 0.75, "f1": 0.5}),
        ("val", None, {"accuracy": 0.0}),
    ]
    assert arm.run_config is not None
    assert arm.run_config.algorithm is not None
    assert arm.run_config.algorithm.params["parameters"] == 3


class _TwoLoaders(_Model):
    def validation_step(self, batch: Any, _: int, dataloader_idx: int = 0) -> None:
        del batch
        self.log("val_accuracy", float(dataloader_idx))
        self.log("recall", 0.5)


def test_two_loaders_are_two_evals(ended: Ended) -> None:
    """Each validation loader is an eval of its own. Its metrics may have any names."""
    trainer = _trainer(PodiumCallback("loaders", "arm"), max_epochs=1)
    trainer.fit(_TwoLoaders(0.01), _DATA, [_DATA, _DATA])
    rows = ended("loaders", "arm").evals
    assert [(row.name, row.step, row.metrics) for row in rows] == [
        (f"val/dataloader_idx_{number}", step, {"accuracy": float(number), "recall": 0.5})
        for step in (2, None)
        for number in (0, 1)
    ]


class _Stepping(_Model):
    def training_step(self, batch: Any, index: int) -> Any:
        if index == 1:
            raise ValueError("no more")
        self.log("step_loss", 1.0)
        return self.layer(batch[0]).square().mean()


class _Telling(_Model):
    def on_validation_epoch_end(self) -> None:
        self.logger.log_metrics({"rate": self.rate, "val_accuracy": -1.0}, step=0)
        self.logger.experiment.log_eval("own", {"x": 1.0}, step=self.global_step)


def test_a_logger_is_enough(ended: Ended, tmp_path: Path) -> None:
    """The logger records the rows of validations and tests. Other logged values become metrics."""
    logger = PodiumLogger("logged", "arm")
    logger.log_hyperparams({"data": "ones"})
    trainer = _trainer(logger=logger, enable_checkpointing=True, default_root_dir=str(tmp_path))
    model = _Telling(0.01)
    trainer.fit(model, _DATA, _DATA)
    trainer.test(model, _DATA, verbose=False)
    logger.callback.__exit__(None, None, None)
    arm = ended("logged", "arm")
    assert arm.status == "completed"
    rows = [(row.name, row.step) for row in arm.evals]
    for step in (2, 4, 6):
        assert {("val", step), ("own", step)} <= set(rows)
    assert rows[-2:] == [("val", None), ("test", None)]
    assert [row.metrics["accuracy"] for row in arm.evals if row.name == "val"] == [0, 1, 2, 2]
    assert arm.metrics.keys() == {"loss", "rate"}
    config = arm.run_config
    assert config is not None
    assert config.algorithm is not None
    assert (config.algorithm.params["rate"], config.algorithm.params["data"]) == (0.01, "ones")
    assert (tmp_path / "logged" / "arm" / "checkpoints" / "epoch=2-step=6.ckpt").is_file()


def test_the_arm_of_a_logger_has_the_error(ended: Ended) -> None:
    """If an error ends the training run, the arm of the logger is failed and has the error."""
    with pytest.raises(ValueError, match="no more"):
        _trainer(logger=PodiumLogger("logged", "broken")).fit(
            _Model(0.01, ValueError("no more")), _DATA, _DATA
        )
    arm = ended("logged", "broken")
    assert arm.status == "failed"
    assert "ValueError: no more" in (arm.error or "")


def test_a_logger_without_a_trainer(caplog: pytest.LogCaptureFixture) -> None:
    """A logger that is used without a Trainer records nothing, and logs that once."""
    logger = PodiumLogger("nothing", "arm")
    logger.log_metrics({"loss": 1.0})
    logger.log_metrics({"loss": 0.5})
    assert caplog.text.count("records nothing") == 1


def test_more_epochs_are_the_same_arm(ended: Ended) -> None:
    """If training continues for more epochs than planned, it continues the same arm.

    A run with `fast_dev_run` is not recorded.
    """
    callback = PodiumCallback("more", "arm")
    model = _Model(0.01)
    _trainer(callback, fast_dev_run=True).fit(model, _DATA, _DATA)
    assert callback.arm is None
    trainer = _trainer(callback, accumulate_grad_batches=2)
    trainer.fit(model, _DATA, _DATA)
    trainer.fit_loop.max_epochs = 4
    trainer.fit(model, _DATA, _DATA)
    callback.__exit__(None, None, None)
    arm = ended("more", "arm")
    steps = [row.step for row in arm.evals]
    assert (sorted(step for step in steps if step), steps.count(None)) == ([1, 2, 3, 4], 1)
    config = arm.run_config
    assert config is not None
    assert config.extras["max_epochs"] == 4


def test_metrics_of_steps_are_recorded_while_training(ended: Ended) -> None:
    """Metrics of steps are recorded during training, even if the trainer has no logger."""
    callback = PodiumCallback("steps", "arm")
    with pytest.raises(ValueError, match="no more"):
        _trainer(callback).fit(_Stepping(0.01), _DATA)
    assert ended("steps", "arm").metrics.keys() == {"step_loss"}


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no more"), "failed"), (KeyboardInterrupt(), "cancelled")]
)
def test_a_training_that_breaks_off(ended: Ended, error: BaseException, status: str) -> None:
    """After an error, the arm is failed. After an interruption, it is cancelled.

    In both cases, the arm gets no result.
    """
    trainer = _trainer(PodiumCallback("broken", status))
    with pytest.raises((ValueError, SystemExit)):
        trainer.fit(_Model(0.01, error), _DATA, _DATA)
    arm = ended("broken", status)
    assert arm.status == status
    assert [row.step for row in arm.evals] == [2]
    assert type(error).__name__ in (arm.error or "")


def test_the_example_killed_and_resumed(ended: Ended, run: Run, tmp_path: Path) -> None:
    """If the example is killed at its fourth validation, a second run completes the arm.

    The arm has each row exactly once.
    """
    first = run("train_lightning.py", str(tmp_path / "run"), kill_after=4)
    assert first.returncode == -9, first.stderr
    again = run("train_lightning.py", str(tmp_path / "run"))
    assert again.returncode == 0, again.stderr
    arm = ended("integrations/lightning", "line")
    assert arm.status == "completed"
    assert [row.step for row in arm.evals] == [6, 12, 18, 24, 30, 36, 42, 48, None]
