"""Tests of the callback for Hugging Face's Trainer: rows, results, errors, and resumed runs."""

import math
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import podium
import pytest
import torch
from podium.integrations.transformers import PodiumCallback
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

Ended = Callable[[str, str], podium.ArmResult]
Run = Callable[..., subprocess.CompletedProcess[str]]

_TOKENS = (torch.arange(32)[:, None] + torch.arange(6)) % 7
_ROWS = [{"input_ids": row, "labels": row} for row in _TOKENS]
_SIZE = GPT2Config(vocab_size=7, n_positions=6, n_embd=8, n_layer=1, n_head=1)


def _trainer(
    folder: Path,
    *callbacks: TrainerCallback,
    kind: type[Trainer] = Trainer,
    eval_dataset: Any = _ROWS[24:],
    **arguments: Any,
) -> Trainer:
    set_seed(5)
    given: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": 6,
        "logging_steps": 2,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "no",
        "learning_rate": 0.01,
        "seed": 5,
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
    }
    return kind(
        GPT2LMHeadModel(_SIZE),
        TrainingArguments(**(given | arguments)),
        train_dataset=_ROWS[:24],
        eval_dataset=eval_dataset,
        callbacks=[*callbacks],
    )


def _wait(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 240
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return True


def _losses(log: list[dict[str, Any]]) -> list[float]:
    return [entry["eval_loss"] for entry in log if "eval_loss" in entry]


def test_evaluations_are_rows_and_the_last_is_the_result(ended: Ended, tmp_path: Path) -> None:
    """Rows and metrics equal the trainer's own log.

    The configuration has the trainer's arguments.
    """
    trainer = _trainer(tmp_path / "tiny", PodiumCallback("plain"))
    trainer.train()
    arm = ended("plain", "tiny")
    assert arm.status == "completed"
    assert [(row.name, row.step) for row in arm.evals] == [
        ("eval", 2),
        ("eval", 4),
        ("eval", 6),
        ("eval", None),
    ]
    assert [row.metrics["loss"] for row in arm.evals[:3]] == _losses(trainer.state.log_history)
    assert arm.evals[-1].metrics == arm.evals[-2].metrics
    assert arm.metrics["train_loss"] == trainer.state.log_history[-1]["train_loss"]
    assert arm.train_seconds == trainer.state.log_history[-1]["train_runtime"]
    config = arm.run_config
    assert config is not None
    assert config.algorithm is not None
    assert config.model is not None
    assert (config.seed, config.algorithm.kind) == (5, "hf_trainer")
    assert config.extras["max_steps"] == 6
    assert config.algorithm.params["learning_rate"] == 0.01
    assert config.model.name == "GPT2LMHeadModel"


class _Plain(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Embedding(7, width), torch.nn.Linear(width, 7))

    def forward(self, input_ids: Any, labels: Any) -> dict[str, Any]:
        logits = self.layers(input_ids)
        return {"loss": torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())}


def test_models_without_settings_differ_by_their_size(ended: Ended, tmp_path: Path) -> None:
    """A model without a configuration is recorded with the number of its parameters."""
    for width in (2, 4):
        trainer = _trainer(tmp_path, PodiumCallback("plain", f"{width}"), eval_strategy="no")
        trainer.model = _Plain(width)
        trainer.train()
        config = ended("plain", f"{width}").run_config
        assert config is not None
        assert config.algorithm is not None
        assert config.algorithm.params["parameters"] == 14 * width + 7


def test_the_best_model_is_the_result(ended: Ended, tmp_path: Path) -> None:
    """With load_best_model_at_end, the result is the row of the best step, not the last row."""
    trainer = _trainer(
        tmp_path / "best",
        PodiumCallback("best"),
        learning_rate=0.01,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
        greater_is_better=True,
        save_strategy="steps",
        save_steps=2,
    )
    trainer.train()
    losses = _losses(trainer.state.log_history)
    assert max(losses) == losses[0]
    final = ended("best", "best").evals[-1]
    assert (final.step, final.metrics["loss"]) == (None, losses[0])


def test_a_prediction_after_training_is_a_result(ended: Ended, tmp_path: Path) -> None:
    """A prediction after training is a row without a step."""
    callback = PodiumCallback("after", "arm")
    with callback:
        trainer = _trainer(tmp_path, callback, eval_strategy="no")
        trainer.train()
        told = trainer.predict(_ROWS[24:]).metrics  # type: ignore[arg-type, unused-ignore]
    arm = ended("after", "arm")
    row = arm.eval("test")
    assert row is not None
    assert told is not None
    assert (row.step, row.metrics["loss"], row.tags) == (None, told["test_loss"], ["test"])


def test_a_start_that_is_evaluated(ended: Ended, tmp_path: Path) -> None:
    """An evaluation before training has step 0. Steps count optimizer steps, not batches."""
    callback = PodiumCallback("start", "arm")
    sets = {"wiki/en": _ROWS[24:], "a^b": _ROWS[28:]}
    more: dict[str, Any] = {"eval_on_start": True, "gradient_accumulation_steps": 2, "max_steps": 2}
    _trainer(tmp_path, callback, eval_dataset=sets, **more).train()
    assert [(row.name, row.step) for row in ended("start", "arm").evals] == [
        ("wiki/en", 0),
        ("a^b", 0),
        ("wiki/en", 2),
        ("a^b", 2),
        ("wiki/en", None),
        ("a^b", None),
    ]


class _Diverging(Trainer):  # type: ignore[misc, unused-ignore]
    def compute_loss(self, *given: Any, **named: Any) -> Any:
        loss = super().compute_loss(*given, **named)
        return (loss[0] * math.nan, *loss[1:]) if isinstance(loss, tuple) else loss * math.nan


