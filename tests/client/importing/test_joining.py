"""Tests of joining: files of one model, one for each task, become one arm."""

from pathlib import Path
from typing import Any

import podium
import pytest
from podium.cli import main
from podium.importing import ImportReport, import_results

from tests.client.importing.files import write_json

_DAY = 86_400.0


def _lm_eval(folder: Path, task: str, day: int, value: float = 0.5, **said: Any) -> Path:
    content = {
        "results": {task: {"acc,none": value}},
        "versions": {task: 1},
        "config": {"model": "hf", "model_args": "pretrained=m", "random_seed": 0},
        "date": day * _DAY,
        "total_evaluation_time_seconds": "2.5",
        "batch_sizes": [day],
    }
    return write_json(folder / f"{task}-{day}.json", {**content, **said})


def _inspect(folder: Path, task: str, run: str, day: int, **said: Any) -> Path:
    spec = {"run_id": run, "task_id": f"{task}{run}", "task": task, "model": "m", "config": {}}
    value = {"accuracy": {"value": 0.25 * day}}
    log = {
        "version": 2,
        "status": "success",
        "eval": {**spec, **said.pop("spec", {})},
        "results": {"scores": [{"name": "match", "metrics": value}]},
        "stats": {"completed_at": f"2026-01-0{day}T00:00:00+00:00"},
    }
    return write_json(folder / f"{task}-{run}.json", {**log, **said})


def _rows(client: podium.Client, kind: str) -> dict[str, list[str]]:
    """Returns the names of the evals of each arm. The keys are the arms' names without digests."""
    experiment = client.experiment(kind)
    found = {}
    for arm in experiment.arms():
        model, _, rest = arm.name.partition("@")
        evals = experiment.arm(arm.name).get().evals
        found[f"{model}{rest[8:]}"] = sorted(row.name for row in evals)
    return found


def _twice(client: podium.Client, path: Path) -> ImportReport:
    """Imports files twice, after a dry run. Returns the report of the first import.

    Checks that the dry run gives the same report, and that the second import records nothing.
    """
    rehearsed, report = import_results(client, path, dry_run=True), import_results(client, path)
    again = import_results(client, path)
    assert rehearsed == report
    assert (again.recorded, again.notes, again.not_imported) == (
        0,
        report.notes,
        report.not_imported,
    )
    return report


def test_the_tasks_of_a_model_are_one_arm(client: podium.Client, tmp_path: Path) -> None:
    """Files of several days become one arm, with the sum of their durations."""
    for day, task in enumerate(("a", "b", "c"), start=1):
        _lm_eval(tmp_path, task, day)
    report = _twice(client, tmp_path)
    assert (report.recorded, report.not_imported) == (1, [])
    assert [note.text for note in report.notes] == [
        "3 evaluations became 1 arm, by model and settings"
    ]
    assert _rows(client, "lm_eval") == {"m-seed0": ["a", "b", "c"]}
    (arm,) = client.experiment("lm_eval").arms()
    assert arm.eval_seconds == 7.5
    assert f"{arm.group_name}-seed0" == arm.name


def test_the_order_of_imports_does_not_matter(client: podium.Client, tmp_path: Path) -> None:
    """If files are imported one by one, in any order, each task is added to the same arm."""
    for day, task in ((3, "c"), (1, "a"), (2, "b")):
        import_results(client, _lm_eval(tmp_path, task, day))
    assert _rows(client, "lm_eval") == {"m-seed0": ["a", "b", "c"]}
    assert import_results(client, tmp_path).unchanged == 1
    (arm,) = client.experiment("lm_eval").arms()
    assert arm.eval_seconds == 7.5


@pytest.mark.parametrize("at_once", [True, False])
def test_a_repeated_task_is_another_member_of_the_group(
    client: podium.Client, tmp_path: Path, at_once: bool
) -> None:
    """Tasks that were evaluated again become a second arm of the same group. A note says so."""
    files = [
        _lm_eval(tmp_path, task, day, value=0.25 * day) for day in (1, 2) for task in ("a", "b")
    ]
    for file in () if at_once else files:
        import_results(client, file)
    report = _twice(client, tmp_path) if at_once else import_results(client, tmp_path)
    assert _rows(client, "lm_eval") == {
        "m-seed0": ["a", "b"],
        "m-seed0-1970-01-03T00:00:00.000000Z": ["a", "b"],
    }
    first, repeated = sorted(arm.name for arm in client.experiment("lm_eval").arms())
    assert client.arm("lm_eval", first).score("a.acc") == 0.25
    assert client.arm("lm_eval", repeated).score("a.acc") == 0.5
    assert [note.text for note in report.notes if note.source == str(files[2])] == [
        f"{first!r} has 'a' with the same settings, so this file is the arm {repeated!r}"
    ]
    (group,) = client.experiment("lm_eval").rank_groups("a.acc").groups
    assert (group.statistics.n, group.statistics.mean, group.flags) == (2, 0.375, [])


