"""Tests of killed senders: the next sender continues, and no event is lost or stored twice."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import podium
import pytest
from podium._outbox import outbox_folder, streams
from podium.v1.event_pb2 import Event
from podium_server.testing import RunningServer
from podium_server.testing.calls import arm as whole
from podium_server.testing.calls import declared, metrics, row, started

from tests.client.sender.dying import KILLED
from tests.client.sender.outboxes import dead_stream, deliver_here, rejected_events

Dying = subprocess.Popen[str]


@pytest.fixture
def dying() -> Iterator[Dying]:
    """Yields a process that runs senders and ends each at a given step."""
    command = [sys.executable, "-m", "tests.client.sender.dying"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.kill()


def _dies(dying: Dying, outbox: Path, step: int) -> bool:
    """Returns whether a sender was killed at a step. If not, it has ended before this step."""
    assert dying.stdin is not None
    assert dying.stdout is not None
    dying.stdin.write(f"{step} {outbox}\n")
    dying.stdin.flush()
    code = int(dying.stdout.readline())
    assert code in {0, KILLED}
    return code == KILLED


@pytest.mark.slow
def test_killed_at_every_step(
    tmp_path: Path, server: RunningServer, client: podium.Client, dying: Dying
) -> None:
    """Wherever a sender is killed, each event arrives once, or is rejected."""
    step = 0
    while True:
        name = f"x/{step}"
        client.experiment(name).declare()
        outbox = outbox_folder(tmp_path / f"outbox{step}", server.address)
        dead_stream(outbox, name, started("a", "A", 1), row("val", 1), metrics({"loss": 1}))
        said = [started("b", "B", 1), row("", 1, name="b"), row("v", 1, name="b")]
        bad = dead_stream(outbox, name, *said, arm="b")
        is_dead = _dies(dying, outbox, step)
        deliver_here(outbox)
        assert [found.step for found in client.arm(name, "a").evals()] == [1], step
        assert [found.name for found in client.arm(name, "b").evals()] == ["v"], step
        assert client.arm(name, "a").score("loss") == 1
        assert streams(outbox) == [bad], step
        assert rejected_events(bad) == [(2, "NAME_INVALID")], step
        if not is_dead:
            break
        step += 1
    assert step >= 20


@pytest.mark.slow
def test_whole_arms_killed_at_every_step(
    tmp_path: Path, server: RunningServer, client: podium.Client, dying: Dying
) -> None:
    """Wherever a sender is killed, exactly the events of the rejected whole arm are rejected."""
    step = 0
    while True:
        name = f"whole/{step}"
        client.record(name, [declared(), started("a", "A", 1)])
        outbox = outbox_folder(tmp_path / f"outbox{step}", server.address)
        bad = _whole_arm(outbox, name, "1", whole("a"), row("val", 1), row("val", 2))
        _whole_arm(outbox, name, "2", whole("a", replace=True), row("val", 3), follows="1")
        dead_stream(outbox, name, row("beside", 4), writer_id="3", follows="2")
        is_dead = _dies(dying, outbox, step)
        deliver_here(outbox)
        assert [found.step for found in client.arm(name, "a").evals()] == [3, 4], step
        assert streams(outbox) == [bad], step
        assert [sequence for sequence, _ in rejected_events(bad)] == [1, 2, 3], step
        if not is_dead:
            break
        step += 1
    assert step >= 20


def _whole_arm(
    outbox: Path, experiment: str, writer_id: str, *events: Event, follows: str | None = None
) -> Path:
    fields: dict[str, Any] = {"writer_id": writer_id, "follows": follows, "is_whole_arm": True}
    return dead_stream(outbox, experiment, *events, **fields)
