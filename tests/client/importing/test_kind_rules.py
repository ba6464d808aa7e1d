"""Tests of the rules of single importers: statuses, times, names and numbers, without a server."""

import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from podium.importing.kinds import hf_trainer, inspect_ai, lm_eval, mlflow
from podium.importing.kinds.tensorboard import _events

from tests.client.importing.files import write_text
from tests.each import each


def _result(steps: Generator[Any, None, Any]) -> Any:
    """Runs a generator. Returns its result, and a list of what it yielded."""
    yielded = []
    while True:
        try:
            yielded.append(next(steps))
        except StopIteration as end:
            return end.value, yielded


# ---- MLflow --------------------------------------------------------------------------------------


@each(
    ("status", "found"),
    [
        ("1", "running"),
        ("2", "pending"),
        ("3", "completed"),
        ("4", "failed"),
        ("5", "cancelled"),
        ("RUNNING", "running"),
        ("SCHEDULED", "pending"),
        ("FINISHED", "completed"),
        ("FAILED", "failed"),
        ("KILLED", "cancelled"),
    ],
)
def test_a_status_of_mlflow(status: str, found: str) -> None:
    """An MLflow status is read from its name, or from the number that older files have."""
    assert mlflow._STATUSES[status] == found


@each(
    ("start", "end", "seconds"),
    [
        (1_000, 3_500, 2.5),
        (1_000, 1_000, 0.0),
        (2_000, 1_000, None),
        (1_000, None, None),
        (0, 5, None),
    ],
)
def test_the_duration_of_a_run(start: int, end: int | None, seconds: float | None) -> None:
    """The duration of a run is in seconds, although its times are in milliseconds.

    If a time is missing, or the end is before the start, there is no duration.
    """
    assert mlflow._seconds({"start_time": start, "end_time": end}) == seconds


def test_the_last_value_of_a_metric(tmp_path: Path) -> None:
    """The last value of a metric is the one with the greatest step.

    Among values of the same step, the latest one counts, or the last line if the times are equal.
    """
    write_text(tmp_path / "loss", "9 1 1\n1 2 2\n3 3 2\n3 4 2\n2 5 2\n")
    write_text(tmp_path / "val_acc", "2000 0.5 7\n5000 0.25 7\n")
    write_text(tmp_path / "val_f1", "1000 0.75 7\n")
    (last, rows, series), problems = _result(mlflow._metrics(tmp_path))
    assert (last, series, problems) == ({"loss": 4.0}, {"loss": {1: 1.0, 2: 4.0}}, [])
    [row] = rows
    assert (row.name, row.step, row.metrics) == ("val", 7, {"acc": 0.25, "f1": 0.75})
    assert row.event_time == datetime.fromtimestamp(5, UTC)


@pytest.mark.parametrize(
    ("line", "is_right"),
    [
        ("1 2 3\n", True),
        ("1 2\n", True),
        ("1 2 3", False),
        ("1\n", False),
        (f"1 2 {2**63 - 1}\n", True),
        (f"1 2 {2**63}\n", False),
    ],
)
def test_a_line_of_a_metric(tmp_path: Path, line: str, *, is_right: bool) -> None:
    """A line that is cut off, or whose step exceeds 64 bits, is reported and left out."""
    values, problems = _result(mlflow._values(write_text(tmp_path / "loss", line)))
    assert (len(values), len(problems)) == ((1, 0) if is_right else (0, 1))


# ---- Hugging Face's Trainer ----------------------------------------------------------------------


@each(
    ("max_steps", "global_step", "is_finished"),
    [(10, 10, True), (10, 9, False), (10, 11, True), (0, 0, False), (None, 5, False)],
)
def test_a_training_that_is_finished(
    max_steps: int | None, global_step: int, *, is_finished: bool
) -> None:
    """A training run is finished if it has made all of its planned steps."""
    content: dict[str, Any] = {
        "max_steps": max_steps,
        "global_step": global_step,
        "log_history": [],
    }
    assert hf_trainer._State(Path("f"), content).is_finished is is_finished


