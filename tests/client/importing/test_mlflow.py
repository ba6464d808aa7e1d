"""Tests of imports of MLflow's file stores."""

import sqlite3
from contextlib import closing
from pathlib import Path

import podium
from podium.importing import FoundArm, import_results, read_results

from tests.client.importing.files import write_text
from tests.client.importing.reading import results

_RUN = "770cc011eb214ea997501cabcfe12f58"


def _store(folder: Path) -> Path:
    """Writes a store that has one experiment with one run. Returns the folder of the run."""
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
    write_text(run / "params" / "lr", "5E-1\n")
    write_text(run / "params" / "name", "None of it")
    return run


def test_a_run_is_an_arm_with_its_parameters(tmp_path: Path) -> None:
    """An arm's name has part of the run ID, since MLflow's names are not unique.

    Parameters that are numbers are imported as numbers.
    """
    _store(tmp_path)
    found = results(tmp_path)
    assert [experiment.name for experiment in found.experiments] == ["DQN"]
    arm = found.arms["qb-770cc011"]
    assert (arm.status, arm.run_id, arm.train_seconds) == ("completed", _RUN, 2.5)
    assert arm.run_config.algorithm == podium.Component("mlflow", {"lr": 0.5, "name": "None of it"})
    assert arm.run_config.extras["mlflow"]["user_id"] == "ana"


def test_metrics_are_training_or_evals_by_their_names(tmp_path: Path) -> None:
    """Metrics whose names begin with a word such as `eval` or `val` become rows.

    Others become series.
    """
    run = _store(tmp_path)
    write_text(run / "metrics" / "rollout" / "exploration rate", "1 0.9 1\n2 0.5 2\n3 0.7 2\n")
    write_text(run / "metrics" / "eval" / "reward", "1000 -3.5 1\n2000 -1.5 2\n")
    write_text(run / "metrics" / "val_loss", "1000 0.5 2\n")
    arm = results(tmp_path).arms["qb-770cc011"]
    assert arm.metrics == {"rollout/exploration rate": 0.7}
    [found] = [item for item in read_results(tmp_path) if isinstance(item, FoundArm)]
    key = "rollout/exploration rate"
    assert found.series == {key: podium.Series(key, [1, 2], [0.9, 0.7])}
    assert [(row.name, row.step, row.metrics) for row in arm.evals] == [
        ("eval", 1, {"reward": -3.5}),
        ("eval", 2, {"reward": -1.5}),
        ("val", 2, {"loss": 0.5}),
        ("eval", None, {"reward": -1.5}),
        ("val", None, {"loss": 0.5}),
    ]
    assert arm.evals[0].event_time is not None
    assert arm.evals[0].event_time.timestamp() == 1.0


def test_bad_lines_and_descriptions_are_reported(tmp_path: Path) -> None:
    """A bad line and a bad description are reported as problems.

    A deleted run is reported, but is not a problem.
    """
    run = _store(tmp_path)
    write_text(run / "metrics" / "loss", "1 0.5 0\nnonsense\n2 nan 1\n")
    write_text(tmp_path / "1" / "bad" / "meta.yaml", "run_id: [\n")
    write_text(tmp_path / "1" / "gone" / "meta.yaml", "run_id: x\nlifecycle_stage: deleted\n")
    found = results(tmp_path)
    loss = found.arms["qb-770cc011"].metrics["loss"]
    assert loss != loss  # noqa: PLR0124 - only NaN is not itself
    assert found.not_imported.keys() == {f"1/{_RUN}/metrics/loss:2", "1/bad/meta.yaml", "1/gone"}
    assert found.wrong == {f"1/{_RUN}/metrics/loss:2", "1/bad/meta.yaml"}


def test_a_failed_run_without_metrics_is_an_arm(tmp_path: Path) -> None:
    """A run without metrics is an arm. Its status may be a number or a word."""
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


def test_the_last_of_two_lines_with_one_step_and_time_counts(tmp_path: Path) -> None:
    """If a metric has two values at one step and time, the value in the last line counts.

    Quick programs log a metric twice within a millisecond.
    """
    run = _store(tmp_path)
    write_text(run / "metrics" / "mape", "1607702011870 0.25 0\n1607702011870 0.5 0\n")
    write_text(run / "metrics" / "wape", "1607702011870 3121.0 0\n1607702011870 2598.0 0\n")
    assert results(tmp_path).arms["qb-770cc011"].metrics == {"mape": 0.5, "wape": 2598.0}


def test_parameters_are_numbers_only_if_they_are_written_so(tmp_path: Path) -> None:
    """Parameters such as `1_000` and `007`, which Python would read as numbers, stay strings."""
    run = _store(tmp_path)
    given = {
        "int": "-3",
        "float": "1e-5",
        "half": ".5",
        "yes": "True",
        "none": "None",
        "version": "1_000",
        "agent": "007",
        "hex": "0x10",
        "huge": "9" * 30,
        "path": r"C:\data\new",
        "quoted": "'text'",
        "list": "[1, 2]",
        "empty": "",
    }
    for name, text in given.items():
        write_text(run / "params" / name, text)
    algorithm = results(tmp_path).arms["qb-770cc011"].run_config.algorithm
    assert algorithm is not None
    assert {name: algorithm.params[name] for name in given} == {
        **given,
        "int": -3,
        "float": 1e-5,
        "half": 0.5,
        "yes": True,
        "none": None,
    }


