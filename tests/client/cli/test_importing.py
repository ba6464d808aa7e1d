"""Tests of `podium import`: its output and its exit codes."""

import json
from pathlib import Path

from tests.client.cli.shell import podium


def _state(folder: Path, text: str = '{"log_history": [{"step": 1, "eval_acc": 0.5}]}') -> Path:
    folder.mkdir()
    (folder / "trainer_state.json").write_text(text)
    return folder


def test_an_import_prints_how_many_arms_it_recorded(
    address: str, name: str, tmp_path: Path
) -> None:
    """`podium import` prints how many arms it recorded. A second import changes nothing."""
    _state(tmp_path / "run")
    arguments = ("import", str(tmp_path), "--experiment", name)
    done = podium(*arguments, address=address)
    assert (done.code, done.err) == (0, "1 of 1 files or folders read\n")
    assert done.out == (
        "EXPERIMENT".ljust(len(name)) + "  KIND        RECORDED  UNCHANGED  EVALS\n"
        f"{name}  hf_trainer         1          0      1\n"
        "1 arm recorded\n"
    )
    again = podium(*arguments, "--json", address=address)
    count = {
        "experiment": name,
        "kind": "hf_trainer",
        "recorded": 0,
        "changed": [],
        "unchanged": 1,
        "evals": 1,
    }
    assert json.loads(again.out) == {
        "dry_run": False,
        "experiments": [count],
        "not_imported": [],
        "notes": [],
        "other_files": {},
    }
    assert podium("score", name, "run", "eval.acc", address=address).out == "0.5\n"


def test_a_file_that_cannot_be_read_is_reported_on_stderr(
    address: str, name: str, tmp_path: Path
) -> None:
    """If a file cannot be read, an error on stderr names it. The others are imported.

    The exit code is 1.
    """
    _state(tmp_path / "run")
    bad = _state(tmp_path / "bad", '{"log_history": [')
    done = podium("import", str(tmp_path), "--experiment", name, address=address)
    assert done.code == 1
    why = "not valid JSON: Expecting value in line 1"
    assert f"podium: {bad}/trainer_state.json: {why}\n" in done.err
    assert done.out.endswith("1 arm recorded, 1 problem\n")


def test_a_dry_run_records_nothing(address: str, name: str, tmp_path: Path) -> None:
    """`--dry-run` prints how many arms would be recorded, but records nothing."""
    _state(tmp_path / "run")
    done = podium("import", str(tmp_path), "--experiment", name, "--dry-run", address=address)
    assert (done.code, done.out.splitlines()[-1]) == (0, "1 arm would be recorded")
    assert podium("arms", name, address=address).err == "podium: no arms\n"


def test_a_folder_without_results(address: str, tmp_path: Path) -> None:
    """If a folder has no results, the exit code is 1.

    A path that does not exist and an unknown kind are usage errors, with exit code 2.
    """
    done = podium("import", str(tmp_path), address=address)
    assert (done.code, done.out) == (
        1,
        "no importable files were found; --help lists the kinds\n",
    )
    missing = podium("import", str(tmp_path / "none"), address=address)
    assert (missing.code, missing.err) == (2, f"podium: {tmp_path}/none does not exist\n")
    wrong = podium("import", str(tmp_path), "--kind", "tea", address=address)
    assert wrong.code == 2
    assert "hf_trainer" in wrong.err
