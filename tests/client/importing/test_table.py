"""Tests of imports of CSV, TSV and JSON lines, with a mapping of their columns."""

import gzip
import json
from pathlib import Path
from typing import Any

import podium
import pytest
from podium.cli import main
from podium.importing import FoundArm, NotImported, import_results, read_results
from podium.importing._tables import stem_of
from podium.importing.kinds.table import mapping_from_texts

from tests.client.importing.files import write_json, write_lines, write_text

_LOG = "model,iteration,loss,val_acc\na,0,0.5,\na,10,0.25,0.75\nb,0,nan,0.5\n"


def _read(path: Path, **mapping: Any) -> tuple[dict[str, FoundArm], list[str]]:
    found = list(read_results(path, mapping=mapping))
    arms = {item.arm.name: item for item in found if isinstance(item, FoundArm)}
    return arms, [item.why for item in found if isinstance(item, NotImported)]


def test_a_log_with_steps_has_series_and_in_loop_rows(tmp_path: Path) -> None:
    """Metrics of rows with a step become series.

    A metric whose name begins with a word such as `val` becomes in-loop rows instead.
    """
    path = write_text(tmp_path / "sweep.csv", _LOG)
    arms, why = _read(path, arm="model", step="iteration", metric=["loss", "val_acc"])
    assert (list(arms), why) == (["a", "b"], [])
    assert arms["a"].experiment == "sweep"
    assert arms["a"].series == {"loss": podium.Series("loss", [0, 10], [0.5, 0.25])}
    assert [(row.name, row.step, row.metrics) for row in arms["a"].arm.evals] == [
        ("val", 10, {"acc": 0.75}),
        ("val", None, {"acc": 0.75}),
    ]
    assert str(arms["b"].arm.metrics) == "{'loss': nan}"
    assert arms["b"].arm.status == "completed"


def test_a_table_of_results_has_post_training_rows(tmp_path: Path) -> None:
    """Rows without a step are post-training rows.

    Columns give the settings, the seed and the group.
    """
    text = (
        "experiment;name;family;seed;lr;acc;test_f1\n"
        "nlp/x;a1;a;1;1e-3;0,5;0.25\n"
        "nlp/x;a2;a;2;1e-3;0.75;NA\n"
    )
    arms, why = _read(
        write_text(tmp_path / "scores.csv", text),
        experiment="experiment",
        arm="name",
        group="family",
        seed="seed",
        config=["lr"],
        metric=["acc", "test_f1"],
    )
    assert why == ["acc is '0,5', which is not a number"]
    arm = arms["a2-seed2"].arm
    assert (arms["a2-seed2"].experiment, arm.group_name, arm.run_config.seed) == ("nlp/x", "a", 2)
    assert arm.run_config.algorithm == podium.Component("csv", {"lr": 0.001})
    assert [(row.name, row.step, row.metrics) for row in arm.evals] == [
        ("eval", None, {"acc": 0.75})
    ]
    assert arms["a1-seed1"].arm.evals[0].metrics == {"f1": 0.25}


def test_one_file_for_each_task_is_one_arm_for_each_model(
    client: podium.Client, tmp_path: Path
) -> None:
    """The rows of an arm can be in several files, with the metric's name in a column."""
    for task in ("mmlu", "gsm8k"):
        rows = [
            {"model": model, "task": task, "name": "acc", "score": {"value": len(task) / 10}}
            for model in ("m1", "m2")
        ]
        write_lines(tmp_path / "runs" / f"{task}.jsonl", *rows)
    mapping = {"arm": "model", "eval": "task", "metric": "name", "value": "score.value"}
    report = import_results(client, tmp_path / "runs", mapping=mapping)
    assert (report.recorded, report.not_imported) == (2, [])
    arm = client.arm("runs", "m1")
    assert (arm.score("mmlu.acc"), arm.score("gsm8k.acc")) == (0.4, 0.5)
    assert import_results(client, tmp_path / "runs", mapping=mapping).unchanged == 2


def test_without_an_arm_a_file_is_an_arm(client: podium.Client, tmp_path: Path) -> None:
    """Without a column for the arm, each file is an arm with the name of the file.

    A file with the same name and another first row is rejected.
    """
    path = tmp_path / "a" / "run1.csv.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(b"step\tloss\n1\t0.5\n"))
    mapping = {"step": "step", "metric": "loss"}
    import_results(client, path, mapping=mapping, experiment="e")
    assert client.arm("e", "run1").score("loss") == 0.5
    other = write_text(tmp_path / "b" / "run1.csv", "step,loss\n1,0.25\n")
    [item] = import_results(client, other, mapping=mapping, experiment="e").not_imported
    assert "was imported from another run" in item.why


