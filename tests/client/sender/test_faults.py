"""Tests that each event arrives once, despite full disks and killed, stopped or emptied servers."""

import shutil
import signal
import time
from pathlib import Path
from threading import Timer

import podium
import pytest
from podium._outbox import (
    UNREACHABLE,
    SenderLock,
    SenderState,
    StreamReader,
    outbox_folder,
    streams,
)
from podium.v1.value_pb2 import Value
from podium_server.testing import RunningServer
from podium_server.testing.calls import declared, metrics, row, started

from tests.client.client.broken import closed_port, tcp_server
from tests.client.sender.outboxes import (
    appended,
    dead_stream,
    deliver,
    deliver_here,
    rejected_events,
    running_sender,
    start_sender,
    until,
    writer,
)


def _state(outbox: Path) -> str:
    state = SenderState.read(outbox)
    return "" if state is None else state.state


def _steps(client: podium.Client, experiment: str = "x") -> list[int | None]:
    return [found.step for found in client.arm(experiment, "a").evals()]


@pytest.mark.slow
def test_a_server_that_is_killed_again_and_again(
    outbox: Path, server: RunningServer, client: podium.Client
) -> None:
    """Rows that are recorded while the server is killed five times arrive once and in order."""
    client.experiment("x").declare()
    stream = appended(writer(outbox, "x"), started("a", "A", 1))
    with running_sender(outbox) as sender:
        for life in range(5):
            for step in range(200):
                appended(stream, row("v", 200 * life + step))
            time.sleep(0.05 * life)
            server.kill()
            server.start()
        until(lambda: stream.progress().delivered == 1_001)
        assert sender.poll() is None
    assert _steps(client) == list(range(1_000))
    stream.release()


def test_a_server_that_starts_late(tmp_path: Path) -> None:
    """If no server answers, the status of the sender says so. It delivers when a server starts."""
    began = time.time()
    address = closed_port()
    outbox = outbox_folder(tmp_path / "outbox", address)
    dead_stream(outbox, "x", declared(), arm=None)
    dead_stream(outbox, "x", started("a", "A", 1), row("v", 1))
    with running_sender(outbox) as sender:
        until(lambda: _state(outbox) == UNREACHABLE)
        state = SenderState.read(outbox)
        assert state is not None
        assert (state.pid, state.address) == (sender.pid, address)
        assert f"no Podium server answers at {address}" in str(state.error)
        assert state.since is not None
        assert state.next_try is not None
        assert began <= state.since <= state.next_try < time.time() + 30
        server = RunningServer(f"sqlite:///{tmp_path / 'podium.db'}", ["--listen", address])
        try:
            assert sender.wait(120) == 0
            with podium.Client(address) as client:
                assert _steps(client) == [1]
        finally:
            server.stop()


def test_a_server_that_is_stopped(
    outbox: Path, server: RunningServer, client: podium.Client
) -> None:
    """While the server hangs, the sender waits. It delivers when the server continues."""
    client.experiment("x").declare()
    stream = appended(writer(outbox, "x"), started("a", "A", 1))
    with running_sender(outbox) as sender:
        until(lambda: stream.progress().delivered == 1)
        server.process.send_signal(signal.SIGSTOP)
        appended(stream, *(row("v", step) for step in range(50)))
        time.sleep(1)
        assert (sender.poll(), stream.progress().delivered) == (None, 1)
        server.process.send_signal(signal.SIGCONT)
        until(lambda: stream.progress().delivered == 51)
    assert _steps(client) == list(range(50))
    stream.release()


def test_deadlines(outbox: Path, server: RunningServer, client: podium.Client) -> None:
    """Calls that missed their deadline are sent again, and each event is stored once."""
    client.experiment("x").declare()
    dead_stream(outbox, "x", started("a", "A", 1), *(row("v", step) for step in range(500)))
    server.process.send_signal(signal.SIGSTOP)
    goes_on = Timer(1.5, server.process.send_signal, [signal.SIGCONT])
    goes_on.start()
    deliver_here(outbox, write_timeout=0.3)
    goes_on.join()
    assert _steps(client) == list(range(500))


def test_something_else_at_the_address(tmp_path: Path) -> None:
    """If the address is not a Podium server, the sender retries until its patience ends."""
    with tcp_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        outbox = outbox_folder(tmp_path / "outbox", address)
        folder = dead_stream(outbox, "x", row("v", 1))
        sender = start_sender(outbox, patience=1)
        assert sender.wait(120) == 0
        sender.communicate()
    assert StreamReader(folder).read(0) != []
    assert _state(outbox) == UNREACHABLE


