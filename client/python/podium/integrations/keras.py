"""Records Keras training runs.

with PodiumCallback("rank_sweep", "width32") as callback:
    model.fit(x, y, validation_data=(x_val, y_val), epochs=5, callbacks=[callback])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from podium._model.config import Component, ModelConfig, RunConfig
from podium.integrations._callers import caller_variables
from podium.integrations._missing import missing
from podium.integrations._prefixed import by_set
from podium.integrations._settings import seed_of, settings_of
from podium.integrations._training import CallbackBase, Row, Training

try:
    from keras.callbacks import Callback, EarlyStopping
    from numpy import float32
except ImportError as error:
    raise missing("keras", "keras", error) from error

if TYPE_CHECKING:
    from typing import Unpack

    from podium._interface.recorders import ExperimentRecorder
    from podium.integrations._training import ArmOptions

__all__ = ["PodiumCallback"]

_RATE = "learning_rate"
_ITERATOR = "epoch_iterator"
_CALLBACKS = "callbacks"
_NO_SETTINGS = frozenset({"name", "dtype"})
_MAX_LAYERS = 200
_VAL = "val"
_TEST = "test"


class PodiumCallback(CallbackBase[Training], Callback):  # type: ignore[misc, unused-ignore]
    """Records a training run: a row of the eval `val` for each epoch, and the training metrics.

    Epochs count from 0, as in all callbacks of Keras. A run with `initial_epoch=k` continues after
    epoch k - 1. `model.evaluate` after training records the post-training row `test`.

    Use it as a context manager to record at once that the run failed or was cancelled. Otherwise,
    this is recorded when the next training run begins, or at the end of the process.

    Args:
        experiment: The name of the experiment, or the recorder that `podium.record` returned.
        name: The name of the arm.
        run_config: The configuration of the arm. By default, it is made from the compiled model.
        early_stopping: Your EarlyStopping callback, if it restores the best weights. The row of the
            best epoch is then the post-training row. By default, it is found among the callbacks
            of `fit`.
        options: The same options as `start_arm`: group_id, group_name, run_id, attempt_id, order,
            restart.
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
        self._asked: RunConfig | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Reads the configuration, before schedules change it. `on_epoch_begin` begins the arm."""
        del logs
        self._is_fitting = False
        self._asked = self._run_config or _run_config(self._name, self.model, self.params)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Begins the arm with the first epoch."""
        del logs
        if not self._is_fitting:
            self._is_fitting = True
            self._rows = {}
            config = self._asked or self._run_config or RunConfig(self._name)
            step = epoch - 1 if epoch else None
            self._training.begin(config, resume_step=step, trainer="keras")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Records the metrics of an epoch."""
        sets = by_set(logs or {})
        self._training.log(sets.get("", {}), epoch)
        if _VAL in sets:
            self._rows[epoch] = Row(_VAL, sets[_VAL], epoch)
            self._training.log_row(self._rows[epoch])

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Records an evaluation that is not part of training; `on_epoch_end` records the others."""
        if not logs or self._training.is_running:
            return
        if self._training.arm is None:
            config = self._run_config or _run_config(self._name, self.model, self.params)
            self._training.begin_evaluation(config)
        self._training.log_final(_TEST, logs)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Records that the run is completed.

        The post-training row is that of the last epoch. If `early_stopping` has restored the best
        weights, it is that of the best epoch.
        """
        del logs
        stop = self._early_stopping or _early_stopping()
        is_restored = stop and stop.restore_best_weights and stop.best_weights is not None
        best = self._rows.get(stop.best_epoch) if stop and is_restored else None
        self._training.end(best=[best] if best else [])


def _early_stopping() -> EarlyStopping | None:
    """Returns the first callback of the running `fit` that restores the best weights."""
    callbacks = caller_variables("keras.src.backend", _CALLBACKS).get(_CALLBACKS)
    found = getattr(callbacks, _CALLBACKS, [])
    stops = (each for each in found if isinstance(each, EarlyStopping))
    return next((each for each in stops if each.restore_best_weights), None)


def _run_config(name: str, model: Any, params: Mapping[str, Any]) -> RunConfig:
    """Returns the configuration of an arm.

    `extras` has the values that may change when a run continues.
    """
    optimizer = model.optimizer.get_config() if model.optimizer is not None else {}
    # The name of an optimizer contains a count of the optimizers in the process, so its class is
    # used.
    settings = settings_of(optimizer, without=frozenset({_RATE, "name"}))
    kind = type(model.optimizer).__name__
    iterator = caller_variables("keras.src.backend", _ITERATOR).get(_ITERATOR)
    facts = {
        "optimizer": {"kind": kind, **settings},
        "loss": model.loss,
        "layers": _layers(model),
        "batch_size": getattr(getattr(iterator, "data_adapter", None), "batch_size", None),
    }
    rate = _shortest(optimizer.get(_RATE))
    return RunConfig(
        name,
        model=ModelConfig(type(model).__name__),
        algorithm=Component("keras", settings_of(facts)),
        seed=_seed(),
        extras=settings_of({_RATE: rate, "epochs": params.get("epochs")}),
    )


def _seed() -> int | None:
    """Returns the seed of `keras.utils.set_random_seed`, which no public function returns."""
    try:
        from keras.src.utils.rng_utils import get_random_seed  # noqa: PLC0415
    except ImportError:
        return None
    return seed_of(get_random_seed())


def _layers(model: Any) -> list[dict[str, Any]]:
    """Returns the kind and arguments of each layer.

    Leaves out the names of layers, because they contain running numbers.
    """
    found = []
    for layer in getattr(model, "layers", [])[:_MAX_LAYERS]:
        kind = {"kind": type(layer).__name__}
        if getattr(layer, "layers", None):
            found.append({**kind, "layers": _layers(layer)})
            continue
        try:
            settings = layer.get_config()
        except NotImplementedError:
            settings = {}
        found.append({**kind, **settings_of(_simple(settings), without=_NO_SETTINGS)})
    return found


def _simple(given: Any) -> Any:
    """Returns plain arguments. An object becomes the name of its class and its arguments."""
    if not isinstance(given, Mapping):
        return given
    if "class_name" not in given:
        return {key: _simple(item) for key, item in given.items()}
    settings = settings_of(_simple(given.get("config")) or {}, without=_NO_SETTINGS)
    return {given["class_name"]: settings} if settings else given["class_name"]


def _shortest(rate: Any) -> Any:
    """Returns the shortest decimal number with the same 32-bit value: 0.45 for 0.44999998807907."""
    if not isinstance(rate, float):
        return rate
    digits = (float(f"{rate:.{number}g}") for number in range(1, 10))
    return next((short for short in digits if float32(short) == float32(rate)), rate)
