"""Tests of how the provenance of a process is collected.

It consists of the program's folder, the state of git, and the versions of packages.
"""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from podium._interface import provenance

_COMMIT = "c0ffee01" * 5


def test_the_folder_of_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The program's folder is that of the main script.

    For an installed command, it is the working folder.
    """
    monkeypatch.chdir(tmp_path)
    for file, folder in (
        (str(tmp_path / "a" / "train.py"), tmp_path / "a"),
        (str(Path(sys.prefix) / "bin" / "podium"), tmp_path),
        (None, tmp_path),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "__main__", SimpleNamespace(__file__=file))
            assert provenance._program_folder() == str(folder)


@pytest.mark.parametrize(
    ("commit", "changes", "found"),
    [
        (_COMMIT, "", (_COMMIT, True)),
        (_COMMIT, " M train.py", (_COMMIT, False)),
        (_COMMIT, None, (_COMMIT, None)),
        (None, "", (None, None)),
        ("log in", "", (None, None)),
    ],
)
def test_the_state_of_a_work_tree(
    monkeypatch: pytest.MonkeyPatch, commit: str | None, changes: str | None, found: object
) -> None:
    """Git is called without locks, without its file system monitor, and without GIT_ variables.

    If git reports no commit, nothing is known. If git cannot list the changes, only the commit is
    known.
    """
    calls: list[Any] = []

    class _Process:
        def __init__(self, command: list[str], **settings: Any) -> None:
            calls.append((command, settings))
            self._answer = commit if "rev-parse" in command else changes
            self.returncode = 128 if self._answer is None else 0

        def communicate(self, timeout: float) -> tuple[bytes, None]:
            assert timeout == 1.0
            return f"{self._answer or ''}\n".encode(), None

    monkeypatch.setattr(subprocess, "Popen", _Process)
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    assert provenance._git_state.__wrapped__("folder") == found
    for command, settings in calls:
        assert command[: command.index("folder") + 1] == [
            "git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", "folder",
        ]  # fmt: skip
        assert not {name for name in settings["env"] if name.startswith("GIT_")}
        assert (settings["stdin"], settings["stderr"]) == (subprocess.DEVNULL, subprocess.DEVNULL)
        assert "rev-parse" in command or "-uno" in command


def test_the_versions_of_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each version is listed under the name by which its package is installed.

    A version that is not a string is left out.
    """
    for module, version in (("sklearn", "1.2"), ("jax", 3), ("peft", "x" * 1_001)):
        monkeypatch.setitem(sys.modules, module, SimpleNamespace(__version__=version))
    found = provenance._versions()
    assert (found["scikit-learn"], len(found["peft"])) == ("1.2", 1_000)
    assert not {"sklearn", "jax"} & found.keys()
