"""Tests that `examples/training.py` continues in spite of failures.

After `podium sync`, the server has all its results.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import podium
import pytest
from podium_server.testing import RunningServer, running_server

from tests.client.recorder.cut import connection_to

PROJECT = Path(__file__).parents[3]
TRAINING = str(PROJECT / "examples" / "training.py")
STEPS = 300
SECONDS = 120

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
MOUNT = (*NAMESPACE, "sh", "-c", 'mount -t tmpfs -o size=4m tmpfs "$0" && exec "$@"')

# Runs the script on a full disk. A line on stdin makes room on the disk.
FULL_DISK = """
import runpy, sys, threading
from pathlib import Path

def make_room():
    sys.stdin.readline()
    ballast.unlink()

ballast = Path(sys.argv[2], "ballast")
with ballast.open("wb", buffering=0) as file:
    try:
        while file.write(bytes(4096)):
            pass
    except OSError as error:
        print(error, file=sys.stderr)
threading.Thread(target=make_room).start()
sys.argv = [sys.argv[1], sys.argv[3]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RunningServer]:
    """Yields a server for one test, which may kill and restart it."""
    with running_server(f"sqlite:///{tmp_path / 'podium.db'}") as server:
        yield server


def environment(address: str, outbox: Path) -> dict[str, str]:
    """Returns the environment of a process that records to a server through an outbox."""
    return {**os.environ, "PODIUM_ADDRESS": address, "PODIUM_OUTBOX": str(outbox)}


def train(address: str, outbox: Path, *prefix: str) -> subprocess.Popen[str]:
    """Starts the training script, with `prefix` in front of its command."""
    return subprocess.Popen(
        [*prefix, sys.executable, TRAINING, str(STEPS)],
        env=environment(address, outbox),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_step(training: subprocess.Popen[str], step: int) -> None:
    """Waits until the training script has logged a step."""
    assert training.stdout is not None
    while int(training.stdout.readline()) < step:
        pass


def remaining_steps(training: subprocess.Popen[str]) -> list[int]:
    """Waits for the end of a training script. Returns the steps logged since `wait_for_step`."""
    with training:
        assert training.stdout is not None
        return [int(line) for line in training.stdout]


def sync(address: str, outbox: Path) -> None:
    """Delivers the events in an outbox with `podium sync`."""
    subprocess.run(
        [sys.executable, "-m", "podium", "sync", str(outbox)],
        env=environment(address, outbox),
        timeout=SECONDS,
        check=True,
        capture_output=True,
    )


def check_all(address: str) -> None:
    """Checks that the server has all results of the training script, and nothing else."""
    with podium.Client(address) as client:
        found = client.arm("training", "long_run").get()
    assert found.status == "completed"
    assert [(row.name, row.step) for row in found.evals] == [
        *(("val", step) for step in range(STEPS)),
        ("test", None),
    ]
    assert found.score("test.accuracy") == found.score("val.accuracy")


@pytest.mark.slow
def test_with_a_server_all_results_are_stored(own_server: RunningServer, tmp_path: Path) -> None:
    """With a server, all results are stored when the training run ends, and stderr is empty."""
    training = train(own_server.address, tmp_path / "outbox")
    assert training.communicate(timeout=SECONDS)[1] == ""
    check_all(own_server.address)


@pytest.mark.slow
def test_the_server_is_down(own_server: RunningServer, tmp_path: Path) -> None:
    """Without a server, the training run ends without an error and logs one line.

    The line says that no server answers, where the events wait, and what to do.
    """
    own_server.kill()
    training = train(own_server.address, tmp_path / "outbox")
    told = training.communicate(timeout=SECONDS)[1]
    assert training.returncode == 0
    assert told.count("\n") == 1
    assert "no Podium server answers" in told
    assert str(tmp_path / "outbox") in told
    assert "podium sync" in told
    own_server.start()
    sync(own_server.address, tmp_path / "outbox")
    check_all(own_server.address)


@pytest.mark.slow
def test_the_server_is_killed_and_stalls(own_server: RunningServer, tmp_path: Path) -> None:
    """While the server is killed, restarted and paused, training continues. All rows are stored."""
    training = train(own_server.address, tmp_path / "outbox")
    wait_for_step(training, 50)
    own_server.kill()
    wait_for_step(training, 100)
    own_server.start()
    wait_for_step(training, 150)
    own_server.process.send_signal(19)
    wait_for_step(training, 250)
    own_server.process.send_signal(18)
    training.communicate(timeout=SECONDS)
    assert training.returncode == 0
    sync(own_server.address, tmp_path / "outbox")
    check_all(own_server.address)


@pytest.mark.slow
def test_the_connection_is_cut(own_server: RunningServer, tmp_path: Path) -> None:
    """If the connection is cut again and again, each row is stored exactly once."""
    with connection_to(own_server.address) as connection:
        training = train(connection.address, tmp_path / "outbox")
        for step in range(20, STEPS - 20, 40):
            wait_for_step(training, step)
            connection.cut()
            wait_for_step(training, step + 15)
            connection.mend()
        training.communicate(timeout=SECONDS)
        assert training.returncode == 0
        sync(connection.address, tmp_path / "outbox")
        assert connection.carried > 10_000
    check_all(own_server.address)


@pytest.mark.parametrize("step", [0, 150])
@pytest.mark.slow
def test_the_process_is_killed(own_server: RunningServer, tmp_path: Path, step: int) -> None:
    """Rows logged before `kill -9` are stored after a sync. The next run completes the arm."""
    training = train(own_server.address, tmp_path / "outbox")
    wait_for_step(training, step)
    training.kill()
    logged = max([step, *remaining_steps(training)])
    sync(own_server.address, tmp_path / "outbox")
    with podium.Client(own_server.address) as client:
        found = client.arm("training", "long_run").get()
    assert found.status in ("running", "failed")  # failed, if the sync knows that it has ended
    steps = [row.step for row in found.evals if row.name == "val"]
    assert steps in ([*range(logged + 1)], [*range(logged + 2)])
    train(own_server.address, tmp_path / "outbox").communicate(timeout=SECONDS)
    sync(own_server.address, tmp_path / "outbox")
    check_all(own_server.address)


@pytest.mark.slow
def test_the_disk_is_full(own_server: RunningServer, tmp_path: Path) -> None:
    """On a full disk, training continues. Its results are stored when there is room again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if not _can_mount(disk):
        pytest.skip("this process may not mount a file system")
    training = subprocess.Popen(
        [*MOUNT, str(disk), sys.executable, "-c", FULL_DISK, TRAINING, str(disk), str(STEPS)],
        env=environment(own_server.address, disk / "outbox"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert training.stderr is not None
    assert "No space left on device" in training.stderr.readline()
    assert "has no room now" in training.stderr.readline()
    training.communicate("make room\n", timeout=SECONDS)
    assert training.returncode == 0
    check_all(own_server.address)


def _can_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = subprocess.run([*MOUNT, str(folder), "true"], check=False, capture_output=True)
    return probe.returncode == 0
