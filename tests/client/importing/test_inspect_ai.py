"""Tests of imports of Inspect's logs, as zip files and as JSON files."""

import json
from pathlib import Path
from typing import IO, Any

import pytest
from podium.comparing import configs_differ
from podium.importing._zips import zipfile

from tests.client.importing.files import write_json
from tests.client.importing.reading import results


def _said(**said: Any) -> dict[str, Any]:
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "run_id": "BpiPFmbVcMCRUAXv8ovCTx",
            "task_id": "9eTnG3tV8jGRYoTPMH54Ee",
            "task": "suite/popularity",
            "task_version": 3,
            "model": "ollama/llama",
            "model_args": {"device": "cpu"},
            "config": {"limit": 1, "seed": 5},
            "dataset": {"name": "popularity", "samples": 100, "sample_ids": [1]},
            "created": "2024-10-15T12:53:13-04:00",
        },
        "results": {
            "completed_samples": 9,
            "scores": [{"name": "match", "metrics": {"accuracy": {"name": "a", "value": 1}}}],
        },
        "stats": {
            "started_at": "2024-10-15T12:53:13-04:00",
            "completed_at": "2024-10-15T12:53:14.500000-04:00",
        },
        **said,
    }


def _zip(path: Path, method: int = zipfile.ZIP_DEFLATED, **files: Any) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, value in files.items():
            archive.writestr(name.replace("__", "/") + ".json", json.dumps(value))
    return path


_ZSTANDARD = 93  # zipfile.ZIP_ZSTANDARD, which has a name from Python 3.14 on
_NAME = "suite/popularity@ollama/llama-BpiPFmbV-9eTnG3tV"


def test_a_log_is_an_arm_with_its_scores(tmp_path: Path) -> None:
    """The eval has the name of the task.

    Times, counts, seed and configuration are imported, too.
    """
    write_json(tmp_path / "log.json", _said())
    arm = results(tmp_path).arms[_NAME]
    assert (arm.status, arm.eval_seconds) == ("completed", 1.5)
    assert (arm.group_name or "").startswith("ollama/llama@")
    [row] = arm.evals
    assert (row.name, row.benchmark_id) == ("suite/popularity", "suite/popularity@3,6f119b97")
    assert row.metrics == {"accuracy": 1.0, "n_samples": 9.0}
    assert row.event_time is not None
    assert row.event_time.isoformat() == "2024-10-15T16:53:14.500000+00:00"
    assert arm.run_config.seed == 5
    assert arm.run_config.eval == {
        "limit": 1,
        "dataset": {"name": "popularity", "samples": 100},
        "scorers": [{"name": "match", "options": None}],
    }


def test_a_zip_and_its_json_twin_are_one_arm(tmp_path: Path) -> None:
    """Both formats of a log give the same arm. The log's samples do not change the arm."""
    write_json(tmp_path / "a.json", {**_said(), "samples": [{"id": 1}]})
    _zip(tmp_path / "b.eval", header=_said(), samples__1={"id": 1})
    assert results(tmp_path / "a.json").arms == results(tmp_path / "b.eval").arms


def test_several_scorers_and_reducers_are_several_evals(tmp_path: Path) -> None:
    """If a log has several scores, the name of each eval contains the score and the reducer."""
    scores = [
        {"name": "match", "scored_samples": 4, "metrics": {"acc": {"value": 0.5}}},
        {"name": "match", "reducer": "mean", "metrics": {"acc": {"value": 0.25}}},
    ]
    write_json(tmp_path / "log.json", _said(results={"completed_samples": 9, "scores": scores}))
    evals = results(tmp_path).arms[_NAME].evals
    assert [(row.name, row.metrics) for row in evals] == [
        ("suite/popularity/match", {"acc": 0.5, "n_samples": 4.0}),
        ("suite/popularity/match/mean", {"acc": 0.25, "n_samples": 9.0}),
    ]


def test_scores_of_old_logs_are_read(tmp_path: Path) -> None:
    """In old logs, the list of scores is named `scorers`. It is read like the list of new logs."""
    scorers = [{"name": "fact", "metrics": {"accuracy": {"value": 1}}}]
    write_json(tmp_path / "log.txt", _said(results={"scorers": scorers}))
    assert results(tmp_path).arms[_NAME].evals[0].metrics == {"accuracy": 1.0}