def test_other_settings_are_another_group(client: podium.Client, tmp_path: Path) -> None:
    """Evaluations with other settings are in other groups, so they are never averaged.

    The settings that differ may be those of the whole evaluation or of a single task.
    """
    _lm_eval(tmp_path, "a", 1)
    call = {"model": "hf", "model_args": "pretrained=m", "random_seed": 0}
    _lm_eval(tmp_path, "a", 2, config={**call, "limit": 8})
    _lm_eval(tmp_path, "a", 3, config={**call, "gen_kwargs": {"temperature": 1.0}})
    _lm_eval(tmp_path, "a", 4, config={**call, "num_fewshot": 5})
    _lm_eval(tmp_path, "b", 5, config={**call, "num_fewshot": 5})
    warm = {"a": {"generation_kwargs": {"temperature": 0.7, "do_sample": True}}}
    _lm_eval(tmp_path, "a", 6, configs=warm)
    _twice(client, tmp_path)
    arms = list(client.experiment("lm_eval").arms())
    assert len({arm.group_name for arm in arms}) == len(arms) == 5
    assert max(arm.eval_count for arm in arms) == 2  # the first, with `b`
    ids = {client.arm("lm_eval", arm.name).get().evals[0].benchmark_id for arm in arms}
    assert ids == {"a@1", "a@1,5-shot", "a@1,do_sample=True,temperature=0.7"}


def test_tasks_with_the_same_other_settings_are_one_arm(
    client: podium.Client, tmp_path: Path
) -> None:
    """All tasks without few-shot examples become one arm, and all tasks with five another arm."""
    call = {"model": "hf", "model_args": "pretrained=m", "random_seed": 0}
    for day, shots in ((1, 0), (4, 5)):
        for number, task in enumerate(("a", "b", "c")):
            _lm_eval(tmp_path, task, day + number, config={**call, "num_fewshot": shots})
    report = _twice(client, tmp_path)
    assert report.recorded == 2
    assert [arm.eval_count for arm in client.experiment("lm_eval").arms()] == [3, 3]
    assert len(report.notes) == 4  # the three files of the second arm, and the summary
    assert report.notes[-1].text == "6 evaluations became 2 arms, by model and settings"


def test_settings_that_are_nested_deeply_are_kept_as_text(
    client: podium.Client, tmp_path: Path
) -> None:
    """A log is imported even if the settings of its solver are nested deeply."""
    nested: Any = "end"
    for _ in range(20):
        nested = {"in": [nested]}
    _inspect(tmp_path, "a", "run1", 1, plan={"steps": [{"solver": "use_tools", "params": nested}]})
    report = _twice(client, tmp_path)
    assert (report.recorded, report.not_imported) == (1, [])


def test_settings_that_change_no_result_may_differ(client: podium.Client, tmp_path: Path) -> None:
    """Batch sizes, devices and versions of packages may differ within an arm.

    An evaluation with another seed is another arm of the group.
    """
    others = {"batch_size": 8, "device": "cpu", "use_cache": "x"}
    for number, (key, value) in enumerate(others.items()):
        config = {"model": "hf", "model_args": "pretrained=m", "random_seed": 0, key: value}
        _lm_eval(tmp_path, key, 1 + number, config=config, lm_eval_version=f"0.4.{number}")
    _twice(client, tmp_path)
    assert list(_rows(client, "lm_eval")) == ["m-seed0"]
    seed = {"model": "hf", "model_args": {"pretrained": "m"}, "random_seed": 1, "numpy_seed": 1}
    _lm_eval(tmp_path, "device", 9, config=seed)
    _twice(client, tmp_path)
    assert list(_rows(client, "lm_eval")) == ["m-seed0", "m-seed1"]
    assert len({arm.group_name for arm in client.experiment("lm_eval").arms()}) == 1


