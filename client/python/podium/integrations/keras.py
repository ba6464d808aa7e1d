"""Records what Keras trains.

with PodiumCallback("rank_sweep", "width32") as callback:
    model.fit(x, y, validation_data=(x_val, y_val), epochs=5, callbacks=[callback])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podium._model.config import Component, ModelConfig, RunConfig
from podium.integrations._missing import missing
from podium.integrations._prefixed import by_set
from podium.integrations._settings import settings_of
from podium.integrations._training import CallbackBase, Row, Training

try:
    from keras.callbacks import Callback
except ImportError as error:
    raise missing("keras", "keras", error) from error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

    from keras.callbacks import EarlyStopping

    from podium._interface.recorders import ExperimentRecorder
    from podium.integrations._training import ArmOptions

__all__ = ["PodiumCallback"]

_RATE = "learning_rate"
_VAL = "val"
_TEST = "test"


class PodiumCallback(CallbackBase[Training], Callback):  # type: ignore[misc, unused-ignore]
    """Records a training: a row of the eval `val` for each epoch, and training's own metrics.

    Epochs are counted as Keras tells its callbacks, from 0; a training with `initial_epoch` goes on
    after the epoch before that one. `model.evaluate` after training is the result `test`.

    As a context manager it also says how a training ended that raised an error. Without that, the
    end of the process says so.

    Args:
        experiment: The name of the experiment, or what `podium.record` returned.
        name: The name of the arm.
        run_config: What the arm is asked to do, if not what the model was compiled with.
        early_stopping: The EarlyStopping among the callbacks, which tells no other one that it
            restores the weights of its best epoch: that epoch is the result, then.
        options: As of `start_arm`: group_id, group_name, run_id, attempt_id, order, restart.
    """

    def __init__(
        self,
        experiment: str | ExperimentRecorder,
        name: str,
        *,
        run_config: RunConfig | None = None,
        early_stopping: EarlyStopping | None = None,
        **options: Unpack[ArmOptions],
    ) -> None:
        super().__init__()
        self._training = Training(experiment, **options)
        self._name = name
        self._run_config = run_config
        self._early_stopping = early_stopping
        self._rows: dict[int, Row] = {}
        self._is_fitting = False

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Awaits the first epoch, which says where training goes on from."""
        del logs
        self._is_fitting = False

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Begins the arm with the first epoch."""
        del logs
        if not self._is_fitting:
            self._is_fitting = True
            self._rows = {}
            config = self._run_config or _run_config(self._name, self.model, self.params)
            self._training.begin(config, resume_step=epoch - 1 if epoch else None)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Records an epoch."""
        sets = by_set(logs or {})
        self._training.log(sets.get("", {}))
        if _VAL in sets:
            self._rows[epoch] = Row(_VAL, sets[_VAL], epoch)
            self._training.log_row(self._rows[epoch])

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Records an evaluation after training; those while training goes on come with epochs."""
        if logs and not self._training.is_running:
            self._training.log_final(_TEST, logs)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Says that training is completed, with the result of the weights that it leaves."""
        del logs
        stop = self._early_stopping
        is_restored = stop and stop.restore_best_weights and stop.best_weights is not None
        best = self._rows.get(stop.best_epoch) if stop and is_restored else None
        self._training.end(best=[best] if best else [])


def _run_config(name: str, model: Any, params: Mapping[str, Any]) -> RunConfig:
    """The configuration; beside it what may change where training goes on.

    These are the number of epochs, and the learning rate, which schedules change.
    """
    optimizer = model.optimizer.get_config()
    # The name of an optimizer tells how many the process has made: its class says what it is.
    settings = settings_of(optimizer, without=frozenset({_RATE, "name"}))
    kind = type(model.optimizer).__name__
    told = {"optimizer": {"kind": kind, **settings}, "loss": model.loss}
    return RunConfig(
        name,
        model=ModelConfig(type(model).__name__),
        algorithm=Component("keras", settings_of(told)),
        extras=settings_of({_RATE: optimizer.get(_RATE), "epochs": params.get("epochs")}),
    )
