"""Records training runs of accelerate: a tracker for your own loop.

accelerator = Accelerator(log_with=PodiumTracker("rank_sweep", "lora_rank4"))
accelerator.init_trackers("any name", config={"lr": 0.1})
"""

from collections.abc import Mapping
from typing import Any, Unpack

from podium._interface.recorders import ArmRecorder, ExperimentRecorder
from podium._model.config import Component, RunConfig
from podium.integrations._missing import missing
from podium.integrations._prefixed import by_set
from podium.integrations._settings import seed_of, settings_of
from podium.integrations._training import ArmOptions, CallbackBase, Row, Training

try:
    from accelerate.tracking import GeneralTracker, on_main_process
except ImportError as error:
    raise missing("accelerate", "accelerate", error) from error

__all__ = ["PodiumTracker"]

_SEED = "seed"


class PodiumTracker(CallbackBase[Training], GeneralTracker):  # type: ignore[misc, unused-ignore]
    """Records the values that `accelerator.log` receives in the main process.

    `val_loss` and `val/loss` are `loss` of the eval `val`; `valid`, `validation` and `test` work
    in the same way. Values of an eval that are logged without a step become post-training rows. All
    other values are training metrics. `accelerator.end_training()` completes the arm.

    Use it as a context manager to record at once that the run failed or was cancelled. Otherwise,
    this is recorded at the end of the process.

    Args:
        experiment: The name of the experiment, or the recorder that `podium.record` returned.
        arm_name: The name of the arm.
        run_config: The configuration of the arm. By default, the `config` of `init_trackers`.
        resume_step: The step after which the run continues; None if it begins from scratch.
        options: The same options as `start_arm`: group_id, group_name, run_id, attempt_id, order,
            restart.
    """

    name = "podium"
    requires_logging_directory = False

    def __init__(
        self,
        experiment: str | ExperimentRecorder,
        arm_name: str,
        *,
        run_config: RunConfig | None = None,
        resume_step: int | None = None,
        **options: Unpack[ArmOptions],
    ) -> None:
        super().__init__()
        self._training = Training(experiment, **options)
        self._arm_name = arm_name
        self._run_config = run_config
        self._resume_step = resume_step

    @property
    def tracker(self) -> ArmRecorder | None:
        """The arm, which `accelerator.get_tracker("podium", unwrap=True)` returns."""
        return self._training.arm

    @on_main_process  # type: ignore[untyped-decorator, unused-ignore]
    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Begins the arm with the configuration that `init_trackers` received."""
        rest = {key: value for key, value in values.items() if key != _SEED}
        config = self._run_config or RunConfig(
            self._arm_name,
            algorithm=Component("accelerate", settings_of(rest)),
            seed=seed_of(values.get(_SEED)),
        )
        self._training.begin(config, resume_step=self._resume_step)

    @on_main_process  # type: ignore[untyped-decorator, unused-ignore]
    def log(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Records values. The first call begins the arm if `init_trackers` had no `config`.

        Values that are logged after `end_training` belong to the same arm.
        """
        del kwargs
        if self._training.arm is None:
            self.store_init_configuration({})
        for name, metrics in by_set(values).items():
            if not name:
                self._training.log(metrics, step)
            elif step is None:
                self._training.log_final(name, metrics)
            else:
                self._training.log_row(Row(name, metrics, step))

    @on_main_process  # type: ignore[untyped-decorator, unused-ignore]
    def finish(self) -> None:
        """Records that the run is completed."""
        self._training.end()