def test_deleted_experiments_are_reported(tmp_path: Path) -> None:
    """A deleted experiment is reported, and none of its runs is imported.

    Older servers leave it in its place. Newer ones move it to `.trash`.
    """
    run = _store(tmp_path)
    meta = run.parent / "meta.yaml"
    meta.write_text(meta.read_text().replace("active", "deleted"))
    assert results(tmp_path).not_imported == {"1": "experiment 'DQN' was deleted"}
    (tmp_path / ".trash").mkdir()
    run.parent.rename(tmp_path / ".trash" / "1")
    found = results(tmp_path)
    assert (found.arms, found.not_imported) == ({}, {".trash/1": "experiment 'DQN' was deleted"})


def test_each_run_is_a_place_of_its_own(client: podium.Client, tmp_path: Path) -> None:
    """The progress of an import counts each run of a store as one step.

    A bad run does not affect the others.
    """
    run = _store(tmp_path)
    for number in range(3):
        other = run.with_name(f"{number:032x}")
        write_text(other / "meta.yaml", f"run_id: {other.name}\nstatus: 3\n")
    write_text(run.with_name("f" * 32) / "meta.yaml", "")
    told: list[tuple[int, int]] = []
    report = import_results(
        client, tmp_path, on_progress=lambda done, total: told.append((done, total))
    )
    assert told == [(done, 6) for done in range(1, 7)]
    assert (report.recorded, [item.why for item in report.not_imported]) == (
        4,
        ["not a YAML mapping"],
    )


def test_cut_files_and_missing_descriptions_are_reported(tmp_path: Path) -> None:
    """A line or a description that is cut off is reported, and not imported."""
    run = _store(tmp_path)
    write_text(run / "metrics" / "loss", "1 3.5 1\n2 100")
    cut = run.with_name("a" * 32)
    write_text(cut / "meta.yaml", f"artifact_uri: x\nrun_id: {cut.name}\nsta")
    bare = write_text(run.with_name("b" * 32) / "params" / "lr", "1").parent.parent
    found = results(tmp_path / "1")
    assert found.arms["qb-770cc011"].metrics == {"loss": 3.5}
    assert set(found.arms) == {"qb-770cc011"}
    assert found.not_imported == {
        f"{run.name}/metrics/loss:2": "the line is incomplete: its writer was stopped",
        f"{cut.name}/meta.yaml": "not valid YAML: could not find expected ':' in line 4",
        bare.name: "the run lacks its description, meta.yaml",
    }
    write_text(cut / "meta.yaml", f"artifact_uri: x\nrun_id: {cut.name}\n")
    why = results(tmp_path / "1").not_imported[f"{cut.name}/meta.yaml"]
    assert why == "the description is incomplete: the status of the run is missing"


def test_links_do_not_reach_other_files(tmp_path: Path) -> None:
    """A parameter or metric that is a link to a file elsewhere is reported, and not read."""
    secret = write_text(tmp_path / "secret", "the key")
    run = _store(tmp_path / "store")
    (run / "params" / "key").symlink_to(secret)
    (run / "metrics").mkdir()
    (run / "metrics" / "loss").symlink_to(secret)
    found = results(tmp_path / "store")
    algorithm = found.arms["qb-770cc011"].run_config.algorithm
    assert algorithm == podium.Component("mlflow", {"lr": 0.5, "name": "None of it"})
    assert set(found.not_imported) == {
        f"1/{_RUN}/params/key",
        f"1/{_RUN}/metrics/loss",
    }


def test_yaml_with_aliases_is_rejected(tmp_path: Path) -> None:
    """YAML with aliases is rejected: a few hundred bytes could become billions of values."""
    run = _store(tmp_path)
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    write_text(run / "meta.yaml", "\n".join(["run_id: x", "a0: &a0 [lol]", *levels]))
    found = results(tmp_path)
    why = found.not_imported[f"1/{_RUN}/meta.yaml"]
    assert why == "YAML aliases (*name) are not supported"


def test_models_beside_the_runs_are_not_experiments(tmp_path: Path) -> None:
    """A model that MLflow 3 has logged is not imported, although it looks like an experiment."""
    model = _store(tmp_path).parent / "models" / "m-2b7d"
    write_text(model / "meta.yaml", "artifact_location: file:///m\nmodel_id: m-2b7d\nname: net\n")
    found = results(tmp_path)
    assert [experiment.name for experiment in found.experiments] == ["DQN"]
    assert (list(found.arms), found.not_imported) == (["qb-770cc011"], {})


def test_a_database_is_reported(tmp_path: Path) -> None:
    """An MLflow 3 database (a SQLite file) is reported, with the way to import its runs."""
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        for table in ("experiments", "runs", "latest_metrics", "params"):
            database.execute(f"CREATE TABLE {table} (x)")
    [why] = results(tmp_path).not_imported.values()
    assert "mlflow.search_runs().to_csv('runs.csv')" in why