def test_the_rows_of_a_log_entry() -> None:
    """A metric belongs to the data set with the longest matching prefix, such as `eval_long`.

    A negative duration becomes 0.
    """
    entry = {
        "eval_loss": 1.0,
        "eval_runtime": -1.0,
        "eval_long_loss": 2.0,
        "eval_long_runtime": 3.0,
        "loss": 4.0,
        "step": 7,
    }
    rows = {row.name: row for row in hf_trainer._rows(entry)}
    assert {name: row.metrics for name, row in rows.items()} == {
        "eval": {"loss": 1.0},
        "long": {"loss": 2.0},
    }
    assert [rows[name].eval_seconds for name in ("eval", "long")] == [0.0, 3.0]
    assert {row.step for row in rows.values()} == {7}
    assert hf_trainer._entry_metrics(entry) == {"loss": 4.0}


def test_the_duration_of_a_training_is_the_last_one() -> None:
    """The last duration in a log counts. A resumed run has one in each part of its log."""
    assert hf_trainer._train_seconds([{"train_runtime": 1}, {"train_runtime": 2}, {}]) == 2.0
    assert hf_trainer._train_seconds([{}]) is None


def test_the_results_of_a_test_set_come_first() -> None:
    """The rows of `predict` and `test` come before that of `eval`, and have the tag "test".

    So the first of these rows is the primary eval.
    """
    splits = ("eval", "test", "predict")
    results = {f"{split}_{key}": 1.0 for split in splits for key in ("acc", "runtime")}
    rows = hf_trainer._rows_of_results(results)
    assert [(row.name, row.tags) for row in rows] == [
        ("predict", ["test"]),
        ("test", ["test"]),
        ("eval", []),
    ]


# ---- lm-evaluation-harness -----------------------------------------------------------------------


@each(
    ("settings", "text"),
    [
        ({"do_sample": False, "temperature": 0, "until": ["\n"]}, ""),
        ({"temperature": 0.0}, ""),
        ({"temperature": 1}, ",temperature=1"),
        ({"top_p": 0.9, "do_sample": True}, ",do_sample=True,top_p=0.9"),
        ({"max_gen_toks": None}, ""),
    ],
)
def test_generation_settings_of_a_task(settings: dict[str, Any], text: str) -> None:
    """Only settings that differ from greedy decoding are part of a benchmark_id."""
    assert lm_eval._sampling(settings) == text


def _content(**fields: Any) -> dict[str, Any]:
    results = {"t": {"acc,none": 0.5, "f1,strict": 0.25, "alias": "7", "sample_len": 9}}
    return {"results": results, "config": {"model_args": "", "num_fewshot": 5}, **fields}


def test_the_row_of_a_task() -> None:
    """The filter after the comma of a metric, as in `f1,strict`, stays, unless it is `none`.

    Values that are strings are not metrics.
    """
    [row] = lm_eval.evals_of(_content(versions={"t": 2}, **{"n-shot": {"t": 0}}), None)
    assert row.metrics == {"acc": 0.5, "f1,strict": 0.25, "n_samples": 9.0}
    assert (row.benchmark_id, row.tags, row.step) == ("t@2,0-shot", ["test"], None)


@each(
    ("counts", "found"),
    [({"a": 3, "b": 3}, {"n_samples": 3.0}), ({"a": 3, "b": 4}, {}), ({}, {})],
)
def test_the_samples_of_a_group(counts: dict[str, int], found: dict[str, float]) -> None:
    """The number of samples of a group is known only if it is the same for all metrics."""
    content = {"results": {"t": {"sample_count": counts}}}
    assert lm_eval._sample_count(content, "t") == found
    assert lm_eval._sample_count(content | {"n-samples": {"t": {"effective": 7}}}, "t") == {
        "n_samples": 7.0
    }


