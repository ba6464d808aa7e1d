"""Trains with Keras and records the results.

Give it a folder for its models. Start a server first: `podium serve`. If the script is killed and
run again, it continues from the last saved model.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from podium.integrations.keras import PodiumCallback

EPOCHS = 8
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "models")
folder.mkdir(parents=True, exist_ok=True)

keras.utils.set_random_seed(7)
points = np.random.default_rng(0).normal(size=(96, 3))
sums = points.sum(1)

saved = sorted(folder.glob("*.keras"), key=lambda path: int(path.stem))
if saved:
    model = keras.saving.load_model(saved[-1])
else:
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")

with PodiumCallback("integrations/keras", "line", restart=True) as callback:
    model.fit(
        points[:64],
        sums[:64],
        validation_data=(points[64:], sums[64:]),
        initial_epoch=int(saved[-1].stem) if saved else 0,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[callback, keras.callbacks.ModelCheckpoint(str(folder / "{epoch}.keras"))],
    )
