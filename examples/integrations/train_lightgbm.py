"""Trains with LightGBM and records each round.

Give it a folder for its models. Start a server first: `podium serve`. If the script is killed and
run again, it continues from the last saved model.
"""

import sys
from pathlib import Path

import lightgbm
import numpy as np
from podium.integrations.lightgbm import PodiumCallback

ROUNDS = 40
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "models")
folder.mkdir(parents=True, exist_ok=True)

random = np.random.default_rng(0)
rows = random.normal(size=(600, 5))
labels = rows[:, 0] * rows[:, 1] > 0
train = lightgbm.Dataset(rows[:400], labels[:400], free_raw_data=False)
val = lightgbm.Dataset(rows[400:], labels[400:], train, free_raw_data=False)

saved = sorted(folder.glob("model_*.txt"), key=lambda path: int(path.stem.partition("_")[2]))
before = lightgbm.Booster(model_file=saved[-1]) if saved else None
done = before.current_iteration() if before else 0


def keep(env: lightgbm.callback.CallbackEnv) -> None:
    """Saves the model every ten rounds."""
    if (env.iteration + 1) % 10 == 0:
        env.model.save_model(folder / f"model_{env.iteration + 1}.txt")


with PodiumCallback("integrations/lightgbm", "leaves7", restart=True) as callback:
    lightgbm.train(
        {"num_leaves": 7, "objective": "binary", "seed": 7, "verbosity": -1},
        train,
        ROUNDS - done,
        valid_sets=[train, val],
        valid_names=["train", "val"],
        init_model=before,
        callbacks=[callback, keep],
    )
