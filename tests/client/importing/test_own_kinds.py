"""Tests of importers of other packages. A broken one is reported, and affects no other."""

from collections.abc import Callable, Collection, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import podium
import pytest
from podium.cli import main
from podium.importing import Found, FoundArm, _registry, import_results

from tests.client.importing.files import write_json, write_text


class _Own:
    """An importer for files `*.own`, each of which gives one arm."""

    kind = "own"
    summary = "files *.own"

    def claims(self, path: Path) -> Collection[Path]:
        return [path] if path.suffix == ".own" else []

    def read(self, path: Path) -> Iterator[Found]:
        arm = podium.ArmResult("a", podium.RunConfig("a"), "completed")
        yield FoundArm("own", arm, str(path))


class _Raising(_Own):
    """Raises an error when it is asked whether it claims a path."""

    def claims(self, path: Path) -> Collection[Path]:
        raise LookupError(f"no idea of {path.name}")


class _RaisingLate(_Own):
    """Raises an error after it has read an arm."""

    def read(self, path: Path) -> Iterator[Found]:
        yield from super().read(path)
        raise AssertionError("half way")


class _Odd(_Own):
    """Yields an object of a wrong type."""

    def read(self, path: Path) -> Iterator[Found]:
        yield cast("Any", {"arm": path.name})


class _Partial:
    """Lacks most of what an importer needs."""

    kind = "partial"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Yields a function that makes importers known, as installed packages would."""

    def make_known(**found: Any) -> None:
        entries = [metadata.EntryPoint(name, "pack:It", "podium.importers") for name in found]

        def load(entry: metadata.EntryPoint) -> Any:
            if isinstance(found[entry.name], Exception):
                raise found[entry.name]
            return found[entry.name]

        monkeypatch.setattr(metadata, "entry_points", lambda group: entries if group else [])
        monkeypatch.setattr(metadata.EntryPoint, "load", load)
        _registry._all.cache_clear()

    yield make_known
    monkeypatch.undo()
    _registry._all.cache_clear()


def _results(folder: Path) -> Path:
    """Writes a file `*.own`, and a file of the kind `hf_trainer`. Returns the folder."""
    write_text(folder / "file.own", "")
    write_json(folder / "run" / "trainer_state.json", {"log_history": []})
    return folder


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (ImportError("no module named numpy"), "ImportError: no module named numpy"),
        (
            _Partial,
            "TypeError: the class lacks summary; an importer has kind, summary, claims, read",
        ),
    ],
)
def test_an_importer_that_cannot_be_loaded_is_reported(
    client: podium.Client, tmp_path: Path, known: Callable[..., None], broken: Any, why: str
) -> None:
    """An importer that cannot be loaded is reported with the reason. Other kinds are imported."""
    known(own=_Own, lost=broken)
    report = import_results(client, _results(tmp_path), dry_run=True)
    assert set(report.experiments) == {"own", "hf_trainer"}
    [item] = report.not_imported
    assert item.source == "pack:It"
    assert item.why.startswith("the importer 'lost' cannot be loaded")
    assert item.why.endswith(why)
    with pytest.raises(ValueError, match="kind 'lost' cannot be loaded from pack:It"):
        import_results(client, tmp_path, kind="lost")
    assert import_results(client, tmp_path, kind="own", dry_run=True).not_imported == []


def test_the_command_works_beside_a_broken_importer(
    client: podium.Client,
    tmp_path: Path,
    known: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With a broken importer, `--help` works, and an import prints the fault and exits with 1."""
    known(lost=ImportError("no module named numpy"))
    assert main(["import", "--help"]) == 0
    command = ["--address", client.address, "import"]
    assert main([*command, str(_results(tmp_path)), "--dry-run"]) == 1
    told = capsys.readouterr()
    assert "1 arm would be recorded, 1 problem" in told.out
    assert "pack:It: the importer 'lost' cannot be loaded" in told.err
    assert main([*command, str(tmp_path), "--dry-run", "--kind", "lost"]) == 2
    assert "no module named numpy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (_RaisingLate, "not in the format of own (AssertionError: half way)"),
        (
            _Odd,
            (
                "not in the format of own (TypeError: the importer yielded a dict, "
                "not a FoundArm, FoundExperiment or NotImported)"
            ),
        ),
    ],
)
def test_an_importer_that_fails_at_one_file(
    client: podium.Client, tmp_path: Path, known: Callable[..., None], own: type[_Own], why: str
) -> None:
    """If an importer fails at a file, this file is reported, and the others are imported."""
    known(own=own)
    report = import_results(client, _results(tmp_path), dry_run=True)
    assert [(Path(item.source).name, item.why) for item in report.not_imported] == [
        ("file.own", why)
    ]
    assert "hf_trainer" in report.experiments


def test_an_importer_whose_claims_raises_an_error(
    client: podium.Client, tmp_path: Path, known: Callable[..., None]
) -> None:
    """If `claims` of an importer raises an error, the path is reported.

    Other importers can still read the path.
    """
    known(own=_Raising)
    report = import_results(client, _results(tmp_path) / "run", dry_run=True)
    assert [(Path(item.source).name, item.why) for item in report.not_imported] == [
        ("run", "not in the format of own (LookupError: no idea of run)")
    ]
    assert report.recorded == 1
