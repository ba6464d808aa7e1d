"""Tests of imports of Optuna's studies, from SQLite files and journals."""

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import podium
import pytest
from podium.importing import FoundArm, FoundExperiment, import_results, read_results

from tests.client.importing.files import write_json, write_lines, write_text
from tests.client.importing.reading import results

_FLOAT = json.dumps({"name": "FloatDistribution", "attributes": {"low": 0.0, "high": 1.0}})
_INT = json.dumps({"name": "IntDistribution", "attributes": {"low": 1, "high": 9}})
_CHOICE = json.dumps(
    {"name": "CategoricalDistribution", "attributes": {"choices": ["adam", None, 3]}}
)
_SCHEMA = """
CREATE TABLE studies (study_id INTEGER PRIMARY KEY, study_name VARCHAR(512));
CREATE TABLE study_directions (study_id INTEGER, direction VARCHAR(8), objective INTEGER);
CREATE TABLE study_system_attributes (study_id INTEGER, "key" VARCHAR(512), value_json TEXT);
CREATE TABLE study_user_attributes (study_id INTEGER, "key" VARCHAR(512), value_json TEXT);
CREATE TABLE trials (trial_id INTEGER PRIMARY KEY, number INTEGER, study_id INTEGER,
    state VARCHAR(8), datetime_start DATETIME, datetime_complete DATETIME);
CREATE TABLE trial_params (trial_id INTEGER, param_name VARCHAR(512), param_value FLOAT,
    distribution_json TEXT);
CREATE TABLE trial_values (trial_id INTEGER, objective INTEGER, value FLOAT,
    value_type VARCHAR(7));
CREATE TABLE trial_intermediate_values (trial_id INTEGER, step INTEGER, intermediate_value FLOAT,
    intermediate_value_type VARCHAR(7));
CREATE TABLE trial_user_attributes (trial_id INTEGER, "key" VARCHAR(512), value_json TEXT);
INSERT INTO studies VALUES (1, 'search'), (2, 'two');
INSERT INTO study_directions VALUES (1, 'MINIMIZE', 0), (2, 'MAXIMIZE', 0), (2, 'MINIMIZE', 1);
INSERT INTO study_system_attributes VALUES (2, 'study:metric_names', '["acc", "cost"]');
INSERT INTO study_user_attributes VALUES (1, 'team', '"a"');
INSERT INTO trials VALUES
    (1, 0, 1, 'COMPLETE', '2026-01-02 03:04:05.5', '2026-01-02 03:05:05.5'),
    (2, 1, 1, 'PRUNED', '2026-01-02 03:06:00', '2026-01-02 03:06:01'),
    (3, 0, 2, 'COMPLETE', '2026-01-02 03:06:00', '2026-01-02 03:06:02'),
    (4, 2, 1, 'FAIL', '2026-01-02 03:06:00', '2026-01-02 03:06:01'),
    (5, 3, 1, 'RUNNING', '2026-01-02 03:06:00', NULL),
    (6, 4, 1, 'WAITING', NULL, NULL);
INSERT INTO trial_values VALUES (1, 0, 0.125, 'FINITE'), (3, 1, NULL, 'INF_POS'),
    (3, 0, 0.75, 'FINITE');
INSERT INTO trial_intermediate_values VALUES (1, 0, 0.5, 'FINITE'), (1, 10, 0.25, 'FINITE'),
    (2, 7, NULL, 'NAN');
INSERT INTO trial_user_attributes VALUES (1, 'epochs', '3'), (1, 'note', '"good"');
"""
_PARAMS = [
    (1, "lr", 0.1, _FLOAT),
    (1, "seed", 7.0, _INT),
    (1, "opt", 0.0, _CHOICE),
    (2, "opt", 1.0, _CHOICE),
]


