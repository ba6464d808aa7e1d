"""Tests of `podium export`: JSON lines that `podium record` accepts, and a flat table."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import podium as library
import pytest
from podium_server.testing import running_server

from tests.client.cli.shell import podium

OUTPUTS = {"revision", "create_time", "update_time", "record_time", "attempt", "last_heard"}


@pytest.fixture(scope="module")
def source() -> Iterator[str]:
    """Yields the address of a server with two experiments.

    One has everything that can be recorded, and the other one has no arms.
    """
    with running_server() as server, library.Client(server.address) as client:
        experiment = client.experiment("nlp/whole")
        experiment.declare(
            hypothesis="h",
            success_metric="test.acc",
            direction="minimize",
            tags=["t"],
            metadata={"n": 2**53 + 1, "x": float("nan")},
        )
        _fill(experiment)
        experiment.conclude("It holds.")
        client.experiment("empty").declare()
        yield server.address


@pytest.fixture
def target() -> Iterator[str]:
    """Yields the address of another server, which is empty."""
    with running_server() as server:
        yield server.address


def _fill(experiment: library.ExperimentHandle) -> None:
    config = library.RunConfig("a", seed=3, extras={"lr": 1.0})
    with experiment.start_arm(config, group_name="g") as run:
        run.log({"loss": 0.5, "nan": float("nan")}, step=-1)
        run.log({"loss": 0.25})
        run.log_eval("val", {"acc": 0.1}, step=0)
        run.log_eval(
            "test",
            {"acc": 0.5, "inf": float("-inf")},
            tags=["test", "x"],
            breakdowns={"math": {"n": 3}, "text": "no number"},
            benchmark_id="b1",
        )
    old = library.ArmResult("old", library.RunConfig("old"), "failed", {}, {"acc": 0.7})
    experiment.record_arm(old)
    experiment.record_arm(library.ArmResult("bare", library.RunConfig("bare"), "pending"))


def _items(text: str) -> list[Any]:
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


def _without_outputs(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_outputs(value[key]) for key in value if key not in OUTPUTS}
    return [_without_outputs(item) for item in value] if isinstance(value, list) else value


def test_json_lines_of_one_experiment(source: str) -> None:
    """An export has the experiment's declaration, its arms in order, and its conclusion.

    Each line names the experiment.
    """
    done = podium("export", "nlp/whole", address=source)
    assert (done.code, done.err) == (0, "")
    first, *arms, last = _items(done.out)
    points, latest = arms.pop(1), arms.pop(1)
    event = {"event": "metrics_recorded", "experiment": "nlp/whole", "arm": "a"}
    assert points == {**event, "metrics": {"loss": 0.5, "nan": "NaN"}, "step": -1}
    assert latest == {**event, "metrics": {"loss": 0.25}}
    assert first == {
        "event": "experiment_declared",
        "experiment": "nlp/whole",
        "hypothesis": "h",
        "success_metric": "test.acc",
        "direction": "minimize",
        "tags": ["t"],
        "metadata": {"n": 2**53 + 1, "x": {"$double": "NaN"}},
    }
    assert [(arm["name"], arm["experiment"]) for arm in arms] == [
        ("a", "nlp/whole"),
        ("old", "nlp/whole"),
        ("bare", "nlp/whole"),
    ]
    assert last == {
        "event": "experiment_concluded",
        "experiment": "nlp/whole",
        "conclusion": "It holds.",
    }


def test_everything_goes_to_another_server(source: str, target: str, tmp_path: Path) -> None:
    """Exported experiments are the same after they are recorded on another server.

    Only fields that the server sets, such as revisions, differ. Recording the file again changes
    nothing.
    """
    file = tmp_path / "all.jsonl"
    done = podium("export", "--output", str(file), address=source)
    assert done == (0, "", f"podium: {file} (jsonl): 2 experiments, 3 arms, 2 eval rows\n")
    first = podium("record", str(file), address=target)
    assert (first.code, first.out) == (0, "8 events recorded; 2 experiments\n")
    again = podium("record", str(file), address=target)
    assert again.out == "8 events recorded, nothing changed; 2 experiments\n"
    exported = _items(podium("export", address=target).out)
    assert _without_outputs(exported) == _without_outputs(_items(file.read_text("utf-8")))
    rows = exported[2]["evals"]
    assert all(row["event_time"] < row["record_time"] for row in rows)


def test_into_an_experiment_of_another_name(source: str, target: str) -> None:
    """With the argument EXPERIMENT, `podium record` ignores the experiments that objects name."""
    exported = podium("export", "nlp/whole", address=source).out
    done = podium("record", "copy", "-", stdin=exported, address=target)
    assert done.out == "7 events recorded; revision 1\n"
    names = json.loads(podium("experiments", "--json", address=target).out)
    assert [experiment["name"] for experiment in names] == ["copy"]


@pytest.mark.parametrize("item", ['{"event": "skipped"}', '{"name": "a"}', "[]", "3"])
def test_objects_without_an_experiment(target: str, item: str) -> None:
    """Without EXPERIMENT, an object that names no experiment is an error with the line number.

    Nothing is recorded.
    """
    given = f'{{"event": "experiment_declared", "experiment": "e"}}\n{item}'
    done = podium("record", "-", stdin=given, address=target)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("podium: line 2: ")
    assert done.err.endswith("; nothing was recorded\n")


def test_a_flat_table(source: str) -> None:
    """In CSV, each number has a line of its own, with all digits.

    The line has all columns that identify the number.
    """
    done = podium("export", "nlp/whole", "--format", "csv", address=source)
    rows = list(csv.DictReader(io.StringIO(done.out)))
    shown = [
        (r["arm"], r["source"], r["eval"], r["step"], r["metric"], r["breakdown"], r["value"])
        for r in rows
    ]
    assert shown == [
        ("a", "in_loop_eval", "val", "0", "acc", "", "0.1"),
        ("a", "post_training_eval", "test", "", "acc", "", "0.5"),
        ("a", "post_training_eval", "test", "", "inf", "", "-Infinity"),
        ("a", "post_training_eval", "test", "", "", "math/n", "3.0"),
        ("a", "training_metrics", "", "", "loss", "", "0.25"),
        ("a", "training_metrics", "", "", "nan", "", "NaN"),
        ("a", "training_metrics", "", "-1", "loss", "", "0.5"),
        ("a", "training_metrics", "", "-1", "nan", "", "NaN"),
        ("old", "given_eval_metrics", "", "", "acc", "", "0.7"),
        ("bare", "", "", "", "", "", ""),
    ]
    test = rows[1]
    assert (test["experiment"], test["group"], test["seed"], test["status"]) == (
        "nlp/whole",
        "g",
        "3",
        "completed",
    )
    assert (test["benchmark_id"], test["model_ref"], test["tags"]) == ("b1", "", "test x")
    assert test["event_time"].endswith("Z")
    assert rows[-1]["status"] == "pending"


def test_a_file_is_replaced_when_the_export_is_complete(source: str, tmp_path: Path) -> None:
    """If an export fails, an existing file is unchanged, and no other file is left beside it."""
    file = tmp_path / "old.jsonl"
    file.write_text("before", encoding="utf-8")
    done = podium("export", "not_there", "--output", str(file), address=source)
    assert (done.code, file.read_text("utf-8")) == (1, "before")
    done = podium("export", "--output", str(file), address="localhost:1")
    assert (done.code, file.read_text("utf-8")) == (3, "before")
    assert "no Podium server answers" in done.err
    assert [found.name for found in tmp_path.iterdir()] == ["old.jsonl"]
    done = podium("export", "--output", str(tmp_path / "no" / "a"), address=source)
    assert done.code == 3
    assert done.err.endswith("cannot be written: No such file or directory\n")


def test_a_change_during_the_export_is_reported(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an experiment changes during the export, a note reports that."""
    with library.Client(source) as client:
        moving = client.experiment("moving")
        moving.declare()
        moving.record_arm(library.ArmResult("a", library.RunConfig("a"), "running"))
        numbers = iter(range(10))
        get = library.ArmHandle.get

        def busy(arm: library.ArmHandle) -> library.ArmResult:
            client.arm("moving", "a").log({"n": next(numbers)})
            return get(arm)

        monkeypatch.setattr(library.ArmHandle, "get", busy)
        done = podium("export", "moving", address=source)
        moving.delete()
    assert done.code == 0
    assert done.err == (
        "podium: moving changed while it was exported, from revision 2 to 3: "
        "export it again to get all changes\n"
    )


def test_json_and_csv_at_once(source: str) -> None:
    """`podium export` accepts `--json` with the default format, and rejects it with CSV."""
    assert podium("export", "empty", "--json", address=source).out == (
        '{"event": "experiment_declared", "experiment": "empty"}\n'
    )
    done = podium("export", "--json", "--format", "csv", address=source)
    assert (done.code, done.out) == (2, "")


def test_without_unicode(target: str) -> None:
    """If stdout accepts only ASCII, other characters in the export are escaped as in JSON."""
    podium("declare", "e", "--tag", "日本", address=target)
    done = podium("export", address=target, PYTHONIOENCODING="ascii")
    assert _items(done.out)[0]["tags"] == ["日本"]
