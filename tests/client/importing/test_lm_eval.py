"""Tests of imports of lm-evaluation-harness results, from old and new versions."""

import json
import math
from pathlib import Path
from typing import Any

import podium
import pytest
from podium.comparing import configs_differ
from podium.importing import NotImported, import_results, read_results

from tests.client.importing.files import write_json, write_text
from tests.client.importing.reading import results


def _said(**said: Any) -> dict[str, Any]:
    return {
        "results": {
            "math": {"acc,none": 0.25, "acc_stderr,none": 0.125, "alias": "math"},
            "math_easy": {"acc,none": 0.5, "acc_stderr,none": "N/A", "alias": " - math_easy"},
        },
        "groups": {"math": {"acc,none": 0.25, "acc_stderr,none": 0.125, "alias": "math"}},
        "group_subtasks": {"math": ["math_easy"]},
        "versions": {"math": 1.0, "math_easy": 2.0},
        "n-shot": {"math_easy": 5},
        "n-samples": {"math_easy": {"original": 100, "effective": 60}},
        "config": {
            "model": "vllm",
            "model_args": {"pretrained": "org/model", "dtype": "bfloat16"},
            "limit": None,
            "random_seed": 7,
        },
        "date": 1_767_225_600.25,
        "model_name": "org/model",
        "total_evaluation_time_seconds": "12.5",
        **said,
    }


def _one(path: Path) -> podium.ArmResult:
    found = results(path)
    assert found.not_imported == {}
    [arm] = found.arms.values()
    return arm


def test_the_count_of_recent_files(tmp_path: Path) -> None:
    """`sample_len`, which version 0.4.13 writes, is imported as the number of samples."""
    given = {
        "results": {"toy": {"acc,none": 0.5, "sample_len": 4}},
        "config": {"model": "hf", "model_args": "pretrained=m"},
    }
    write_json(tmp_path / "results.json", given)
    (row,) = _one(tmp_path).evals
    assert row.metrics == {"acc": 0.5, "n_samples": 4.0}


def test_a_file_is_an_arm_and_each_task_an_eval(tmp_path: Path) -> None:
    """Each task is an eval with values, standard errors and counts. A value "N/A" is left out.

    The eval of a group of tasks has the metrics of each task as breakdowns.
    """
    write_json(tmp_path / "results_1.json", _said())
    arm = _one(tmp_path)
    assert (arm.name, arm.group_name) == (
        "org/model@2026-01-01T00:00:00.250000Z",
        "org/model@067968c2",
    )
    assert (arm.status, arm.eval_seconds, arm.run_config.seed) == ("completed", 12.5, 7)
    assert [(row.name, row.step, row.benchmark_id, row.metrics) for row in arm.evals] == [
        ("math", None, "math@1.0", {"acc": 0.25, "acc_stderr": 0.125}),
        ("math_easy", None, "math_easy@2.0,5-shot", {"acc": 0.5, "n_samples": 60.0}),
    ]
    assert arm.evals[0].breakdowns == {"math_easy": {"acc": 0.5}}
    assert arm.evals[0].event_time is not None
    assert arm.evals[0].event_time.isoformat() == "2026-01-01T00:00:00.250000+00:00"
    assert arm.run_config.model == podium.ModelConfig("org/model")
    assert arm.run_config.backend == podium.Component(
        "vllm", {"pretrained": "org/model", "dtype": "bfloat16"}
    )


def test_a_metric_under_several_filters_is_several_metrics(tmp_path: Path) -> None:
    """If a metric has values for two filters, it becomes two metrics, such as `em,flexible`."""
    task = {"em,strict-match": 0.25, "em_stderr,strict-match": 0.125, "em,flexible": 0.5}
    write_json(tmp_path / "results.json", _said(results={"t": task}, groups={}))
    assert _one(tmp_path).evals[0].metrics == task


@pytest.mark.parametrize(
    ("config", "model"),
    [
        ({"model": "hf", "model_args": "pretrained=org/m,dtype=float"}, "org/m"),
        ({"model": "openai", "model_args": "model=gpt"}, "gpt"),
        ({"model": "dummy", "model_args": ""}, "dummy"),
    ],
)
def test_the_model_is_found_where_the_file_has_it(
    tmp_path: Path, config: dict[str, Any], model: str
) -> None:
    """Without `model_name`, the model is read from `model_args`, or else from `model`."""
    write_json(tmp_path / "results.json", _said(config=config, model_name=""))
    assert _one(tmp_path).run_config.model == podium.ModelConfig(model)


