"""Tests of the callback for Ray Tune, which records each trial of a search as an arm.

Most tests call it with Ray's own trials, as Ray's controller does. One starts a local cluster.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import podium
import pytest
from podium.integrations.ray_tune import PodiumCallback
from ray.tune.callback import CallbackList
from ray.tune.experiment import Trial

_CLUSTER = Path(__file__).with_name("ray_cluster.py")
_NOT_STARTED = 3

Ended = Callable[[str, str], podium.ArmResult]


def _reported(trial: Trial, step: int, **values: Any) -> dict[str, Any]:
    result = {"training_iteration": step, "time_total_s": 0.5 * step, "pid": 1, **values}
    trial.update_last_result(result)
    return result


def test_trials(ended: Ended) -> None:
    """Each report of a trial is a row at its iteration.

    The last report of a completed trial is its result.
    """
    callbacks = CallbackList([PodiumCallback("tuned", group_name="grid")])
    good, bad = (Trial("train", config={"x": x, "seed": 5}, stub=True) for x in (1, 2))
    for trial in (good, bad):
        callbacks.on_trial_start(iteration=0, trials=[good, bad], trial=trial)
    for step in (1, 2):
        for trial in (good, bad):
            result = _reported(trial, step, score=step, part={"loss": 0.25}, note="text", done=True)
            callbacks.on_trial_result(iteration=1, trials=[], trial=trial, result=result)
    callbacks.on_trial_complete(iteration=2, trials=[good, bad], trial=good)
    callbacks.on_trial_error(iteration=2, trials=[good, bad], trial=bad)
    callbacks.on_experiment_end(trials=[good, bad])
    arm, failed = ended("tuned", str(good)), ended("tuned", str(bad))
    assert [(row.step, row.metrics) for row in arm.evals] == [
        (1, {"score": 1, "part.loss": 0.25}),
        (2, {"score": 2, "part.loss": 0.25}),
        (None, {"score": 2, "part.loss": 0.25}),
    ]
    assert (arm.status, arm.group_name, arm.train_seconds) == ("completed", "grid", 1.0)
    assert arm.run_config is not None
    assert arm.run_config.algorithm is not None
    assert (arm.run_config.seed, arm.run_config.algorithm.params) == (5, {"x": 1})
    assert (failed.status, failed.error) == ("failed", "the trial failed")
    assert [row.step for row in failed.evals] == [1, 2]


def test_a_search_that_is_restored(ended: Ended) -> None:
    """A restored callback continues the arm of a trial. A trial that did not end is cancelled."""
    trial = Trial("train", config={"x": 1}, stub=True)
    first = PodiumCallback("stopped")
    first.on_trial_start(0, [], trial)
    for step in (3, 4):
        first.on_trial_result(1, [], trial, _reported(trial, step, score=1.0))
    callback = pickle.loads(pickle.dumps(first))  # noqa: S301
    callback.on_trial_start(2, [], trial)
    callback.on_trial_result(2, [], trial, _reported(trial, 5, score=2.0))
    callback.on_experiment_end([trial])
    arm = ended("stopped", str(trial))
    assert (arm.status, arm.error) == ("cancelled", "the search ended before the trial did")
    assert [row.step for row in arm.evals] == [3, 4, 5]


def test_a_result_before_the_start(ended: Ended) -> None:
    """A report of a trial begins the arm if the start of the trial was not reported before."""
    trial = Trial("train", config={}, stub=True)
    callback = PodiumCallback("unordered")
    callback.on_trial_result(1, [], trial, _reported(trial, 1, score=1.0))
    callback.on_trial_complete(1, [], trial)
    callback.on_trial_start(2, [], trial)  # too late, so it has no effect
    callback.on_trial_complete(2, [], trial)
    arm = ended("unordered", str(trial))
    assert (arm.status, [row.step for row in arm.evals]) == ("completed", [1, None])


def test_a_cluster(ended: Ended, run: Callable[..., Any], tmp_path: Path) -> None:
    """In a real search, each arm has the reports and the status of its trial.

    The arm of a failed trial has the error.
    """
    done = run(_CLUSTER, str(tmp_path / "ray"))
    if done.returncode == _NOT_STARTED:
        pytest.skip("Ray did not start within its own time limits, because the machine is busy")
    assert done.returncode == 0, done.stderr
    arms = [ended("cluster", f"x{x}") for x in (1, 2, 3)]
    assert [arm.status for arm in arms] == ["completed", "completed", "failed"]
    assert [[(row.step, row.metrics["score"]) for row in arm.evals] for arm in arms] == [
        [(1, 1), (2, 2), (None, 2)],
        [(1, 2), (2, 4), (None, 4)],
        [(1, 3), (2, 6)],
    ]
    assert "RuntimeError: no memory" in (arms[2].error or "")
