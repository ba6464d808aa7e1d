"""The example scripts run without changes, and can be run again."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import podium
import pytest
from podium_server.testing import running_server

from tests.docs.blocks import blocks_of
from tests.lazy import Lazy

stats: Any = Lazy("scipy.stats")

_EXAMPLES = Path(__file__).parents[2] / "examples"
_README = _EXAMPLES.parent / "README.md"
_SWEEP = _EXAMPLES / "digits_sweep" / "sweep.py"
_SECONDS = 600


def _run(script: Path, *arguments: str, **environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, str(script), *arguments],
        check=False,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_the_quickstart_runs_twice() -> None:
    """The quickstart records an arm and reads it.

    A second run on the same server prints the same.
    """
    with running_server() as server:
        script, address = _EXAMPLES / "quickstart.py", server.address
        first, second = (_run(script, PODIUM_ADDRESS=address) for _ in range(2))
    assert first == second
    assert "score: 0.72\n" in first
    assert "val at step 7: None\n" in first
    assert first.endswith("first_arm completed [0, 50, 100, None]\n")


@pytest.mark.slow
def test_the_live_ranking_ends_with_the_conclusion() -> None:
    """The script shows the ranking of a running experiment, and at the end the last ranking.

    The script ends when the experiment is concluded.
    """
    with running_server() as server, podium.Client(server.address) as client:
        experiment = client.experiment("x")
        experiment.declare()
        with experiment.start_arm(podium.RunConfig("a")) as arm:
            arm.log({"loss": 0.5})
            command = [sys.executable, "-u", str(_EXAMPLES / "live_ranking.py"), "x", "loss"]
            environment = {**os.environ, "PODIUM_ADDRESS": server.address}
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as page:
                assert page.stdout is not None
                while b"running" not in page.stdout.readline():
                    assert page.poll() is None
                arm.log({"loss": 0.25})
                arm.finish()
                experiment.conclude("done")
                rest, _ = page.communicate(timeout=_SECONDS)
    last = rest.decode().splitlines()[-1].split()
    assert last == ["1", "a", "0.25", "training_metrics", "completed"]
    assert page.returncode == 0


def test_the_readme_shows_the_live_ranking() -> None:
    """The README shows the code of `live_ranking.py` without changes."""
    code = (_EXAMPLES / "live_ranking.py").read_text().rpartition('"""\n\n')[2]
    shown = [block.text for block in blocks_of(_README) if block.info == "python example"]
    assert shown == [code]


@pytest.mark.slow
def test_arms_are_stopped_at_their_rungs() -> None:
    """The scheduler cancels the worse half of the arms at each of two steps, the rungs.

    A second run on the same server prints the same.
    """
    with running_server() as server:
        script, address = _EXAMPLES / "successive_halving.py", server.address
        printed = [_run(script, PODIUM_ADDRESS=address) for _ in range(2)]
    assert printed[0] == printed[1]
    table = [line.split() for line in printed[0].splitlines()[2:]]
    assert [(row[1], row[5], row[6]) for row in table] == [
        ("rate8", "40", "completed"),
        ("rate4", "20", "cancelled"),
        ("rate2", "10", "cancelled"),
        ("rate1", "10", "cancelled"),
    ]


@pytest.mark.slow
def test_the_sweep_runs_twice(tmp_path: Path) -> None:
    """The demo trains arms, prints their results and draws pictures.

    A second run in the same folder prints the same table.
    """
    pytest.importorskip("sklearn", reason="only where the demo's packages are installed")
    small = ("--folder", str(tmp_path), "--configurations", "1", "--seeds", "2", "--processes", "2")
    printed = [_run(_SWEEP, *small) for _ in range(2)]
    tables = list(map(_table, printed))
    assert tables[0] == tables[1]
    ranked = printed[0].partition("rank  group")[2].splitlines()
    assert ranked[1].split()[:2] == ["1", "width8_lr0.01"]
    assert ranked[2].split() == ["-", "width8_lr10000", "-", "0", "of", "1"]
    assert [line.split()[:2] for line in tables[0][1:]] == [
        ["width8_lr0.01_seed0", "completed"],
        ["width8_lr0.01_seed1", "completed"],
        ["width8_lr10000_seed0", "failed"],
    ]
    _check_recorded(tmp_path)
    for picture in ("ranking.svg", "val_accuracy.svg"):
        assert (tmp_path / picture).read_bytes().startswith(b"<?xml")


def _table(printed: str) -> list[str]:
    """Returns the lines of the table. Arms are sorted, because some may begin at the same time."""
    _, _, rest = printed.partition("\n\n")
    header, *arms = rest.partition("\n\n")[0].splitlines()
    return [header, *sorted(arms)]


def _check_recorded(folder: Path) -> None:
    store = f"sqlite:///{folder / 'podium.db'}"
    with running_server(store) as server, podium.Client(server.address) as client:
        state = client.experiment("digits_sweep").get()
        assert (state.status, state.arm_counts.completed, state.arm_counts.failed) == (
            "completed",
            2,
            1,
        )
        assert "2/3 arms completed. Failed: width8_lr10000_seed0." in (state.conclusion or "")
        arm = client.arm("digits_sweep", "width8_lr0.01_seed1").get()
        failed = client.arm("digits_sweep", "width8_lr10000_seed0").get()
        _check_ranking(client.experiment("digits_sweep"))
    assert [row.step for row in arm.evals] == [*range(20, 221, 20), None]
    test = arm.eval("test")
    assert test is not None
    assert sorted(test.breakdowns) == list("0123456789")
    assert arm.score("test.accuracy") == test.metrics["accuracy"]
    assert "FloatingPointError: training diverged" in (failed.error or "")


def _check_ranking(experiment: podium.ExperimentHandle) -> None:
    """Checks that the demo's ranking has the statistics that scipy computes from the scores."""
    names = [f"width8_lr0.01_seed{seed}" for seed in range(2)]
    scores = [experiment.arm(name).score("test.accuracy") or 0.0 for name in names]
    ranking = experiment.rank()
    assert [entry.score for entry in ranking.arms] == sorted(scores, reverse=True)
    group, diverged = experiment.rank_groups().groups
    assert (group.name, group.rank, group.statistics.n) == ("width8_lr0.01", 1, 2)
    described = stats.describe(scores)
    assert group.statistics.mean == pytest.approx(described.mean)
    assert group.statistics.sd == pytest.approx(described.variance**0.5)
    interval = stats.t.interval(0.95, 1, described.mean, stats.sem(scores))
    assert (group.statistics.ci_low, group.statistics.ci_high) == pytest.approx(interval)
    assert (diverged.name, diverged.rank, diverged.failed) == ("width8_lr10000", None, 1)
