"""Tests of how the arms of training runs end if the script has no `with` block."""

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
    """If a script ends during training, its arm gets a status and an error that say why."""
    script = _SCRIPT.format(breaks=breaks)
    command = [sys.executable, "-c", script]
    subprocess.run(command, check=False, capture_output=True, env=dict(os.environ), timeout=240)
    arm = ended("process", "arm")
    assert arm.status == status
    assert says in (arm.error or "")


_CAUGHT = """
import numpy as np, xgboost
from podium.integrations.xgboost import PodiumCallback

class Break(xgboost.callback.TrainingCallback):
    def after_iteration(self, model, epoch, evals_log):
        raise ValueError("out of memory")

kept = []
data = xgboost.DMatrix(np.arange(20.0).reshape(10, 2), np.arange(10) > 4)

def train(name, *callbacks):
    kept.append(PodiumCallback("caught", name))
    xgboost.train({}, data, 2, evals=[(data, "val")], callbacks=[kept[-1], *callbacks])

try:
    train("handled", Break())
except ValueError:
    train("retried")
try:
    train("ignored", Break())
except ValueError:
    pass
train("next")
try:
    train("last", Break())
except ValueError:
    pass
raise RuntimeError("a later error")
"""


def test_errors_that_the_script_caught(ended: Ended) -> None:
    """A training run that an error ended is failed, even if the script caught the error.

    A later error that ends the script does not change the arms.
    """
    command = [sys.executable, "-c", _CAUGHT]
    subprocess.run(command, check=False, capture_output=True, env=dict(os.environ), timeout=240)
    arms = {name: ended("caught", name) for name in ("handled", "ignored", "last")}
    assert {arm.status for arm in arms.values()} == {"failed"}
    assert "ValueError: out of memory" in (arms["handled"].error or "")
    for name in ("ignored", "last"):
        error = "the training run was ended by an error, which the script caught"
        assert arms[name].error == error
    for name in ("retried", "next"):
        assert (ended("caught", name).status, ended("caught", name).error) == ("completed", None)


def test_a_server_that_is_down(server: RunningServer) -> None:
    """Training continues without a server.

    At its end, the process logs that events are not delivered yet.
    """
    server.stop()
    script = _SCRIPT.format(breaks="return False")
    command = [sys.executable, "-c", script]
    ran = subprocess.run(
        command, check=False, capture_output=True, env=dict(os.environ), text=True, timeout=240
    )
    assert ran.returncode == 0, ran.stderr
    assert "events of 'process' are not delivered yet" in ran.stderr
