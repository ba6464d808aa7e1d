"""Tests of imports in general: repeated, over existing results, with bad files, and as dry runs."""

import json
from collections.abc import Collection, Iterator
from importlib import metadata
from pathlib import Path

import podium
import pytest
from podium.cli import main
from podium.importing import (
    Found,
    FoundArm,
    FoundExperiment,
    NotImported,
    _registry,
    import_results,
)

from tests.client.importing.files import write_json, write_text


class _Notes:
    """An importer for files `*.note`, whose lines are `NAME=VALUE`."""

    kind = "notes"
    summary = "files *.note"

    def claims(self, path: Path) -> Collection[Path]:
        return [path] if path.suffix == ".note" else []

    def read(self, path: Path) -> Iterator[Found]:
        yield FoundExperiment("notes", str(path), success_metric="acc", metadata={"by": "hand"})
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            name, _, value = line.partition("=")
            if not value:
                yield NotImported(f"{path}:{number}", "no NAME=VALUE")
                continue
            row = podium.EvalResult("test", metrics={"acc": float(value)}, tags=["test"])
            arm = podium.ArmResult(name, podium.RunConfig(name), "completed", evals=[row])
            yield FoundArm("notes", arm, f"{path}:{number}")


@pytest.fixture(autouse=True)
def _notes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes the kind `notes` known, as an installed package would."""
    entry = metadata.EntryPoint("notes", f"{__name__}:_Notes", "podium.importers")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry] if group else [])
    monkeypatch.setattr(metadata.EntryPoint, "load", lambda _entry: _Notes)
    _registry._all.cache_clear()
    yield
    _registry._all.cache_clear()


def test_a_second_import_changes_nothing(client: podium.Client, tmp_path: Path) -> None:
    """A second import keeps all arms, even rows that were added later, and reports no change."""
    write_text(tmp_path / "a.note", "x=0.5\ny=0.25\n")
    first = import_results(client, tmp_path)
    assert (first.recorded, first.unchanged, first.not_imported) == (2, 0, [])
    client.arm("notes", "x").log_eval("late", {"acc": 1.0})
    revision = client.experiment("notes").get().revision
    second = import_results(client, tmp_path)
    assert (second.recorded, second.unchanged, second.not_imported) == (0, 2, [])
    assert client.experiment("notes").get().revision == revision
    assert client.arm("notes", "x").score("late.acc") == 1.0
    assert client.arm("notes", "x").score("acc") == 0.5
    found = client.experiment("notes").get()
    assert (found.success_metric, found.metadata) == ("acc", {"by": "hand"})


def test_a_changed_source_changes_its_arm(client: podium.Client, tmp_path: Path) -> None:
    """An arm becomes equal to its changed source, and the report counts it. Other arms are kept."""
    path = write_text(tmp_path / "a.note", "x=0.5\ny=0.25\n")
    first = import_results(client, path)
    assert (first.recorded, first.changed) == (2, 0)
    path.write_text("x=0.75\ny=0.25\nz=1\n")
    report = import_results(client, path)
    assert (report.recorded, report.changed, report.unchanged) == (2, 1, 1)
    assert client.arm("notes", "x").score("acc") == 0.75


def test_rows_recorded_by_hand_stay_when_the_source_grows(
    client: podium.Client, tmp_path: Path
) -> None:
    """A row recorded by hand is kept when a changed source is imported. `replace` deletes it."""
    path = write_text(tmp_path / "a.note", "x=0.5\n")
    import_results(client, path)
    client.arm("notes", "x").log_eval("late", {"acc": 1.0})
    path.write_text("x=0.75\n")
    report = import_results(client, path)
    assert (report.recorded, report.experiments["notes"].changed) == (1, ["x"])
    assert client.arm("notes", "x").score("late.acc") == 1.0
    assert client.arm("notes", "x").score("test.acc") == 0.75
    again = import_results(client, path)
    assert (again.recorded, again.unchanged) == (0, 1)
    import_results(client, path, replace=True)
    assert [row.name for row in client.arm("notes", "x").get().evals] == ["test"]


def test_a_dry_run_reports_what_an_import_does(client: podium.Client, tmp_path: Path) -> None:
    """A dry run reports new, changed, unchanged and rejected arms, and changes nothing."""
    path = write_text(tmp_path / "a.note", "same=0.5\nother=0.5\n")
    import_results(client, path)
    with client.experiment("notes").start_arm(podium.RunConfig("trained")) as arm:
        arm.log_eval("test", {"acc": 0.125})
    path.write_text(f"same=0.5\nother=0.75\nnew=1\ntrained=1\n{'n' * 300}=1\nbad\x07=1\n")
    revision = client.experiment("notes").get().revision
    rehearsed = import_results(client, path, dry_run=True)
    assert client.experiment("notes").get().revision == revision
    real = import_results(client, path)
    assert rehearsed == real
    assert (real.recorded, real.unchanged, real.experiments["notes"].changed) == (3, 1, ["other"])
    assert [item.is_wrong for item in real.not_imported] == [True, True]
    assert [note.source for note in real.notes] == [f"{path}:5"]
    assert "ARM_HAS_ATTEMPTS" in real.not_imported[0].why


def test_a_name_over_the_limit_is_shortened(client: podium.Client, tmp_path: Path) -> None:
    """A name over the limit is shortened, and the whole name is kept in the run config.

    A second import recognizes the arm.
    """
    long = "/models/" + "m" * 403
    write_text(tmp_path / "a.note", f"{long}=1\n{long}x=2\n")
    report = import_results(client, tmp_path)
    assert (report.recorded, report.not_imported, len(report.notes)) == (2, [], 2)
    arms = list(client.experiment("notes").arms())
    assert {arm.run_config.extras["name"] for arm in arms} == {long, f"{long}x"}
    assert {len(arm.name.encode()) for arm in arms} == {256}
    assert import_results(client, tmp_path).unchanged == 2


def test_the_command_names_arms_that_replace_other_results(
    client: podium.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If imported arms replace other results, the command and its JSON name these arms."""
    write_text(tmp_path / "a.note", "x=0.5\n")
    write_text(tmp_path / "b.note", "x=0.75\n")
    command = ["--address", client.address, "import"]
    assert main([*command, str(tmp_path / "a.note")]) == 0
    assert "1 arm recorded\n" in capsys.readouterr().out
    assert main([*command, str(tmp_path / "b.note")]) == 0
    told = capsys.readouterr()
    assert "1 arm recorded, 1 of them in place of other results\n" in told.out
    assert "notes: replaces the stored results of: x\n" in told.err
    assert main([*command, str(tmp_path / "a.note"), "--json"]) == 0
    [count] = json.loads(capsys.readouterr().out)["experiments"]
    assert (count["recorded"], count["changed"], count["unchanged"]) == (1, ["x"], 0)


