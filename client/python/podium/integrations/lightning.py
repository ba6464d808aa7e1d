"""Records PyTorch Lightning training runs, with a logger or a callback.

trainer = Trainer(max_epochs=3, logger=PodiumLogger("rank_sweep", "lora_rank4"))
trainer.fit(model, train, val)
"""

import logging
import os
import sys
from argparse import Namespace
from collections.abc import Mapping
from typing import Any, Unpack

from podium._interface.recorders import ExperimentRecorder
from podium._model.config import Component, ModelConfig, RunConfig
from podium.integrations._callers import caller_variables
from podium.integrations._missing import missing
from podium.integrations._prefixed import by_set, training_metrics
from podium.integrations._settings import parameter_count, seed_of, settings_of
from podium.integrations._training import ArmOptions, CallbackBase, Row, Training

try:
    # Lightning has two package names with different classes. The script's package is used.
    if "lightning.pytorch" in sys.modules:
        from lightning.pytorch.callbacks import Callback
        from lightning.pytorch.loggers.logger import DummyLogger, Logger
    else:
        from pytorch_lightning.callbacks import Callback
        from pytorch_lightning.loggers.logger import DummyLogger, Logger
except ImportError as error:
    raise missing("lightning", "pytorch-lightning", error) from error

__all__ = ["PodiumCallback", "PodiumLogger"]

_LOGGER = logging.getLogger("podium")
_LOGGER_CONNECTOR = "trainer.connectors.logger_connector"
_TRAINER = ("accumulate_grad_batches", "gradient_clip_val", "precision")
_LENGTH = ("max_epochs", "max_steps")
_VALIDATE = "validate"


