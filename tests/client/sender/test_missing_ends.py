"""Tests that the sender records the end of an arm that its training process did not finish."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import podium
import pytest
from podium._outbox import StreamInfo, StreamReader, outbox_address, reader, streams
from podium._sender import FOREGROUND, Rules, Sender
from podium.v1.arm_result_pb2 import ARM_STATUS_CANCELLED, ARM_STATUS_COMPLETED
from podium.v1.event_pb2 import ArmFinished, Event
from podium_server.testing import RunningServer
from podium_server.testing.calls import row, started

from tests import zygote
from tests.client.sender.outboxes import appended, dead_stream, deliver_here, until, writer

TRAINER = """
import os, signal, sys, time
import podium
recording = podium.record("x", address=sys.argv[1], outbox=sys.argv[2])
arm = recording.start_arm(podium.RunConfig("a"))
arm.log({"loss": 0.5})
arm.flush(60)  # a process that is killed before it has started the sender leaves only its outbox
print(os.getpid(), flush=True)
if sys.argv[3] == "return":
    sys.exit()
time.sleep(60)
"""
TIME = 1_767_225_600
"""2026-01-01, in seconds since 1970."""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["KILL", "HUP", "return"])
def test_a_trainer_that_ends_without_finishing_its_arm(
    end: str, tmp_path: Path, server: RunningServer, client: podium.Client
) -> None:
    """However a process ends, its unfinished arm is failed, and the error names the process."""
    command = [sys.executable, "-c", TRAINER, server.address, str(tmp_path / "outbox"), end]
    with zygote.start(command, stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout is not None
        pid = trainer.stdout.readline().strip()
        if end != "return":
            trainer.send_signal(getattr(signal, f"SIG{end}"))
    until(lambda: _status(client) == "failed")
    error = client.arm("x", "a").get().error or ""
    pattern = (
        "the process ended without finishing the arm: "
        rf"host {os.uname().nodename}, pid {pid}, last event 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
    )
    assert re.fullmatch(pattern, error), error


def _status(client: podium.Client) -> str:
    try:
        return client.arm("x", "a").get().status
    except podium.NotFoundError:
        return "unknown"


def _of(attempt: str, event: Event) -> Event:
    """Returns the event with an attempt and a time."""
    getattr(event, event.WhichOneof("kind") or "").attempt_id = attempt
    event.event_time.seconds = TIME
    return event


def _ended(status: int = ARM_STATUS_CANCELLED) -> Event:
    return _of("A", Event(arm_finished=ArmFinished(arm="a", status=status)))  # type: ignore[arg-type]  # any number


def _stream(outbox: Path, *events: Event, **fields: Any) -> Path:
    given = {"attempt_id": "A", "attempt_order": 1, "pid": 4711, **fields}
    return dead_stream(outbox, "x", *events, **given)


@pytest.fixture(autouse=True)
def _declare(client: podium.Client) -> None:
    client.experiment("x").declare()


def test_the_end_is_recorded_once_all_is_delivered(outbox: Path, client: podium.Client) -> None:
    """When all events are delivered, an arm without an end is set to failed.

    The error names the host, the process id and the time of the last event. The stream is removed.
    """
    _stream(outbox, started("a", "A", 1), _of("A", row("v", 1)))
    deliver_here(outbox)
    arm = client.arm("x", "a").get()
    assert (arm.status, [found.step for found in arm.evals]) == ("failed", [1])
    assert arm.error == (
        f"the process ended without finishing the arm: host {os.uname().nodename}, pid 4711, "
        "last event 2026-01-01T00:00:00+00:00"
    )
    assert streams(outbox) == []


def test_an_end_that_the_process_recorded_is_kept(outbox: Path, client: podium.Client) -> None:
    """An end that the process itself recorded is kept, even if rows arrive after it."""
    _stream(outbox, started("a", "A", 1), _ended(), _of("A", row("v", 1)))
    deliver_here(outbox)
    assert client.arm("x", "a").get().status == "cancelled"


def test_a_late_end_replaces_that_of_the_sender(outbox: Path, client: podium.Client) -> None:
    """An end that the attempt records later, in another stream, replaces that of the sender."""
    _stream(outbox, started("a", "A", 1))
    deliver_here(outbox)
    assert client.arm("x", "a").get().status == "failed"
    dead_stream(outbox, "x", _ended())
    deliver_here(outbox)
    arm = client.arm("x", "a").get()
    assert (arm.status, arm.error) == ("cancelled", None)


def test_an_end_from_another_host_stands(outbox: Path, client: podium.Client) -> None:
    """If another process of the attempt recorded the end, the sender records none."""
    folder = _stream(outbox, started("a", "A", 1))
    position = podium.StreamPosition(StreamInfo.read(folder).writer_id, 1)
    client.record("x", [started("a", "A", 1)], position)
    client.record("x", [_ended(ARM_STATUS_COMPLETED)])
    deliver_here(outbox)
    arm = client.arm("x", "a").get()
    assert (arm.status, arm.error) == ("completed", None)
    assert streams(outbox) == []


def test_an_arm_that_was_started_again_keeps_running(outbox: Path, client: podium.Client) -> None:
    """An arm that was started again on another machine keeps running."""
    folder = _stream(outbox, started("a", "A", 1))
    position = podium.StreamPosition(StreamInfo.read(folder).writer_id, 1)
    client.record("x", [started("a", "A", 1)], position)
    client.record("x", [started("a", "B", 2)])
    deliver_here(outbox)
    assert client.arm("x", "a").get().status == "running"


class _StartingClient:
    """A client that starts the arm again just before the sender records its end."""

    def __init__(self, client: podium.AsyncClient) -> None:
        self._client = client
        self.experiment = client.experiment
        self.ends = 0

    async def record(
        self,
        experiment: str,
        events: Iterable[Event],
        position: podium.StreamPosition | None = None,
    ) -> podium.RecordResult:
        """Records events. If the sender records an end, starts a newer attempt before it."""
        if position is None:
            self.ends += 1
            await self._client.record(experiment, [started("a", "B", 2)])
        return await self._client.record(experiment, events, position)


def test_an_arm_that_is_started_just_before_its_end(outbox: Path, client: podium.Client) -> None:
    """The sender's end names its attempt, so the server rejects it if a newer one has started."""
    _stream(outbox, started("a", "A", 1))

    async def run() -> int:
        async with podium.AsyncClient(outbox_address(outbox)) as asynchronous:
            starting = _StartingClient(asynchronous)
            await Sender([outbox], starting, Rules(idle_seconds=0, patience_seconds=120)).run()
            return starting.ends

    assert asyncio.run(run()) == 1
    arm = client.arm("x", "a").get()
    assert (arm.status, arm.error) == ("running", None)
    assert arm.attempt is not None
    assert arm.attempt.id == "B"
    assert streams(outbox) == []


