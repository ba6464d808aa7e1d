"""A training that nobody ended is ended with its process, by what ended that."""

import os
import subprocess
import sys
from collections.abc import Callable

import podium
import pytest
from podium_server.testing import RunningServer

Ended = Callable[[str, str], podium.ArmResult]
_SCRIPT = """
import numpy as np, xgboost
from podium.integrations.xgboost import PodiumCallback

class Break(xgboost.callback.TrainingCallback):
    def after_iteration(self, model, epoch, evals_log):
        {breaks}

data = xgboost.DMatrix(np.arange(20.0).reshape(10, 2), np.arange(10) > 4)
callbacks = [PodiumCallback("process", "arm"), Break()]
xgboost.train({{}}, data, 5, evals=[(data, "val")], callbacks=callbacks)
"""


@pytest.mark.parametrize(
    ("breaks", "status", "says"),
    [
        ("raise ValueError('the disk is full')", "failed", "ValueError: the disk is full"),
        ("raise KeyboardInterrupt", "cancelled", "KeyboardInterrupt"),
        ("raise SystemExit(0)", "cancelled", "the process ended before the training run did"),
    ],
)
def test_a_script_that_breaks_off(ended: Ended, breaks: str, status: str, says: str) -> None:
    """One line in a script is enough for its failure to be recorded, with the error."""
    script = _SCRIPT.format(breaks=breaks)
    command = [sys.executable, "-c", script]
    subprocess.run(command, check=False, capture_output=True, env=dict(os.environ), timeout=240)
    arm = ended("process", "arm")
    assert arm.status == status
    assert says in (arm.error or "")


def test_a_server_that_is_down(server: RunningServer) -> None:
    """Training continues without a server, and logs at the end where its results wait."""
    server.stop()
    script = _SCRIPT.format(breaks="return False")
    command = [sys.executable, "-c", script]
    ran = subprocess.run(
        command, check=False, capture_output=True, env=dict(os.environ), text=True, timeout=240
    )
    assert ran.returncode == 0, ran.stderr
    assert "events of 'process' are not delivered yet" in ran.stderr
