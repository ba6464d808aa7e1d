"""Records training runs of Hugging Face's Trainer, and of TRL's trainers, which are based on it.

trainer = Trainer(model, args, train_dataset=..., callbacks=[PodiumCallback("rank_sweep")])
trainer.train()
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from podium._interface.recorders import ExperimentRecorder
from podium._model.config import RunConfig
from podium.integrations._callers import caller_variables
from podium.integrations._missing import missing
from podium.integrations._trainer_logs import last_rows, logged_metrics, rows_of, run_config
from podium.integrations._training import ArmOptions, CallbackBase, Training

try:
    from transformers.trainer_callback import TrainerCallback
except ImportError as error:
    raise missing("transformers", "transformers", error) from error

__all__ = ["PodiumCallback"]


class PodiumCallback(CallbackBase[Training], TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Records a training run: rows for each evaluation at its step, and training metrics.

    If one data set is evaluated, the name of the eval is `eval`. Otherwise, each data set is an
    eval of its own, with the name of the data set. At the end, the last row of each eval is
    recorded as its post-training row. With `load_best_model_at_end`, the row of the best step is
    recorded instead. Evaluations after training and `trainer.predict` are post-training rows too.

    Use it as a context manager to record at once that the run failed or was cancelled. Otherwise,
    this is recorded when the next training run begins, or at the end of the process.

    Args:
        experiment: The name of the experiment, or the recorder that `podium.record` returned.
        name: The name of the arm; the name of the output folder if not given.
        run_config: The configuration of the arm. By default, the trainer's own arguments.
        options: The same options as `start_arm`: group_id, group_name, run_id, attempt_id, order,
            restart.
    """

    def __init__(
        self,
        experiment: str | ExperimentRecorder,
        name: str | None = None,
        *,
        run_config: RunConfig | None = None,
        **options: Unpack[ArmOptions],
    ) -> None:
        super().__init__()
        self._training = Training(experiment, **options)
        self._name = name
        self._run_config = run_config
        self._train_seconds: float | None = None

    def on_train_begin(
        self, args: Any, state: Any, control: Any, *, model: Any = None, **others: Any
    ) -> None:
        """Begins the arm, or continues it after the step of a checkpoint that was loaded."""
        del control, others
        self._train_seconds = None
        self._training.begin(
            self._config(args, state, model),
            resume_step=state.global_step or None,
            rank=args.process_index,
            repeats=getattr(args, "auto_find_batch_size", False),
            trainer="transformers",
        )

    def _config(self, args: Any, state: Any, model: Any) -> RunConfig:
        if self._run_config is not None:
            return self._run_config
        arguments = args.to_dict()
        if arguments.get("auto_find_batch_size") and state.train_batch_size:
            size = state.train_batch_size // max(args.n_gpu, 1)
            arguments["per_device_train_batch_size"] = size
        return run_config(self._arm_name(args, state), type(args).__name__, arguments, model)

    def _begin_evaluation(self, args: Any, state: Any, model: Any) -> None:
        if self._training.arm is None:
            config = self._config(args, state, model)
            self._training.begin_evaluation(config, rank=args.process_index)

    def _arm_name(self, args: Any, state: Any) -> str:
        """Returns the name of the arm. In a search, it ends with the name of the trial, if any."""
        name = self._name or Path(args.output_dir).resolve().name
        return f"{name}-{state.trial_name}" if state.trial_name else name

    def on_log(
        self,
        args: Any,
        state: Any,
        control: Any,
        logs: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> None:
        """Records training metrics. `on_evaluate` records evaluations."""
        del args, control, others
        logged = logs or {}
        self._train_seconds = logged.get("train_runtime", self._train_seconds)
        self._training.log(logged_metrics(logged), state.global_step)

    def on_evaluate(
        self,
        args: Any,
        state: Any,
        control: Any,
        metrics: Mapping[str, Any] | None = None,
        *,
        model: Any = None,
        **others: Any,
    ) -> None:
        """Records the rows of an evaluation: in-loop during training, otherwise post-training."""
        del control, others
        self._begin_evaluation(args, state, model)
        for row in rows_of(metrics or {}, state.global_step):
            self._training.log_row(row)

    def on_predict(
        self,
        args: Any,
        state: Any,
        control: Any,
        metrics: Mapping[str, Any],
        *,
        model: Any = None,
        **others: Any,
    ) -> None:
        """Records the metrics of predictions on a test set."""
        del control, others
        self._begin_evaluation(args, state, model)
        for row in rows_of(metrics, state.global_step):
            self._training.log_final(row.name, row.metrics, row.seconds)

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Records that the run is completed, with the rows of the model that the Trainer keeps."""
        del control, others
        # The Trainer also calls this method when it is about to prune a trial.
        if {"trial", "step", "metrics"} <= caller_variables("transformers.trainer", "trial").keys():
            self._training.prune()
            return
        best = state.best_global_step if args.load_best_model_at_end else None
        rows = last_rows(state.log_history, best)
        self._training.end(best=rows, train_seconds=self._train_seconds)
