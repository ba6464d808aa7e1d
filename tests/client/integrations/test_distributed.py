"""Tests of training in two processes: the main process records it as one arm."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import podium
import pytest
from podium_server.testing import RunningServer

Ended = Callable[[str, str], podium.ArmResult]
Run = Callable[..., subprocess.CompletedProcess[str]]

_HERE = Path(__file__).parent
_TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
_OTHER = "podium: this process is rank 1"


@pytest.fixture
def arms(server: RunningServer) -> Callable[[str], list[str]]:
    """Returns a function that returns the names of all arms of an experiment."""

    def arms(experiment: str) -> list[str]:
        with podium.Client(server.address) as client:
            return [arm.name for arm in client.experiment(experiment).arms()]

    return arms


def test_transformers(
    ended: Ended, run: Run, arms: Callable[[str], list[str]], tmp_path: Path
) -> None:
    """Under torchrun, the example records each row once.

    The second process logs that it records nothing.
    """
    ran = run("train_transformers.py", str(tmp_path / "run"), launcher=_TORCHRUN)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count(_OTHER) == 1, ran.stderr
    arm = ended("integrations/transformers", "counting")
    assert arm.status == "completed"
    assert [row.step for row in arm.evals] == [5, 10, 15, 20, 25, 30, 35, 40, None]
    assert arms("integrations/transformers") == ["counting"]
    assert "refused" not in ran.stderr


@pytest.mark.parametrize(
    ("name", "steps"), [("lightning", [2, 4, None]), ("xgboost", [0, 1, 2, None])]
)
def test_the_rank_that_only_the_trainer_has(
    ended: Ended, run: Run, arms: Callable[[str], list[str]], name: str, steps: list[int | None]
) -> None:
    """If no environment variable has the rank, the integration asks the trainer for it."""
    ran = run(_HERE / f"two_{name}.py")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count(_OTHER) == 1, ran.stderr
    arm = ended("distributed", name)
    assert (arm.status, [row.step for row in arm.evals]) == ("completed", steps)
    assert arms("distributed") == [name]
    assert "refused" not in ran.stderr
