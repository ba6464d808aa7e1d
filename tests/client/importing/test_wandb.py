"""Tests of imports of W&B runs on disk: logs, summaries, and damaged files."""

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import podium
import pytest
from podium.importing import FoundArm, import_results, read_results
from podium.importing.kinds.wandb import _log

from tests.client.importing.files import write_json, write_text
from tests.client.importing.reading import results
from tests.client.importing.wandb_files import (
    changes,
    exit_record,
    history,
    log_bytes,
    run_record,
    write_log,
)

_FOLDER = "wandb/run-20260102_030405-abc12345"
_RUN = run_record(
    "abc12345",
    {"lr": 0.1, "seed": 7, "_wandb": {"v": 1}},
    project="demo",
    display_name="first",
    run_group="g",
    job_type="train",
    notes="a note",
    tags=["x"],
)
_ROWS = (
    history(0, {"loss": 0.5, "val/acc": 0.25, "_timestamp": 1e9, "_runtime": 1.5, "_step": 0}),
    history(1, {"loss": float("nan"), "nested": {"a": 2}, "note": "warm"}),
    history(2, {"loss": float("inf"), "val/acc": 0.75}),
)
_SUMMARY = _log._Record(
    summary=changes({"loss": float("inf"), "best": 3, "val/acc": {"max": 0.8}, "test/acc": 0.5})
)


def _log_of(tmp_path: Path, *records: Any) -> Path:
    return write_log(tmp_path / _FOLDER / "run-abc12345.wandb", *records)


def _found(path: Path) -> FoundArm:
    [found] = [item for item in read_results(path) if isinstance(item, FoundArm)]
    return found


def test_a_finished_run_is_an_arm_with_series_and_evals(tmp_path: Path) -> None:
    """The history of a run becomes series and in-loop rows.

    The summary becomes metrics and post-training rows.
    """
    _log_of(tmp_path, _RUN, *_ROWS, _SUMMARY, exit_record(runtime=60))
    found = _found(tmp_path)
    arm = found.arm
    assert (found.experiment, arm.name, arm.run_id) == ("demo", "first-abc12345", "abc12345")
    assert (arm.status, arm.train_seconds, arm.group_name) == ("completed", 60.0, "g")
    assert arm.run_config == podium.RunConfig(
        "first-abc12345",
        algorithm=podium.Component("wandb", {"lr": 0.1, "seed": 7}),
        seed=7,
        tags=["x"],
        extras={"job_type": "train"},
    )
    assert arm.run_result is not None
    assert arm.run_result.extras == {"notes": "a note"}
    assert [(row.name, row.step, row.metrics) for row in arm.evals] == [
        ("val", 0, {"acc": 0.25}),
        ("val", 2, {"acc": 0.75}),
        ("test", None, {"acc": 0.5}),
        ("val", None, {"acc": 0.75, "acc.max": 0.8}),
    ]
    assert [row.tags for row in arm.evals] == [[], [], ["test"], []]
    assert arm.evals[0].event_time == datetime.fromtimestamp(1e9, UTC)
    assert arm.metrics == {"loss": float("inf"), "nested.a": 2.0, "best": 3.0}
    assert found.series["loss"].steps == [0, 1, 2]
    assert str(found.series["loss"].values) == "[0.5, nan, inf]"
    assert results(tmp_path).not_imported == {
        f"{_FOLDER}/run-abc12345.wandb": (
            "1 key of the history with values that are not numbers: note (1 of 3 rows)"
        )
    }


@pytest.mark.parametrize(
    ("ends", "status", "error"),
    [
        ([], "running", None),
        ([exit_record(3)], "failed", "the process ended with exit code 3"),
    ],
)
def test_an_unfinished_run_has_no_results_of_its_in_loop_evals(
    tmp_path: Path, ends: list[Any], status: str, error: str | None
) -> None:
    """If a run did not finish, an eval has a post-training row only if it is not in the history."""
    _log_of(tmp_path, _RUN, *_ROWS, _SUMMARY, *ends)
    arm = _found(tmp_path).arm
    assert (arm.status, arm.error) == (status, error)
    assert [(row.name, row.step) for row in arm.evals] == [("val", 0), ("val", 2), ("test", None)]