def test_a_deleted_database(outbox: Path, server: RunningServer, client: podium.Client) -> None:
    """If the store was deleted, the server gets all events that the outbox still has, in order."""
    dead_stream(outbox, "x", declared(), arm=None)
    stream = appended(writer(outbox, "x"), started("a", "A", 1), *(row("v", i) for i in range(10)))
    with running_sender(outbox):
        until(lambda: stream.progress().delivered == 11)
        server.stop()
        for file in Path(server.store.removeprefix("sqlite:///")).parent.glob("podium.db*"):
            file.unlink()
        server.start()
        appended(stream, row("v", 10), row("", 1), row("v", 11))
        client.experiment("x").declare()
        until(lambda: stream.progress() == (14, 1))
    assert _steps(client) == list(range(12))
    assert client.arm("x", "a").get().status == "running"
    stream.release()


@pytest.mark.slow
def test_events_that_neither_server_nor_outbox_has(
    outbox: Path, server: RunningServer, client: podium.Client
) -> None:
    """Events that neither server nor outbox has are skipped and reported, and later ones arrive."""
    client.experiment("x").declare()
    client.experiment("x").record_arm(podium.ArmResult("a", podium.RunConfig("a"), "running"))
    stream = appended(writer(outbox, "x"), *(row("v", i) for i in range(3)))
    folder = stream.folder
    for step in range(3, 6_000):
        appended(stream, row("v", step, breakdowns={"k": Value(string_value="x" * 500)}))
    stream.release()
    first = min(folder.glob("*.segment"))
    first.unlink()
    left = StreamReader(folder).read(0)[0].sequence
    assert left > 1_001
    StreamReader(folder).note_delivered(left - 1)
    said = deliver(outbox)
    for lost in (1_000, left - 1 - 1_000):
        assert f"the server has lost {lost} events that were delivered before" in said
    assert _steps(client) == list(range(left - 1, 6_000))
    assert server.process.poll() is None


def test_a_second_sender_of_one_outbox_ends(outbox: Path, client: podium.Client) -> None:
    """A second sender of the same outbox ends at once without an error."""
    stream = appended(writer(outbox, "x"), declared())
    with running_sender(outbox) as first:
        until(lambda: SenderLock(outbox).is_held())
        second = start_sender(outbox)
        _, said = second.communicate(timeout=120)
        assert (said, second.returncode, first.poll()) == ("", 0, None)
    stream.release()
    assert client.address


@pytest.mark.slow
def test_two_senders_on_copies_of_one_folder(
    tmp_path: Path, outbox: Path, client: podium.Client
) -> None:
    """If two copies of an outbox are delivered at once, the server stores each event once."""
    client.experiment("x").declare()
    dead_stream(outbox, "x", started("a", "A", 1), *(row("v", step) for step in range(5_000)))
    copy = tmp_path / "copy"
    shutil.copytree(outbox, copy)
    senders = [start_sender(folder) for folder in (outbox, copy)]
    for sender in senders:
        sender.communicate(timeout=120)
        assert sender.returncode == 0
    assert _steps(client) == list(range(5_000))
    assert (streams(outbox), streams(copy)) == ([], [])


def test_an_outbox_that_cannot_be_written(
    outbox: Path, client: podium.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk is too full to store a rejected event, the event is not skipped."""
    client.experiment("x").declare()
    folder = dead_stream(outbox, "x", started("a", "A", 1), row("", 1), row("v", 1))
    tries = []

    def full(self: StreamReader, *given: object) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(28, "No space left on device")
        original(self, *given)  # type: ignore[arg-type]  # as it is

    original = StreamReader.reject
    monkeypatch.setattr(StreamReader, "reject", full)
    deliver_here(outbox)
    assert len(tries) == 3
    assert rejected_events(folder) == [(2, "NAME_INVALID")]
    assert _steps(client) == [1]


def test_metrics_keep_their_order(outbox: Path, client: podium.Client) -> None:
    """The latest value of a metric is the last one recorded, even over several batches."""
    client.experiment("x").declare()
    stream = appended(writer(outbox, "x"), started("a", "A", 1))
    for value in range(3_000):
        appended(stream, metrics({"loss": value}))
    stream.release()
    deliver_here(outbox)
    assert client.arm("x", "a").score("loss") == 2_999
