"""Trains with XGBoost in two processes, which exchange their results."""

import multiprocessing
import sys
from typing import Any

import numpy as np
import xgboost
from podium.integrations.xgboost import PodiumCallback
from xgboost import collective
from xgboost.tracker import RabitTracker


def _work(arguments: dict[str, Any]) -> None:
    with collective.CommunicatorContext(**arguments):
        data = xgboost.DMatrix(np.arange(20.0).reshape(10, 2), np.arange(10) > 4)
        callback = PodiumCallback("distributed", "xgboost")
        with callback:
            xgboost.train({}, data, 3, evals=[(data, "val")], callbacks=[callback])


if __name__ == "__main__":
    tracker = RabitTracker(n_workers=2, host_ip="127.0.0.1")
    tracker.start()
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=[tracker.worker_args()]) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    tracker.wait_for()
    sys.exit(sum(abs(worker.exitcode or 0) for worker in workers))
