"""Converts the logs of Hugging Face's Trainer to rows and training metrics."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from podium._model.config import Component, ModelConfig, RunConfig
from podium.integrations._settings import parameter_count, plain, seed_of, settings_of
from podium.integrations._training import Row

__all__ = ["last_rows", "logged_metrics", "rows_of", "run_config", "training_metrics"]

_EVAL = "eval"
_RUNTIME = "_runtime"
_TRAIN = "train"
_NO_METRICS = frozenset({"step"})
_TRAINERS = frozenset({"TrainingArguments", "Seq2SeqTrainingArguments"})
_MACHINE = frozenset(
    {
        "output_dir",
        "logging_dir",
        "run_name",
        "local_rank",
        "resume_from_checkpoint",
        "overwrite_output_dir",
        "seed",
        "data_seed",
        "report_to",
        "disable_tqdm",
        "log_level",
        "log_level_replica",
        "log_on_each_node",
        "push_to_hub",
        "project",
        "trackio_space_id",
    }
)
"""Arguments that may differ between attempts at an arm, or between seeds. They are not recorded."""
_OF_A_LOAD = frozenset(
    {
        "_name_or_path",
        "architectures",
        "dtype",
        "inference_mode",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)
"""Settings of a model that change when it is saved and loaded. They are not recorded."""
_LENGTH = frozenset({"num_train_epochs", "max_steps"})
_PROGRESS_PREFIXES = ("dataloader_", "ddp_", "eval_", "logging_", "save_")
"""Arguments that may change when a training run continues. They are recorded as extras."""


def rows_of(entry: Mapping[str, Any], step: int) -> list[Row]:
    """Returns the rows of a log entry: one for each data set, from names like `eval_NAME_loss`."""
    return [_row(entry, step, prefix) for prefix in _prefixes(tuple(entry))]


def training_metrics(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the training metrics of a log entry."""
    return _numbers(entry, (_EVAL, *_prefixes(tuple(entry))))


def logged_metrics(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the training metrics among the values that a running trainer logs.

    If no value is the runtime of an evaluation, the script itself has logged the values. Then all
    of them are training metrics, because no evaluation has recorded them.
    """
    is_evaluation = any(key.endswith(_RUNTIME) for key in entry)
    return training_metrics(entry) if is_evaluation else _numbers(entry, ())


def _numbers(entry: Mapping[str, Any], without: Iterable[str]) -> dict[str, Any]:
    evaluated = tuple(f"{prefix}_" for prefix in without)
    return {
        key: value
        for key, value in entry.items()
        if not key.startswith(evaluated) and key not in _NO_METRICS and hasattr(value, "__float__")
    }


def last_rows(log: Iterable[Mapping[str, Any]], step: int | None) -> list[Row]:
    """Returns the eval rows of a step from a trainer's log, or no rows if the step is None."""
    if step is None:
        return []
    return [row for entry in log if entry.get("step") == step for row in rows_of(entry, step)]


def run_config(name: str, kind: str, arguments: Mapping[str, Any], model: Any) -> RunConfig:
    """Returns the configuration of an arm.

    `kind` is the name of the class of the arguments, such as `SFTConfig`.
    """
    facts = {
        key: value
        for key, value in settings_of(arguments, without=_MACHINE).items()
        if not key.endswith("_token") and not key.startswith(("hub_", "_"))
    }
    course = {key: facts.pop(key) for key in list(facts) if _may_change_on_resume(key)}
    algorithm = "hf_trainer" if kind in _TRAINERS else kind.removesuffix("Config").lower()
    return RunConfig(
        name,
        model=ModelConfig(_model_name(model)),
        algorithm=Component(algorithm, facts | _model_settings(model)),
        seed=seed_of(arguments.get("seed")),
        extras=course,
    )


def _model_name(model: Any) -> str:
    """Returns the name under which a model was loaded, or the name of its class."""
    name = getattr(getattr(model, "config", None), "name_or_path", None)
    return str(name or type(model).__name__)


def _model_settings(model: Any) -> dict[str, Any]:
    """Returns the model's settings that differ from the defaults, and those of its adapters.

    For a model without settings, returns the number of its parameters.
    """
    config: Any = getattr(model, "config", None)
    adapters = getattr(model, "peft_config", None) or {}
    found: dict[str, Any] = {
        "model": _same_each_time(config.to_diff_dict()) if hasattr(config, "to_diff_dict") else {},
        "adapters": {
            name: _same_each_time(adapter.to_dict())
            for name, adapter in dict(adapters).items()
            if hasattr(adapter, "to_dict")
        },
    }
    if not hasattr(config, "to_diff_dict"):
        found["parameters"] = parameter_count(model)
    return {key: settings for key, settings in found.items() if settings}


def _same_each_time(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _same_each_time(value) if isinstance(value, dict) else plain(value)
        for key, value in settings.items()
        if value is not None and key not in _OF_A_LOAD and not key.endswith("token_id")
    }


def _may_change_on_resume(key: str) -> bool:
    return key in _LENGTH or key.startswith(_PROGRESS_PREFIXES)


# A trainer logs the same keys at each step.
@lru_cache(maxsize=100)
def _prefixes(keys: tuple[str, ...]) -> list[str]:
    """Returns the prefixes of evaluations, such as `eval`. Each has a key `PREFIX_runtime`."""
    timed = [key.removesuffix(_RUNTIME) for key in keys if key.endswith(_RUNTIME)]
    found = [prefix for prefix in timed if prefix != _TRAIN and not _is_metric(prefix, timed)]
    return found or ([_EVAL] if any(key.startswith(f"{_EVAL}_") for key in keys) else [])


def _is_metric(prefix: str, timed: list[str]) -> bool:
    """Returns whether `PREFIX_runtime` is a metric of another evaluation.

    For example, if `eval` is an evaluation, `eval_x_runtime` is its metric `x_runtime`.
    """
    return any(prefix.startswith(f"{other}_") for other in timed)


def _row(entry: Mapping[str, Any], step: int, prefix: str) -> Row:
    metrics = dict(_metrics(entry, f"{prefix}_"))
    seconds = metrics.pop("runtime", 0.0)
    return Row(prefix.removeprefix(f"{_EVAL}_"), metrics, step, max(seconds, 0.0))


def _metrics(entry: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for key, value in entry.items():
        if key.startswith(prefix) and hasattr(value, "__float__"):
            yield key.removeprefix(prefix), value
