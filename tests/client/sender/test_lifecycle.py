"""Tests of the start and the end of a sender, and of its CPU use while it is idle."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import podium
import pytest
from podium._outbox import IDLE, SenderLock, SenderState, outbox_folder, streams
from podium._sender import Sender
from podium._sender.__main__ import main
from podium_server.testing import RunningServer
from podium_server.testing.calls import row, started

from tests import zygote
from tests.client.client.broken import closed_port
from tests.client.sender.outboxes import (
    appended,
    dead_stream,
    deliver,
    deliver_here,
    running_sender,
    start_sender,
    until,
    vanish,
    writer,
)

TRAINER = """
import os, sys, time
from pathlib import Path
from tests.client.sender.outboxes import appended, writer
from podium_server.testing.calls import row, started
stream = writer(Path(sys.argv[1]), "x")
appended(stream, started("a", "A", 1), *(row("v", i) for i in range(9)))
print("recorded", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_the_outbox_of_a_killed_trainer(outbox: Path, client: podium.Client) -> None:
    """The next sender delivers and removes the outbox of a killed process that had no sender."""
    client.experiment("x").declare()
    command = [sys.executable, "-c", TRAINER, str(outbox)]
    with zygote.start(command, stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == "recorded\n"
        trainer.kill()
    # The sender needs some seconds to be sure that the writer is gone.
    deliver(outbox, idle=4)
    assert [found.step for found in client.arm("x", "a").evals()] == list(range(9))
    assert streams(outbox) == []


def test_a_stream_that_begins_while_the_sender_ends(
    outbox: Path, client: podium.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that ends looks once more for streams that were created while it held its lock."""
    client.experiment("x").declare()
    run = Sender.run
    late: list[Path] = []

    async def run_and_miss(self: Sender, stop: asyncio.Event | None = None) -> None:
        await run(self, stop)
        if not late:
            assert SenderLock(outbox).is_held()
            late.append(dead_stream(outbox, "x", started("a", "A", 1), row("v", 1)))

    monkeypatch.setattr(Sender, "run", run_and_miss)
    assert main([str(outbox), "--idle-seconds", "0.1"]) == 0
    assert [found.step for found in client.arm("x", "a").evals()] == [1]
    assert streams(outbox) == []


@pytest.mark.slow
def test_a_sender_ends_after_its_idle_time(outbox: Path, client: podium.Client) -> None:
    """A sender runs while a process records, and for its idle time afterwards."""
    client.experiment("x").declare()
    stream = appended(writer(outbox, "x"), started("a", "A", 1))
    with running_sender(outbox, idle=3600) as sender:
        until(lambda: stream.progress().delivered == 1)
        stream.release()
        until(lambda: not streams(outbox))
        stream = appended(writer(outbox, "x"), row("v", 1))
        until(lambda: stream.progress().delivered == 1)
        assert sender.poll() is None
    with running_sender(outbox, idle=1) as sender:
        until(lambda: _is_at_work(outbox, sender.pid))
        time.sleep(1.5)
        assert sender.poll() is None
        stream.release()
        assert sender.wait(120) == 0
    state = SenderState.read(outbox)
    assert state is not None
    assert (state.state, state.error, state.waits) == (IDLE, None, {})
    assert not SenderLock(outbox).is_held()


def test_a_sender_ends_without_a_server(tmp_path: Path) -> None:
    """If no process records and no server answers, the sender ends and keeps the events."""
    outbox = outbox_folder(tmp_path / "outbox", closed_port())
    folder = dead_stream(outbox, "x", row("v", 1))
    sender = start_sender(outbox, patience=1)
    _, said = sender.communicate(timeout=120)
    assert sender.returncode == 0
    assert said.count("\n") <= 2, "it says once what is wrong"
    assert streams(outbox) == [folder]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals(
    number: signal.Signals, outbox: Path, server: RunningServer, client: podium.Client
) -> None:
    """A signal ends the sender at once, even during a call, and the next sender continues."""
    client.experiment("x").declare()
    dead_stream(outbox, "x", started("a", "A", 1), *(row("v", step) for step in range(10)))
    server.process.send_signal(signal.SIGSTOP)
    with running_sender(outbox) as sender:
        until(lambda: SenderState.read(outbox) is not None)
        sender.send_signal(number)
        began = time.monotonic()
        assert sender.wait(120) == 0
        assert time.monotonic() - began < 20, "a call may take 30 seconds"
    server.process.send_signal(signal.SIGCONT)
    deliver(outbox)
    assert [found.step for found in client.arm("x", "a").evals()] == list(range(10))


def test_a_folder_that_vanishes(outbox: Path, client: podium.Client) -> None:
    """If a stream or the whole outbox is deleted, the sender ends without an error."""
    client.experiment("x").declare()
    folder = dead_stream(outbox, "x", row("v", 1))
    with running_sender(outbox) as sender:
        until(lambda: SenderState.read(outbox) is not None)
        vanish(folder)
        assert sender.wait(120) == 0
    stream = writer(outbox, "x")
    with running_sender(outbox) as sender:
        until(lambda: _is_at_work(outbox, sender.pid))
        vanish(outbox)
        assert sender.wait(120) == 0
    stream.abandon()


def _is_at_work(outbox: Path, pid: int) -> bool:
    state = SenderState.read(outbox)
    return state is not None and state.pid == pid


def test_a_folder_that_is_no_outbox(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If the folder is not an outbox, the sender reports that and ends with exit code 1."""
    assert main([str(tmp_path)]) == 1
    assert f"the outbox {tmp_path} cannot be delivered: " in caplog.text


@pytest.mark.slow
def test_hundreds_of_streams(outbox: Path, client: podium.Client) -> None:
    """The streams of 300 ended processes are delivered and removed."""
    client.experiment("x").declare()
    for i in range(300):
        name = f"a{i}"
        dead_stream(outbox, "x", started(name, name, 1), row("v", 1, name=name), arm=name)
    deliver_here(outbox)
    assert client.experiment("x").get().arm_counts.total == 300
    assert streams(outbox) == []


@pytest.mark.slow
def test_an_idle_sender_costs_next_to_nothing(outbox: Path, client: podium.Client) -> None:
    """With ten open streams without new events, a sender uses less than 3 % of one core."""
    client.experiment("x").declare()
    open_streams = [
        appended(writer(outbox, "x", f"a{i}"), started(f"a{i}", "A", 1)) for i in range(10)
    ]
    with running_sender(outbox) as sender:
        until(lambda: all(stream.progress().delivered == 1 for stream in open_streams))
        # Its searches become rare only after a while, and are expensive on a busy machine.
        until(lambda: _cpu_seconds_of_three(sender.pid) < 0.09)
    for stream in open_streams:
        stream.release()


def _cpu_seconds_of_three(pid: int) -> float:
    before = _cpu_seconds(pid)
    time.sleep(3)
    return _cpu_seconds(pid) - before


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
