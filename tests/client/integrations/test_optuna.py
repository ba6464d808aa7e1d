"""Tests of the callback for Optuna, which records each trial of a study as an arm."""

import logging
from collections.abc import Callable
from pathlib import Path

import optuna
import podium
import pytest
from podium.importing import import_results
from podium.integrations.optuna import PodiumCallback
from podium_server.testing import RunningServer

Ended = Callable[[str, str], podium.ArmResult]


def _objective(trial: optuna.Trial) -> float:
    x: float = trial.suggest_float("x", -1, 1)
    trial.set_user_attr("parameters", 10)
    for step in range(3):
        trial.report(x + step, step)
        if trial.number == 1 and step == 1:
            raise optuna.TrialPruned
    if trial.number == 2:
        raise ValueError
    return x


def test_a_study(ended: Ended, server: RunningServer, tmp_path: Path) -> None:
    """Completed, pruned and failed trials are recorded with their status.

    A later import of the storage changes nothing.
    """
    study = optuna.create_study(
        study_name="tuning", storage=f"sqlite:///{tmp_path / 'study.db'}", direction="maximize"
    )
    study.optimize(_objective, 3, catch=ValueError, callbacks=[PodiumCallback()])
    arms = [ended("tuning", f"trial-{number}") for number in range(3)]
    assert [arm.status for arm in arms] == ["completed", "cancelled", "failed"]
    assert [[row.step for row in arm.evals] for arm in arms] == [
        [0, 1, 2, None],
        [0, 1],
        [0, 1, 2],
    ]
    assert arms[0].score("objective.value") == study.best_value
    assert arms[0].metrics == {"parameters": 10}
    assert arms[1].error == "pruned at step 1"
    assert arms[0].run_config is not None
    assert arms[0].run_config.algorithm is not None
    assert arms[0].run_config.algorithm.params == study.best_params
    with podium.Client(server.address) as client:
        found = client.experiment("tuning").get()
        assert (found.success_metric, found.direction) == ("objective.value", "maximize")
        report = import_results(client, tmp_path / "study.db")
    assert (report.recorded, report.unchanged, report.not_imported) == (0, 3, [])


def test_several_objectives(ended: Ended, server: RunningServer) -> None:
    """Each objective is a metric with its own direction. Threads can share one callback."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.set_metric_names(["accuracy", "cost"])
    callback = PodiumCallback("two")
    study.optimize(lambda trial: (trial.number, -trial.number), 6, n_jobs=2, callbacks=[callback])
    for number in range(6):
        arm = ended("two", f"trial-{number}")
        assert arm.score("objective.cost") == -number
    with podium.Client(server.address) as client:
        ranking = client.experiment("two").rank(metric="objective.cost")
    assert [arm.arm for arm in ranking.arms] == [f"trial-{number}" for number in range(5, -1, -1)]


def test_an_error_does_not_stop_the_study(
    server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    """If the recorder raises an error, the trial is not recorded, but the study continues."""
    assert server
    study = optuna.create_study()
    with caplog.at_level(logging.ERROR, "podium"):
        broken = PodiumCallback(object())  # type: ignore[arg-type]
        study.optimize(lambda trial: trial.number, 2, callbacks=[broken])
    assert len(study.trials) == 2
    assert "trial 1 is not recorded" in caplog.text
