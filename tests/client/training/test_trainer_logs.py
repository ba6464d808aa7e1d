"""Tests of rows, metrics and configurations from the logs of Hugging Face's Trainer."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from podium.integrations._trainer_logs import (
    last_rows,
    logged_metrics,
    rows_of,
    run_config,
    training_metrics,
)
from podium.integrations._training import Row

_EVALUATED = {
    "eval_loss": 0.5,
    "eval_accuracy": 0.75,
    "eval_runtime": 2.0,
    "epoch": 1.0,
}


def test_an_evaluation_is_a_row() -> None:
    """The metrics of an evaluation become a row, without the prefix `eval_`.

    `eval_runtime` becomes the seconds of the row. Other values are training metrics.
    """
    row = Row("eval", {"loss": 0.5, "accuracy": 0.75}, 40, 2.0)
    assert rows_of(_EVALUATED, 40) == [row]
    assert training_metrics(_EVALUATED) == {"epoch": 1.0}


def test_each_set_has_a_name() -> None:
    """The name of an eval is that of its data set, or the prefix that the script gave."""
    first = {"eval_wiki_loss": 0.5, "eval_wiki_runtime": 1.0}
    assert rows_of(first, 3) == [Row("wiki", {"loss": 0.5}, 3, 1.0)]
    test = {"test_loss": 0.25, "test_runtime": 1.0, "epoch": 2.0}
    assert rows_of(test, 9) == [Row("test", {"loss": 0.25}, 9, 1.0)]
    assert training_metrics(test) == {"epoch": 2.0}


def test_a_metric_that_is_called_like_a_runtime() -> None:
    """A metric whose name ends in `_runtime` is a metric of the evaluated set, not another set."""
    entry = _EVALUATED | {"eval_tokenizer_runtime": 0.5}
    metrics = {"loss": 0.5, "accuracy": 0.75, "tokenizer_runtime": 0.5}
    assert rows_of(entry, 40) == [Row("eval", metrics, 40, 2.0)]


def test_numbers_of_other_libraries() -> None:
    """Any value that can be converted to a number counts as a number."""
    number = Decimal("0.5")
    assert training_metrics({"loss": number}) == {"loss": number}
    assert rows_of({"eval_loss": number}, 1) == [Row("eval", {"loss": number}, 1)]


def test_training_is_no_evaluation() -> None:
    """A log entry of training has no rows. Its numbers are training metrics."""
    said = {"loss": 0.1, "train_runtime": 3.0, "note": "x", "step": 7}
    assert rows_of(said, 7) == []
    assert training_metrics(said) == {"loss": 0.1, "train_runtime": 3.0}


def test_values_that_a_script_logs() -> None:
    """If a log entry has no runtime of an evaluation, its values are training metrics.

    This also holds for values whose names begin with `eval_`.
    """
    assert logged_metrics({"eval_mine": 0.5, "epoch": 1.0, "step": 3}) == {
        "eval_mine": 0.5,
        "epoch": 1.0,
    }
    assert logged_metrics(_EVALUATED) == {"epoch": 1.0}


def test_the_rows_of_the_best_step() -> None:
    """The rows of a step are found in the log, which a checkpoint keeps.

    Without a step, no rows are found.
    """
    log = [{"loss": 1.0, "step": 10}, _EVALUATED | {"step": 10}, {"eval_loss": 0.6, "step": 20}]
    assert last_rows(log, 10) == [Row("eval", {"loss": 0.5, "accuracy": 0.75}, 10, 2.0)]
    assert last_rows(log, None) == []


class _Settings:
    name_or_path = "tiny"

    def to_diff_dict(self) -> dict[str, object]:
        return {
            "n_layer": 4,
            "pad_token_id": 1,
            "transformers_version": "5",
            "_name_or_path": "tiny",
        }


class _Model:
    config = _Settings()


def test_the_configuration() -> None:
    """A configuration has the settings of training and of the model, without folders and tokens.

    Settings about saving, about data loading and about the number of steps are in `extras`.
    """
    arguments = {
        "learning_rate": 0.1,
        "seed": 7,
        "output_dir": "runs/a",
        "hub_token": "<HUB_TOKEN>",
        "lr_scheduler_kwargs": None,
        "max_steps": 5,
        "save_steps": 2,
        "dataloader_num_workers": 1,
    }
    config = run_config("a", "SFTConfig", arguments, _Model())
    assert config.algorithm is not None
    assert config.model is not None
    assert (config.name, config.seed, config.model.name) == ("a", 7, "tiny")
    assert (config.algorithm.kind, config.algorithm.params) == (
        "sft",
        {"learning_rate": 0.1, "model": {"n_layer": 4}},
    )
    assert config.extras == {"max_steps": 5, "save_steps": 2, "dataloader_num_workers": 1}
    assert "parameters" not in config.algorithm.params
    plain = run_config("a", "TrainingArguments", arguments, None).algorithm
    assert plain is not None
    assert plain.kind == "hf_trainer"


class _Adapter:
    def to_dict(self) -> dict[str, object]:
        return {"r": 8, "inference_mode": True, "none": None}


class _Adapted(_Model):
    def __init__(self) -> None:
        self.peft_config = {"default": _Adapter(), "other": object()}


class _Layers:
    """A PyTorch model without a Transformers configuration."""

    def parameters(self) -> list[Any]:
        """Returns two layers."""
        return [SimpleNamespace(numel=lambda: 6), SimpleNamespace(numel=lambda: 2)]


def test_the_settings_of_a_model() -> None:
    """The settings of a model are recorded without those that saving and loading change.

    For a model without a configuration, the number of its parameters is recorded.
    """
    models: list[Any] = [_Adapted(), _Layers(), None]
    found = [run_config("a", "SFTConfig", {}, model).algorithm for model in models]
    assert [component and component.params for component in found] == [
        {"model": {"n_layer": 4}, "adapters": {"default": {"r": 8}}},
        {"parameters": 8},
        {},
    ]


def test_arguments_that_are_not_recorded() -> None:
    """Arguments about output, the machine or a secret are not part of a run's configuration."""
    private = ("hub_model_id", "_n_gpu", "push_to_hub_token", "run_name", "report_to", "data_seed")
    config = run_config("a", "SFTConfig", dict.fromkeys(private, 1) | {"lr": 2}, None)
    assert config.algorithm is not None
    assert (config.algorithm.params, config.extras) == ({"lr": 2}, {})


def test_an_evaluation_takes_no_negative_time() -> None:
    """A negative `eval_runtime`, as after the clock was set back, is recorded as 0 seconds."""
    assert rows_of({"eval_loss": 0.5, "eval_runtime": -1.0}, 1) == [Row("eval", {"loss": 0.5}, 1)]