class PodiumCallback(CallbackBase[Training], Callback):  # type: ignore[misc, unused-ignore]
    """Records a training run: rows for each validation at its step, and training metrics.

    A value logged as `val_loss` or `val/loss` is `loss` of the eval `val`; `valid`, `validation`
    and `test` work in the same way. All other values are training metrics. If there are several
    data loaders, each of them is an eval. Values of `trainer.validate` and `trainer.test` outside
    of training become post-training rows. With `fast_dev_run` nothing is recorded.

    Args:
        experiment: The name of the experiment, or the recorder that `podium.record` returned.
        name: The name of the arm.
        run_config: The configuration of the arm. By default, the model's hyperparameters and the
            trainer's arguments.
        options: The same options as `start_arm`: group_id, group_name, run_id, attempt_id, order,
            restart.
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
        self._logged_step: int | None = None
        self.hyperparameters: dict[str, Any] = {}
        """Settings for the configuration, in addition to those of the model and the data."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begins the arm, or continues it after the step of a checkpoint that was loaded."""
        if trainer.fast_dev_run:
            return
        self._logged_step = None
        self._training.begin(
            self._config(trainer, pl_module),
            resume_step=trainer.global_step or None,
            rank=trainer.global_rank,
        )

    def _config(self, trainer: Any, module: Any) -> RunConfig:
        return self._run_config or _run_config(self._name, trainer, module, self.hyperparameters)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Records training metrics whenever the trainer logs, at most once a step."""
        del pl_module, outputs, batch, batch_idx
        step = trainer.global_step
        if step % max(trainer.log_every_n_steps, 1) == 0 and step != self._logged_step:
            self._logged_step = step
            self._log_training(trainer, step)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Records the rows of a validation: in-loop during training, post-training after it."""
        if trainer.state.fn == _VALIDATE:
            self._log_result(trainer, pl_module, "val")
        elif self._training.is_running and not trainer.sanity_checking:
            # Lightning computes the metrics at each access, so they are read once.
            sets = by_set(trainer.callback_metrics)
            training = sets.pop("", {})
            for name, metrics in _with_names(sets, "val").items():
                self._training.log_row(Row(name, metrics, trainer.global_step))
            self._training.log(training, trainer.global_step)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Records the training metrics of an epoch."""
        del pl_module
        self._log_training(trainer, trainer.global_step)

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """Records the results on a test set."""
        self._log_result(trainer, pl_module, "test")

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Records that the run is completed."""
        del trainer, pl_module
        self._training.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Records that the run failed or was cancelled."""
        del trainer, pl_module
        self._training.leave(exception)

    def _log_training(self, trainer: Any, step: int) -> None:
        if self._training.is_running:
            self._training.log(training_metrics(trainer.callback_metrics), step)

    def _log_result(self, trainer: Any, module: Any, name: str) -> None:
        """Records post-training rows. Metrics without a prefix belong to the data set `name`."""
        if self._training.is_running or trainer.fast_dev_run:
            return
        if self._training.arm is None:
            self._training.begin_evaluation(self._config(trainer, module), rank=trainer.global_rank)
        for known, metrics in _with_names(by_set(trainer.callback_metrics), name).items():
            self._training.log_final(known, metrics)


def _with_names(sets: dict[str, dict[str, Any]], name: str) -> dict[str, dict[str, Any]]:
    """Returns the metrics of each data set. Metrics without a data set belong to the set `name`."""
    for unnamed in [known for known in sets if not known or known.startswith("/")]:
        sets[name + unnamed] = sets.pop(unnamed) | sets.get(name + unnamed, {})
    return sets


class PodiumLogger(Logger):  # type: ignore[misc, unused-ignore]
    """Records a training run as PodiumCallback does: `Trainer(logger=PodiumLogger(...))`.

    Lightning gives loggers neither the error that ended a run nor the step after which a run
    continues. So the logger gives the trainer a callback that records the run. Values that only
    loggers receive, such as those of `self.logger.log_metrics`, are training metrics.

    Args:
        experiment: The name of the experiment, or the recorder that `podium.record` returned.
        name: The name of the arm.
        run_config: The configuration of the arm. By default, the model's hyperparameters and the
            trainer's arguments.
        options: The same options as `start_arm`: group_id, group_name, run_id, attempt_id, order,
            restart.
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
        self._experiment = experiment
        self._arm_name = name
        self._trainer: Any = None
        self._has_warned = False
        self.callback = PodiumCallback(experiment, name, run_config=run_config, **options)
        """The callback that records for this logger. The logger adds it to the trainer."""

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self._experiment if isinstance(self._experiment, str) else self._experiment.name

    @property
    def version(self) -> str:
        """The name of the arm."""
        return self._arm_name

    @property
    def experiment(self) -> Any:
        """The recorder of the arm, for `self.logger.experiment.log_eval(...)`.

        Before training, and in processes that are not the main one, its methods do nothing.
        """
        return self.callback.arm or DummyLogger().experiment

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Adds the callback to the trainer.

        Lightning calls this method with the model before training.
        """
        del input_array
        self._join(model.trainer)

    def _join(self, trainer: Any) -> None:
        self._trainer = trainer
        if self.callback not in trainer.callbacks:
            # It is placed before callbacks that save checkpoints, so that the rows of a step are
            # recorded before its checkpoint is saved.
            trainer.callbacks.insert(0, self.callback)

    def log_hyperparams(
        self, params: Mapping[str, Any] | Namespace, *others: Any, **named: Any
    ) -> None:
        """Adds hyperparameters to the configuration. Has no effect after the start of the run."""
        del others, named
        self.callback.hyperparameters |= dict(params if isinstance(params, dict) else vars(params))

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Records the values that only loggers receive. They become training metrics."""
        if self._trainer is None:
            # Lightning passes the model to loggers for a training run, not for an evaluation.
            connector = caller_variables(_LOGGER_CONNECTOR, "self").get("self")
            if connector is not None and not connector.trainer.training:
                self._join(connector.trainer)
        if self._trainer is None:
            self._warn()
        elif self.callback.arm is not None:
            known = {"epoch", *self._trainer.callback_metrics}
            others = {key: metrics[key] for key in metrics if key not in known}
            self.callback.arm.log(others, step=step)

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            _LOGGER.warning(
                "podium: %s records nothing: pass it to a Trainer of "
                "Lightning, and do not set enable_autolog_hparams=False",
                type(self).__name__,
            )


def _run_config(name: str, trainer: Any, module: Any, others: Mapping[str, Any]) -> RunConfig:
    """Returns the configuration of an arm.

    `extras` has the length of the run, which may change when the run continues.
    """
    facts = {key: getattr(trainer, key, None) for key in _TRAINER}
    facts["batch_size"] = getattr(trainer.train_dataloader, "batch_size", None)
    facts["parameters"] = parameter_count(module)
    facts["optimizers"] = list(map(_optimizer, trainer.optimizers))
    for source in (trainer.datamodule, module):
        facts |= dict(getattr(source, "hparams", None) or {})
    return RunConfig(
        name,
        model=ModelConfig(type(module).__name__),
        algorithm=Component("lightning", settings_of({**facts, **others})),
        seed=seed_of(os.environ.get("PL_GLOBAL_SEED")),
        extras=settings_of({key: getattr(trainer, key, None) for key in _LENGTH}),
    )


def _optimizer(optimizer: Any) -> dict[str, Any]:
    """Returns the class and the arguments of an optimizer, as they were before any schedule."""
    kept = getattr(optimizer, "optimizer", optimizer)  # of a LightningOptimizer
    return {"kind": type(kept).__name__, **settings_of(getattr(kept, "defaults", {}))}
