"""Tests of recorders that are pickled, or that a fork inherits from its parent."""

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import podium
import pytest
from podium_server.testing import RunningServer

from tests import zygote
from tests.client.recorder.conftest import wait_for_delivery
from tests.client.recorder.looking import PATIENT

CONFIG = podium.RunConfig("arm")


def test_a_recorder_that_is_sent(record: Any, client: podium.Client, name: str) -> None:
    """A recorder that is loaded from a pickle records for the same attempt and experiment."""
    with record(name) as experiment, experiment.start_arm(CONFIG, attempt_id="a", order=7) as arm:
        arm.log({"loss": 1})
        again: podium.ArmRecording = pickle.loads(pickle.dumps(arm))  # noqa: S301 - our own
        assert (again.experiment, again.name, again.attempt_id) == (name, "arm", "a")
        assert pickle.loads(pickle.dumps(arm)) is again  # noqa: S301
        again.log({"again": 2})
        assert again.flush(60).durable
        assert again.counters.delivered == 1
        sent: podium.ExperimentRecording = pickle.loads(pickle.dumps(experiment))  # noqa: S301
        sent.conclude("fine")
        assert sent.flush(60).durable
        sent.close()
    found = client.arm(name, "arm").get()
    assert (found.metrics, found.attempt) == ({"loss": 1.0, "again": 2.0}, podium.Attempt("a", 7))
    assert client.experiment(name).get().conclusion == "fine"


def test_a_silent_recorder_that_is_sent(record: Any, name: str) -> None:
    """A silent recorder is still silent after it was pickled and loaded."""
    with record(name, rank=1) as experiment:
        arm = pickle.loads(pickle.dumps(experiment.start_arm(CONFIG)))  # noqa: S301 - our own
        assert arm.is_silent
        arm.log({"loss": 1})


# A script that forks inside its blocks. The child then leaves these blocks, as the parent does.
LEAVES = """
import os, sys
import podium

try:
    with podium.record(sys.argv[1], close_timeout=99, strict=sys.argv[2] == "strict") as experiment:
        with experiment.start_arm(podium.RunConfig("arm")) as arm:
            arm.log({"parent": 1})
            child = os.fork()
            if child == 0:
                arm.log({"child": 1})
                if sys.argv[3] == "finishes":
                    arm.finish("failed")
            elif os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
                sys.exit("the child failed")
            arm.log_eval("both", {"n": child == 0}, step=child == 0 and 1 or 0)
except podium.RecordingError as error:
    assert child == 0 and sys.argv[2] == "strict", error
    print(error, file=sys.stderr)
"""


@pytest.mark.parametrize("strict", ["strict", "guard"])
@pytest.mark.parametrize("finishes", ["finishes", "leaves"])
def test_the_end_belongs_to_the_parent(
    server: RunningServer,
    outbox: Path,
    client: podium.Client,
    name: str,
    strict: str,
    finishes: str,
) -> None:
    """A forked child can log, but only its parent can end the arm.

    If the child calls `finish` or leaves the blocks, a line on stderr says that it is a fork.
    """
    told = {"PODIUM_ADDRESS": server.address, "PODIUM_OUTBOX": str(outbox)}
    done = zygote.run(
        [sys.executable, "-c", PATIENT + LEAVES, name, strict, finishes],
        env={**os.environ, **told},
        check=False,
        timeout=240,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "is a fork of process" in done.stderr
    wait_for_delivery(outbox, name)  # a child does not wait for delivery
    found = client.arm(name, "arm").get()
    assert found.status == "completed"
    assert found.metrics == {"parent": 1.0, "child": 1.0}