def test_files_from_before_version_0_4_are_read(tmp_path: Path) -> None:
    """Files from before version 0.4 are read, although they have neither filters nor a date.

    The arm's name has the name of the file and a digest of its content.
    """
    said = {
        "results": {"xcopa": {"acc": 0.5, "acc_stderr": 0.25}},
        "versions": {"xcopa": 0},
        "config": {"model": "hf", "model_args": "pretrained=org/m", "num_fewshot": 0},
    }
    write_json(tmp_path / "m_xcopa.json", said)
    arm = _one(tmp_path)
    assert arm.name == "org/m@m_xcopa-0e50e2ff"
    assert arm.evals[0].benchmark_id == "xcopa@0,0-shot"
    assert arm.score("xcopa.acc_stderr") == 0.25


def test_infinite_and_nan_are_values(tmp_path: Path) -> None:
    """NaN and Infinity, which Python writes without quotes, are numbers."""
    task = {"mae,none": math.inf, "mae_stderr,none": math.nan}
    write_json(tmp_path / "results.json", _said(results={"t": task}, groups={}))
    arm = _one(tmp_path)
    assert arm.score("t.mae") == math.inf
    assert math.isnan(arm.score("t.mae_stderr") or 0.0)


def test_other_json_is_not_claimed(tmp_path: Path) -> None:
    """No importer claims a file that only looks like results.

    If the kind is given, the file is reported as not imported.
    """
    write_json(tmp_path / "other.json", {"results": [1, 2], "config": {}})
    write_text(tmp_path / "torn.json", '{"results": {"a"')
    assert results(tmp_path) == ({}, [], {}, set())
    forced = list(read_results(tmp_path / "other.json", kind="lm_eval"))
    assert [type(item) for item in forced] == [NotImported]


def test_jobs_that_began_within_a_millisecond_are_arms_of_their_own(tmp_path: Path) -> None:
    """Evaluations that began within a millisecond are two arms: their names have microseconds."""
    for number, date in enumerate((1_771_758_380.925204, 1_771_758_380.9255078)):
        write_json(tmp_path / f"results_{number}.json", _said(date=date))
    assert set(results(tmp_path).arms) == {
        "org/model@2026-02-22T11:06:20.925204Z",
        "org/model@2026-02-22T11:06:20.925508Z",
    }


def test_files_of_one_name_without_a_date_are_told_apart_by_their_content(tmp_path: Path) -> None:
    """Files named results.json without a date are different arms if their contents differ.

    A copy of a file is not another arm.
    """
    said = {"versions": {}, "config": {"model": "hf", "model_args": "pretrained=org/m"}}
    for folder, value in (("mrpc", 0.5), ("qnli", 0.75), ("copy", 0.75)):
        write_json(tmp_path / folder / "results.json", {**said, "results": {"t": {"acc": value}}})
    arms = results(tmp_path).arms
    assert [name.rpartition("-")[0] for name in arms] == ["org/m@results"] * 2
    assert sorted(arm.score("t.acc") or 0.0 for arm in arms.values()) == [0.5, 0.75]


def test_a_group_has_the_count_of_its_samples(tmp_path: Path) -> None:
    """A group has a number of samples only if all of its metrics have the same number."""
    tasks = {
        "mmlu": {"acc,none": 0.5, "sample_count": {"acc,none": 14_042}},
        "mixed": {"acc,none": 0.5, "f1,none": 0.5, "sample_count": {"acc,none": 40, "f1,none": 20}},
    }
    write_json(tmp_path / "results.json", _said(results=tasks, groups={}))
    arm = _one(tmp_path)
    assert arm.score("mmlu.n_samples") == 14_042
    assert arm.score("mixed.n_samples") is None


def test_values_that_are_not_numbers_are_reported(tmp_path: Path) -> None:
    """Values that are not numbers are reported, such as a list with a value for each sample."""
    task = {"acc": [0, 1, 1], "id": ["a", "b", "c"], "f1": 0.5, "alias": "t"}
    path = write_json(tmp_path / "results.json", _said(results={"t": task}, groups={}))
    found = results(tmp_path)
    assert found.not_imported == {
        path.name: "task 't': not imported, because they are not numbers: acc, id"
    }
    assert found.wrong == set()
    assert next(iter(found.arms.values())).evals[0].metrics == {"f1": 0.5}


def test_results_of_a_fork_are_reported(tmp_path: Path) -> None:
    """Results of a fork, which has a list of tasks in place of an object, are reported."""
    said = {"results": [{"task_name": "wino", "em": 0.5}], "config": {"model_args": "x=y"}}
    write_json(tmp_path / "agg.json", said)
    found = results(tmp_path)
    assert found.wrong == {"agg.json"}
    assert "a fork of lm-evaluation-harness" in found.not_imported["agg.json"]


