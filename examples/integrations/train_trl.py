"""Fine-tunes with TRL and records the results.

Give it a folder for its checkpoints. Start a server first: `podium serve`. If the script is killed
and run again, it continues from the last checkpoint.
"""

import sys
from pathlib import Path

from datasets import Dataset
from podium.integrations.transformers import PodiumCallback
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig, SFTTrainer

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "checkpoints")
folder.mkdir(parents=True, exist_ok=True)

# The tokenizer and the model are made here for digits, so nothing is downloaded.
END = "<end>"
words = Tokenizer(WordLevel({str(digit): digit for digit in range(10)} | {END: 10}, unk_token=END))
words.pre_tokenizer = Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token=END, pad_token=END)
size = {"vocab_size": 11, "n_positions": 16, "n_embd": 16, "n_layer": 1, "n_head": 2}
model = GPT2LMHeadModel(GPT2Config(**size, bos_token_id=10, eos_token_id=10))
counting = [" ".join(str((start + i) % 10) for i in range(8)) for start in range(64)]
data = Dataset.from_dict({"text": counting})

trainer = SFTTrainer(
    model,
    SFTConfig(
        output_dir=str(folder),
        max_steps=20,
        max_length=16,
        logging_steps=5,
        eval_strategy="steps",
        eval_steps=5,
        save_steps=10,
        learning_rate=0.01,
        seed=7,
        bf16=False,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    ),
    train_dataset=data.select(range(48)),
    eval_dataset=data.select(range(48, 64)),
    processing_class=tokenizer,
    callbacks=[PodiumCallback("integrations/trl", "counting", restart=True)],
)
trainer.train(resume_from_checkpoint=get_last_checkpoint(str(folder)))