def test_metrics_whose_smaller_values_are_better() -> None:
    """The metric `f1,strict`, with a filter, gets the direction that the file gives for `f1`."""
    better = {"t": {"f1": False, "acc": True}}
    assert lm_eval.directions_of(_content(higher_is_better=better)) == {"t.f1,strict": "minimize"}


# ---- Inspect -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2026-01-02T03:04:05", 3),
        ("2026-01-02T03:04:05+00:00", 3),
        ("2026-01-02T03:04:05+02:00", 1),
        ("soon", None),
        (None, None),
    ],
)
def test_a_time_of_inspect(
    text: str | None, hour: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time without a zone is in UTC, whatever the zone of this machine is."""
    monkeypatch.setenv("TZ", "XXX-9")
    time.tzset()
    try:
        found = inspect_ai._time(text)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (found and (found.hour, found.tzinfo)) == (None if hour is None else (hour, UTC))


@each(
    ("status", "found"),
    [
        ("success", "completed"),
        ("error", "failed"),
        ("cancelled", "cancelled"),
        ("started", "running"),
        (None, "running"),
    ],
)
def test_a_status_of_inspect(status: str | None, found: str) -> None:
    """A log without a status is completed if it has scores, and running otherwise."""
    assert inspect_ai._status({"status": status}) == found
    scored: dict[str, Any] = {"status": None, "results": {"scores": [{}]}}
    assert inspect_ai._status(scored) == "completed"


def test_the_names_of_scores_are_unique() -> None:
    """Scores with the same name get the name of their scorer, and a number if needed."""
    scores: list[dict[str, Any]] = [
        {"name": "a", "scorer": "x"},
        {"name": "a", "scorer": "y"},
        {"name": "a", "scorer": "y"},
        {"name": "b", "scorer": "z"},
        {"name": "c", "reducer": "max"},
        {},
    ]
    assert inspect_ai._names(scores) == ["x/a", "y/a", "y/a-1", "b", "c/max", "score"]


def test_settings_that_change_what_is_measured() -> None:
    """Of the settings of an evaluation, only those that change what is measured are kept.

    Settings of the program and of logging are left out. So is the seed, which has its own field.
    """
    settings = {"limit": 3, "max_connections": 9, "log_level": "info", "seed": 7, "epochs": None}
    assert inspect_ai._kept(settings) == {"limit": 3}


# ---- TensorBoard ---------------------------------------------------------------------------------


_VECTOR = {"dim": [{"size": 1}]}


@each(
    ("fields", "number"),
    [
        ({"simple_value": 0.5}, 0.5),
        ({"tensor": {"dtype": 1, "float_val": [0.5]}}, 0.5),
        ({"tensor": {"dtype": 2, "tensor_content": b"\0\0\0\0\0\0\xe0\x3f"}}, 0.5),
        ({"tensor": {"dtype": 2, "double_val": [0.1]}}, 0.1),
        ({"tensor": {"dtype": 3, "int_val": [-7]}}, -7.0),
        ({"tensor": {"dtype": 9, "tensor_content": (2**40).to_bytes(8, "little")}}, 2.0**40),
        ({"tensor": {"dtype": 9, "int64_val": [2**40]}}, 2.0**40),
        ({"tensor": {"dtype": 1, "float_val": [0.5], "tensor_shape": _VECTOR}}, None),
        ({"tensor": {"dtype": 7}}, None),
        ({"tensor": {"dtype": 1, "tensor_content": b"\0"}}, None),
    ],
)
def test_a_scalar_of_tensorboard(fields: dict[str, Any], number: float | None) -> None:
    """A scalar is read from the field `simple_value`, or from a tensor with a numeric type.

    A vector, a tensor of another type, and content of a wrong length are not scalars.
    """
    assert _events.scalar(_events._MESSAGES["Value"](**fields)) == number


def test_a_checksum_of_a_record() -> None:
    """The checksum of a record is the masked CRC-32C of TFRecord."""
    assert _events._masked_crc32c(b"123456789") == (
        (((0xE3069283 >> 15) | (0xE3069283 << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    )
