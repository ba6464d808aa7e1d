"""Trains with XGBoost and records each round.

Give it a folder for its models. Start a server first: `podium serve`. If the script is killed and
run again, it continues from the last saved model.
"""

import sys
from pathlib import Path

import numpy as np
import xgboost
from podium.integrations.xgboost import PodiumCallback

ROUNDS = 40
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "models")
folder.mkdir(parents=True, exist_ok=True)

random = np.random.default_rng(0)
rows = random.normal(size=(600, 5))
labels = rows[:, 0] * rows[:, 1] > 0
train = xgboost.DMatrix(rows[:400], labels[:400])
val = xgboost.DMatrix(rows[400:], labels[400:])

saved = sorted(folder.glob("model_*.json"), key=lambda path: int(path.stem.partition("_")[2]))
before = xgboost.Booster(model_file=saved[-1]) if saved else None
done = before.num_boosted_rounds() if before else 0


class Keep(xgboost.callback.TrainingCallback):  # type: ignore[misc, unused-ignore]
    """Saves the model every ten rounds."""

    def after_iteration(self, model: xgboost.Booster, epoch: int, evals_log: object) -> bool:
        """Saves the model under the number of its rounds."""
        del epoch, evals_log
        if model.num_boosted_rounds() % 10 == 0:
            model.save_model(folder / f"model_{model.num_boosted_rounds()}.json")
        return False


with PodiumCallback("integrations/xgboost", "depth3", restart=True) as callback:
    xgboost.train(
        {"max_depth": 3, "eta": 0.3, "objective": "binary:logistic", "seed": 7},
        train,
        ROUNDS - done,
        evals=[(train, "train"), (val, "val")],
        xgb_model=before,
        callbacks=[callback, Keep()],
        verbose_eval=10,
    )
