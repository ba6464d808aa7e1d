"""Tests of recorders in training scripts that run as processes of their own."""

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
from tests.client.recorder.looking import PATIENT

CONFIG = podium.RunConfig("arm")

KILLED = """
import os, signal, sys
import podium

experiment = podium.record(sys.argv[1])
arm = experiment.start_arm(podium.RunConfig("arm"))
arm.log({"loss": 1})
while not list(experiment.outbox.glob("sender.lock")):
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_at_once(
    server: RunningServer, client: podium.Client, name: str, tmp_path: Path
) -> None:
    """If a process is killed right after its first events, a sender still delivers them."""
    places = {"PODIUM_ADDRESS": server.address, "PODIUM_OUTBOX": str(tmp_path / "outbox")}
    command = [sys.executable, "-c", KILLED, name]
    done = zygote.run(command, env={**os.environ, **places}, check=False, timeout=240)
    assert done.returncode == -9
    wait_for_delivery(tmp_path / "outbox", name)
    assert client.arm(name, "arm").score("loss") == 1.0


def test_a_generator_that_is_never_closed(server: RunningServer, outbox: Path, name: str) -> None:
    """If a generator still records when Python ends, a line on stderr names the lost event."""
    script = (
        "import sys, podium\n"
        "def train():\n"
        "    with podium.record(sys.argv[1]) as experiment:\n"
        "        with experiment.start_arm(podium.RunConfig('arm')) as arm:\n"
        "            arm.log({'loss': 1})\n"
        "            yield\n"
        "training = train()\n"
        "next(training)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, name],
        env={**os.environ, "PODIUM_ADDRESS": server.address, "PODIUM_OUTBOX": str(outbox)},
        check=False,
        timeout=240,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert f"the end of arm 'arm' of '{name}': Python is ending" in done.stderr
    assert "Traceback" not in done.stderr


# A training script that checks what a recorder must not change: modules and child processes.
TRAINER = """
import os, sys
import podium

experiment = podium.record(sys.argv[1], close_timeout=60)
arm = experiment.start_arm(podium.RunConfig("arm"))
arm.log({"loss": 1})
arm.finish()
assert experiment.flush(60).durable
loaded = [name for name in sys.modules if name.split(".")[0] == "grpc"]
assert not loaded, loaded
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    pass
arm.log_eval("late", {"n": 1})
if len(sys.argv) > 2:
    raise SystemExit(sys.argv[2])
"""


@pytest.mark.parametrize("arguments", [[], ["no more memory"]])
def test_a_process_that_records(
    server: RunningServer, outbox: Path, client: podium.Client, name: str, arguments: list[str]
) -> None:
    """A process that records loads no gRPC and has no child processes.

    If it uses no `with` block, all its events are delivered before it ends.
    """
    told = {"PODIUM_ADDRESS": server.address, "PODIUM_OUTBOX": str(outbox)}
    done = zygote.run(
        [sys.executable, "-W", "error", "-c", PATIENT + TRAINER, name, *arguments],
        env={**os.environ, **told},
        check=False,
        timeout=240,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr.strip()) == (bool(arguments), "".join(arguments))
    assert client.arm(name, "arm").score("late.n") == 1.0


def test_a_relative_socket(
    record: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender finds a socket given by a relative path, although it runs in another folder."""
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "podium_server", "--listen", "unix:s", "--store"]
    store = f"sqlite:///{tmp_path / 'podium.db'}"
    with zygote.start([*command, store], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        with record(name, address="unix:s", strict=True) as experiment:
            experiment.start_arm(CONFIG).finish()
            assert experiment.flush(60).durable
        server.terminate()