def test_values_of_recent_versions_have_types(tmp_path: Path) -> None:
    """In logs of recent versions, each value is in a field for its type, such as `integer`.

    Numbers are read from these fields, and from the field `json`. A boolean is not a metric.
    """
    items = [
        {"key": "loss", "number": 0.125},
        {"key": "count", "integer": -3},
        {"key": "flag", "boolean": True},
        {"key": "deep", "json": '{"a": 1.5}'},
    ]
    row = _log._Record(history={"item": items, "step": {"num": 4}})
    _log_of(tmp_path, _RUN, row, exit_record())
    assert _found(tmp_path).arm.metrics == {"loss": 0.125, "count": -3.0, "deep.a": 1.5}


def test_a_resumed_run_is_one_arm(client: podium.Client, tmp_path: Path) -> None:
    """The folders of one run ID are read in the order of their times. The last status counts."""
    first, second = (tmp_path / f"wandb/run-2026010{day}_000000-abc12345" for day in (1, 2))
    write_log(first / "run-abc12345.wandb", _RUN, _ROWS[0], exit_record(1, 10))
    write_log(second / "run-abc12345.wandb", _RUN, _ROWS[2], exit_record(0, 5))
    (tmp_path / "wandb" / "latest-run").symlink_to(second)
    report = import_results(client, tmp_path)
    assert (report.recorded, report.not_imported) == (1, [])
    arm = client.arm("demo", "first-abc12345").get()
    assert (arm.status, arm.train_seconds, arm.score("val.acc")) == ("completed", 15.0, 0.75)
    assert import_results(client, tmp_path).unchanged == 1


def test_a_run_without_its_log_has_its_summary(tmp_path: Path) -> None:
    """A run without its log is imported from its summary and its config.yaml.

    The report says that the log is missing.
    """
    files = tmp_path / _FOLDER / "files"
    summary = {"loss": 0.5, "val_acc": 0.75, "_wandb": {"runtime": 3}, "_step": 9}
    write_json(files / "wandb-summary.json", summary)
    write_text(files / "config.yaml", "wandb_version: 1\n_wandb:\n  value: {}\nlr:\n  value: 0.1\n")
    arm = _found(tmp_path).arm
    assert (arm.name, arm.status, arm.metrics) == ("abc12345", "completed", {"loss": 0.5})
    assert arm.run_config.algorithm == podium.Component("wandb", {"lr": 0.1})
    assert [(row.name, row.step, row.metrics) for row in arm.evals] == [
        ("val", None, {"acc": 0.75})
    ]
    [why] = results(tmp_path).not_imported.values()
    assert why.startswith("the run lacks its log (abc12345.wandb)")


def test_a_record_over_several_blocks_is_read_whole(tmp_path: Path) -> None:
    """A record larger than a block is read whole, and so are records near the end of a block."""
    wide = {f"k{number}": number for number in range(4_000)}
    rows = [history(step, {"loss": step / 8, "pad": "x" * (step % 97)}) for step in range(1_500)]
    _log_of(tmp_path, _RUN, history(5_000, wide), *rows, exit_record())
    found = _found(tmp_path)
    assert found.series["loss"].values == [step / 8 for step in range(1_500)]
    assert found.series["k3999"].values == [3_999.0]


@pytest.mark.parametrize(
    ("content", "why", "arms"),
    [
        (b"", "the file is empty", 0),
        (log_bytes(), "the log lacks the record that describes its run (`run`)", 0),
        (log_bytes(_RUN)[:-3], "the log is incomplete: its writer was stopped", 0),
        (log_bytes(_RUN, *_ROWS[::2])[:-3], "the log is incomplete: its writer was stopped", 1),
        (log_bytes(_RUN, b"\xff\xff"), "damaged before byte", 1),
        (log_bytes(_RUN, b"\x8a\x01\x03\x0a\x01\xff"), "damaged before byte", 1),
    ],
)
def test_a_log_that_was_cut_off_is_reported(
    tmp_path: Path, content: bytes, why: str, arms: int
) -> None:
    """The values before the damage in a log are imported, and the damage is reported."""
    path = tmp_path / _FOLDER / "run-abc12345.wandb"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    found = results(tmp_path)
    assert (len(found.arms), len(found.wrong)) == (arms, 1)
    assert any(text.startswith(why) for text in found.not_imported.values())


