"""The examples of docs/containers.md work: the scripts run, and the settings agree."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import podium
import pytest
import yaml
from podium_server.testing import RunningServer, running_server

from tests.client.sender.outboxes import WAIT, until
from tests.docs.blocks import blocks_of
from tests.sparse import sparse

_DOCUMENT = Path(__file__).parents[2] / "docs" / "containers.md"
_TRAINING = f"""
import os, sys, time
import podium
recording = podium.record("x", close_timeout=0.0)
arm = recording.start_arm(podium.RunConfig("a"))
arm.log({{"loss": 0.5}})
open("started", "w").close()
if os.path.exists("wait"):
    {WAIT}
arm.finish()
recording.close()
sys.exit(3)
"""


@pytest.fixture
def server() -> Any:
    """Yields a server for one script."""
    with running_server() as server:
        yield server


def _block(info: str) -> str:
    [block] = [block for block in blocks_of(_DOCUMENT) if block.info == info]
    return block.text


def _environment(folder: Path, server: RunningServer) -> dict[str, str]:
    """Returns the environment of a script, with a home folder for outboxes.

    PATH begins with a folder that has `srun`, and the folder of this Python.
    """
    commands = folder / "bin"
    commands.mkdir()
    srun = commands / "srun"
    srun.write_text('#!/bin/sh\nexec "$@"\n')
    srun.chmod(0o755)
    path = os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {
        **os.environ,
        "PATH": path,
        "HOME": str(folder),
        "PODIUM_ADDRESS": server.address,
        "PODIUM_OUTBOX": str(folder / "outbox"),
    }


def _start(info: str, shell: str, folder: Path, server: RunningServer) -> subprocess.Popen[bytes]:
    (folder / "train.py").write_text(_TRAINING)
    (folder / "script").write_text(_block(info))
    environment = _environment(folder, server)
    return subprocess.Popen([shell, "script"], cwd=folder, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize(("info", "shell"), sparse([("sh entrypoint", "sh"), ("sh slurm", "bash")]))
def test_scripts_deliver_and_keep_the_exit_code(
    info: str, shell: str, tmp_path: Path, server: RunningServer
) -> None:
    """A script delivers all results, and exits with the exit code of the training process."""
    assert _start(info, shell, tmp_path, server).wait(120) == 3
    with podium.Client(server.address) as client:
        arm = client.arm("x", "a").get()
    assert (arm.status, arm.metrics) == ("completed", {"loss": 0.5})


@pytest.mark.slow
def test_the_entry_point_passes_sigterm_on(tmp_path: Path, server: RunningServer) -> None:
    """The entry point passes SIGTERM to the training process.

    The arm is cancelled and delivered before the script ends.
    """
    (tmp_path / "wait").touch()
    script = _start("sh entrypoint", "sh", tmp_path, server)
    until((tmp_path / "started").exists)
    script.terminate()
    assert script.wait(120) == 128 + signal.SIGTERM
    with podium.Client(server.address) as client:
        assert client.arm("x", "a").get().status == "cancelled"


def test_the_pod_has_time_and_a_volume() -> None:
    """The pod's grace period is longer than PODIUM_CLOSE_TIMEOUT, and the outbox is on a volume."""
    pod = yaml.safe_load(_block("yaml"))["spec"]["template"]["spec"]
    [container] = pod["containers"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert pod["terminationGracePeriodSeconds"] > int(variables["PODIUM_CLOSE_TIMEOUT"])
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {variables["PODIUM_OUTBOX"]: "outbox", "/etc/podium": "podium"}
    assert {*mounts.values()} == {volume["name"] for volume in pod["volumes"]}
    assert variables["PODIUM_TOKEN_FILE"] == "/etc/podium/token"  # noqa: S105 - a path
    assert variables["PODIUM_TLS_CA"] == "/etc/podium/ca.pem"


def test_the_image_starts_python_itself() -> None:
    """The image starts Python without a shell, so that Python gets the signals.

    The outbox is a volume.
    """
    lines = _block("dockerfile").splitlines()
    assert 'CMD ["python", "train.py"]' in lines
    assert {"ENV PODIUM_OUTBOX=/outbox", "VOLUME /outbox"} <= set(lines)


@pytest.mark.slow
def test_an_own_handler_ends_the_training(tmp_path: Path, server: RunningServer) -> None:
    """The signal handler of the document ends the training process with exit code 1."""
    (tmp_path / "wait").touch()
    training = _block("python handler") + _TRAINING
    (tmp_path / "train.py").write_text(training)
    environment = _environment(tmp_path, server)
    command = [sys.executable, "train.py"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        until((tmp_path / "started").exists)
        process.terminate()
        assert process.wait(120) == 1


def _may_make_a_pid_namespace() -> bool:
    command = ["unshare", "--pid", "--fork", "--kill-child", "true"]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not _may_make_a_pid_namespace(), reason="this user may make no PID namespace")
def test_the_main_process_of_a_container_ends(tmp_path: Path, server: RunningServer) -> None:
    """SIGTERM ends a training process that is process 1 of its container.

    The default action of SIGTERM would not end process 1.
    """
    (tmp_path / "wait").touch()
    (tmp_path / "train.py").write_text(_TRAINING + "\n")
    command = ["unshare", "--pid", "--fork", sys.executable, "train.py"]
    environment = _environment(tmp_path, server)
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as parent:
        until((tmp_path / "started").exists)
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        assert parent.wait(200) == 128 + signal.SIGTERM
