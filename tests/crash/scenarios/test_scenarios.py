"""Tests of scenarios that users worry about, with training processes, senders and a server."""

import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import podium
import pytest

from tests.client.cli import shell
from tests.crash.scenarios.world import TRAIN, World

pytestmark = pytest.mark.slow


def _by(steps: range, number: float) -> dict[int | None, float]:
    return dict.fromkeys(steps, number)


def test_late_outbox_after_a_re_run(world: World, tmp_path: Path) -> None:
    """Late events of a dead machine are rejected if the run was repeated on another machine."""
    node = tmp_path / "node"
    world.train("--by", 1, "--steps", 30, "--die", 20, root=node, offline=True)
    world.train("--by", 2, "--steps", 10)
    assert world.sync().code == 0
    before = world.arm.get()

    late = world.sync(node)

    assert late.code == 1
    assert "rejected" in late.err
    assert world.arm.get() == before
    assert (world.rows(), world.arm.score("test.by")) == (_by(range(10), 2), 2)
    shown = shell.podium("outbox", str(node)).out
    assert " STALE_ATTEMPT: " in shown


def test_evaluator_first(world: World) -> None:
    """The result of an evaluator waits until its arm is started, and is then stored."""
    with podium.record(
        "sweep", address=world.server.address, outbox=world.root, offline=True
    ) as experiment:
        experiment.arm("a").log_eval("bench", {"by": 7})
    early = world.sync()
    assert early.code == 1
    assert "1 event waits: experiment 'sweep' has no arm 'a'" in early.err
    assert world.client.experiment("sweep").get().name == "sweep"

    world.train("--by", 1, offline=True)

    assert world.sync().code == 0
    assert world.arm.score("bench.by") == 7
    assert world.arm.score("test.by") == 1


def test_deletion_while_offline(world: World) -> None:
    """Late events of an arm that was deleted meanwhile are rejected, so the arm stays deleted."""
    training = world.begin("--steps", 400, "--hold", 20, offline=True)
    with world.held(training, 20):
        assert world.sync().code == 0
        assert set(world.rows()) == set(range(21))
        world.arm.delete()
    world.finish(training)

    assert world.sync().code == 1

    assert list(world.client.experiment("sweep").arms()) == []
    assert " ARM_DELETED: " in world.outbox().out
    world.train("--by", 2, "--steps", 5, offline=True)
    world.sync()
    assert (world.rows(), world.arm.score("test.by")) == (_by(range(5), 2), 2)


def test_preempted_zombie(world: World) -> None:
    """If a stopped process continues after a newer attempt has started, its events are rejected."""
    zombie = world.begin("--by", 1, "--steps", 100, "--hold", 10, 50)
    with world.held(zombie, 10):
        zombie.send_signal(signal.SIGSTOP)
        world.train("--by", 2, "--steps", 5, "--restart")
        world.until_delivered()
        before = world.arm.get()
        assert (before.status, world.rows()) == ("completed", _by(range(5), 2))
        zombie.send_signal(signal.SIGCONT)
    with world.held(zombie, 50):
        world.until_rejected("STALE_ATTEMPT")
    said = world.finish(zombie)
    world.sync()

    assert zombie.returncode == 0, "its training continues without an error"
    assert world.arm.get() == before
    assert "STALE_ATTEMPT" in said


def test_resumed_from_a_checkpoint(world: World) -> None:
    """After a kill at step 57 and a resume from step 50, later steps have the second run's rows."""
    world.train("--by", 1, "--steps", 100, "--die", 57, offline=True)
    world.train("--by", 2, "--first", 51, "--steps", 49, "--resume", 50, offline=True)

    assert world.sync().code == 0

    assert world.rows() == _by(range(51), 1) | _by(range(51, 100), 2)
    found = world.arm.get()
    assert (found.status, found.score("test.by"), found.metrics["by"]) == ("completed", 2, 2)


def test_same_script_started_twice(world: World) -> None:
    """If a script runs again, the first result is kept, and the second stays in the outbox."""
    world.train("--by", 1)
    world.until_delivered()
    before = world.arm.get()

    said = world.train("--by", 2)
    world.sync()

    assert world.arm.get() == before
    assert "is already completed" in said
    shown = world.outbox().out
    assert "1 ARM_FINISHED: " in shown
    assert " STALE_ATTEMPT: " in shown


