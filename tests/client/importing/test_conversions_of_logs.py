"""Tests of how files of studies, tables, event files and logs become arms and rows."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from podium import EvalResult, Series
from podium.importing import NotImported, _values
from podium.importing._detecting import places
from podium.importing._rows import Logged
from podium.importing.kinds import lightning, podium_export
from podium.importing.kinds.evsys import _common, _logs
from podium.importing.kinds.optuna import _journal, _study
from podium.importing.kinds.optuna._study import Study, Trial
from podium.importing.kinds.table import _cell, _text
from podium.importing.kinds.tensorboard import _EVAL, _NO_NAME, _TRAIN
from podium.importing.kinds.wandb import _log, _run

from tests.client.importing.files import write_text
from tests.client.importing.wandb_files import (
    changes,
    exit_record,
    history,
    log_bytes,
    run_record,
)
from tests.each import each


@each(
    ("directions", "names", "direction", "metric", "others"),
    [
        ([], [], "minimize", "objective.value", {}),
        (["maximize"], ["acc"], "maximize", "objective.acc", {}),
        (
            ["minimize", "maximize"],
            [],
            "minimize",
            "objective.value_0",
            {"objective.value_1": "maximize"},
        ),
        (["maximize"], ["a", "b"], "maximize", "objective.value", {}),
    ],
)
def test_the_objectives_of_a_study(
    directions: list[str], names: list[str], direction: str, metric: str, others: dict[str, str]
) -> None:
    """The first objective of a study is the success metric.

    Metric names are ignored if their number differs from that of the directions.
    """
    found = _study.experiment_of(Study("s", directions, names), "f")
    assert (found.direction, found.success_metric, found.directions) == (direction, metric, others)


def test_trials_that_did_not_finish_well() -> None:
    """The error of a pruned trial names its last step.

    Without a valid start and end, a trial has no duration.
    """
    assert _study._error(Trial(0, "PRUNED")) == "pruned"
    assert _study._error(Trial(0, "PRUNED", reported={3: 1.0, 10: 1.0})) == "pruned at step 10"
    assert _study._error(Trial(0, "FAIL", reported={3: 1.0})) is None
    start = datetime(2026, 1, 2)  # noqa: DTZ001 - as SQLite has it
    for end, seconds in (
        (start, 0.0),
        (start + timedelta(seconds=1.5), 1.5),
        (start - timedelta(1), None),
        (start.replace(tzinfo=UTC), None),
        (None, None),
    ):
        assert _study._seconds(Trial(0, start=start, end=end)) == seconds
    rows = list(_study._rows(Trial(0, "COMPLETE", values=[1.0], reported={2: 3.0, 1: 4.0}), ["m"]))
    assert [(row.step, row.metrics["m"]) for row in rows] == [(1, 4.0), (2, 3.0), (None, 1.0)]
    assert list(_study._rows(Trial(0, "COMPLETE", values=[1.0]), ["m", "n"])) == []


@each(
    ("value", "error", "status"),
    [
        ("COMPLETED", None, "completed"),
        ("cancelled", "e", "cancelled"),
        ("done", None, "running"),
        (None, "e", "failed"),
    ],
)
def test_a_status_of_evsys(value: object, error: str | None, status: str) -> None:
    """An arm with an unknown status is failed if it has an error, and running otherwise."""
    assert _common.status_of(value, error) == status


def test_texts_of_evsys() -> None:
    """Texts such as "(none)" and "null" count as a missing value.

    The success metric is read from the sentence of a conclusion that begins with "Best arm:".
    """
    assert [_common.text_or_none(each) for each in (None, "", "(none)", "null", "None")] == [
        None
    ] * 5
    assert [_common.text_or_none(each) for each in (0, "none")] == ["0", "none"]
    best = "Best arm: a at b at test.acc=0.5. 1/2 arms completed."
    assert _common.success_metric_of(best) == "b at test.acc"
    assert _common.success_metric_of("No arms.") is None
    assert _logs._experiment_name(Path("/x/2026-01-02_03-04-05_bench")) == (
        "bench-2026-01-02_03-04-05"
    )
    assert _logs._experiment_name(Path("/x/bench")) == "bench"


def test_empty_cells_of_a_table() -> None:
    """A cell with a word such as "NA" or "null" counts as empty, in upper or lower case.

    A cell with "nan" is kept.
    """
    for text in ("", "  ", "NA", "n/a", "None", "NULL", "-"):
        assert (_cell({"c": text}, "c"), _text(text)) == (None, None), text
    assert (_cell({"c": "nan"}, "c"), _cell({"c": 0}, "c"), _cell({}, "c")) == ("nan", 0, None)
    assert (_cell({"c": 1}, None), _text(" a "), _text(0)) == (None, "a", "0")


def test_names_of_folders_of_tensorboard() -> None:
    """A folder's name is recognized as one for training, as one for an eval, or as generic.

    Only whole words count, in upper or lower case.
    """
    for name in ("train", "Training"):
        assert _TRAIN.fullmatch(name)
    for name in ("eval", "evaluation", "val", "valid", "validation", "dev", "Test"):
        assert _EVAL.fullmatch(name), name
    for name in ("version_3", "logs", "runs", "tb", "events", "1.5", "train"):
        assert _NO_NAME.fullmatch(name), name
    assert not any(kind.fullmatch("trainer") for kind in (_TRAIN, _EVAL, _NO_NAME))


def test_changes_of_a_wandb_summary() -> None:
    """Changes of a W&B summary set and remove nested keys.

    Removing a key that does not exist is not an error.
    """
    target: dict[str, Any] = {"a": 1}
    nested = [
        {"nested_key": ["a", "b"], "value_json": "2"},
        {"nested_key": ["a", "c"], "text": "x"},
    ]
    _run._change(target, _log._Record(summary={"update": nested}).summary)
    assert target == {"a": {"b": 2, "c": "x"}}
    gone = [{"nested_key": ["a", "b"]}, {"nested_key": ["a", "c", "d"]}, {"key": "none"}]
    _run._change(target, _log._Record(summary={"remove": gone}).summary)
    assert target == {"a": {"c": "x"}}
    _run._change(target, _log._Record(summary=changes({"a": None})).summary)
    assert target == {"a": None}
    bad = _log._Record(summary={"update": [{"key": "k", "value_json": "{"}]}).summary
    with pytest.raises(_log.LogError, match="'k' has a value that is not JSON"):
        _run._change(target, bad)


def test_the_summary_of_a_wandb_run() -> None:
    """Evals in a W&B summary become rows with the summary's time, and the test set comes first.

    Media are left out.
    """
    run = _run._Run("r")
    run.summary = {
        "loss": math.inf,
        "val/acc": 0.5,
        "image": {"_type": "image", "width": 3},
        "test/acc": "0.25",
        "_timestamp": 7,
        "_step": 9,
    }
    metrics, rows = _run._split_summary(run)
    assert metrics == {"loss": math.inf}
    assert [(row.name, row.metrics, row.tags) for row in rows] == [
        ("test", {"acc": 0.25}, ["test"]),
        ("val", {"acc": 0.5}, []),
    ]
    assert {row.event_time for row in rows} == {datetime.fromtimestamp(7, UTC)}
    for code, status in ((0, "completed"), (1, "failed"), (255, "failed"), (None, "running")):
        run.has_log, run.exit_code = True, code
        assert _run._status(run) == status


def test_a_wandb_run_that_was_resumed() -> None:
    """A resumed W&B run is running again, even after a failure. Its durations are added up."""
    run = _run._Run("r")
    for record in (exit_record(1, 5), run_record("r", {}), history(0, {"image": {"_type": "x"}})):
        _run._take(run, record)
    assert (run.exit_code, _run._status(run), run.not_numbers) == (None, "running", {"image": 1})
    _run._take(run, exit_record(0, 7))
    assert (_run._status(run), run.seconds) == ("completed", 12.0)


def test_facts_and_steps_of_a_wandb_run() -> None:
    """A later run record adds its facts to those of earlier ones.

    If a row has no step of its own, the value that was logged as `_step` is its step.
    """
    run = _run._Run("r")
    values = [{"key": key, "value_json": "4"} for key in ("_step", "loss")]
    row = _log._Record(history={"item": values})
    for record in (run_record("r", {}, project="p"), run_record("", {}, run_group="g"), row):
        _run._take(run, record)
    assert (run.run_id, run.facts["project"], run.facts["run_group"]) == ("r", "p", "g")
    assert run.logged.series() == {"loss": Series("loss", [4], [4.0])}


def test_a_wandb_log_that_ends_between_two_fragments(tmp_path: Path) -> None:
    """A log that ends within a record is reported as incomplete.

    The records before that one are read.
    """
    path = tmp_path / "run.wandb"
    data = log_bytes(run_record("r", {}), history(1, {"text": "x" * 64 * 1024}))
    path.write_bytes(data[: 32 * 1024])
    found: list[Any] = []
    with pytest.raises(_log.LogError, match="the log is incomplete"):
        found.extend(_log.records(path))
    assert [record.run.run_id for record in found] == ["r"]


def test_a_trial_of_a_journal_that_two_workers_took() -> None:
    """If two workers start the same trial of a journal, the second start changes nothing."""
    journal = _journal._Journal()
    journal.apply({"op_code": 0, "study_name": "s", "directions": [1]})
    journal.apply({"op_code": 4, "study_id": 0, "state": 4})
    for day in ("2026-01-02", "2026-01-03"):
        start = {"state": 0, "datetime_start": f"{day}T00:00:00Z"}
        journal.apply({"op_code": 6, "trial_id": 0, **start})
    study = journal.studies[0]
    assert study is not None
    [found] = study.trials
    assert (found.state, found.start) == ("RUNNING", datetime(2026, 1, 2, tzinfo=UTC))
    for code in (-1, 99):
        journal.apply({"op_code": code})  # an operation of another version
    assert study.trials == [found]


def test_an_old_trial_of_a_journal() -> None:
    """A trial may be added to a journal after its end, with a single record.

    Value, attributes, steps and parameters are read from this record.
    """
    journal = _journal._Journal()
    journal.apply({"op_code": 0, "study_name": "s", "directions": [1]})
    trial = {"op_code": 4, "study_id": 0, "state": 1, "value": 0.5, "user_attrs": {"k": 1}}
    form = {"x": '{"name": "IntDistribution"}'}
    given = {"intermediate_values": {"3": 1}, "params": {"x": 7.0}, "distributions": form}
    journal.apply({**trial, **given})
    study = journal.studies[0]
    assert study is not None
    [found] = study.trials
    assert (found.state, found.values, found.attributes) == ("COMPLETE", [0.5], {"k": 1})
    assert (found.reported, repr(found.params)) == ({3: 1.0}, "{'x': 7}")


def test_columns_of_lightning_that_are_not_numbers(tmp_path: Path) -> None:
    """For each column of a metrics.csv, the lines whose cell is not a number are counted."""
    file = write_text(tmp_path / "metrics.csv", "step,b,c\n1,x,x\n2,1,x\n")
    found = list(lightning._read(file, Logged(), EvalResult("test")))
    assert [item.why for item in found if isinstance(item, NotImported)] == [
        "'b' is not a number in 1 line",
        "'c' is not a number in 2 lines",
    ]


def test_test_sets_of_lightning() -> None:
    """The metrics of each further test dataloader are an eval of their own.

    All test metrics without a dataloader in their name go into one row.
    """
    logged, test = Logged(), EvalResult("test")
    for column in ("test_acc", "test_acc/dataloader_idx_1", "loss"):
        lightning._add(logged, test, column, 3, 0.5)
    lightning._add(logged, test, "loss", 2, 0.25)
    assert test.metrics == {"acc": 0.5}
    assert [(row.name, row.step) for row in logged.rows()] == [("test/dataloader_idx_1", 3)]
    assert logged.series() == {"loss": Series("loss", [2, 3], [0.25, 0.5])}


def test_an_export_with_a_field_that_is_not_known() -> None:
    """An exported event with an unknown field is an error. It is not read without the field.

    A newer version may have added the field.
    """
    item = {"event": "experiment_declared", "experiment": "e", "odd": 1}
    with pytest.raises(ValueError, match=r"^experiment_declared: unknown field: odd$"):
        podium_export._found(item, "f:1")


def test_all_files_of_a_given_kind(tmp_path: Path) -> None:
    """If the kind is given, a folder is searched for files of this kind.

    If there are none, the folder itself is read.
    """
    for name in ("a", "b"):
        write_text(tmp_path / name / "trainer_state.json", '{"log_history": []}')
    found = [place.path.name for place in places(tmp_path, kind="hf_trainer")]
    assert found == ["a", "b"]
    assert [place.path for place in places(tmp_path, kind="mlflow")] == [tmp_path]


def test_why_a_line_is_wrong() -> None:
    """A bad line without a line break is incomplete, since its writer was stopped.

    Any other bad line is invalid.
    """
    for line, why in (
        (b"{\n", "not valid JSON"),
        (b"{", "the line is incomplete: its writer was stopped"),
        (b"[]", "not a JSON object"),
    ):
        assert str(_values._line(line)) == why


def test_logged_rows_are_in_the_order_of_their_steps() -> None:
    """Logged rows are sorted by step, then by name. Each row has the time of its last value."""
    logged = Logged()
    times = [datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 5)]
    for (key, step), time in zip(
        (("val/acc", 2), ("test/acc", 2), ("val/acc", 1), ("val/f1", 2)), times, strict=True
    ):
        logged.add(key, step, 0.5, time)
    assert [(row.name, row.step, row.event_time) for row in logged.rows()] == [
        ("val", 1, times[2]),
        ("test", 2, times[1]),
        ("val", 2, times[3]),
    ]