def _write_sqlite(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(_SCHEMA)
        database.executemany("INSERT INTO trial_params VALUES (?, ?, ?, ?)", _PARAMS)
        database.commit()
    return path


def _operation(code: int, **fields: Any) -> dict[str, Any]:
    return {"op_code": code, "worker_id": "w", **fields}


def _param(trial: int, name: str, value: float, distribution: str) -> dict[str, Any]:
    of_trial = {"trial_id": trial, "param_name": name, "distribution": distribution}
    return _operation(5, **of_trial, param_value_internal=value)


def _end(trial: int, state: int, values: list[float] | None, time: str) -> dict[str, Any]:
    return _operation(6, trial_id=trial, state=state, values=values, datetime_complete=time)


_JOURNAL = [
    _operation(0, study_name="search", directions=[1]),
    _operation(0, study_name="search", directions=[2]),
    _operation(0, study_name="gone", directions=[1]),
    _operation(1, study_id=1),
    _operation(0, study_name="two", directions=[2, 1]),
    _operation(3, study_id=2, system_attr={"study:metric_names": ["acc", "cost"]}),
    _operation(2, study_id=0, user_attr={"team": "a"}),
    _operation(4, study_id=0, datetime_start="2026-01-02T03:04:05.5+00:00"),
    *(_param(0, name, value, form) for trial, name, value, form in _PARAMS if trial == 1),
    _operation(7, trial_id=0, step=0, intermediate_value=0.5),
    _operation(7, trial_id=0, step=10, intermediate_value=0.25),
    _operation(8, trial_id=0, user_attr={"epochs": 3, "note": "good"}),
    _operation(9, trial_id=0, system_attr={"x": 1}),
    _end(0, 1, [0.125], "2026-01-02T03:05:05.5+00:00"),
    _operation(7, trial_id=0, step=99, intermediate_value=9.0),
    _operation(4, study_id=0, datetime_start="2026-01-02T03:06:00+00:00"),
    _param(1, "opt", 1, _CHOICE),
    _operation(7, trial_id=1, step=7, intermediate_value=float("nan")),
    _end(1, 2, None, "2026-01-02T03:06:01+00:00"),
    _operation(4, study_id=2, datetime_start="2026-01-02T03:06:00+00:00"),
    _end(2, 1, [0.75, float("inf")], "2026-01-02T03:06:02+00:00"),
    _operation(4, study_id=0, datetime_start="2026-01-02T03:06:00+00:00"),
    _end(3, 3, None, "2026-01-02T03:06:01+00:00"),
    _operation(4, study_id=0, datetime_start="2026-01-02T03:06:00+00:00"),
    _operation(4, study_id=0, datetime_start=None, state=4, params={}, distributions={}),
]


def _write_journal(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_lines(path, *_JOURNAL)


_Write = Callable[[Path], Path]
_storages = pytest.mark.parametrize("write", [_write_sqlite, _write_journal])


@_storages
def test_a_study_is_an_experiment_and_a_trial_an_arm(tmp_path: Path, write: _Write) -> None:
    """A trial's parameters become the configuration of its arm.

    Values that the trial reported become in-loop rows. Its final values become a post-training row.
    """
    found = list(read_results(write(tmp_path / "study.storage")))
    search, two = [item for item in found if isinstance(item, FoundExperiment)]
    assert (search.name, search.direction, search.success_metric) == (
        "search",
        "minimize",
        "objective.value",
    )
    assert search.metadata == {"optuna": {"directions": ["minimize"], "attributes": {"team": "a"}}}
    assert (two.direction, two.success_metric) == ("maximize", "objective.acc")
    assert two.directions == {"objective.cost": "minimize"}
    arms = {
        (item.experiment, item.arm.name): item.arm for item in found if isinstance(item, FoundArm)
    }
    assert [(name[1], arm.status) for name, arm in arms.items() if name[0] == "search"] == [
        ("trial-0", "completed"),
        ("trial-1", "cancelled"),
        ("trial-2", "failed"),
        ("trial-3", "running"),
        ("trial-4", "pending"),
    ]
    first = arms["search", "trial-0"]
    assert first.run_config.algorithm == podium.Component(
        "optuna", {"lr": 0.1, "seed": 7, "opt": "adam"}
    )
    assert (first.run_config.seed, first.train_seconds, first.metrics) == (7, 60.0, {"epochs": 3.0})
    assert first.run_result is not None
    assert first.run_result.extras == {"note": "good"}
    assert [(row.step, row.metrics) for row in first.evals] == [
        (0, {"value": 0.5}),
        (10, {"value": 0.25}),
        (None, {"value": 0.125}),
    ]
    pruned = arms["search", "trial-1"]
    assert (pruned.error, str(pruned.evals[0].metrics)) == ("pruned at step 7", "{'value': nan}")
    assert pruned.run_config.algorithm == podium.Component("optuna", {"opt": None})
    assert arms["two", "trial-0"].evals[0].metrics == {"acc": 0.75, "cost": float("inf")}


@_storages
def test_a_study_is_ranked_by_its_objective(
    client: podium.Client, tmp_path: Path, write: _Write
) -> None:
    """Trials are ranked by the objective of their study. A second import changes nothing."""
    path = write(tmp_path / "study.storage")
    report = import_results(client, path)
    assert (report.recorded, report.not_imported) == (6, [])
    ranking = client.experiment("search").rank()
    assert [(ranked.arm, ranked.score) for ranked in ranking.arms] == [("trial-0", 0.125)]
    assert import_results(client, path).unchanged == 6


def test_times_without_a_zone_are_not_shown(tmp_path: Path) -> None:
    """Rows from a journal have a time.

    Rows from SQLite have none, since its time zone is unknown.
    """
    arms = [
        next(item.arm for item in read_results(path) if isinstance(item, FoundArm))
        for path in (_write_sqlite(tmp_path / "a.db"), _write_journal(tmp_path / "b.log"))
    ]
    assert [arm.evals[-1].event_time for arm in arms] == [
        None,
        datetime(2026, 1, 2, 3, 5, 5, 500_000, UTC),
    ]


def test_another_study_does_not_overwrite_one_of_the_same_name(
    client: podium.Client, tmp_path: Path
) -> None:
    """Another study with the same name is rejected.

    It is recognized as another one because its first trial started at another time.
    """
    import_results(client, _write_journal(tmp_path / "a.log"))
    write_lines(
        tmp_path / "b.log",
        _operation(0, study_name="search", directions=[1]),
        _operation(4, study_id=0, datetime_start="2027-01-01T00:00:00+00:00"),
    )
    [item] = import_results(client, tmp_path / "b.log").not_imported
    assert item.why.startswith("arm 'trial-0' of 'search' was imported from another run")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"op_code": 4, "worker', "the line is incomplete: its writer was stopped"),
        ('{"op_code": 7, "trial_id": 9, "step": 1}\n', "the line is not an operation of Optuna"),
        ('{"op_code": 4, "study_id": "x"}\n', "the line is not an operation of Optuna"),
        ('{"op_code": "x"}\n', "the line is not an operation of Optuna"),
        ("[1]\n", "not a JSON object"),
    ],
)
def test_bad_lines_of_a_journal_are_reported(tmp_path: Path, line: str, why: str) -> None:
    """A line that cannot be read is reported with its number. Trials before it are imported."""
    path = _write_journal(tmp_path / "a.log")
    path.write_text(path.read_text() + line)
    found = results(tmp_path)
    assert found.not_imported == {f"a.log:{len(_JOURNAL) + 1}": why}
    assert "trial-4" in found.arms