def test_the_oldest_logs_have_one_scorer_and_its_metrics(tmp_path: Path) -> None:
    """Results with a single `scorer` are read. A log without scores is reported."""
    metrics = {"accuracy": {"value": 0.75}, "letters": {"value": "C"}}
    old = {"scorer": {"name": "match", "params": {}}, "metrics": metrics}
    write_json(tmp_path / "old.json", _said(results=old))
    write_json(tmp_path / "none.json", _said(results={"total_samples": 3}))
    found = results(tmp_path / "old.json")
    [row] = found.arms[_NAME].evals
    assert (row.name, row.metrics) == ("suite/popularity", {"accuracy": 0.75})
    assert list(found.not_imported.values()) == [
        "score 'match': not imported, because they are not numbers: letters"
    ]
    assert list(results(tmp_path / "none.json").not_imported.values()) == ["the log has no scores"]


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"plan": {"config": {"temperature": 0.5}}}, True),
        ({"plan": {"config": {"temperature": 1.0, "seed": 8}}}, False),
        ({"plan": {"config": {"temperature": 1.0}, "steps": [{"solver": "generate"}]}}, True),
        ({"results": {"scores": [{"name": "exact", "metrics": {}}]}}, True),
        ({"stats": {"started_at": "2025-01-01T00:00:00+00:00"}}, False),
    ],
)
def test_runs_with_other_settings_have_other_configurations(
    tmp_path: Path, change: dict[str, Any], differs: bool
) -> None:
    """Runs with other temperatures, solvers or scorers have different configurations.

    Other seeds and times do not make configurations different.
    """
    plan = {"config": {"temperature": 1.0}}
    write_json(tmp_path / "a.json", _said(plan=plan))
    write_json(tmp_path / "b.json", {**_said(plan=plan), **change})
    configs = [results(tmp_path / name).arms[_NAME].run_config for name in ("a.json", "b.json")]
    assert configs_differ(configs) is differs


def test_an_arm_has_the_error_of_its_log(tmp_path: Path) -> None:
    """The error of a log is the error of its arm. Without results there are no rows."""
    said = _said(status="error", results=None, error={"message": "boom", "traceback": "…"})
    write_json(tmp_path / "log.json", said)
    arm = results(tmp_path).arms[_NAME]
    assert (arm.status, arm.error, arm.evals) == ("failed", "boom", [])


def test_a_log_that_never_ended_is_running(tmp_path: Path) -> None:
    """The log of a run that was killed has only its start. Its arm is running.

    The report says that the log is incomplete.
    """
    began = {"version": 2, "eval": _said()["eval"]}
    _zip(tmp_path / "log.eval", _journal__start=began)
    found = results(tmp_path)
    assert found.arms[_NAME].status == "running"
    assert found.not_imported == {"log.eval": "the log is incomplete: it has no results"}
    assert found.wrong == set()


def test_logs_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    """A log of a newer version, a damaged zip and a zip of something else are reported."""
    write_json(tmp_path / "newer.json", _said(version=4))
    (tmp_path / "torn.eval").write_bytes(b"PK\x03\x04 torn")
    _zip(tmp_path / "other.eval", readme={})
    found = results(tmp_path)
    assert found.arms == {}
    assert found.wrong == {"newer.json", "torn.eval", "other.eval"}
    assert "version 4" in found.not_imported["newer.json"]
    assert "header.json" in found.not_imported["other.eval"]


def test_logs_compressed_with_zstandard_are_read(tmp_path: Path) -> None:
    """A log that is compressed with Zstandard is read.

    Inspect writes such logs by default. Before version 3.14, Python needs a package to read them.
    """
    _zip(tmp_path / "log.eval", _ZSTANDARD, header=_said())
    assert results(tmp_path).arms[_NAME].score("suite/popularity.accuracy") == 1.0


def test_without_zstandard_the_report_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the package for Zstandard is missing, the report says how to install it."""

    def open_(_archive: zipfile.ZipFile, name: str) -> IO[bytes]:
        raise NotImplementedError(f"compression of {name} is not supported")

    _zip(tmp_path / "log.eval", header=_said())
    monkeypatch.setattr(zipfile.ZipFile, "open", open_)
    found = results(tmp_path)
    assert found.wrong == {"log.eval"}
    assert "pip install 'podium[import]'" in found.not_imported["log.eval"]


def test_other_json_about_logs_is_not_claimed(tmp_path: Path) -> None:
    """No importer claims a JSON file that has logs inside of it, or that describes their format."""
    write_json(tmp_path / "logs.json", {"2025-09-12_popularity.eval": _said()})
    write_json(tmp_path / "openapi.json", {"components": {"eval": {"task_id": "string"}}})
    assert results(tmp_path) == ({}, [], {}, set())


def test_a_log_without_version_and_status_is_read(tmp_path: Path) -> None:
    """A log without `version` and `status` is read. If it has results, its status is completed.

    Services that store only the headers of logs leave these fields out.
    """
    said = {key: value for key, value in _said().items() if key not in {"version", "status"}}
    write_json(tmp_path / "header.json", said)
    found = results(tmp_path)
    assert found.not_imported == {}
    assert found.arms[_NAME].status == "completed"


def test_scores_of_one_name_are_evals_of_their_own(tmp_path: Path) -> None:
    """If scores have the same name, the scorer or a number in the eval's name tells them apart."""
    scores = [
        {"name": "quality", "scorer": "judge", "metrics": {"mean": {"value": 4}}},
        {"name": "quality", "scorer": "rule", "metrics": {"mean": {"value": 2}}},
        {"name": "same", "metrics": {"mean": {"value": 1}}},
        {"name": "same", "metrics": {"mean": {"value": 0}}},
    ]
    write_json(tmp_path / "log.json", _said(results={"scores": scores}))
    evals = results(tmp_path).arms[_NAME].evals
    assert [(row.name.removeprefix("suite/popularity/"), row.metrics["mean"]) for row in evals] == [
        ("judge/quality", 4.0),
        ("rule/quality", 2.0),
        ("same", 1.0),
        ("same-1", 0.0),
    ]