def test_same_script_started_twice_at_a_time(world: World) -> None:
    """If a script runs twice at once, the arm has the results of the later start.

    The log of the earlier process says that its events were rejected.
    """
    first = world.begin("--by", 1, "--steps", 300, "--hold", 5, 100)
    with world.held(first, 5):
        second = world.begin("--by", 2, "--steps", 50, "--hold", 10)
        world.reach(second, 10)
        world.until_delivered()  # otherwise, more steps of the first could precede this start
    with world.held(first, 100):
        world.until_rejected("STALE_ATTEMPT")
    said = [world.finish(training) for training in (first, second)]
    world.sync()

    assert (first.returncode, second.returncode) == (0, 0)
    assert (world.rows(), world.arm.score("test.by")) == (_by(range(50), 2), 2)
    assert world.arm.get().status == "completed"
    assert "STALE_ATTEMPT" in said[0]
    assert "STALE_ATTEMPT" not in said[1]


def test_copied_folder(world: World, tmp_path: Path) -> None:
    """An outbox that was copied during a training run can be delivered from both copies."""
    training = world.begin("--steps", 300, "--pace", 0.005, offline=True)
    world.reach(training, 100)
    copy = tmp_path / "usb" / "outbox"
    shutil.copytree(world.root, copy)
    world.finish(training)

    assert world.sync(copy).code == 0
    assert set(world.rows()) >= set(range(101))
    assert world.sync().code == 0
    before = world.arm.get()
    world.sync(copy)

    assert world.arm.get() == before
    assert world.rows() == _by(range(300), 1)
    assert before.status == "completed"


_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
_MOUNT = (*_NAMESPACE, "sh", "-c", 'mount -t tmpfs -o size=3m tmpfs "$PODIUM_OUTBOX" && "$@"')


def _can_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = [*_NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


def test_full_disk(world: World) -> None:
    """On a full disk, training continues, written events arrive, and lost events are counted.

    The server is down until the disk is full. Further events wait in memory. When the server is
    back, delivered events make room, and the waiting events are written. At the end of the
    training, the log has the number of events that are still in memory.
    """
    world.root.mkdir()
    if not _can_mount(world.root):
        pytest.skip("this user may not mount a file system")
    world.server.stop()
    train = shlex.join([*TRAIN, "--steps", "400", "--size", "20000", "--hold", "300"])
    command = f"{train} && {shlex.join(shell.PODIUM)} sync"
    training = world.run(*_MOUNT, "sh", "sh", "-c", command)
    with world.held(training, 300):
        world.server.start()
    said = world.finish(training)

    assert training.returncode == 0, said
    assert "No space left on device" in said
    # The events of the arm: its start, two for each step, its last row, its end.
    found = re.search(r"(\d+) events are lost", said)
    written = 1 + 2 * 400 + 2 - (int(found[1]) if found else 0)
    assert world.rows() == _by(range(min(400, (written - 1) // 2)), 1)
    assert len(world.rows()) > 90


def test_server_upgraded_meanwhile(world: World) -> None:
    """Events over a limit of the server can be delivered after a restart with higher limits."""
    world.restart("--limit", "map_keys=10")
    training = world.begin("--steps", 300, "--hold", 50, 200, "--wide")
    with world.held(training, 50):
        world.until_rejected("LIMIT_EXCEEDED")
        world.server.stop()
    with world.held(training, 200):
        world.restart()
        world.until_delivered()
    said = world.finish(training)
    assert training.returncode == 0, said
    assert "LIMIT_EXCEEDED" in said

    assert world.sync().code == 1
    assert (world.rows(), world.arm.eval("wide")) == (_by(range(300), 1), None)
    assert world.outbox("retry").code == 0
    assert world.sync().code == 0

    assert (world.rows("wide"), world.arm.get().status) == ({None: 1}, "completed")


def test_clock_set_back(world: World) -> None:
    """If the clock was set back, a new attempt is rejected unless it is given a greater order."""
    world.train("--by", 1, "--steps", 5)
    world.until_delivered()

    said = world.train("--by", 2, "--restart", "--clock", -3600)
    world.sync()
    assert (world.rows(), world.arm.score("test.by")) == (_by(range(5), 1), 1)
    assert "STALE_ATTEMPT" in said

    newest = world.arm.get().attempt
    assert newest is not None
    world.train("--by", 3, "--restart", "--clock", -3600, "--order", newest.order + 1)
    world.sync()
    assert (world.rows(), world.arm.score("test.by")) == (_by(range(10), 3), 3)
