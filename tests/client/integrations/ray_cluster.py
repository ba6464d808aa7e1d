"""Runs a search with Ray Tune in a local cluster. One of its three trials fails.

Exits with 3 if Ray does not start: on a busy machine, Ray may exceed its own time limits.
"""

import os
import sys
from typing import Any

os.environ.setdefault("RAY_agent_register_timeout_ms", "180000")  # Ray reads it when it starts

import ray
from podium.integrations.ray_tune import PodiumCallback
from ray import tune

_NOT_STARTED = 3


def _train(config: dict[str, Any]) -> None:
    for step in (1, 2):
        tune.report({"score": config["x"] * step})
    if config["x"] == 3:
        raise RuntimeError("no memory")


try:
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
except Exception:  # noqa: BLE001 - Ray has no class for this error
    sys.exit(_NOT_STARTED)
tune.Tuner(
    _train,
    param_space={"x": tune.grid_search([1, 2, 3])},
    tune_config=tune.TuneConfig(trial_name_creator=lambda trial: f"x{trial.config['x']}"),
    run_config=tune.RunConfig(
        storage_path=sys.argv[1], callbacks=[PodiumCallback("cluster")], verbose=0
    ),
).fit()
