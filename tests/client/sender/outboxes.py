"""Outboxes as a recorder writes them, and real senders, for tests."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import podium
from podium._outbox import (
    SenderLock,
    SenderState,
    StreamInfo,
    StreamReader,
    StreamWriter,
    new_writer_id,
    outbox_address,
)
from podium._sender import Rules, Sender
from podium.v1.event_pb2 import Event

from tests import zygote

__all__ = [
    "WAIT",
    "appended",
    "command_of",
    "dead_stream",
    "deliver",
    "deliver_here",
    "rejected_events",
    "running_sender",
    "sender_of",
    "start_sender",
    "until",
    "vanish",
    "writer",
]

_SECONDS = 120
WAIT = "for _ in range(2400): time.sleep(0.05)"
"""Python code that waits for a signal with a handler in Python.

A signal that arrives between two statements does not interrupt the sleep that comes next. So one
long sleep would delay the handler.
"""


def writer(outbox: Path, experiment: str, arm: str | None = "a", **fields: object) -> StreamWriter:
    """Returns a stream that this process writes."""
    said: dict[str, object] = {
        "experiment": experiment,
        "arm": arm,
        "writer_id": new_writer_id(),
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "create_time": time.time(),
    }
    return StreamWriter.create(outbox, StreamInfo(**(said | fields)))  # type: ignore[arg-type]  # fields by name


def appended(stream: StreamWriter, *events: Event) -> StreamWriter:
    """Appends events to a stream without checks. Returns the stream."""
    for event in events:
        stream.prepare()
        stream.append(event.SerializeToString())
    return stream


def dead_stream(
    outbox: Path, experiment: str, *events: Event, arm: str | None = "a", **fields: object
) -> Path:
    """Returns the folder of a stream whose writer has ended without an error."""
    stream = appended(writer(outbox, experiment, arm, **fields), *events)
    stream.release()
    return stream.folder


def rejected_events(folder: Path) -> list[tuple[int, str]]:
    """Returns the sequence number and the reason of each rejected event that was not sent again."""
    found = StreamReader(folder).rejected_events()
    return [(rejected.sequence, rejected.reason) for rejected in found if not rejected.retried]


def start_sender(
    outbox: Path, *arguments: str, idle: float = 0.2, patience: float = 3600
) -> subprocess.Popen[str]:
    """Starts a sender that ends soon after everything is delivered."""
    limits = ("--idle-seconds", str(idle), "--patience-seconds", str(patience))
    return zygote.start(
        [sys.executable, "-m", "podium._sender", str(outbox), *limits, *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextlib.contextmanager
def running_sender(
    outbox: Path, *, idle: float = 0.2, patience: float = 3600
) -> Iterator[subprocess.Popen[str]]:
    """Yields a running sender, and ends it after the block if it still runs."""
    sender = start_sender(outbox, idle=idle, patience=patience)
    try:
        yield sender
    finally:
        sender.kill()
        sender.communicate(timeout=_SECONDS)


def sender_of(outbox: Path) -> int:
    """Returns the process id of the sender of an outbox, or 0 if none runs.

    Checks the command of the process, because another process may have got an old id.
    """
    state = SenderState.read(outbox)
    return state.pid if state is not None and _is_about(state.pid, outbox) else 0


def _is_about(pid: int, outbox: Path) -> bool:
    """Returns whether a process was started as the sender of an outbox, and not forked from it."""
    with contextlib.suppress(OSError):
        is_inside = Path(f"/proc/{pid}/cwd").readlink() == outbox
        return is_inside or os.fsencode(outbox) in command_of(pid)
    return False


def command_of(pid: int) -> bytes:
    """Returns the command line of a process. It is empty if the process has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def deliver(outbox: Path, idle: float = 0.2) -> str:
    """Runs a sender until it ends by itself. Returns its log."""
    sender = start_sender(outbox, idle=idle)
    try:
        _, said = sender.communicate(timeout=_SECONDS)
    finally:
        sender.kill()
    assert sender.returncode == 0, said
    return said


def deliver_here(
    outbox: Path,
    *,
    write_timeout: float = 30.0,
    patience: float = _SECONDS,
    poll_seconds: float = 0.1,
) -> Sender:
    """Delivers an outbox in this process until no event waits."""

    async def run() -> Sender:
        address = outbox_address(outbox)
        async with podium.AsyncClient(address, write_timeout=write_timeout) as client:
            rules = Rules(idle_seconds=0, patience_seconds=patience, poll_seconds=poll_seconds)
            sender = Sender([outbox], client, rules)
            await sender.run()
            return sender

    lock = SenderLock(outbox)
    assert lock.try_acquire()
    try:
        return asyncio.run(run())
    finally:
        lock.release()


def until(condition: Callable[[], object], seconds: float = _SECONDS) -> None:
    """Waits until a condition is true. Fails after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come to hold"
        time.sleep(0.01)


def vanish(folder: Path) -> None:
    """Deletes a folder, with the files that another process adds meanwhile."""

    def is_gone() -> bool:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
        return not folder.exists()

    until(is_gone)
