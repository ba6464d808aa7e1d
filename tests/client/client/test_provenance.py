"""Tests of provenance: where an attempt's code came from, and where it ran."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import podium
import pytest
from podium._interface import provenance
from podium._model.annotations import Provenance
from podium_server.testing import RunningServer

CONFIG = podium.RunConfig("a", seed=0)
COMMAND = ["python", "train.py", "--token=abc", "--lr", "0.1"]


def _git(folder: Path, *arguments: str) -> None:
    """Runs git with a fixed author and without signing."""
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *who, *arguments], check=True, timeout=60)  # noqa: S607


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Creates a git work tree with one commit, and runs this process in it."""
    monkeypatch.setenv("PODIUM_PROVENANCE", "on")
    monkeypatch.setattr(sys, "orig_argv", COMMAND)
    monkeypatch.setattr(provenance, "_GIT_SECONDS", 60.0)
    (tmp_path / "train.py").write_text("1")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", "train.py")
    _git(tmp_path, "commit", "-q", "-m", "first")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    provenance._git_state.cache_clear()
    return tmp_path


@pytest.mark.timeout(300)
def test_clients_and_recorders_store_the_provenance(
    server: RunningServer, blocking: podium.Client, declared: str, tree: Path
) -> None:
    """Clients and recorders store the commit, the command, the host and versions.

    `record(provenance=False)` stores no provenance.
    """
    blocking.experiment(declared).start_arm(CONFIG, name="called")
    outbox, address = tree.parent / "outbox", server.address
    with podium.record(declared, address=address, outbox=outbox) as experiment:
        with experiment.start_arm(CONFIG, name="recorded"):
            pass
        assert experiment.flush(120).durable
    with podium.record(declared, address=address, outbox=outbox, provenance=False) as experiment:
        with experiment.start_arm(CONFIG, name="without"):
            pass
        assert experiment.flush(120).durable
    called, recorded, without = (
        blocking.arm(declared, name).get().provenance for name in ("called", "recorded", "without")
    )
    assert called is not None
    assert called == recorded
    assert (len(called.git_commit or ""), called.git_clean) == (40, True)
    assert called.command_line == ["python", "train.py", "--token=[redacted]", "--lr", "0.1"]
    assert called.host == os.uname().nodename
    assert called.python_version == sys.version.split()[0]
    assert called.packages["podium"] == podium.__version__
    assert without is None


@pytest.mark.timeout(300)
def test_uncommitted_changes_are_recorded(tree: Path) -> None:
    """A work tree with a new file counts as clean. If a committed file has changed, it does not."""
    (tree / "other.py").write_text("1")
    found = provenance.collected()
    assert found is not None
    assert found.git_clean is True
    (tree / "train.py").write_text("2")
    provenance._git_state.cache_clear()
    found = provenance.collected()
    assert found is not None
    assert found.git_clean is False


def test_long_command_lines_are_cut(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long command line is shortened, and ends with a note about the missing arguments."""
    monkeypatch.setattr(sys, "orig_argv", [tree.name, "x" * 5_000, *["y" * 99] * 100_000])
    found = provenance.collected()
    assert found is not None
    assert len(found.command_line[1]) == 1_000
    assert sum(map(len, found.command_line)) < 8_100
    assert found.command_line[-1].endswith(" more arguments]")


@pytest.mark.timeout(300)
def test_a_large_configuration_comes_first(
    server: RunningServer, blocking: podium.Client, declared: str, tree: Path
) -> None:
    """If a configuration nearly fills the size limit of an arm, no provenance is recorded."""
    config = podium.RunConfig("large", extras={"k": "x" * (podium.Limits().arm_bytes - 100)})
    outbox = tree.parent / "large_outbox"
    with podium.record(declared, address=server.address, outbox=outbox) as experiment:
        with experiment.start_arm(config):
            pass
        assert experiment.flush(120).durable
    found = blocking.arm(declared, "large").get()
    assert (found.run_config, found.provenance) == (config, None)


def test_no_git_and_no_tree_are_no_errors(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If git cannot be found, the commit is unknown, but the host is still collected."""
    monkeypatch.setenv("PATH", str(tree))
    found = provenance.collected()
    assert found is not None
    assert (found.git_commit, found.git_clean, found.host) == (None, None, os.uname().nodename)


def test_output_that_is_not_a_commit_is_ignored(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the output of `git` is not a commit, the commit is unknown."""
    program = tree / "git"
    program.write_text("#!/bin/sh\nprintf 'please log in\\0'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tree}:{os.environ['PATH']}")
    found = provenance.collected()
    assert found is not None
    assert (found.git_commit, found.git_clean) == (None, None)


def test_a_slow_git_is_not_waited_for(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If git does not answer in time, the commit is unknown."""
    program = tree / "git"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tree}:{os.environ['PATH']}")
    monkeypatch.setattr(provenance, "_GIT_SECONDS", 0.01)
    found = provenance.collected()
    assert found is not None
    assert found.git_commit is None
    for process in provenance._abandoned:
        process.wait(60)


def test_the_variable_turns_provenance_off(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If PODIUM_PROVENANCE is `off`, even in upper case, no provenance is collected."""
    monkeypatch.setenv("PODIUM_PROVENANCE", "OFF")
    assert (tree.name, provenance.collected()) == (tree.name, None)


def test_a_resumed_attempt_replaces_the_provenance(blocking: podium.Client, declared: str) -> None:
    """An arm has the provenance of its newest attempt.

    If attempts run on different hosts, a ranking does not flag the arm's group for that.
    """
    experiment = blocking.experiment(declared)
    for order, host in enumerate(("one", "two")):
        origin = podium.Provenance(host=host, command_line=["x"])
        arm = experiment.start_arm(CONFIG, order=order, provenance=origin, resume_step=0)
    assert arm.get().provenance == podium.Provenance(host="two", command_line=["x"])
    arm.log_eval("test", {"pass_rate": 1})
    arm.finish()
    assert experiment.rank_groups().groups[0].flags == []


@pytest.mark.timeout(300)
async def test_other_tasks_do_not_wait_for_git(
    server: RunningServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop keeps running while an asynchronous client collects the provenance."""
    begun, go = threading.Event(), threading.Event()

    def slow() -> Provenance | None:
        begun.set()
        assert go.wait(60), "the event loop waited"
        return Provenance(git_commit="a" * 40)

    monkeypatch.setattr("podium._client.aio.attempt.collected", slow)
    async with podium.AsyncClient(server.address) as client:
        await client.experiment(name).declare()
        start = asyncio.ensure_future(client.experiment(name).start_arm(CONFIG))
        await asyncio.to_thread(begun.wait)
        go.set()
        await start
        found = (await client.arm(name, "a").get()).provenance
    assert found == Provenance(git_commit="a" * 40)
