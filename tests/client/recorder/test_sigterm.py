"""Tests of SIGTERM, which schedulers send: how the arm ends, and how the process ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import podium
import pytest
from podium._recorder import termination
from podium_server.testing import RunningServer

from tests import zygote
from tests.client.sender.outboxes import WAIT, until

_TRAINER = """
import os, signal, sys, time
import podium
{before}
recording = podium.record(sys.argv[1], address=sys.argv[2], outbox=sys.argv[3])
arm = recording.start_arm(podium.RunConfig("a"))
arm.log({{"loss": 0.5}})
{after}
print("training", flush=True)
{wait}
"""
_OWN = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))"
_CHAINED = """
theirs = signal.getsignal(signal.SIGTERM)
def handler(number, frame):
    theirs(number, frame)
    arm.finish("failed", error="checkpointed")
    sys.exit(7)
signal.signal(signal.SIGTERM, handler)
"""


def _terminated(server: RunningServer, name: str, outbox: Path, **parts: str) -> int:
    """Starts a training script, sends it SIGTERM once it trains, and returns its exit code."""
    script = _TRAINER.format(**{"before": "", "after": "", "wait": WAIT, **parts})
    command = [sys.executable, "-c", script, name, server.address, str(outbox)]
    with zygote.start(command, stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == "training\n"
        trainer.terminate()
        return trainer.wait(120)


def _arm(client: podium.Client, name: str) -> podium.ArmResult:
    def has_ended() -> bool:
        try:
            return client.arm(name, "a").get().status != "running"
        except podium.NotFoundError:
            return False

    until(has_ended)
    return client.arm(name, "a").get()


def test_sigterm_cancels_the_arm(
    server: RunningServer, client: podium.Client, tmp_path: Path, name: str
) -> None:
    """After SIGTERM, the arm is cancelled and has its metrics. The signal kills the process."""
    assert _terminated(server, name, tmp_path) == -signal.SIGTERM
    arm = _arm(client, name)
    assert (arm.status, arm.error) == ("cancelled", "the process was ended by SIGTERM")
    assert arm.metrics == {"loss": 0.5}


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_handler_of_the_training_is_kept(
    place: str, server: RunningServer, client: podium.Client, tmp_path: Path, name: str
) -> None:
    """If a training script has its own SIGTERM handler, this handler decides how the process ends.

    The script can install it before or after the recorder is made.
    """
    assert _terminated(server, name, tmp_path, **{place: _OWN}) == 7
    arm = _arm(client, name)
    assert arm.status == "failed"
    assert arm.error is not None
    assert arm.error.startswith("the process ended without finishing the arm: ")


def test_a_handler_that_calls_the_one_before(
    server: RunningServer, client: podium.Client, tmp_path: Path, name: str
) -> None:
    """A script's SIGTERM handler that calls the recorder's handler still runs to its end."""
    assert _terminated(server, name, tmp_path, after=_CHAINED) == 7
    assert _arm(client, name).error == "checkpointed"


@pytest.mark.slow
def test_a_forked_worker_ends_alone(
    server: RunningServer, client: podium.Client, tmp_path: Path, name: str
) -> None:
    """SIGTERM ends a forked worker, even right after the fork, and does not affect the arm."""
    with podium.record(name, address=server.address, outbox=tmp_path) as recording:
        arm = recording.start_arm(podium.RunConfig("a"))
        for _ in range(100):
            worker = os.fork()
            if not worker:
                for _ in range(400):
                    time.sleep(0.05)
                os._exit(0)
            os.kill(worker, signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == -signal.SIGTERM
        arm.finish()
    assert client.arm(name, "a").get().status == "completed"


@pytest.mark.parametrize("end", [termination._let_through, termination._restore_default])
def test_sigterm_is_held_back_only_while_a_process_forks(end: Callable[[], None]) -> None:
    """SIGTERM is blocked while a process forks, and unblocked afterwards in parent and child."""
    termination._hold_back()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    end()
    left = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    assert (signal.SIGTERM in held, signal.SIGTERM in left) == (True, False)
