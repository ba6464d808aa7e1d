"""File stores of MLflow."""

from pathlib import Path

import podium

from tests.importing.files import write_text
from tests.importing.reading import results

_RUN = "770cc011eb214ea997501cabcfe12f58"


def _store(folder: Path) -> Path:
    """An experiment with a run, and the place of the run."""
    write_text(
        folder / "1" / "meta.yaml",
        "artifact_location: file:///m/1\nexperiment_id: '1'\nlifecycle_stage: active\nname: DQN\n",
    )
    run = folder / "1" / _RUN
    write_text(
        run / "meta.yaml",
        f"artifact_uri: file:///m/1/a\nend_time: 3500\nlifecycle_stage: active\nname: ''\n"
        f"run_id: {_RUN}\nstart_time: 1000\nstatus: 3\nuser_id: ana\n",
    )
    write_text(run / "tags" / "mlflow.runName", "qb")
    write_text(run / "params" / "lr", "0.5")
    write_text(run / "params" / "name", "None of it")
    return run


def test_a_run_is_an_arm_with_its_parameters(tmp_path: Path) -> None:
    """The name has part of the id, since MLflow's names are not unique; numbers are numbers."""
    _store(tmp_path)
    found = results(tmp_path)
    assert [experiment.name for experiment in found.experiments] == ["DQN"]
    arm = found.arms["qb-770cc011"]
    assert (arm.status, arm.run_id, arm.train_seconds) == ("completed", _RUN, 2.5)
    assert arm.run_config.algorithm == podium.Component("mlflow", {"lr": 0.5, "name": "None of it"})
    assert arm.run_config.extras["mlflow"]["user_id"] == "ana"


def test_metrics_are_training_or_evals_by_their_names(tmp_path: Path) -> None:
    """The last value of a training metric; a row a step of what begins like an evaluation."""
    run = _store(tmp_path)
    write_text(run / "metrics" / "rollout" / "exploration rate", "1 0.9 1\n2 0.5 2\n3 0.7 2\n")
    write_text(run / "metrics" / "eval" / "reward", "1000 -3.5 1\n2000 -1.5 2\n")
    write_text(run / "metrics" / "val_loss", "1000 0.5 2\n")
    arm = results(tmp_path).arms["qb-770cc011"]
    assert arm.metrics == {"rollout/exploration rate": 0.7}
    assert [(row.name, row.step, row.metrics) for row in arm.evals] == [
        ("eval", 1, {"reward": -3.5}),
        ("eval", 2, {"reward": -1.5}),
        ("val", 2, {"loss": 0.5}),
        ("eval", None, {"reward": -1.5}),
        ("val", None, {"loss": 0.5}),
    ]
    assert arm.evals[0].event_time is not None
    assert arm.evals[0].event_time.timestamp() == 1.0


def test_what_is_wrong_or_deleted_is_told(tmp_path: Path) -> None:
    """A bad line and a bad description are named; what was deleted is left on purpose."""
    run = _store(tmp_path)
    write_text(run / "metrics" / "loss", "1 0.5 0\nnonsense\n2 nan 1\n")
    write_text(tmp_path / "1" / "bad" / "meta.yaml", "run_id: [\n")
    write_text(tmp_path / "1" / "gone" / "meta.yaml", "run_id: x\nlifecycle_stage: deleted\n")
    found = results(tmp_path)
    loss = found.arms["qb-770cc011"].metrics["loss"]
    assert loss != loss  # noqa: PLR0124 - only NaN is not itself
    assert found.left.keys() == {f"1/{_RUN}/metrics/loss:2", "1/bad/meta.yaml", "1/gone"}
    assert found.wrong == {f"1/{_RUN}/metrics/loss:2", "1/bad/meta.yaml"}


def test_a_failed_run_without_metrics_is_an_arm(tmp_path: Path) -> None:
    """Runs may lack any folder; a status may be a number or a word."""
    run = _store(tmp_path)
    text = (run / "meta.yaml").read_text()
    for status, expected in (("4", "failed"), ("KILLED", "cancelled"), ("RUNNING", "running")):
        (run / "meta.yaml").write_text(text.replace("status: 3", f"status: {status}"))
        assert results(tmp_path).arms["qb-770cc011"].status == expected


def test_an_experiment_or_run_alone_is_the_same_arm(tmp_path: Path) -> None:
    """Whatever part of a store is given, its arms have the same names."""
    run = _store(tmp_path)
    whole = results(tmp_path).arms
    assert results(tmp_path / "1").arms == whole
    assert results(run).arms == whole
