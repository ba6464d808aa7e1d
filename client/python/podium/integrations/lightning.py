"""Records what PyTorch Lightning trains.

trainer = Trainer(max_epochs=3, callbacks=[PodiumCallback("rank_sweep", "lora_rank4")])
trainer.fit(model, train, val)
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from podium._config import Component, ModelConfig, RunConfig
from podium.integrations._missing import missing
from podium.integrations._prefixed import by_set
from podium.integrations._settings import seed_of, settings_of
from podium.integrations._training import Records, Row, Training

try:
    # It goes by two names, whose classes differ: the one that the script uses counts.
    if "lightning.pytorch" in sys.modules:
        from lightning.pytorch.callbacks import Callback
    else:
        from pytorch_lightning.callbacks import Callback
except ImportError as error:
    raise missing("lightning", "pytorch-lightning", error) from error

if TYPE_CHECKING:
    from typing import Unpack

    from podium._recorder import ExperimentRecorder
    from podium.integrations._training import ArmOptions

__all__ = ["PodiumCallback"]

_TRAINER = ("max_epochs", "max_steps", "accumulate_grad_batches", "gradient_clip_val", "precision")


class PodiumCallback(Records[Training], Callback):  # type: ignore[misc, unused-ignore]
    """Records a training: a row of each validation at its step, and what else is logged.

    What the model logs as `val_loss` or `val/loss` is `loss` of the eval `val`, and so for `valid`,
    `validation` and `test`; everything else is training metrics. It is a callback and no logger,
    since a logger hears neither of errors nor from where a training goes on.

    Args:
        experiment: The name of the experiment, or what `podium.record` returned.
        name: The name of the arm.
        run_config: What the arm is asked to do, if not the model's hyperparameters and the
            trainer's arguments.
        options: As of `start_arm`: group_id, group_name, run_id, attempt_id, order, restart.
    """

    def __init__(
        self,
        experiment: str | ExperimentRecorder,
        name: str,
        *,
        run_config: RunConfig | None = None,
        **options: Unpack[ArmOptions],
    ) -> None:
        super().__init__()
        self._training = Training(experiment, **options)
        self._name = name
        self._run_config = run_config

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begins the arm; it goes on after the step of the checkpoint that was loaded."""
        if trainer.is_global_zero:
            config = self._run_config or _run_config(self._name, trainer, pl_module)
            self._training.begin(config, resume_step=trainer.global_step or None)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Records training metrics as often as the trainer logs."""
        del pl_module, outputs, batch, batch_idx
        if trainer.global_step % max(trainer.log_every_n_steps, 1) == 0:
            self._training.log(by_set(trainer.logged_metrics).get("", {}))

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Records the rows of a validation."""
        del pl_module
        if self._training.is_running and not trainer.sanity_checking:
            self._log(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Records the training metrics of an epoch."""
        del pl_module
        self._training.log(by_set(trainer.callback_metrics).get("", {}))

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """Records what the trained model is worth on a test set."""
        del pl_module
        self._log(trainer)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Says that training is completed."""
        del trainer, pl_module
        self._training.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Says that training failed, or was cancelled."""
        del trainer, pl_module
        self._training.leave(exception)

    def _log(self, trainer: Any) -> None:
        for name, metrics in by_set(trainer.callback_metrics).items():
            if name:
                self._training.log_row(Row(name, metrics, trainer.global_step))
            else:
                self._training.log(metrics)


def _run_config(name: str, trainer: Any, module: Any) -> RunConfig:
    told = {key: getattr(trainer, key, None) for key in _TRAINER}
    hyperparameters = dict(getattr(module, "hparams", None) or {})
    return RunConfig(
        name,
        model=ModelConfig(type(module).__name__),
        algorithm=Component("lightning", settings_of({**told, **hyperparameters})),
        seed=seed_of(os.environ.get("PL_GLOBAL_SEED")),
    )