def test_cut_and_incomplete_files_are_reported(tmp_path: Path) -> None:
    """A torn file, an empty file and a file without its configuration are reported."""
    whole = json.dumps(_said())
    write_text(tmp_path / "results_2026-01-01T00-00-00.0.json", whole[:200])
    write_text(tmp_path / "results_2026-01-02T00-00-00.0.json", "")
    bare = {key: value for key, value in _said().items() if key != "config"}
    write_json(tmp_path / "bare.json", bare)
    write_json(tmp_path / "others.json", {"results": {"a": {"b": 1}}, "versions": 3})
    found = results(tmp_path)
    assert found.arms == {}
    assert sorted(found.wrong) == [
        "bare.json",
        "results_2026-01-01T00-00-00.0.json",
        "results_2026-01-02T00-00-00.0.json",
    ]
    assert found.not_imported["results_2026-01-02T00-00-00.0.json"] == "the file is empty"


def test_labels_are_not_metrics_and_settings_are_kept(tmp_path: Path) -> None:
    """A label that looks like a number is not a metric.

    Files with other dates and seeds have equal configurations. A file with another temperature has
    a different one.
    """
    tasks = {"t": {"alias": "2024", "acc,none": 0.5}}
    cold = {"t": {"generation_kwargs": {"temperature": 0.0}}}
    warm = {"t": {"generation_kwargs": {"temperature": 1.0}}}
    files = {"a": (1.0, cold, 1), "b": (2.0, cold, 2), "c": (3.0, warm, 1)}
    configs = {}
    for name, (date, settings, seed) in files.items():
        seeds = {"random_seed": seed, "numpy_seed": seed}
        config = {"model_args": "pretrained=m", **seeds}
        path = tmp_path / f"{name}.json"
        write_json(path, _said(results=tasks, config=config, date=date, configs=settings))
        arm = _one(path)
        assert arm.evals[0].metrics == {"acc": 0.5}
        configs[name] = arm.run_config
    assert not configs_differ([configs["a"], configs["b"]])
    assert configs_differ([configs["a"], configs["c"]])


def test_a_copy_with_its_tasks_in_another_order_is_a_copy(
    client: podium.Client, tmp_path: Path
) -> None:
    """Of two files that differ only in the order of their tasks, one is left out as a copy."""
    tasks = {"b": {"acc": 0.5}, "a": {"acc": 0.25, "f1": 0.75}}
    said = {"results": tasks, "config": {"model_args": "pretrained=m"}}
    write_json(tmp_path / "1" / "r.json", said)
    write_json(tmp_path / "2" / "r.json", {**said, "results": dict(reversed(tasks.items()))})
    report = import_results(client, tmp_path, dry_run=True)
    assert report.recorded == 1
    assert [item.is_wrong for item in report.not_imported] == [False]


def test_a_ranking_has_the_direction_that_the_file_gives(
    client: podium.Client, tmp_path: Path
) -> None:
    """If a file says that lower values of a metric are better, a ranking has the lowest first."""
    for number, value in enumerate((2.0, math.inf, 1.0)):
        content = _said(
            results={"wiki": {"perplexity,none": value, "acc,none": 0.5}},
            groups={},
            higher_is_better={"wiki": {"perplexity": False, "acc": True}},
            date=1_767_225_600.25 + number,
        )
        write_json(tmp_path / f"results_{number}.json", content)
    for experiment, given in (("lm_eval", None), ("mine", "mine")):
        report = import_results(client, tmp_path, experiment=given)
        assert (report.recorded, report.not_imported) == (3, [])
        ranking = client.experiment(experiment).rank("wiki.perplexity")
        assert [arm.score for arm in ranking.arms] == [1.0, 2.0, math.inf]
        assert client.experiment(experiment).rank("wiki.acc").direction == "maximize"
    assert import_results(client, tmp_path).unchanged == 3


def test_results_without_a_configuration_are_reported(tmp_path: Path) -> None:
    """Old results without a configuration are reported, since their model is not known."""
    write_json(tmp_path / "x-res.json", {"results": {"x": {"acc": 0.5}}, "versions": {"x": 0}})
    write_json(tmp_path / "other.json", {"results": {"x": {"acc": 0.5}}, "versions": {"y": "1"}})
    found = results(tmp_path)
    assert found.arms == {}
    assert found.not_imported == {
        "x-res.json": "the results have no 'config' with 'model_args', so their model is not known"
    }