@pytest.mark.parametrize(
    ("mapping", "why"),
    [
        ({"amr": "model", "metric": "loss"}, "'amr' is not a field of a mapping; give .*'arm'"),
        ({"arm": "model"}, "has no field 'metric'; name the column with the metric's values"),
        (
            {"step": ["a", "b"], "metric": "loss"},
            "the mapping has 2 columns for step; give exactly one",
        ),
        ({"value": "v", "metric": ["a", "b"]}, "with value=COLUMN, give exactly one metric=COLUMN"),
    ],
)
def test_a_wrong_mapping_is_an_error(tmp_path: Path, mapping: Any, why: str) -> None:
    """A mapping with an unknown, missing or ambiguous field is an error that says what is right."""
    path = write_text(tmp_path / "sweep.csv", _LOG)
    with pytest.raises(ValueError, match=why):
        list(read_results(path, mapping=mapping))
    with pytest.raises(ValueError, match="kind 'wandb' takes no mapping"):
        list(read_results(path, kind="wandb", mapping={"metric": "loss"}))


@pytest.mark.parametrize("name", ["sweep.csv", "sweep.jsonl"])
def test_the_report_about_a_missing_column_lists_the_others(tmp_path: Path, name: str) -> None:
    """If a column does not exist, the report lists those that do, and suggests a similar one."""
    path = write_text(tmp_path / name, _LOG)
    if name.endswith("jsonl"):
        write_lines(path, {"model": "a", "iteration": 1}, {"loss": 1, "val_acc": 1})
    arms, why = _read(path, arm="model", step="itertion", metric="loss")
    assert arms == {}
    columns = "its columns are: model, iteration, loss, val_acc; did you mean 'iteration'?"
    assert why == [f"there is no column 'itertion' for step; {columns}"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("model,it,loss\na,1,0.5\n,2,0.5\n", "the column 'model', which names the arm, is empty"),
        (
            "model,it,loss\na,1,0.5\na,x,0.5\n",
            "'x' is not a valid step: a step is a 64-bit integer",
        ),
        ("model,it,loss\na,1,0.5\na,2\n", "the line has 2 cells, and the header has 3"),
        ("model,it,loss\na,1,0.5\na,2,high\n", "loss is 'high', which is not a number"),
        (
            "model,it,loss\na,1,0.5\na,,1\na,,2\n",
            "'loss' of 'eval' is 2.0 here, but 1.0 in an earlier row",
        ),
    ],
)
def test_bad_rows_are_reported_and_the_others_are_imported(
    tmp_path: Path, text: str, why: str
) -> None:
    """A bad row, such as one without an arm, is reported. The good row is imported."""
    arms, [found] = _read(
        write_text(tmp_path / "a.csv", text), arm="model", step="it", metric="loss"
    )
    assert found.startswith(why)
    assert arms["a"].series["loss"].values == [0.5]


def test_rows_that_are_not_utf8_are_reported(tmp_path: Path) -> None:
    """Rows that are not UTF-8 are reported.

    Otherwise, two names that differ only in bad characters could become one arm.
    """
    path = tmp_path / "latin.csv"
    path.write_bytes("model,acc\nMüller,1\nMöller,2\nplain,3\n".encode("latin-1"))
    arms, why = _read(path, arm="model", metric="acc")
    assert (list(arms), why) == (["plain"], ["the text is not UTF-8; save the file as UTF-8"] * 2)
    path.write_bytes("model,acc\na,1\n".encode("utf-16"))
    assert _read(path, arm="model", metric="acc") == ({}, why[:1])


def test_settings_that_change_within_an_arm_are_reported(tmp_path: Path) -> None:
    """If a setting changes within an arm, the later row is reported, and not imported.

    With the setting as one more column for the arm, the rows are two arms.
    """
    path = write_text(tmp_path / "a.csv", "model,lr,acc\na,1,0.5\na,2,0.75\n")
    arms, why = _read(path, arm="model", config="lr", metric="acc")
    assert arms["a"].arm.evals[0].metrics == {"acc": 0.5}
    advice = "name the column that tells the arms apart, as one more arm=COLUMN"
    assert why == [f"'lr' is 2 here, but 1 in an earlier row of this arm; {advice}"]
    arms, why = _read(path, arm=["model", "lr"], config="lr", metric="acc")
    assert (list(arms), why) == (["a-1", "a-2"], [])


