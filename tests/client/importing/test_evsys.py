"""Tests of imports from the three kinds of folders that the evsys SDK writes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import podium
from podium.comparing import configs_differ
from podium.importing import Found, FoundArm, FoundExperiment, NotImported, read_results

from tests.client.importing.files import write_json, write_lines, write_text

_EXPERIMENT = "7d975dd4-5868-4d4f-a089-a1a4f779dc8c"


def _read(path: Path) -> list[Found]:
    return list(read_results(path))


def _arms(found: list[Found]) -> dict[str, podium.ArmResult]:
    return {item.arm.name: item.arm for item in found if isinstance(item, FoundArm)}


def _left(found: list[Found], folder: Path) -> list[tuple[str, bool]]:
    return [
        (item.source.removeprefix(f"{folder}/"), item.is_wrong)
        for item in found
        if isinstance(item, NotImported)
    ]


def _generation(folder: Path, identity: str, name: str, **said: Any) -> Path:
    config = {
        "name": name,
        "model": {"name": "m"},
        "algorithm": {"kind": "sft", "params": {"r": 4}},
    }
    told = {"id": identity, "experiment_id": _EXPERIMENT, "run_config": config, "seed": 7, **said}
    return write_json(folder / "generations" / identity / "generation.json", told).parent


def _store(folder: Path) -> Path:
    said = {
        "id": _EXPERIMENT,
        "experiment_name": "sweep",
        "hypothesis": "rank \u2192 score",
        "tags": ["lora"],
        "status": "completed",
        "conclusion": "done",
        "best_score": 0.5,
    }
    home = folder / "experiments" / _EXPERIMENT
    write_json(home / "experiment.json", said)
    write_lines(home / "groups.jsonl", {"id": "g1", "name": "base"})
    return folder


def test_a_store_is_experiments_with_their_arms(tmp_path: Path) -> None:
    """Each folder in `generations` is an arm of its experiment.

    Part of the experiment's ID is added to the experiment's name.
    """
    folder = _generation(_store(tmp_path), "a1", "base__s7", group_id="g1", status="completed")
    write_lines(
        folder / "evals.jsonl",
        {"metrics": {"acc": 0.5}, "benchmark_id": "bench", "breakdowns": {"easy": 1.0}},
        {"metrics": {"acc": 0.25}, "benchmark_id": "bench", "step": 100, "_created_at": 9.0},
    )
    write_lines(
        folder / "metrics.jsonl",
        {"step": 1, "split": "train", "metrics": {"loss": 0.9}},
        {"step": 2, "split": "train", "metrics": {"loss": 0.7}},
        {"step": 2, "split": "val", "metrics": {"loss": 0.8}},
    )
    found = _read(tmp_path)
    [experiment] = [item for item in found if isinstance(item, FoundExperiment)]
    assert (experiment.name, experiment.hypothesis, experiment.conclusion, experiment.tags) == (
        "sweep-7d975dd4",
        "rank \u2192 score",
        "done",
        ["lora"],
    )
    assert experiment.metadata["evsys"]["best_score"] == 0.5
    [(_, arm)] = _arms(found).items()
    assert (arm.name, arm.status, arm.group_name, arm.run_id) == (
        "base__s7",
        "completed",
        "base",
        "a1",
    )
    assert (arm.run_config.seed, arm.run_config.model) == (7, podium.ModelConfig("m"))
    assert arm.run_config.algorithm == podium.Component("sft", {"r": 4})
    assert arm.score("bench.acc") == 0.5
    assert [row.event_time for row in arm.evals if row.step == 100] == [
        datetime.fromtimestamp(9, UTC)
    ]
    assert arm.metrics == {"loss": 0.7}
    steps = [(row.name, row.step) for row in arm.evals]
    assert steps == [("bench", None), ("bench", 100), ("val", 2)]
    assert arm.eval_breakdowns == {"easy": 1.0}


def test_values_that_were_written_as_strings(tmp_path: Path) -> None:
    """Numbers, steps and a configuration are read even if a writer turned them into strings."""
    folder = _generation(
        _store(tmp_path),
        "a1",
        "x",
        seed="42",
        run_config="{'name': 'x', 'seed': '43', 'data': None, 'extra': (1, 2)}",
    )
    write_lines(folder / "evals.jsonl", {"metrics": {"acc": "0.5", "by": "hand"}, "step": "42"})
    arm = _arms(_read(tmp_path))["x"]
    assert (arm.run_config.seed, arm.run_config.extras["extra"]) == (43, [1, 2])
    assert [(row.step, row.metrics) for row in arm.evals] == [(42, {"acc": 0.5})]


def test_a_torn_line_and_a_bad_file_are_reported(tmp_path: Path) -> None:
    """An incomplete last line and a file that is not JSON are reported."""
    folder = _generation(_store(tmp_path), "a1", "x")
    write_text(folder / "evals.jsonl", '{"metrics": {"acc": 0.5}}\n{"metrics": {"ac')
    write_text(tmp_path / "generations" / "b2" / "generation.json", "{")
    found = _read(tmp_path)
    assert _arms(found)["x"].score("acc") == 0.5
    assert _left(found, tmp_path) == [
        ("generations/b2/generation.json", True),
        ("generations/a1/evals.jsonl:2", True),
    ]


def test_of_two_evals_the_later_one_counts(tmp_path: Path) -> None:
    """If an eval was recorded twice, the later row is imported, and the first one is reported."""
    folder = _generation(_store(tmp_path), "a1", "x")
    write_lines(folder / "evals.jsonl", {"metrics": {"acc": 1.0}}, {"metrics": {"acc": 0.5}})
    found = _read(tmp_path)
    assert _arms(found)["x"].score("eval.acc") == 0.5
    assert _left(found, tmp_path) == [("generations/a1/evals.jsonl:1", False)]


def test_unnamed_evals_with_other_ids_are_other_evals(tmp_path: Path) -> None:
    """Unnamed rows with different IDs are different evals. With equal IDs, they are one eval."""
    folder = _generation(_store(tmp_path), "a1", "x")
    write_lines(
        folder / "evals.jsonl",
        {"id": "11111111-1", "metrics": {"acc": 1.0}},
        {"id": "22222222-2", "metrics": {"acc": 0.5, "note": "good"}},
        {"id": "22222222-2", "metrics": {"acc": 0.25}},
    )
    found = _read(tmp_path)
    rows = {row.name: row.metrics for row in _arms(found)["x"].evals}
    assert rows == {"eval": {"acc": 1.0}, "eval-22222222": {"acc": 0.25}}
    assert _left(found, tmp_path) == [
        ("generations/a1/evals.jsonl:2", False),
        ("generations/a1/evals.jsonl:2", False),
    ]


def test_equal_runs_have_equal_configs(tmp_path: Path) -> None:
    """IDs and times are not part of the run config, so two seeds of a group have equal configs."""
    _store(tmp_path)
    for number, name in enumerate(("a", "b")):
        _generation(tmp_path, f"{name}1", f"x__s{number}", seed=number, _created_at=number)
    arms = _arms(_read(tmp_path))
    assert not configs_differ(arm.run_config for arm in arms.values())
    assert arms["x__s1"].run_result is not None
    assert arms["x__s1"].run_result.extras == {"_created_at": 1}


def test_an_arm_with_an_error_and_no_status_has_failed(tmp_path: Path) -> None:
    """An arm with an error and without a status is failed."""
    _generation(_store(tmp_path), "a1", "x", error_message="out of memory", status=None)
    assert _arms(_read(tmp_path))["x"].status == "failed"


def test_an_eval_logged_again_without_a_step(tmp_path: Path) -> None:
    """If an eval is logged several times without a step, a note says that the last one is kept."""
    folder = _generation(_store(tmp_path), "a1", "x")
    write_lines(
        folder / "metrics.jsonl", *({"split": "test", "metrics": {"acc": n}} for n in range(12))
    )
    found = _read(tmp_path)
    assert _arms(found)["x"].score("test.acc") == 11.0
    [item] = [item for item in found if isinstance(item, NotImported)]
    assert item.why == "'test' was logged 12 times without a step: the last values are kept"


def test_a_name_belongs_to_the_first_of_its_arms(tmp_path: Path) -> None:
    """Of two arms with the same name, the older one keeps it.

    The name of the other arm gets part of that arm's ID.
    """
    _generation(_store(tmp_path), "bbbbbbbb-1", "x", _created_at=1.0)
    _generation(tmp_path, "aaaaaaaa-2", "x", _created_at=2.0)
    arms = _arms(_read(tmp_path))
    assert {name: arm.run_id for name, arm in arms.items()} == {
        "x": "bbbbbbbb-1",
        "x-aaaaaaaa": "aaaaaaaa-2",
    }


def test_a_run_folder_is_an_arm(tmp_path: Path) -> None:
    """The result in a run folder becomes an arm. Its metrics are added to those of the log.

    If both have a metric, the value of the result is imported.
    """
    said = {
        "run_id": "id4",
        "status": "failed",
        "metrics": {"train/final_loss": 0.125, "lr": 2},
        "artifacts": {"final": "final.pt"},
        "error": "boom",
        "hparams": {"name": "sweep__r4", "seed": 42},
    }
    write_json(tmp_path / "r4" / "run_result.json", said)
    logged = {"step": 1, "metrics": {"loss": 0.5, "lr": 3}}
    write_lines(tmp_path / "r4" / "logs" / "metrics.jsonl", logged)
    write_json(tmp_path / "r4" / "logs" / "hyperparams.json", {"experiment_name": "matrix"})
    [found] = [item for item in _read(tmp_path) if isinstance(item, FoundArm)]
    arm = found.arm
    assert (found.experiment, arm.name, arm.status, arm.error) == (
        "matrix",
        "sweep__r4",
        "failed",
        "boom",
    )
    assert arm.metrics == {"loss": 0.5, "train/final_loss": 0.125, "lr": 2.0}
    assert arm.run_result is not None
    assert (arm.run_id, arm.run_result.artifacts) == ("id4", {"final": "final.pt"})
    (tmp_path / "r4" / "logs" / "hyperparams.json").unlink()
    [found] = [item for item in _read(tmp_path) if isinstance(item, FoundArm)]
    assert found.experiment == tmp_path.name


def test_an_eval_has_its_name_from_one_file_and_its_numbers_from_another(tmp_path: Path) -> None:
    """An eval has the name and step from `conclusion.md`, and the exact numbers from the log."""
    home = tmp_path / "2026-06-25_00-31-43_bench"
    write_text(home / "experiment.md", "# bench\n\n- hypothesis: (none)\n- conclusion: done\n")
    write_text(
        home / "a" / "logs" / "conclusion.md",
        "- status: completed\n- eval **bench** (test, step=None): acc=0.3333\n"
        "- eval **first** (val, step=0): acc=0.5\n",
    )
    row = {"step": 0, "split": "test", "metrics": {"acc": 1 / 3}}
    write_lines(home / "a" / "logs" / "test" / "metrics.jsonl", row)
    found = _read(tmp_path)
    [experiment] = [item for item in found if isinstance(item, FoundExperiment)]
    assert (experiment.name, experiment.hypothesis) == ("bench-2026-06-25_00-31-43", None)
    arm = _arms(found)["a"]
    assert [(row.name, row.step, row.tags) for row in arm.evals] == [
        ("bench", None, ["test"]),
        ("first", 0, ["val"]),
    ]
    assert arm.score("bench.acc") == 1 / 3


def test_two_evals_of_one_split_have_each_their_exact_numbers(tmp_path: Path) -> None:
    """If two evals have the same split and step in the log, each gets its own exact numbers."""
    home = tmp_path / "2026-06-25_00-31-43_dotted"
    write_text(home / "experiment.md", "# dotted\n\n- conclusion: done\n")
    words = (
        "- status: completed\n"
        "- eval **val_set** (test, step=None): acc=0.3333\n"
        "- eval **test_set** (test, step=None): acc=0.6667\n"
    )
    write_text(home / "a" / "logs" / "conclusion.md", words)
    rows = ({"step": 0, "split": "test", "metrics": {"acc": value}} for value in (1 / 3, 2 / 3))
    write_lines(home / "a" / "logs" / "test" / "metrics.jsonl", *rows)
    found = _read(tmp_path)
    arm = _arms(found)["a"]
    assert _left(found, tmp_path) == []
    assert (arm.score("val_set.acc"), arm.score("test_set.acc")) == (1 / 3, 2 / 3)


def test_an_arm_without_a_conclusion_is_imported(tmp_path: Path) -> None:
    """An arm without `conclusion.md` is imported from its logs, with the status running.

    Of several rows at one step, the last one is imported.
    """
    home = tmp_path / "2026-06-25_00-31-43_single"
    write_text(home / "experiment.md", "# single\n\n- hypothesis: h\n")
    rows = ({"step": 0, "split": "test", "metrics": {"acc": value}} for value in (1.0, 0.5))
    write_lines(home / "base" / "logs" / "test" / "metrics.jsonl", *rows)
    [arm] = _arms(_read(tmp_path)).values()
    assert (arm.name, arm.status) == ("base", "running")
    assert [(row.name, row.step, row.metrics) for row in arm.evals] == [("test", 0, {"acc": 0.5})]


def test_lines_of_one_step_add_up(tmp_path: Path) -> None:
    """Lines with metrics of one step become one row.

    Of two values of a metric, the last one counts.
    """
    folder = _generation(_store(tmp_path), "a1", "x")
    write_lines(
        folder / "metrics.jsonl",
        {"step": 2, "split": "val", "metrics": {"loss": 0.5, "acc": 0.25}},
        {"step": 2, "split": "val", "metrics": {"acc": 0.75}},
    )
    [row] = _arms(_read(tmp_path))["x"].evals
    assert row.metrics == {"loss": 0.5, "acc": 0.75}


def test_a_row_with_an_invalid_step_is_reported(tmp_path: Path) -> None:
    """Only a row without a step is post-training. A row with an invalid step is reported."""
    folder = _generation(_store(tmp_path), "a1", "x")
    write_lines(
        folder / "evals.jsonl",
        {"metrics": {"acc": 0.5}, "step": "last"},
        {"metrics": {"acc": 0.25}, "step": 10},
        {"metrics": {"acc": 0.75}, "step": "None"},
    )
    write_lines(folder / "metrics.jsonl", {"split": "val", "step": 1.5, "metrics": {"acc": 0}})
    found = _read(tmp_path)
    assert [(row.step, row.metrics["acc"]) for row in _arms(found)["x"].evals] == [
        (10, 0.25),
        (None, 0.75),
    ]
    assert _left(found, tmp_path) == [
        ("generations/a1/metrics.jsonl:1", True),
        ("generations/a1/evals.jsonl:1", True),
    ]