def test_no_damage_causes_a_wrong_number(tmp_path: Path) -> None:
    """A log with changed or missing bytes is read without a crash, and gives no wrong number."""
    whole = log_bytes(_RUN, *[history(step, {"loss": 0.5}) for step in range(50)], exit_record())
    draw = random.Random(1)  # noqa: S311 - the same damage every time
    for number in range(60):
        data = bytearray(whole[: draw.randrange(len(whole))] if number % 3 == 0 else whole)
        for _ in range(draw.randrange(1, 4)):
            if data:
                data[draw.randrange(len(data))] = draw.randrange(256)
        (tmp_path / "run-abc12345.wandb").write_bytes(data)
        for item in read_results(tmp_path):
            if isinstance(item, FoundArm):
                assert set(item.arm.metrics.values()) <= {0.5}
            else:
                assert "not in the format" not in getattr(item, "why", "")


def test_hostile_logs_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record over the limit, keys nested too deeply, and a link out of a folder are reported."""
    monkeypatch.setattr(_log, "_MAX_RECORD_BYTES", 100_000)
    deep = _log._Record(summary={"update": [{"nested_key": ["a"] * 10_000, "value_json": "1"}]})
    write_log(tmp_path / "a.wandb", _RUN, history(0, {"a": "x" * 200_000}))
    write_log(tmp_path / "b" / "b.wandb", _RUN, deep)
    link = tmp_path / "far" / "c" / "c.wandb"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "a.wandb")
    assert results(tmp_path / "b").not_imported == {"b.wandb": "'a' is nested too deeply"}
    assert "outside of the results" in results(link.parent).not_imported["c.wandb"]
    link.unlink()
    why = "a record is larger than the limit of 100,000 bytes"
    assert results(tmp_path).not_imported["a.wandb"] == why


def test_files_that_only_end_like_a_log_are_not_claimed(tmp_path: Path) -> None:
    """No importer claims a `.wandb` file without the header of a log, or a summary alone."""
    write_text(tmp_path / "notes.wandb", "my notes")
    write_json(tmp_path / "wandb-summary.json", {"loss": 1})
    assert results(tmp_path) == results(tmp_path / "notes.wandb")
    assert results(tmp_path).not_imported == {}


def test_a_copy_of_the_latest_run_is_that_run(tmp_path: Path) -> None:
    """If `latest-run` is a copy of a run, and not a link, it is not another arm.

    If the copy is alone, it is a run of its own.
    """
    summary = '{"loss": 0.5}'
    for name in ("run-20260102_030405-abc", "latest-run"):
        write_text(tmp_path / "wandb" / name / "files" / "wandb-summary.json", summary)
    assert list(results(tmp_path).arms) == ["abc"]
    write_text(tmp_path / "x" / "latest-run" / "files" / "wandb-summary.json", summary)
    [name] = results(tmp_path / "x").arms
    assert name.startswith("latest-run-")


def test_a_run_without_results_is_reported(tmp_path: Path) -> None:
    """A run folder with neither a log nor a summary is reported."""
    files = tmp_path / "wandb" / "run-20260102_030405-abc" / "files"
    write_text(files / "config.yaml", "lr:\n  value: 0.1\n")
    found = results(tmp_path)
    assert found.arms == {}
    [why] = found.not_imported.values()
    assert why.startswith("the run lacks its log (abc.wandb)")


def test_texts_of_a_summary_are_one_line(tmp_path: Path) -> None:
    """All values of a summary that are not numbers are reported in one line."""
    summary = {"loss": 0.5, **{f"text{number}": "x" for number in range(12)}}
    write_json(tmp_path / _FOLDER / "files" / "wandb-summary.json", summary)
    listed = results(tmp_path).not_imported
    assert [why for why in listed.values() if "not numbers" in why] == [
        (
            "12 keys of the summary with values that are not numbers: text0, text1, text2, text3, "
            "text4, text5, text6, text7, text8, text9 and 2 more"
        )
    ]


def test_logs_of_several_runs_in_one_folder_are_several_arms(tmp_path: Path) -> None:
    """If a folder has the logs of two runs, they are two arms.

    A copy of `latest-run` over an older copy makes such a folder.
    """
    for run_id, value in (("first", 0.25), ("second", 0.75)):
        path = tmp_path / "wandb" / "latest-run" / f"run-{run_id}.wandb"
        write_log(path, run_record(run_id, {}), history(0, {"loss": value}), exit_record())
    found = {item.arm.name: item for item in read_results(tmp_path) if isinstance(item, FoundArm)}
    assert {name: list(item.series["loss"].values) for name, item in found.items()} == {
        "first": [0.25],
        "second": [0.75],
    }
