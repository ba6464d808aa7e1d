"""Tests of the callback for transformers with the TRL trainers."""

import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import podium
from datasets import Dataset
from podium.integrations.transformers import PodiumCallback
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer

Ended = Callable[[str, str], podium.ArmResult]
Run = Callable[..., subprocess.CompletedProcess[str]]

_END = "<end>"


def test_the_example_killed_and_resumed(ended: Ended, run: Run, tmp_path: Path) -> None:
    """If the fine-tuning is killed at its third evaluation, a second run completes the arm.

    The arm has each row exactly once.
    """
    first = run("train_trl.py", str(tmp_path / "run"), kill_after=3)
    assert first.returncode == -9, first.stderr
    again = run("train_trl.py", str(tmp_path / "run"))
    assert again.returncode == 0, again.stderr
    arm = ended("integrations/trl", "counting")
    assert arm.status == "completed"
    assert [(row.name, row.step) for row in arm.evals] == [
        *(("eval", step) for step in (5, 10, 15, 20)),
        ("eval", None),
    ]
    assert arm.evals[-1].metrics == arm.evals[-2].metrics
    assert {"loss", "mean_token_accuracy", "entropy"} <= arm.evals[-1].metrics.keys()
    assert {"loss", "mean_token_accuracy", "train_loss"} <= arm.metrics.keys()
    config = arm.run_config
    assert config is not None
    assert config.algorithm is not None
    assert (config.seed, config.algorithm.kind) == (7, "sft")
    assert config.algorithm.params["max_length"] == 16


def test_preferences(ended: Ended, tmp_path: Path) -> None:
    """The callback records training with a DPO trainer. Rewards are metrics of the rows."""
    words = Tokenizer(WordLevel({"good": 0, "bad": 1, _END: 2}, unk_token=_END))
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=3, n_embd=4, n_layer=1, n_head=1, bos_token_id=2, eos_token_id=2)
    )
    pairs = {"prompt": ["bad"] * 8, "chosen": ["good"] * 8, "rejected": ["bad"] * 8}
    data = Dataset.from_dict(pairs)
    arguments = DPOConfig(
        output_dir=str(tmp_path / "liking"),
        max_steps=2,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="no",
        bf16=False,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    DPOTrainer(
        model,
        deepcopy(model),
        args=arguments,
        train_dataset=data,
        eval_dataset=data,
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=words, eos_token=_END, pad_token=_END
        ),
        callbacks=[PodiumCallback("preferences")],
    ).train()
    arm = ended("preferences", "liking")
    assert (arm.status, [row.step for row in arm.evals]) == ("completed", [1, 2, None])
    assert "rewards/accuracies" in arm.evals[-1].metrics
    assert arm.run_config is not None
    assert arm.run_config.algorithm is not None
    assert arm.run_config.algorithm.kind == "dpo"


def test_reinforcement(ended: Ended, tmp_path: Path) -> None:
    """The callback records training with a GRPO trainer.

    Rewards are training metrics, and also metrics of the rows.
    """
    words = Tokenizer(WordLevel({"good": 0, "bad": 1, _END: 2}, unk_token=_END))
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=3, n_embd=4, n_layer=1, n_head=1, bos_token_id=2, eos_token_id=2)
    )
    data = Dataset.from_dict({"prompt": ["bad"] * 8})
    arguments = GRPOConfig(
        output_dir=str(tmp_path / "rewarded"),
        max_steps=2,
        num_generations=2,
        per_device_train_batch_size=2,
        per_device_eval_batch_size=2,
        max_completion_length=3,
        eval_strategy="steps",
        eval_steps=2,
        logging_steps=1,
        save_strategy="no",
        bf16=False,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    GRPOTrainer(
        model,
        lambda completions, **_: [float("good" in each) for each in completions],
        args=arguments,
        train_dataset=data,
        eval_dataset=data,
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=words, eos_token=_END, pad_token=_END
        ),
        callbacks=[PodiumCallback("reinforcement")],
    ).train()
    arm = ended("reinforcement", "rewarded")
    assert (arm.status, [row.step for row in arm.evals]) == ("completed", [2, None])
    assert "reward" in arm.evals[-1].metrics
    assert {"reward", "completions/mean_length"} <= arm.metrics.keys()
    assert arm.run_config is not None
    assert arm.run_config.algorithm is not None
    assert arm.run_config.algorithm.kind == "grpo"
    assert arm.run_config.algorithm.params["num_generations"] == 2
