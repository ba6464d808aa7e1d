"""Trains four arms in processes, and cancels the worse half of them at two steps (rungs)."""

import math
from functools import partial
from multiprocessing import get_context

import podium

EXPERIMENT, STEPS, RUNGS, TIMEOUT = "successive_halving", 40, (10, 20), 600
RATES = {"rate1": 0.01, "rate2": 0.02, "rate4": 0.04, "rate8": 0.08}


def train(name: str, rate: float) -> None:
    """Trains an arm until its last step, or until it is cancelled at a rung."""
    experiment = podium.Client().experiment(EXPERIMENT)
    with experiment.start_arm(podium.RunConfig(name)) as arm, experiment.follow() as live:
        for step in range(1, STEPS + 1):
            arm.log_eval("val", {"accuracy": 1 - math.exp(-rate * step)}, step=step)
            decided = partial(is_decided, name=name, rung=step)
            if step in RUNGS and live.wait_until(decided, TIMEOUT) == "cancelled":
                arm.finish("cancelled")
                break


def is_decided(state: podium.LiveState, name: str, rung: int) -> str | None:
    """Returns the status of an arm, or None until the scheduler has decided about it at a rung."""
    arm = state.arm(name)
    return arm.status if arm.status == "cancelled" or arm.eval("go_on", step=rung) else None


def scores(state: podium.LiveState, names: list[str], rung: int) -> dict[str, float] | None:
    """Returns the score of each arm at a rung, or None while one is missing."""
    rows = [(name, state.arms[name].eval("val", step=rung)) for name in names if name in state.arms]
    found = {name: row.metrics["accuracy"] for name, row in rows if row}
    return found if len(found) == len(names) else None


def halve(experiment: podium.ExperimentHandle, names: list[str]) -> None:
    """Cancels the worse half of the arms at each rung, and lets the others continue."""
    with experiment.follow() as live:
        for rung in RUNGS:
            found = live.wait_until(partial(scores, names=names, rung=rung), TIMEOUT)
            ranked = sorted(found, key=found.__getitem__, reverse=True)
            names, stopped = ranked[: len(ranked) // 2], ranked[len(ranked) // 2 :]
            for name in stopped:
                experiment.arm(name).finish("cancelled")
            for name in names:
                experiment.arm(name).log_eval("go_on", {}, step=rung)


if __name__ == "__main__":
    experiment = podium.Client().experiment(EXPERIMENT)
    experiment.delete(allow_missing=True)  # this script may run again
    experiment.declare(success_metric="val.accuracy")
    with get_context("spawn").Pool(len(RATES)) as pool:
        trained = pool.starmap_async(train, RATES.items())
        halve(experiment, list(RATES))
        trained.get(TIMEOUT)
    print(experiment.rank(status=list(podium.ArmStatus)))
