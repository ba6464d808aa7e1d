"""Trainings of PyTorch Lightning are recorded: rows, results, and how they go on."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import podium
import pytest
import torch
from podium.integrations.lightning import PodiumCallback
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

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), self.rate)


def _trainer(callback: PodiumCallback) -> Trainer:
    return Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        callbacks=[callback],
    )


def test_validations_are_rows_and_the_last_is_the_result(ended: Ended) -> None:
    """Rows are at the trainer's global steps, the configuration holds the hyperparameters."""
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
    assert (config.algorithm.params["rate"], config.algorithm.params["max_epochs"]) == (0.01, 3)


def test_a_test_is_a_result(ended: Ended) -> None:
    """What `trainer.test` finds after training is a post-training row."""
    with PodiumCallback("tested", "arm") as callback:
        trainer = _trainer(callback)
        model = _Model(0.01)
        trainer.fit(model, _DATA)
        trainer.test(model, _DATA, verbose=False)
    row = ended("tested", "arm").eval("test")
    assert row is not None
    assert (row.step, row.metrics["accuracy"], row.tags) == (None, 0.75, ["test"])


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no more"), "failed"), (KeyboardInterrupt(), "cancelled")]
)
def test_a_training_that_breaks_off(ended: Ended, error: BaseException, status: str) -> None:
    """An error makes the arm failed, an interruption cancelled; there is no result."""
    trainer = _trainer(PodiumCallback("broken", status))
    with pytest.raises((ValueError, SystemExit)):
        trainer.fit(_Model(0.01, error), _DATA, _DATA)
    arm = ended("broken", status)
    assert arm.status == status
    assert [row.step for row in arm.evals] == [2]
    assert type(error).__name__ in (arm.error or "")


def test_the_example_killed_and_resumed(ended: Ended, run: Run, tmp_path: Path) -> None:
    """Killed at its fourth validation, the example goes on after the checkpoint before it."""
    first = run("train_lightning.py", str(tmp_path / "run"), kill_after=4)
    assert first.returncode == -9, first.stderr
    again = run("train_lightning.py", str(tmp_path / "run"))
    assert again.returncode == 0, again.stderr
    arm = ended("integrations/lightning", "line")
    assert arm.status == "completed"
    assert [row.step for row in arm.evals] == [6, 12, 18, 24, 30, 36, 42, 48, None]
