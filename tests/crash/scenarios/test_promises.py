"""Tests of a training script during failures: it continues, and its results arrive."""

import signal
import time

import pytest

from tests.client.sender.outboxes import until
from tests.crash.scenarios.proxy import Proxy
from tests.crash.scenarios.world import World
from tests.sparse import sparse

_STEPS = 200


def _check(world: World) -> None:
    assert world.sync().code == 0
    assert world.rows() == dict.fromkeys(range(_STEPS), 1)
    found = world.arm.get()
    assert (found.status, found.metrics["by"], found.score("test.by")) == ("completed", 1, 1)
    assert "no events are waiting" in world.outbox().err


@pytest.mark.parametrize("kill", sparse([True, False]))
def test_the_server_is_down(world: World, kill: bool) -> None:
    """If the server is stopped or killed during a training run, all results arrive later.

    The log of the training run says that events are not delivered yet.
    """
    training = world.begin("--steps", _STEPS, "--hold", 50)
    with world.held(training, 50):
        if kill:
            world.server.kill()
        else:
            world.server.stop()
    said = world.finish(training)
    assert training.returncode == 0
    assert "events of 'sweep' are not delivered yet" in said
    assert "`podium sync`" in said
    world.server.start()
    _check(world)


@pytest.mark.slow
def test_there_never_was_a_server(world: World) -> None:
    """A training run ends without a server. Its results arrive when a server is started."""
    world.server.stop()
    world.train("--steps", _STEPS)
    world.server.start()
    _check(world)


@pytest.mark.slow
def test_the_server_hangs(world: World) -> None:
    """If the server hangs, the training run ends without an error. All results arrive later."""
    training = world.begin("--steps", _STEPS, "--hold", 50)
    with world.held(training, 50):
        world.server.process.send_signal(signal.SIGSTOP)
    said = world.finish(training)
    assert (training.returncode, "events of 'sweep' are not delivered yet" in said) == (0, True)
    world.server.process.send_signal(signal.SIGCONT)
    _check(world)


@pytest.mark.slow
def test_the_connection_is_cut(world: World) -> None:
    """If the connection is cut four times during a training run, all results still arrive."""
    direct = world.server.address
    proxy = Proxy(direct)
    world.server.address = proxy.address
    training = world.begin("--steps", _STEPS, "--pace", 0.01)
    world.server.address = direct
    for step in (20, 60, 100, 140):
        world.reach(training, step)
        proxy.cut()
        time.sleep(0.2)
        proxy.mend()
    world.finish(training)
    assert training.returncode == 0
    _check(world)


@pytest.mark.slow
def test_the_training_is_killed(world: World) -> None:
    """If a training process is killed, its rows are delivered, and its arm ends with an error."""
    world.train("--steps", _STEPS, "--die", 120)
    world.sync()
    assert world.rows() == dict.fromkeys(range(121), 1)
    until(lambda: world.arm.get().status != "running")
    assert (world.arm.get().error or "").startswith(
        "the process ended without finishing the arm: host "
    )


@pytest.mark.slow
def test_the_sender_is_killed(world: World) -> None:
    """If the sender is killed twice during a training run, all rows still arrive."""
    training = world.begin("--steps", 400, "--hold", 50, 200)
    for step in (50, 200):
        with world.held(training, step):
            world.kill_sender()
    world.finish(training)
    assert training.returncode == 0
    assert world.sync().code == 0
    assert world.rows() == dict.fromkeys(range(400), 1)
