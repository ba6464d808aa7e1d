"""Tests of imports from Lightning's CSVLogger, which writes metrics.csv and hparams.yaml."""

from pathlib import Path

import podium
import pytest
from podium.importing import FoundArm, import_results, read_results

from tests.client.importing.files import write_text
from tests.client.importing.reading import results

_METRICS = (
    "epoch,step,train_loss,val_acc,val_loss/dataloader_idx_1,test_acc\r\n"
    "0,0,0.5,,,\r\n"
    "0,9,,0.25,2.5,\r\n"
    "1,10,nan,,,\r\n"
    "1,19,,0.75,1.5,\r\n"
    "2,20,,,,0.625\r\n"
)


def _write_run(folder: Path, metrics: str, hparams: str = "lr: 0.1\nseed: 7\n") -> Path:
    write_text(folder / "hparams.yaml", hparams)
    return write_text(folder / "metrics.csv", metrics)


def test_columns_become_series_and_evals(tmp_path: Path) -> None:
    """Columns `train_…` become series, `val_…` in-loop rows, and `test_…` a post-training row."""
    _write_run(tmp_path / "exp" / "lightning_logs" / "version_0", _METRICS)
    [found] = read_results(tmp_path)
    assert isinstance(found, FoundArm)
    arm = found.arm
    assert (found.experiment, arm.name) == ("lightning", "exp/lightning_logs/version_0")
    assert (arm.status, arm.run_config.seed) == ("completed", 7)
    assert arm.run_config.algorithm == podium.Component("lightning", {"lr": 0.1, "seed": 7})
    assert found.series["epoch"].values == [0.0, 0.0, 1.0, 1.0, 2.0]
    assert found.series["train_loss"].steps == [0, 10]
    assert str(found.series["train_loss"].values) == "[0.5, nan]"
    assert [(row.name, row.step, row.metrics) for row in arm.evals] == [
        ("val", 9, {"acc": 0.25}),
        ("val/dataloader_idx_1", 9, {"loss": 2.5}),
        ("val", 19, {"acc": 0.75}),
        ("val/dataloader_idx_1", 19, {"loss": 1.5}),
        ("test", None, {"acc": 0.625}),
        ("val", None, {"acc": 0.75}),
        ("val/dataloader_idx_1", None, {"loss": 1.5}),
    ]
    assert arm.score("acc") == 0.625


def test_a_longer_run_is_imported_and_another_run_is_rejected(
    client: podium.Client, tmp_path: Path
) -> None:
    """A run that has more lines is imported again. Another run with the same name is rejected."""
    begun = "".join(_METRICS.splitlines(keepends=True)[:3])
    path = _write_run(tmp_path / "a" / "exp", begun)
    assert import_results(client, tmp_path).recorded == 1
    path.write_text(_METRICS)
    assert import_results(client, tmp_path).experiments["lightning"].changed == ["exp"]
    assert import_results(client, tmp_path).unchanged == 1
    _write_run(tmp_path / "b" / "exp", _METRICS.replace("0.5", "0.4"))
    [item] = import_results(client, tmp_path / "b").not_imported
    assert "was imported from another run" in item.why


@pytest.mark.parametrize(
    ("metrics", "source", "why"),
    [
        ("", "metrics.csv", "the file is empty"),
        ("step,a,a\n1,2,3\n", "metrics.csv", "the header has the column 'a' twice"),
        ("step,a\n1,2\n3,4", "metrics.csv:3", "this line and all lines after it cannot"),
        ("step,a\n1,2\n3\n", "metrics.csv:3", "the line has 1 cell, and the header has 2"),
        ("step,a\n1,2\nx,3\n", "metrics.csv:3", "'x' is not a valid step"),
        ("step,a\n1,2\n,3\n", "metrics.csv:3", "the line has no step"),
        ("step,a,b\n1,2,tensor(0.5)\n", "metrics.csv", "'b' is not a number in 1 line"),
        (
            'step,a\n1,2\n3,"' + "x" * 200_000 + '"\n',
            "metrics.csv:3",
            "this line and all lines after it cannot",
        ),
    ],
)
def test_bad_lines_are_reported_and_the_others_are_imported(
    tmp_path: Path, metrics: str, source: str, why: str
) -> None:
    """A bad line is reported with its number. The values of the good lines are imported."""
    _write_run(tmp_path / "run", metrics)
    found = results(tmp_path)
    [(place, text)] = found.not_imported.items()
    assert place in (f"run/{source}", "run")
    assert text.startswith(why)
    if metrics.startswith(("step,a\n", "step,a,b\n")):
        assert found.arms["run"].metrics == {"a": 2.0}


@pytest.mark.parametrize(
    "hparams",
    ["!!python/object:argparse.Namespace {lr: 1}\n", "a: &x [1]\nb: [*x, *x]\n", "[1]", "a: ["],
)
def test_hyperparameters_that_cannot_be_read_are_reported(tmp_path: Path, hparams: str) -> None:
    """If hparams.yaml cannot be read, this is reported, and the metrics are imported."""
    _write_run(tmp_path / "run", _METRICS, hparams)
    found = results(tmp_path)
    assert set(found.not_imported) == {"run/hparams.yaml"}
    assert found.arms["run"].metrics["epoch"] == 2.0


def test_tables_without_the_marks_are_not_claimed(tmp_path: Path) -> None:
    """No importer claims a metrics.csv without a column `step`, or without hparams.yaml beside it.

    Nor does one claim hparams.yaml alone.
    """
    write_text(tmp_path / "a" / "metrics.csv", _METRICS)
    _write_run(tmp_path / "b", "name,accuracy\nx,0.5\n")
    write_text(tmp_path / "c" / "hparams.yaml", "lr: 0.1\n")
    found = results(tmp_path)
    assert (found.arms, found.not_imported) == ({}, {})


def test_a_run_without_hyperparameters(tmp_path: Path) -> None:
    """Without hparams.yaml, a metrics.csv with epochs is imported from a folder `version_N`."""
    write_text(tmp_path / "exp" / "version_3" / "metrics.csv", "epoch,step,loss\n0,1,0.5\n")
    write_text(tmp_path / "exp" / "metrics.csv", "epoch,step,loss\n0,1,0.25\n")
    write_text(tmp_path / "other" / "version_3" / "metrics.csv", "step,loss\n1,0.25\n")
    found = results(tmp_path)
    assert {name: arm.metrics for name, arm in found.arms.items()} == {
        "exp/version_3": {"epoch": 0.0, "loss": 0.5}
    }
    assert found.not_imported == {
        "exp/version_3": "the run has no hparams.yaml, so its settings are not known"
    }
    assert found.wrong == set()
