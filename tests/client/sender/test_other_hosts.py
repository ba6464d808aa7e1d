"""Tests of streams of other hosts, whose writers may still run although their locks seem free."""

import os
from pathlib import Path

import podium
import pytest
from podium._outbox import reader, streams
from podium_server.testing.calls import row

from tests.client.sender.outboxes import appended, dead_stream, deliver_here, writer


@pytest.fixture(autouse=True)
def _arm(client: podium.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creates an arm. Makes a free lock prove at once that the process of a stream has ended."""
    client.experiment("x").declare()
    client.experiment("x").record_arm(podium.ArmResult("a", podium.RunConfig("a"), "running"))
    monkeypatch.setattr(reader, "_SURE_SECONDS", 0.0)


def _killed(outbox: Path, host: str) -> Path:
    """Returns the folder of a stream that was not closed and whose lock is free."""
    stream = appended(writer(outbox, "x", host=host), row("v", 1))
    stream.abandon()
    return stream.folder


def test_a_stream_of_another_host_stays(outbox: Path, client: podium.Client) -> None:
    """A delivered stream of another host is kept, and one of this host is removed."""
    theirs = _killed(outbox, "another-host")
    ours = _killed(outbox, os.uname().nodename)
    deliver_here(outbox)
    assert [found.step for found in client.arm("x", "a").evals()] == [1]
    assert streams(outbox) == [theirs]
    assert ours != theirs


def test_a_closed_stream_of_another_host_is_removed(outbox: Path) -> None:
    """A delivered stream of another host is removed if its writer has closed it."""
    dead_stream(outbox, "x", row("v", 1), host="another-host")
    deliver_here(outbox)
    assert streams(outbox) == []