def test_a_loss_that_is_no_number(ended: Ended, tmp_path: Path) -> None:
    """A loss that is NaN is recorded as NaN, both in rows and in metrics."""
    callback = PodiumCallback("nan", "arm")
    arguments: dict[str, Any] = {"logging_nan_inf_filter": False, "max_steps": 2}
    _trainer(tmp_path, callback, kind=_Diverging, **arguments).train()
    arm = ended("nan", "arm")
    assert (arm.status, [row.step for row in arm.evals]) == ("completed", [2, None])
    assert math.isnan(arm.evals[-1].metrics["loss"])
    assert math.isnan(arm.metrics["loss"])


class _TooLarge(Trainer):  # type: ignore[misc, unused-ignore]
    def training_step(self, *given: Any, **named: Any) -> Any:
        if self._train_batch_size == 8 and self.state.global_step == 3:
            raise RuntimeError("CUDA out of memory.")
        return super().training_step(*given, **named)


def test_a_batch_that_is_too_large(ended: Ended, tmp_path: Path) -> None:
    """After a restart by auto_find_batch_size, an arm has the rows and settings of the last try."""
    callback = PodiumCallback("memory", "arm")
    trainer = _trainer(tmp_path, callback, kind=_TooLarge, auto_find_batch_size=True)
    trainer.train()
    arm = ended("memory", "arm")
    assert (arm.status, [row.step for row in arm.evals]) == ("completed", [2, 4, 6, None])
    assert arm.run_config is not None
    assert arm.run_config.algorithm is not None
    size = arm.run_config.algorithm.params["per_device_train_batch_size"]
    assert size == trainer.state.train_batch_size < 8
    assert arm.run_config.algorithm.params["model"]["n_embd"] == 8


def test_an_evaluation_without_training(ended: Ended, tmp_path: Path) -> None:
    """An evaluation before training is an arm of its own.

    The arm of a later `train` has the row of this evaluation at step 0.
    """
    with PodiumCallback("untrained", "arm") as callback:
        trainer = _trainer(tmp_path, callback, max_steps=2)
        loss = trainer.evaluate()["eval_loss"]
        tested = trainer.predict(_ROWS[:8]).metrics["test_loss"]
        arm = ended("untrained", "arm-evaluation")
        assert arm.status == "completed"
        trainer.train()
    arm = ended("untrained", "arm-evaluation")
    assert [(row.name, row.step) for row in arm.evals] == [("eval", None), ("test", None)]
    assert (arm.score("eval.loss"), arm.score("test.loss")) == (loss, tested)
    rows = ended("untrained", "arm").evals
    assert [(row.name, row.step) for row in rows[:3]] == [("eval", 0), ("test", 0), ("eval", 2)]
    assert rows[0].metrics["loss"] == loss


def test_a_search(ended: Ended, tmp_path: Path) -> None:
    """In a hyperparameter search with one callback, each trial is an arm with its own arguments."""
    trainer = _trainer(tmp_path, PodiumCallback("search", "arm"), max_steps=2)
    trainer.model_init = lambda: GPT2LMHeadModel(_SIZE)
    trainer.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": trial.suggest_categorical("rate", [0.5, 0.25])},
        hp_name=lambda trial: f"trial{trial.number}",
        n_trials=2,
        backend="optuna",
        sampler=optuna.samplers.BruteForceSampler(seed=1),
    )
    rates = set()
    for name in ("arm-trial0", "arm-trial1"):
        config = ended("search", name).run_config
        assert config is not None
        assert config.algorithm is not None
        rates.add(config.algorithm.params["learning_rate"])
    assert rates == {0.5, 0.25}


def test_a_trainer_that_trains_again(ended: Ended, tmp_path: Path) -> None:
    """If a trainer starts again at its first step, it begins another arm.

    If it resumes with more steps, it continues the last arm.
    """
    trainer = _trainer(
        tmp_path, PodiumCallback("again", "arm"), max_steps=2, save_strategy="steps", save_steps=2
    )
    trainer.train()
    trainer.train()
    trainer.args.max_steps = 4
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(tmp_path)))
    assert [row.step for row in ended("again", "arm").evals] == [2, None]
    assert _wait(lambda: [row.step for row in ended("again", "arm-2").evals] == [2, 4, None])


class _Break(TrainerCallback):  # type: ignore[misc, unused-ignore]
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        del args, control
        if state.global_step == 3:
            raise self._error


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no more"), "failed"), (KeyboardInterrupt(), "cancelled")]
)
def test_a_training_that_breaks_off(
    ended: Ended, tmp_path: Path, error: BaseException, status: str
) -> None:
    """After an error, the arm is failed. After an interruption, it is cancelled.

    In both cases, the arm gets no result.
    """
    with pytest.raises(type(error)), PodiumCallback("broken", status) as callback:
        _trainer(tmp_path, callback, _Break(error)).train()
    arm = ended("broken", status)
    assert arm.status == status
    assert [row.step for row in arm.evals] == [2]
    assert type(error).__name__ in (arm.error or "")


def test_the_example_killed_and_resumed(ended: Ended, run: Run, tmp_path: Path) -> None:
    """If the example is killed after its fifth evaluation, a second run completes the arm.

    The arm has each row exactly once.
    """
    first = run("train_transformers.py", str(tmp_path / "run"), kill_after=5)
    assert first.returncode == -9, first.stderr
    again = run("train_transformers.py", str(tmp_path / "run"))
    assert again.returncode == 0, again.stderr
    arm = ended("integrations/transformers", "counting")
    assert arm.status == "completed"
    assert [row.step for row in arm.evals] == [5, 10, 15, 20, 25, 30, 35, 40, None]
    assert arm.evals[-1].metrics == arm.evals[-2].metrics