def test_damaged_files_raise_no_error(tmp_path: Path) -> None:
    """Reading a file with changed or missing bytes raises no error."""
    draw = random.Random(1)  # noqa: S311 - the same damage every time
    for write in (_write_sqlite, _write_journal):
        whole = write(tmp_path / "whole" / write.__name__).read_bytes()
        path = tmp_path / "study.storage"
        for number in range(20):
            data = bytearray(whole[: draw.randrange(len(whole))] if number % 3 == 0 else whole)
            for _ in range(draw.randrange(1, 30)):
                if data:
                    data[draw.randrange(len(data))] = draw.randrange(256)
            path.write_bytes(data)
            list(read_results(path))


def test_a_torn_sqlite_file_is_reported(tmp_path: Path) -> None:
    """A SQLite file that lacks its end is recognized by its schema, and reported."""
    path = _write_sqlite(tmp_path / "a.db")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    [why] = results(tmp_path).not_imported.values()
    assert why.startswith("the SQLite file cannot be read: ")


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE VIEW more AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT 1",
        "CREATE TABLE more (x INTEGER, y INTEGER GENERATED ALWAYS AS (x + 1))",
    ],
)
def test_a_file_that_computes_its_rows_is_rejected(tmp_path: Path, schema: str) -> None:
    """A SQLite file with a view or a generated column is rejected.

    A view in place of a table could return rows without end.
    """
    path = _write_sqlite(tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as database:
        database.execute(schema)
    why = "the SQLite file has views or triggers, which Optuna does not make"
    assert results(tmp_path).not_imported == {"a.db": why}


def test_other_files_are_not_claimed(tmp_path: Path) -> None:
    """No importer claims a SQLite file without Optuna's tables.

    Nor does one claim an empty file, or JSON that only looks like a journal.
    """
    with closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("CREATE TABLE studies (study_id INTEGER)")
    write_json(tmp_path / "log.json", {"op_code": 1})
    write_text(tmp_path / "empty.db", "")
    found = results(tmp_path)
    assert (found.arms, found.experiments, found.not_imported) == ({}, [], {})


def test_the_number_of_a_trial_in_sqlite(tmp_path: Path) -> None:
    """The name of an arm contains the number of its trial.

    If the numbers are missing, the trials of the study are counted from 0.
    """
    path = _write_sqlite(tmp_path / "a.db")
    for change, numbers in (
        ("DELETE FROM trials WHERE number < 2 AND study_id = 1", [2, 3, 4]),
        ("UPDATE trials SET number = NULL", [0, 1, 2]),
    ):
        with closing(sqlite3.connect(path)) as database:
            database.execute(change)
            database.commit()
        arms = [item for item in read_results(path) if isinstance(item, FoundArm)]
        found = [item.arm.name for item in arms if item.experiment == "search"]
        assert found == [f"trial-{number}" for number in numbers]
