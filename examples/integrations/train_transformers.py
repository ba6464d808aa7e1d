"""Trains with Hugging Face's Trainer and records the results.

Give it a folder for its checkpoints. Start a server first: `podium serve`. If the script is killed
and run again, it continues from the last checkpoint.
"""

import sys
from pathlib import Path

import torch
from podium.integrations.transformers import PodiumCallback
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "checkpoints")
folder.mkdir(parents=True, exist_ok=True)

tokens = (torch.arange(64)[:, None] + torch.arange(8)) % 10  # each row counts up from another digit
rows = [{"input_ids": row, "labels": row} for row in tokens]

trainer = Trainer(
    GPT2LMHeadModel(GPT2Config(vocab_size=10, n_positions=8, n_embd=16, n_layer=1, n_head=2)),
    TrainingArguments(
        output_dir=str(folder),
        max_steps=40,
        logging_steps=5,
        eval_strategy="steps",
        eval_steps=5,
        save_steps=10,
        learning_rate=0.01,
        seed=7,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    ),
    train_dataset=rows[:48],
    eval_dataset=rows[48:],
    callbacks=[PodiumCallback("integrations/transformers", "counting", restart=True)],
)
trainer.train(resume_from_checkpoint=get_last_checkpoint(str(folder)))
