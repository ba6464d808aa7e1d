"""Podium's own export, taken back."""

import gzip
import json
from pathlib import Path

import pandas as pd
import podium
from podium.cli import main
from podium.importing import import_results
from podium_server.testing import running_server

from tests.importing.files import write_text
from tests.importing.reading import results


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


def test_parquet_is_a_table_and_is_taken_back_whole(client: podium.Client, tmp_path: Path) -> None:
    """Data frames read the numbers, and an import has the very same arms."""
    _fill(client)
    file = tmp_path / "all.parquet"
    arguments = ["export", "--format", "parquet", "--output", str(file)]
    assert main(["--address", client.address, *arguments]) == 0
    table = pd.read_parquet(file)
    numbers = table[table["value"].notna() & (table["metric"] == "acc")]
    assert list(numbers["value"]) == [0.25]
    assert list(numbers["eval"]) == ["test"]
    with running_server() as server, podium.Client(server.address) as other:
        assert import_results(other, file).left == []
        assert import_results(other, file).recorded == 0
        for name in ("a", "b"):
            assert other.arm("nlp/sweep", name).get() == client.arm("nlp/sweep", name).get()
        assert other.experiment("nlp/sweep").get().conclusion == "done"


def test_other_parquet_is_nobodys(tmp_path: Path) -> None:
    """Tables of other programs, and files that are none, are passed over."""
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    write_text(tmp_path / "torn.parquet", "PAR1")
    assert results(tmp_path) == ({}, [], {}, set())


def _exported(address: str, folder: Path) -> str:
    file = folder / "exported"
    assert main(["--address", address, "export", "--output", str(file)]) == 0
    return file.read_text()


def test_an_export_is_taken_back_whole(client: podium.Client, tmp_path: Path) -> None:
    """Another server has the same experiment and arms, times of rows included; twice is once."""
    _fill(client)
    text = _exported(client.address, tmp_path)
    with gzip.open(tmp_path / "all.jsonl.gz", "wt") as file:
        file.write(text)
    with running_server() as server, podium.Client(server.address) as other:
        report = import_results(other, tmp_path)
        assert (report.recorded, report.left) == (2, [])
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


def test_bad_lines_of_an_export_are_named(client: podium.Client, tmp_path: Path) -> None:
    """A torn line, an odd one and one with a wrong value are told; the others come in."""
    _fill(client)
    lines = _exported(client.address, tmp_path).splitlines()
    bad = json.dumps({**json.loads(lines[2]), "status": "lost"})
    write_text(tmp_path / "all.jsonl", "\n".join([*lines[:2], "[]", bad, lines[2][:40]]))
    found = results(tmp_path)
    assert list(found.arms) == ["a"]
    assert found.wrong == {f"all.jsonl:{number}" for number in (3, 4, 5)}
    assert "lost" in found.left["all.jsonl:4"]
