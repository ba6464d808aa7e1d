"""Tests of results that are recorded just after a recorder starts or just before a sender ends."""

import sys
from pathlib import Path

import podium
import pytest
from podium._outbox import SenderLock, streams
from podium._recorder import process_outbox
from podium._sender import __main__
from podium_server.testing import RunningServer
from podium_server.testing.calls import row, started

from tests import zygote
from tests.client.sender.outboxes import dead_stream, until

KILLED = """
import os, signal, sys, time
import podium
recording = podium.record("x", address=sys.argv[1], outbox=sys.argv[2])
recording.arm("a").log_eval("v", {"acc": 0.5})
recording.record_arm(podium.ArmResult("a", podium.RunConfig("a"), "completed"))
while not list(recording.outbox.glob("sender.lock")):
    time.sleep(0.001)
time.sleep(float(sys.argv[3]))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_sender_is_started_with_the_first_stream(
    tmp_path: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorder starts the sender as soon as it has created its first stream."""
    monkeypatch.setattr(process_outbox, "_LOOK_SECONDS", 1e9)
    recording = podium.record("x", address=server.address, outbox=tmp_path, close_timeout=30)
    until(lambda: recording.outbox is not None)
    folder = recording.outbox
    assert folder is not None
    until(lambda: SenderLock(folder).is_held())
    recording.close()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", ["0", "0.1", "0.3"])
def test_killed_in_the_first_second(
    seconds: str, tmp_path: Path, server: RunningServer, client: podium.Client
) -> None:
    """If a process is killed soon after its sender has started, the sender delivers its results."""
    command = [sys.executable, "-c", KILLED, server.address, str(tmp_path / "outbox"), seconds]
    zygote.run(command, check=False, timeout=120)
    until(lambda: _evals(client) == {"v": 0.5})


def _evals(client: podium.Client) -> dict[str, float]:
    try:
        return {found.name: found.metrics["acc"] for found in client.arm("x", "a").evals()}
    except podium.NotFoundError:
        return {}


def test_a_stream_that_is_made_while_the_sender_ends(
    outbox: Path, client: podium.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that is created between the sender's last search and its end is delivered."""
    client.experiment("x").declare()
    deliver, calls = __main__._deliver, []

    async def deliver_and_record(*arguments: object) -> object:
        calls.append(arguments)
        seen = await deliver(*arguments)  # type: ignore[arg-type]  # as they came
        if len(calls) == 1:
            dead_stream(outbox, "x", started("a", "A", 1), row("v", 1))
        return seen

    monkeypatch.setattr(__main__, "_deliver", deliver_and_record)
    assert __main__.main([str(outbox), "--idle-seconds", "0"]) == 0
    assert [found.step for found in client.arm("x", "a").evals()] == [1]
    assert (len(calls), streams(outbox)) == (2, [])