def test_an_arm_whose_stream_is_continued_gets_no_end(outbox: Path, client: podium.Client) -> None:
    """If another stream continues the stream of an arm, the sender records no end of the arm."""
    first = writer(outbox, "x", attempt_id="A", attempt_order=1)
    appended(first, started("a", "A", 1))
    name = first.folder.name
    other = writer(outbox, "x", writer_id="0" * len(name), follows=name)
    appended(other, row("v", 1))
    deliver_here(outbox)
    first.release()
    other.release()
    deliver_here(outbox)
    assert client.arm("x", "a").get().status == "running"


def test_one_delivery_removes_a_stream_and_those_that_continue_it(outbox: Path) -> None:
    """One short delivery removes a closed stream and all closed streams that continue it.

    The names of these streams are not in the order in which they continue each other.
    """
    first = appended(writer(outbox, "x"), started("a", "A", 1))
    names = [str(number) * len(first.folder.name) for number in range(3)]
    for name, followed in zip(names, [*names[1:], first.folder.name], strict=True):
        writer(outbox, "x", writer_id=name, follows=followed).release()
    first.release()

    async def run() -> None:
        async with podium.AsyncClient(outbox_address(outbox)) as client:
            await Sender([outbox], client, replace(FOREGROUND, patience_seconds=60)).run()

    asyncio.run(run())
    assert streams(outbox) == []