def test_a_dry_run_records_nothing(client: podium.Client, tmp_path: Path) -> None:
    """A dry run reads and counts everything, and records nothing."""
    write_text(tmp_path / "a.note", "x=0.5\nnonsense\n")
    report = import_results(client, tmp_path, dry_run=True)
    assert report.recorded == 1
    assert [item.source for item in report.not_imported] == [f"{tmp_path}/a.note:2"]
    assert list(client.experiments()) == []


def test_bad_lines_are_reported_and_the_rest_is_imported(
    client: podium.Client, tmp_path: Path
) -> None:
    """An invalid line, value or file is reported with its place. All others are imported."""
    write_text(tmp_path / "a.note", "x=0.5\nnonsense\n")
    write_text(tmp_path / "b.note", "z=many\n")
    write_text(tmp_path / "c.note", "n\x07=1\ny=0.25\n")
    report = import_results(client, tmp_path)
    assert {arm.name for arm in client.experiment("notes").arms()} == {"x", "y"}
    sources = [item.source.removeprefix(f"{tmp_path}/") for item in report.not_imported]
    assert sources == ["a.note:2", "b.note", "c.note:1"]
    assert "NAME_INVALID" in report.not_imported[2].why


def test_files_of_no_known_kind_are_counted(
    client: podium.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report counts the files that no importer reads, by the endings of their names."""
    write_text(tmp_path / "a.note", "x=0.5\n")
    for name in ("b.py", "c.py", "deep/Makefile"):
        write_text(tmp_path / name, "")
    assert import_results(client, tmp_path).other_files == {".py": 2, "Makefile": 1}
    assert main(["--address", client.address, "import", str(tmp_path)]) == 0
    told = capsys.readouterr().err
    assert "3 files of no known kind, not read: .py 2, Makefile 1\n" in told


def test_two_arms_of_one_name_are_not_mixed(client: podium.Client, tmp_path: Path) -> None:
    """A copy of an arm is skipped.

    Other results under its name are a problem, and are not imported.
    """
    write_text(tmp_path / "a.note", "x=0.5\n")
    write_text(tmp_path / "b.note", "x=0.5\n")
    write_text(tmp_path / "c.note", "x=0.75\n")
    report = import_results(client, tmp_path)
    assert [item.is_wrong for item in report.not_imported] == [False, True]
    assert "b.note" in report.not_imported[0].source
    assert client.arm("notes", "x").score("acc") == 0.5


def test_what_a_trainer_recorded_is_not_overwritten(client: podium.Client, tmp_path: Path) -> None:
    """An arm that a training run recorded is kept, unless `replace` is set."""
    write_text(tmp_path / "a.note", "x=0.5\n")
    experiment = client.experiment("notes")
    experiment.declare()
    with experiment.start_arm(podium.RunConfig("x")) as arm:
        arm.log_eval("test", {"acc": 0.125})
    report = import_results(client, tmp_path)
    assert "ARM_HAS_ATTEMPTS" in report.not_imported[0].why
    assert client.arm("notes", "x").score("acc") == 0.125
    assert import_results(client, tmp_path, replace=True).recorded == 1
    assert client.arm("notes", "x").score("acc") == 0.5


def test_all_arms_may_go_to_one_experiment(client: podium.Client, tmp_path: Path) -> None:
    """With the option `experiment`, all arms go to that experiment, whatever the sources name."""
    write_text(tmp_path / "a.note", "x=0.5\n")
    write_json(tmp_path / "run" / "trainer_state.json", {"log_history": []})
    import_results(client, tmp_path, experiment="all/of/it")
    assert [found.name for found in client.experiments()] == ["all/of/it"]
    assert {arm.name for arm in client.experiment("all/of/it").arms()} == {"x", "run"}
    assert client.experiment("all/of/it").get().success_metric is None


@pytest.mark.slow
def test_an_arm_larger_than_a_call_is_imported_whole(client: podium.Client, tmp_path: Path) -> None:
    """An arm with thousands of rows, too many for one call, is imported whole.

    A second import changes nothing.
    """
    log = [{"step": step, "eval_a": step, "eval_b": 1} for step in range(7_000)]
    write_json(tmp_path / "run" / "trainer_state.json", {"log_history": log})
    assert import_results(client, tmp_path).recorded == 1
    assert client.arm("hf_trainer", "run").score("eval.a") == 6_999
    assert client.arm("hf_trainer", "run").get().evals[-1].step == 6_999
    again = import_results(client, tmp_path)
    assert (again.recorded, again.unchanged) == (0, 1)


def test_a_missing_path_and_an_unknown_kind(client: podium.Client, tmp_path: Path) -> None:
    """A missing path and an unknown kind are errors.

    If a single file is imported with a given kind, it is read, whatever its name is.
    """
    with pytest.raises(ValueError, match="nowhere does not exist"):
        import_results(client, tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"give one of .*hf_trainer, .*notes"):
        import_results(client, tmp_path, kind="tea")
    path = write_text(tmp_path / "plain.txt", "x=1\n")
    assert import_results(client, path).recorded == 0
    assert import_results(client, path, kind="notes").recorded == 1


def test_a_dead_server_ends_an_import_at_once(tmp_path: Path) -> None:
    """If the server cannot be reached, the import raises UnavailableError, and blames no file."""
    write_text(tmp_path / "a.note", "x=0.5\n")
    with (
        podium.Client("127.0.0.1:1", read_timeout=2, write_timeout=2) as client,
        pytest.raises(podium.UnavailableError),
    ):
        import_results(client, tmp_path)