def test_files_without_a_date(client: podium.Client, tmp_path: Path) -> None:
    """Two files without a date are the same evaluation if they have equal results.

    A file with other results is a repetition, and becomes another arm.
    """
    for name, value in (("one", 0.5), ("copy", 0.5), ("other", 0.75)):
        content = {"results": {"t": {"acc": value}}, "config": {"model_args": "pretrained=m"}}
        write_json(tmp_path / name / "results.json", content)
    report = _twice(client, tmp_path)
    assert (report.recorded, [item.is_wrong for item in report.not_imported]) == (2, [False])
    assert [row for rows in _rows(client, "lm_eval").values() for row in rows] == ["t", "t"]
    assert import_results(client, tmp_path / "other").unchanged == 1


def test_logs_of_inspect(client: podium.Client, tmp_path: Path) -> None:
    """Logs of several runs become one arm.

    A repeated task, a failed log, and a log with another solver become an arm of their own each.
    """
    _inspect(tmp_path, "a", "run1", 1)
    _inspect(tmp_path, "b", "run2", 2)
    _inspect(tmp_path, "a", "run3", 3)
    _inspect(tmp_path, "a", "run4", 4, plan={"steps": [{"solver": "chain_of_thought"}]})
    _inspect(tmp_path, "bad", "run5", 5, status="error", results=None, error={"message": "no"})
    report = _twice(client, tmp_path)
    arms = list(client.experiment("inspect_ai").arms())
    main_group = arms[0].group_name
    found = {arm.name.replace(main_group or "", "GROUP"): arm for arm in arms}
    assert {name for name, arm in found.items() if arm.group_name == main_group} == {
        "GROUP",
        "GROUP-run3",
        "bad@m-run5-badrun5",
    }
    assert [found[name].eval_count for name in ("GROUP", "GROUP-run3")] == [2, 1]
    assert found["bad@m-run5-badrun5"].status == "failed"
    (other,) = [arm for arm in arms if arm.group_name != main_group]
    assert other.run_config.eval["steps"] == [{"solver": "chain_of_thought"}]
    assert [note.text.partition(" settings")[0] for note in report.notes[:2]] == [
        f"{main_group!r} has 'a' with the same",
        f"{main_group!r} has 'a' with other",
    ]


def test_a_log_that_was_failed_or_running_keeps_its_arm(
    client: podium.Client, tmp_path: Path
) -> None:
    """If a log is imported before its end and again after it, there is only one arm."""
    _inspect(tmp_path, "a", "run1", 1, status="started", results=None)
    import_results(client, tmp_path)
    _inspect(tmp_path, "a", "run1", 1)
    import_results(client, tmp_path)
    (arm,) = client.experiment("inspect_ai").arms()
    assert (arm.name, arm.status, arm.eval_count) == ("a@m-run1-arun1", "completed", 1)


def test_a_log_that_is_scored_again_replaces_its_rows(
    client: podium.Client, tmp_path: Path
) -> None:
    """If a recorded log was scored again, its new scores are imported, and reported as a change."""
    _inspect(tmp_path, "a", "run1", 1)
    import_results(client, tmp_path)
    scores = [{"name": "judge", "metrics": {"accuracy": {"value": 0.875}}}]
    _inspect(tmp_path, "a", "run1", 1, results={"scores": scores})
    report = import_results(client, tmp_path)
    (arm,) = client.experiment("inspect_ai").arms()
    assert client.arm("inspect_ai", arm.name).score("a.accuracy") == 0.875
    assert report.experiments["inspect_ai"].changed == [arm.name]


def test_the_command_shows_repetitions(
    client: podium.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints the notes of an import. With `--json`, its output contains them."""
    for day in (1, 2):
        _lm_eval(tmp_path, "a", day)
    address = ["--address", client.address]
    assert main(["import", str(tmp_path), *address]) == 0
    printed = capsys.readouterr()
    assert "with the same settings, so this file is the arm 'm@" in printed.out + printed.err
    assert main(["import", str(tmp_path), "--json", *address]) == 0
    assert '"text": "\'m@' in capsys.readouterr().out


def test_evaluations_of_a_rejected_experiment_are_reported(
    client: podium.Client, tmp_path: Path
) -> None:
    """If the name of an experiment is rejected, the evaluations are reported with the reason."""
    _lm_eval(tmp_path, "a", 1)
    _lm_eval(tmp_path, "b", 2)
    report = import_results(client, tmp_path, experiment="a//b")
    (refused,) = report.not_imported
    assert (refused.count, report.recorded) == (2, 0)
    assert refused.why.startswith("2 evaluations are not imported: experiment 'a//b' has a segment")