def test_another_process_of_the_attempt_lives(outbox: Path, client: podium.Client) -> None:
    """The arm fails only when no process of this machine trains the attempt any more."""
    live = writer(outbox, "x", attempt_id="A", attempt_order=1)
    appended(live, started("a", "A", 1))
    _stream(outbox, started("a", "A", 1))
    deliver_here(outbox)
    assert client.arm("x", "a").get().status == "running"
    live.release()
    deliver_here(outbox)
    assert client.arm("x", "a").get().status == "failed"


@pytest.mark.slow
def test_the_reads_grow_with_the_number_of_processes(
    outbox: Path, client: podium.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With four times as many processes of an arm, a sender opens at most six times the files."""
    live = appended(writer(outbox, "x", attempt_id="A", attempt_order=1), started("a", "A", 1))
    few = _files_opened(outbox, range(20), monkeypatch)
    many = _files_opened(outbox, range(20, 100), monkeypatch)
    live.release()
    assert {found.step for found in client.arm("x", "a").evals()} == set(range(100))
    assert many < 6 * few


def _files_opened(outbox: Path, steps: Iterable[int], monkeypatch: pytest.MonkeyPatch) -> int:
    for step in steps:
        _stream(outbox, started("a", "A", 1), _of("A", row("v", step)))
    opened = 0
    real_open = os.open

    def counted_open(*arguments: Any, **named: Any) -> int:
        nonlocal opened
        opened += 1
        return real_open(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", counted_open)
        deliver_here(outbox, poll_seconds=60)
    return opened


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "another"},
        {"is_main": False},
        {"attempt_order": None, "attempt_id": None},
    ],
    ids=["another host", "side rank", "evaluator"],
)
def test_processes_whose_end_does_not_end_the_arm(
    fields: dict[str, Any], outbox: Path, client: podium.Client
) -> None:
    """The end of an evaluator or of a rank other than the main one does not end the arm.

    Neither does the end of a process on another host.
    """
    client.record("x", [started("a", "A", 1)])
    _stream(outbox, _of("A", row("v", 1)), **fields)
    deliver_here(outbox)
    assert client.arm("x", "a").get().status == "running"


def test_a_copied_outbox_does_not_end_the_arm(
    outbox: Path, tmp_path: Path, client: podium.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delivery of a copied outbox does not end the arm of the running process."""
    monkeypatch.setattr(reader, "_SURE_SECONDS", 0.0)
    stream = appended(writer(outbox, "x", attempt_id="A", attempt_order=1), started("a", "A", 1))
    shutil.copytree(outbox, tmp_path / "copy")
    deliver_here(tmp_path / "copy")
    assert client.arm("x", "a").get().status == "running"
    stream.release()


@pytest.mark.slow
def test_the_end_of_an_arm_while_the_server_is_down(
    outbox: Path, server: RunningServer, client: podium.Client
) -> None:
    """If the server is down, the end of an arm is not lost: the next sender records it."""
    folder = _stream(outbox, started("a", "A", 1))
    info = StreamInfo.read(folder)
    client.record("x", [started("a", "A", 1)], podium.StreamPosition(info.writer_id, 1))
    StreamReader(folder).note_delivered(1)
    address = server.address
    server.kill()
    deliver_here(outbox, patience=0.5)
    assert streams(outbox) == [folder]
    server.start()
    assert server.address == address
    deliver_here(outbox)
    assert client.arm("x", "a").get().status == "failed"
