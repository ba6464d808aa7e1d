"""Trainings of Hugging Face's Trainer are recorded: rows, results, and how they go on."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

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

Ended = Callable[[str, str], podium.ArmResult]
Run = Callable[..., subprocess.CompletedProcess[str]]

_TOKENS = (torch.arange(32)[:, None] + torch.arange(6)) % 7
_ROWS = [{"input_ids": row, "labels": row} for row in _TOKENS]


def _trainer(folder: Path, *callbacks: TrainerCallback, **arguments: Any) -> Trainer:
    set_seed(5)
    config = GPT2Config(vocab_size=7, n_positions=6, n_embd=8, n_layer=1, n_head=1)
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
    return Trainer(
        GPT2LMHeadModel(config),
        TrainingArguments(**(given | arguments)),
        train_dataset=_ROWS[:24],
        eval_dataset=_ROWS[24:],
        callbacks=[*callbacks],
    )


def _losses(log: list[dict[str, Any]]) -> list[float]:
    return [entry["eval_loss"] for entry in log if "eval_loss" in entry]


def test_evaluations_are_rows_and_the_last_is_the_result(ended: Ended, tmp_path: Path) -> None:
    """Rows and metrics are what the trainer's own log says, the configuration its arguments."""
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
    assert config.algorithm.params["learning_rate"] == 0.01
    assert config.model.name == "GPT2LMHeadModel"


def test_the_best_model_is_the_result(ended: Ended, tmp_path: Path) -> None:
    """With load_best_model_at_end the row of the best step is the result, whatever came later."""
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


def test_what_is_evaluated_afterwards_is_a_result(ended: Ended, tmp_path: Path) -> None:
    """Predictions and evaluations after the training are post-training rows."""
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
    """An error makes the arm failed, an interruption cancelled; there is no result."""
    with pytest.raises(type(error)), PodiumCallback("broken", status) as callback:
        _trainer(tmp_path, callback, _Break(error)).train()
    arm = ended("broken", status)
    assert arm.status == status
    assert [row.step for row in arm.evals] == [2]
    assert type(error).__name__ in (arm.error or "")


def test_the_example_killed_and_resumed(ended: Ended, run: Run, tmp_path: Path) -> None:
    """Killed after its fifth evaluation, the example goes on after the checkpoint of step 20."""
    first = run("train_transformers.py", str(tmp_path / "run"), kill_after=5)
    assert first.returncode == -9, first.stderr
    again = run("train_transformers.py", str(tmp_path / "run"))
    assert again.returncode == 0, again.stderr
    arm = ended("integrations/transformers", "counting")
    assert arm.status == "completed"
    assert [row.step for row in arm.evals] == [5, 10, 15, 20, 25, 30, 35, 40, None]
    assert arm.evals[-1].metrics == arm.evals[-2].metrics
