"""Tests of Podium's own exports, which can be imported again."""

import csv
import gzip
import json
import math
from pathlib import Path
from typing import Any

import podium
import pytest
from podium._files import exports, json_form
from podium.cli import main
from podium.importing import FoundArm, import_results, read_results
from podium_server.testing import running_server

from tests.client.importing.files import write_lines, write_text
from tests.client.importing.reading import results
from tests.lazy import Lazy

pd: Any = Lazy("pandas")


def _fill(client: podium.Client) -> None:
    experiment = client.experiment("nlp/sweep")
    experiment.declare(
        hypothesis="h", success_metric="test.acc", direction="minimize", parent="nlp/old"
    )
    with experiment.start_arm(podium.RunConfig("a", seed=3), group_name="g") as arm:
        arm.log({"loss": 0.5})
        arm.log_eval("val", {"acc": float("nan")}, step=0)
        arm.log_eval("test", {"acc": 0.25}, tags=["test"], breakdowns={"easy": [1, None]})
    experiment.record_arm(podium.ArmResult("b", podium.RunConfig("b"), "failed", error="boom"))
    experiment.conclude("done")


@pytest.mark.heavy
def test_parquet_is_read_by_pandas_and_imported(client: podium.Client, tmp_path: Path) -> None:
    """Pandas reads the numbers of a Parquet export. Importing the file gives the same arms."""
    _fill(client)
    file = tmp_path / "all.parquet"
    arguments = ["export", "--format", "parquet", "--output", str(file)]
    assert main(["--address", client.address, *arguments]) == 0
    table = pd.read_parquet(file)
    numbers = table[table["value"].notna() & (table["metric"] == "acc")]
    assert list(numbers["value"]) == [0.25]
    assert list(numbers["eval"]) == ["test"]
    with running_server() as server, podium.Client(server.address) as other:
        assert import_results(other, file).not_imported == []
        assert import_results(other, file).recorded == 0
        for name in ("a", "b"):
            assert other.arm("nlp/sweep", name).get() == client.arm("nlp/sweep", name).get()
        assert other.experiment("nlp/sweep").get().conclusion == "done"


@pytest.mark.heavy
def test_other_parquet_is_not_claimed(tmp_path: Path) -> None:
    """No importer claims a Parquet file of another program, or a torn one."""
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    write_text(tmp_path / "torn.parquet", "PAR1")
    assert results(tmp_path) == ({}, [], {}, set())


def _exported(address: str, folder: Path) -> str:
    file = folder / "exported"
    assert main(["--address", address, "export", "--output", str(file)]) == 0
    return file.read_text()


def test_an_imported_export_gives_the_same_results(client: podium.Client, tmp_path: Path) -> None:
    """An export imported into another server gives the same experiment, arms and times of rows.

    A second import records nothing.
    """
    _fill(client)
    text = _exported(client.address, tmp_path)
    with gzip.open(tmp_path / "all.jsonl.gz", "wt") as file:
        file.write(text)
    with running_server() as server, podium.Client(server.address) as other:
        report = import_results(other, tmp_path)
        assert (report.recorded, report.not_imported) == (2, [])
        assert import_results(other, tmp_path).recorded == 0
        for name in ("a", "b"):
            before, after = client.arm("nlp/sweep", name).get(), other.arm("nlp/sweep", name).get()
            assert after == before
            assert [row.event_time for row in after.evals] == [
                row.event_time for row in before.evals
            ]
        experiment = other.experiment("nlp/sweep").get()
        assert (experiment.conclusion, experiment.parent, experiment.direction) == (
            "done",
            "nlp/old",
            "minimize",
        )
        assert _exported(server.address, tmp_path).splitlines()[0] == text.splitlines()[0]


_ODD = {
    "nan": math.nan,
    "zero": -0.0,
    "large": 2**53 + 1,
    "whole": 4.0,
    "text": 'a\u2028b, "c"\nd',
    "nested": [1, [None, {"$double": "NaN"}], {"x": math.inf}],
}


def _fill_oddly(client: podium.Client) -> None:
    """Records experiments with odd values, which an export could easily lose."""
    experiment = client.experiment("ü/ß é")
    experiment.declare(tags=["c,d", "e f"], metadata=_ODD)
    config = podium.RunConfig(
        "a", seed=2**62, algorithm=podium.Component("k", dict(_ODD)), extras={"more": _ODD}
    )
    with experiment.start_arm(config, group_name="g, 1") as arm:
        arm.log({"loss": -0.0, "nan": math.nan, "low": -math.inf, "tiny": 5e-324})
        for step in (-5, 0, 2**62):
            arm.log_eval("val", {"acc": step / 3}, step=step)
        arm.log_eval(
            'b,"q"@x/y^3', {"k, 1": 0.1 + 0.2}, breakdowns=_ODD, tags=["x y"], model_ref="api/gpt"
        )
    for how in ({}, {"restart": True}, {"resume_step": 2}):
        with experiment.start_arm(podium.RunConfig("thrice"), **how) as arm:
            arm.log_eval("val", {"acc": 0.5}, step=len(how) + 1)
    whole = podium.ArmResult(
        "given",
        podium.RunConfig("given"),
        "cancelled",
        eval_metrics={"m": math.nan},
        eval_breakdowns=_ODD,
        error='stop, "now"',
        run_id="r",
        run_result=podium.RunResult("r", "odd", {"m": -0.0}, {"p": "/x"}, None, _ODD),
    )
    experiment.record_arm(whole)
    experiment.record_arm(podium.ArmResult("gone", podium.RunConfig("gone"), "completed"))
    experiment.arm("gone").delete()
    client.experiment("empty").declare()


