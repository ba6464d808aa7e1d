"""Trains with PyTorch Lightning and records the results.

Give it a folder for its checkpoints. Start a server first: `podium serve`. If the script is killed
and run again, it continues from the last checkpoint.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from podium.integrations.lightning import PodiumLogger
from pytorch_lightning import LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "checkpoints")
seed_everything(7, verbose=False)
points = torch.randn(96, 3)
data = TensorDataset(points, points.sum(1, keepdim=True))


class Line(LightningModule):  # type: ignore[misc, unused-ignore]
    """Fits a line."""

    def __init__(self, rate: float = 0.05) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.rate = rate
        self.layer = torch.nn.Linear(3, 1)

    def _loss(self, batch: Any) -> Any:
        return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])

    def training_step(self, batch: Any, _: int) -> Any:
        """Returns the loss of a batch."""
        loss = self._loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, _: int) -> None:
        """Logs the loss of a batch."""
        self.log("val_loss", self._loss(batch))

    def configure_optimizers(self) -> Any:
        """Returns the optimizer."""
        return torch.optim.SGD(self.parameters(), self.rate)


trainer = Trainer(
    max_epochs=8,
    accelerator="cpu",
    logger=PodiumLogger("integrations/lightning", "line", restart=True),
    enable_progress_bar=False,
    enable_model_summary=False,
    log_every_n_steps=2,
    callbacks=[ModelCheckpoint(folder, save_last=True, every_n_epochs=1)],
)
last = folder / "last.ckpt"
train, val = DataLoader(data, 16), DataLoader(data, 96)
trainer.fit(Line(), train, val, ckpt_path=str(last) if last.exists() else None)