def test_the_command_takes_a_mapping(
    client: podium.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--map` names columns, and may be given several times. A mistake in it is a usage error."""
    path = str(write_text(tmp_path / "sweep.csv", _LOG))
    command = ["--address", client.address, "import", path]
    columns = ["--map", "arm=model,step=iteration,metric=loss", "--map", "metric=val_acc"]
    assert main([*command, "--kind", "csv", *columns]) == 0
    assert client.arm("sweep", "a").score("val.acc") == 0.75
    capsys.readouterr()
    assert main([*command, *columns, "--json"]) == 0
    [experiment] = json.loads(capsys.readouterr().out)["experiments"]
    assert (experiment["kind"], experiment["unchanged"]) == ("csv", 2)
    assert main([*command, "--map", "arm:model"]) == 2
    assert "'arm:model' is not FIELD=COLUMN, such as arm=model" in capsys.readouterr().err
    assert main([*command, "--kind", "csv"]) == 1
    told = capsys.readouterr().err
    assert "such as --map arm=model,metric=acc" in told
    assert "its columns are: model, iteration, loss, val_acc" in " ".join(told.split())


def test_tables_are_not_claimed_without_a_mapping(tmp_path: Path) -> None:
    """A table is not read without a mapping, because any program may have written it."""
    write_text(tmp_path / "sweep.csv", _LOG)
    write_json(tmp_path / "a.jsonl", {"model": "a", "loss": 1})
    assert list(read_results(tmp_path)) == []


_SEEDS = "model,seed,epoch,val_acc,test_acc\n" + "".join(
    f"small,{seed},{epoch},{seed}.{epoch},{seed}.5\n" for seed in (0, 1) for epoch in (1, 2)
)


def test_each_seed_is_an_arm_in_the_group_of_its_name(tmp_path: Path) -> None:
    """With a column for the seed, each seed is an arm of its own, in the group of the name."""
    path = write_text(tmp_path / "res.csv", _SEEDS)
    mapping = {"arm": "model", "step": "epoch", "metric": ["val_acc", "test_acc"]}
    arms, why = _read(path, **mapping, seed="seed")
    assert why == []
    found = {name: (item.arm.group_name, item.arm.run_config.seed) for name, item in arms.items()}
    assert found == {"small-seed0": ("small", 0), "small-seed1": ("small", 1)}
    rows = {
        name: [row.metrics["acc"] for row in item.arm.evals if row.name == "val"]
        for name, item in arms.items()
    }
    assert rows == {"small-seed0": [0.1, 0.2, 0.2], "small-seed1": [1.1, 1.2, 1.2]}
    write_text(path, "run,seed,family,acc\nx_seed3,3,f,1\n")
    [arm] = _read(path, arm="run", seed="seed", group="family", metric="acc")[0].values()
    assert (arm.arm.name, arm.arm.group_name) == ("x_seed3", "f")
    write_text(path, "run,seed,acc\nx,s1,1\nx,1,2\n")
    arms, why = _read(path, arm="run", seed="seed", metric="acc")
    assert (list(arms), why) == (
        ["x-seed1"],
        ["'s1' is not a valid seed: a seed is a 64-bit integer"],
    )


@pytest.mark.parametrize(
    ("header", "mapping", "place", "ways"),
    [
        ("loss", {"step": "epoch"}, "'loss' at step 1", "seed=COLUMN or {more}"),
        (
            "val_acc",
            {"step": "epoch"},
            "'acc' of 'val' at step 1",
            "seed=COLUMN or {more}",
        ),
        ("loss", {"step": "epoch", "seed": "seed"}, "'loss' at step 1", "{more}"),
        ("loss", {"seed": "seed"}, "'loss' of 'eval'", "step=COLUMN or {more}"),
    ],
)
def test_a_row_that_contradicts_an_earlier_one_is_reported(
    tmp_path: Path, header: str, mapping: Any, place: str, ways: str
) -> None:
    """A row that contradicts an earlier one is reported, with fitting advice, and not imported."""
    text = f"model,seed,epoch,f1,{header}\na,0,1,1,0.5\na,0,1,1,0.5\na,0,1,2,0.75\n"
    path = write_text(tmp_path / "res.csv", text)
    arms, [why] = _read(path, arm="model", metric=[header], **mapping)
    ways = ways.format(more="one more arm=COLUMN")
    [(name, found)] = arms.items()
    assert why == (
        f"{place} is 0.75 here, but 0.5 in an earlier row of arm {name!r}; if these are different "
        f"results, name the column that tells them apart: {ways}"
    )
    values = [found.arm.metrics, *(row.metrics for row in found.arm.evals)]
    assert {value for metrics in values for value in metrics.values()} == {0.5}


def test_only_the_split_test_is_tagged(tmp_path: Path) -> None:
    """Of the rows without a step, only the one of the eval `test` gets the tag "test"."""
    path = write_text(tmp_path / "res.csv", _SEEDS)
    for metric in (["val_acc", "test_acc"], ["test_acc", "val_acc"]):
        for step in ({}, {"step": "epoch"}):
            arms, _why = _read(path, arm=["model", "seed"], metric=metric, **step)
            final = [row for row in arms["small-1"].arm.evals if row.step is None]
            assert {row.name: row.tags for row in final} == {"test": ["test"], "val": []}


def test_a_table_without_a_mapping_is_reported_with_its_columns(
    client: podium.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table without a mapping is reported with its columns, and not as a file of unknown kind."""
    path = write_text(tmp_path / "res.csv", _SEEDS)
    columns = "model, seed, epoch, val_acc, test_acc"
    why = f"a .csv file needs --map, such as --map arm=model,metric=acc; its columns are: {columns}"
    command = ["--address", client.address, "import", "--dry-run", "--json"]
    for kind in ([], ["--kind", "csv"]):
        assert main([*command, str(path), *kind]) == 1
        report = json.loads(capsys.readouterr().out)
        assert [item["why"] for item in report["not_imported"]] == [why]
        assert report["other_files"] == {}
    assert main([*command[:-1], str(tmp_path)]) == 1
    assert "not read: .csv 1; tables such as CSV need --map" in capsys.readouterr().err


def test_a_cell_that_is_not_a_number_is_reported_with_its_line(
    client: podium.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cell that is not a number is reported with its line, and the exit code is 1.

    An arm without any value is not imported.
    """
    path = write_text(tmp_path / "semi.csv", "model;acc\na;0,5\na;0,25\nb;0.5\n")
    command = ["--address", client.address, "import", str(path), "--map", "arm=model,metric=acc"]
    assert main(command) == 1
    output = capsys.readouterr()
    assert f"{path}:2: acc is '0,5', which is not a number\n" in output.err
    assert f"{path}:3: acc is '0,25', which is not a number\n" in output.err
    assert "arm 'a' is not imported, because no line of it has a value\n" in output.err
    assert output.out.endswith("1 arm recorded, 3 problems\n")
    assert [arm.name for arm in client.experiment("semi").arms()] == ["b"]


def test_the_name_of_a_file_without_its_ending(tmp_path: Path) -> None:
    """Endings such as `.csv.gz` are removed from the name of a file.

    A file named `.csv` keeps its name.
    """
    names = ("a.csv.gz", "a.b.JSONL", ".csv", "folder.x")
    assert [stem_of(tmp_path / name) for name in names] == ["a", "a.b", ".csv", "folder.x"]


def test_a_field_that_is_mapped_to_two_columns() -> None:
    """A field that is given twice in the mapping is mapped to two columns."""
    mapping = mapping_from_texts(["arm=a,metric=x", "metric=y=z"])
    assert mapping == {"arm": ["a"], "metric": ["x", "y=z"]}


def test_rows_that_repeat_others(tmp_path: Path) -> None:
    """Two lines with the same value, even NaN, do not contradict each other.

    An empty group cell means no group.
    """
    text = "model,seed,family,acc\na,1,,nan\na,1,,nan\n"
    mapping = {"arm": "model", "seed": "seed", "group": "family", "metric": "acc"}
    arms, why = _read(write_text(tmp_path / "a.csv", text), **mapping)
    assert (why, arms["a-seed1"].arm.group_name) == ([], None)


def test_many_bad_lines_are_counted(tmp_path: Path) -> None:
    """The first bad lines of a file are reported one by one. One more item counts the others."""
    path = write_text(tmp_path / "a.csv", "acc\n" + "1\n" + "x\n" * 50)
    found = list(read_results(path, mapping={"metric": "acc"}))
    problems = [item for item in found if isinstance(item, NotImported)]
    assert sum(item.count for item in problems) == 50
    assert (len(problems), problems[-1].why) == (21, "30 more lines have problems")


def test_two_columns_of_one_metric(tmp_path: Path) -> None:
    """If the columns `val_acc` and `val/acc` of a row differ, this is reported.

    The first value is imported.
    """
    text = "model,step,val_acc,val/acc\na,1,0.5,0.5\na,2,0.5,0.75\n"
    path = write_text(tmp_path / "a.csv", text)
    arms, [why] = _read(path, arm="model", step="step", metric=["val_acc", "val/acc"])
    assert why.startswith("'acc' of 'val' at step 2 is 0.75 here, but 0.5 in an earlier row")
    rows = [row for row in arms["a"].arm.evals if row.step is not None]
    assert [(row.step, row.metrics) for row in rows] == [(1, {"acc": 0.5}), (2, {"acc": 0.5})]