def _told(client: podium.Client) -> list[object]:
    """Returns all results of a server, except for what the server itself adds.

    A server adds, for example, revisions, times of writing and attempts.
    """
    experiments = list(client.experiments())
    arms = [
        client.arm(found.name, arm.name).get()
        for found in experiments
        for arm in client.experiment(found.name).arms()
    ]
    rows = [(row.event_time, row.tags, row.model_ref) for arm in arms for row in arm.evals]
    written = [exports.declaration_item(found) for found in experiments]
    return [json.dumps(written, sort_keys=True), [_text(arm) for arm in arms], rows]


def _text(arm: podium.ArmResult) -> str:
    written = json_form.to_json(arm)
    of_server = ("revision", "create_time", "update_time", "last_heard", "attempt", "evals")
    rows = [{**row, "revision": 0, "record_time": ""} for row in written["evals"]]
    kept = {key: value for key, value in written.items() if key not in of_server}
    return json.dumps([kept, rows], sort_keys=True)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.heavy
def test_odd_values_survive_an_export_and_import(
    client: podium.Client, tmp_path: Path, form: str
) -> None:
    """NaN, -0.0, large integers, odd strings and empty experiments survive an export and import."""
    _fill_oddly(client)
    file = tmp_path / f"all.{form}"
    arguments = ["export", "--format", form, "--output", str(file)]
    assert main(["--address", client.address, *arguments]) == 0
    with running_server() as server, podium.Client(server.address) as other:
        assert import_results(other, file).not_imported == []
        assert _told(other) == _told(client)
        again = import_results(other, file)
        assert (again.recorded, again.unchanged, again.not_imported) == (0, 3, [])


def test_files_are_private_and_hold_no_formulas(client: podium.Client, tmp_path: Path) -> None:
    """A CSV export is readable only for its user, and has no formulas for spreadsheets.

    The suffix of the file sets the format. A link in place of the temporary file is not followed.
    """
    arm = podium.ArmResult("=1+1", podium.RunConfig("=1+1"), "completed", {"-x": -math.inf})
    client.experiment("e").declare()
    client.experiment("e").record_arm(arm)
    (tmp_path / "all.csv.part").symlink_to(tmp_path / "victim")
    file = tmp_path / "all.csv"
    assert main(["--address", client.address, "export", "--output", str(file)]) == 0
    with file.open(newline="") as opened:
        [line] = csv.DictReader(opened)
    assert (line["arm"], line["metric"], line["value"]) == ("'=1+1", "'-x", "-Infinity")
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "victim").exists()
    assert {found.name for found in tmp_path.iterdir()} == {"all.csv", "all.csv.part"}


def test_csv_is_quoted_where_it_has_to_be(client: podium.Client, tmp_path: Path) -> None:
    """A name with commas and quotes is one cell of a CSV export, and every double is exact."""
    _fill_oddly(client)
    file = tmp_path / "all.csv"
    assert (
        main(["--address", client.address, "export", "--format", "csv", "--output", str(file)]) == 0
    )
    with file.open(newline="") as opened:
        lines = [line for line in csv.DictReader(opened) if line["arm"] == "a"]
    assert {(line["experiment"], line["group"]) for line in lines} == {("ü/ß é", "g, 1")}
    [odd] = [line for line in lines if line["metric"] == "k, 1"]
    assert (odd["eval"], odd["model_ref"]) == ('b,"q"@x/y^3', "api/gpt")
    assert float(odd["value"]) == 0.1 + 0.2
    found = {line["metric"]: line["value"] for line in lines if line["source"] != "in_loop_eval"}
    assert (found["loss"], found["nan"], found["low"], found["tiny"]) == (
        "-0.0",
        "NaN",
        "-Infinity",
        "5e-324",
    )


def test_bad_lines_of_an_export_are_reported(client: podium.Client, tmp_path: Path) -> None:
    """A torn line, an odd line and a line with a wrong value are reported. Others are imported."""
    _fill(client)
    lines = _exported(client.address, tmp_path).splitlines()
    bad = json.dumps({**json.loads(lines[2]), "status": "lost"})
    write_text(tmp_path / "all.jsonl", "\n".join([*lines[:2], "[]", bad, lines[2][:40]]))
    found = results(tmp_path)
    assert list(found.arms) == ["a"]
    assert found.wrong == {f"all.jsonl:{number}" for number in (3, 4, 5)}
    assert "lost" in found.not_imported["all.jsonl:4"]


def test_points_without_a_step(tmp_path: Path) -> None:
    """Metrics without a step are not points of a series. Their line is not reported as bad."""
    plain = podium.ArmResult("a", podium.RunConfig("a"), "completed")
    arm = {"experiment": "e", **json_form.to_json(plain)}
    points = {"experiment": "e", "event": "metrics_recorded", "arm": "a", "metrics": {"x": 1.5}}
    path = tmp_path / "all.jsonl"
    write_lines(path, arm, {**points, "step": 0}, points, {**points, "step": 2})
    [found] = read_results(path)
    assert isinstance(found, FoundArm)
    assert found.series == {"x": podium.Series("x", [0, 2], [1.5, 1.5])}
