"""Test of the example that records a plain PyTorch loop with `podium.record`."""

import subprocess
from collections.abc import Callable

import podium

Ended = Callable[[str, str], podium.ArmResult]
Run = Callable[..., subprocess.CompletedProcess[str]]


def test_the_example(ended: Ended, run: Run) -> None:
    """The example records each evaluation at its step, and the last one also without a step."""
    done = run("train_torch.py")
    assert done.returncode == 0, done.stderr
    arm = ended("integrations/torch", "width16")
    assert arm.status == "completed"
    assert [(row.name, row.step) for row in arm.evals] == [
        *(("val", step) for step in (20, 40, 60)),
        ("val", None),
    ]
    assert arm.score("val.accuracy") == arm.evals[2].metrics["accuracy"] > 0.7
    assert 0 < arm.metrics["loss"] < 0.6
    assert arm.run_config is not None
    assert (arm.run_config.seed, arm.run_config.extras["lr"]) == (7, 0.05)
