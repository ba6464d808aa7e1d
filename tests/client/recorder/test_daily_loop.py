"""Tests of failed scripts and notebook cells that are run again, and of arms that end late."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import podium
import pytest
from podium_server.testing import RunningServer

from tests import zygote
from tests.client.recorder.conftest import wait_for_delivery
from tests.client.recorder.looking import PATIENT, told
from tests.client.sender.outboxes import until
from tests.sparse import sparse

SCRIPT = """
import sys
import podium

name, rate, ends = sys.argv[1], float(sys.argv[2]), sys.argv[3]
config = podium.RunConfig("arm", algorithm=podium.Component("sft", {"lr": rate}))
with podium.record(name, close_timeout=120) as experiment:
    with experiment.start_arm(config) as arm:
        for step in range(3):
            arm.log_eval("val", {"lr": rate}, step=step)
            if step == 1 and ends == "raises":
                raise ValueError("a bug")
            if step == 1 and ends == "interrupted":
                raise KeyboardInterrupt
            if step == 1 and ends == "killed":
                import os, signal
                assert arm.flush(60).durable
                os.kill(os.getpid(), signal.SIGKILL)
        arm.log_eval("test", {"acc": rate}, tags=["test"])
"""


@pytest.mark.parametrize("ends", sparse(["raises", "interrupted", "killed"]))
def test_a_script_that_is_run_again(
    server: RunningServer, outbox: Path, client: podium.Client, name: str, ends: str
) -> None:
    """If a run raises or is interrupted, the results of the next run replace its results.

    After SIGKILL, the arm may still count as running, so its results are not checked.
    """

    def run(rate: float, ends: str) -> subprocess.CompletedProcess[str]:
        return zygote.run(
            [sys.executable, "-c", PATIENT + SCRIPT, name, str(rate), ends],
            env={**os.environ, "PODIUM_ADDRESS": server.address, "PODIUM_OUTBOX": str(outbox)},
            check=False,
            timeout=240,
            capture_output=True,
            text=True,
        )

    assert run(0.5, ends).returncode != 0
    wait_for_delivery(outbox, name)
    done = run(0.25, "well")
    # The sender may not know yet that a killed process is gone. Its arm is then still running.
    assert (done.returncode, done.stderr) == (0, "") or ends == "killed"
    found = client.arm(name, "arm").get()
    if ends != "killed":
        assert found.run_config.algorithm == podium.Component("sft", {"lr": 0.25})
        assert (found.status, found.error) == ("completed", None)
        assert [row.metrics.get("lr") for row in found.evals] == [0.25, 0.25, 0.25, None]
        assert found.score("test.acc") == 0.25


def test_a_cell_that_is_run_again(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If a cell fails twice, its third run in the same process replaces the results."""

    def cell(rate: float, *, fails: bool) -> None:
        config = podium.RunConfig("arm", algorithm=podium.Component("sft", {"lr": rate}))
        with record(name) as experiment, experiment.start_arm(config) as arm:
            arm.log({"lr": rate})
            if fails:
                raise ValueError("a bug")

    for rate in (0.1, 0.2):
        with pytest.raises(ValueError, match="a bug"):
            cell(rate, fails=True)
    cell(0.3, fails=False)
    assert told(caplog) == []
    found = client.arm(name, "arm").get()
    assert (found.status, found.metrics, found.error) == ("completed", {"lr": 0.3}, None)
    assert found.run_config.algorithm == podium.Component("sft", {"lr": 0.3})


def test_an_arm_that_is_finished_after_its_recorder_was_closed(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """When a recorder is closed, its unfinished arm is set to failed, and one warning is logged.

    A later `finish` replaces this status.
    """
    with record(name) as experiment:
        arm = experiment.start_arm(podium.RunConfig("arm"))
    experiment.close()
    [line] = told(caplog)
    assert line == (
        f"podium: arm 'arm' of '{name}' was not finished, so it will be recorded as failed; call "
        "finish(), or start the arm in a `with` block"
    )
    until(lambda: client.arm(name, "arm").get().status == "failed")
    arm.finish()
    experiment.close()
    until(lambda: client.arm(name, "arm").get().status == "completed")
    assert client.arm(name, "arm").get().error is None
