"""Tests of how a sender treats a stream that is quiet, ended, damaged or deleted."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from podium._model.recording import RecordResult
from podium._outbox import streams as folders
from podium._sender import streams as module
from podium._sender.predecessors import Predecessors
from podium._sender.stream import Stream
from podium._sender.streams import Streams
from podium.errors import PodiumError, RefusedEvent, error_for
from podium.v1.event_pb2 import Event
from podium_server.testing.calls import declared, row, started

from tests.client.outbox.places import new_outbox
from tests.client.sender.outboxes import appended, dead_stream, writer
from tests.each import each


class _Client:
    """A client that fails each call with an error, or accepts its events."""

    def __init__(self, error: PodiumError | None = None) -> None:
        self.error = error
        self.calls: list[list[Event]] = []
        self.oldest: list[float | None] = []
        self.stream: Stream | None = None

    async def record(self, _name: str, events: Iterable[Event], position: Any = None) -> Any:
        """Keeps the events of the call."""
        self.calls.append(list(events))
        if self.stream is not None:
            self.oldest.append(self.stream.oldest)
        if self.error is not None:
            raise self.error
        last = None if position is None else position.first_sequence + len(self.calls[-1]) - 1
        return RecordResult(1, last_sequence=last)


def _streams(outbox: Path, *, is_bounded: bool = False) -> Streams:
    found = Streams([outbox], is_bounded=is_bounded, defect_seconds=600.0)
    found.look(set())
    return found


@pytest.mark.parametrize(
    ("is_due", "lives", "has_ended", "needs"),
    [
        (True, True, False, True),
        (False, True, False, False),
        (True, False, False, False),
        (True, True, True, False),
    ],
)
def test_a_stream_that_needs_a_heartbeat(
    tmp_path: Path, *, is_due: bool, lives: bool, has_ended: bool, needs: bool
) -> None:
    """A stream needs a heartbeat if one is due, its process lives, and the stream has not ended."""
    stream: Any = Stream(dead_stream(new_outbox(tmp_path), "x", row("v", 1)), 600.0)
    stream.heartbeat = SimpleNamespace(is_due=lambda: is_due)
    stream._reader.writer_lives = lambda: lives
    stream.has_ended = has_ended
    assert stream.needs_heartbeat() is needs


@pytest.mark.parametrize(
    ("host", "has_ended", "is_removed"),
    [(None, False, True), (None, True, True), ("node7", True, True), ("node7", False, False)],
)
def test_the_stream_of_another_host(
    tmp_path: Path, host: str | None, *, has_ended: bool, is_removed: bool
) -> None:
    """A delivered stream of another host is removed only if it has ended.

    The lock of such a stream does not tell whether its process lives.
    """
    nodename = os.uname().nodename if host is None else host
    stream = Stream(dead_stream(new_outbox(tmp_path), "x", row("v", 1), host=nodename), 600.0)
    stream._reader.note_delivered(1)
    stream.has_ended = has_ended
    stream.remove()
    assert stream.folder.exists() is not is_removed


_REFUSED = error_for("STALE_ATTEMPT", "no", refusals=[RefusedEvent(0, "STALE_ATTEMPT", True, "no")])  # noqa: FBT003


@pytest.mark.parametrize(
    ("error", "pause", "answers", "advances"),
    [
        (None, None, 1, 1),
        (_REFUSED, None, 1, 1),
        (error_for("SHUTTING_DOWN", "later"), "SHUTTING_DOWN", 0, 0),
        (error_for("INTERNAL", "broken"), "INTERNAL", 1, 0),
    ],
    ids=["recorded", "refused", "away", "defect"],
)
async def test_the_end_that_a_stream_lacks(
    tmp_path: Path, error: PodiumError | None, pause: str | None, answers: int, advances: int
) -> None:
    """The end that a stream lacks is sent until the server records or rejects it."""
    stream = Stream(dead_stream(new_outbox(tmp_path), "x", row("v", 1)), 600.0)
    client: Any = _Client(error)

    async def record(given: Any) -> None:
        await given.record("x", [Event()])

    end: Any = SimpleNamespace(record=record)
    stream._missing_end, stream._is_end_sought = end, True
    found = await stream.send(client)
    assert (found and found.reason) == pause
    assert (stream.answers, stream.advances) == (answers, advances)
    assert stream.lacks_end() is (pause is not None)


async def test_the_oldest_event_of_a_failed_call(tmp_path: Path) -> None:
    """`oldest` is the time of the first event of a call until the call succeeds.

    If the event has no time, `oldest` is None.
    """
    event = row("v", 1)
    event.event_time.FromMilliseconds(1_700_000_000_250)
    stream = Stream(dead_stream(new_outbox(tmp_path), "x", event, row("v", 2)), 600.0)
    client = _Client(error_for("SHUTTING_DOWN", "later"))
    client.stream = stream
    given: Any = client
    oldest = []
    for error in (client.error, None):
        client.error = error
        await stream.send(given)
        oldest.append(stream.oldest)
    assert client.oldest == [1_700_000_000.25] * 2
    assert oldest == [1_700_000_000.25, None]
    other = Stream(dead_stream(new_outbox(tmp_path), "x", row("v", 1)), 600.0)
    client.error, client.stream = error_for("SHUTTING_DOWN", "later"), other
    await other.send(given)
    assert other.oldest is None


async def test_a_call_that_the_server_did_not_look_at_pauses_no_stream(tmp_path: Path) -> None:
    """If the server shuts down during a call, the stream of the call is not paused by itself.

    The sender pauses all calls instead. After an internal error of the server, the stream is
    paused.
    """
    outbox = new_outbox(tmp_path)
    reasons: list[Any] = []
    for reason in ("SHUTTING_DOWN", "INTERNAL"):
        stream = Stream(dead_stream(outbox, "x", row("v", 1), row("v", 2)), 600.0)
        client: Any = _Client(error_for(reason, "no"))
        await stream.send(client)
        reasons.append((stream.pause and stream.pause.reason, stream._read))
    assert reasons == [(None, []), ("INTERNAL", [])]


def test_a_stream_that_cannot_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A stream that cannot be read is logged once, and the other streams can be delivered."""
    outbox = new_outbox(tmp_path)
    damaged, intact = (dead_stream(outbox, "x", row("v", 1), arm=arm) for arm in "ab")
    (damaged / "stream.json").write_text("{")
    streams = _streams(outbox)
    streams.look(set())
    assert list(streams.known) == [intact]
    assert list(streams.damaged) == [damaged]
    assert caplog.text.count("cannot be delivered") == 1


@pytest.mark.parametrize("is_bounded", [False, True])
def test_streams_that_are_created_later(tmp_path: Path, *, is_bounded: bool) -> None:
    """`podium sync` ignores streams that are created after its start. Other senders find them."""
    outbox = new_outbox(tmp_path)
    dead_stream(outbox, "x", row("v", 1), arm="a")
    streams = _streams(outbox, is_bounded=is_bounded)
    dead_stream(outbox, "x", row("v", 1), arm="b")
    streams.look(set())
    assert [stream.info.arm for stream in streams.unsent] == ["a", "b"][: 1 if is_bounded else 2]


@pytest.mark.parametrize(("error", "stays"), [(FileNotFoundError, False), (PermissionError, True)])
def test_an_outbox_that_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError], *, stays: bool
) -> None:
    """If an outbox cannot be listed because of a disk error, the sender still knows its streams.

    If the outbox was deleted, the sender forgets them.
    """
    outbox = new_outbox(tmp_path)
    dead_stream(outbox, "x", row("v", 1))
    streams = _streams(outbox)

    def fail(_outbox: Path) -> list[Path]:
        raise error("no")

    monkeypatch.setattr(module, "streams", fail)
    streams.look(set())
    assert (len(streams.known), len(streams.unsent)) == (int(stays), int(stays))


def test_a_stream_that_vanishes_while_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream that another process removes while a sender opens it does not count as damaged."""
    outbox = new_outbox(tmp_path)
    folder = dead_stream(outbox, "x", row("v", 1))
    shutil.rmtree(folder)
    monkeypatch.setattr(module, "streams", lambda _outbox: [folder])
    streams = _streams(outbox)
    assert (streams.known, streams.damaged, caplog.text) == ({}, {}, "")


def test_a_delivered_stream_stays_as_long_as_the_one_before(tmp_path: Path) -> None:
    """A delivered stream is removed only together with the stream that it follows, or after it.

    If it were removed earlier, the stream before it would seem to lack the end of the arm.
    """
    outbox = new_outbox(tmp_path)
    before = appended(writer(outbox, "x", None), declared())
    folder = dead_stream(outbox, "x", declared(), arm=None, follows=before.folder.name)
    streams = _streams(outbox)
    for stream in streams.known.values():
        stream._reader.note_delivered(1)
        stream._delivery.delivered, stream._is_pending = 1, False
    streams.look(set())
    assert (set(folders(outbox)), streams.is_settling) == ({before.folder, folder}, True)
    before.release()
    streams.known[before.folder]._lives = False
    for _ in range(2):
        streams.look(set())
    assert (folders(outbox), streams.is_settling) == ([], False)


def test_a_new_stream_of_a_delivered_part_waits_for_no_other(tmp_path: Path) -> None:
    """A stream of which an earlier sender has delivered a part waits for no older attempt."""
    outbox = new_outbox(tmp_path)
    fields: list[dict[str, Any]] = [{"attempt_id": f"{n}", "attempt_order": n} for n in (1, 2)]
    dead_stream(outbox, "x", started("a", "1", 1), **fields[0])
    newer = dead_stream(outbox, "x", started("a", "2", 2), row("v", 1), **fields[1])
    assert _streams(outbox).known[newer].is_behind
    Stream(newer, 600.0)._reader.note_delivered(1)
    assert not _streams(outbox).known[newer].is_behind


_WAITS = {"delivered": 1, "is_gone": False, "fails_for_long": False, "is_unreadable": False}


@each(
    ("states", "are_pending"),
    [
        ([], False),
        ([{}], True),
        ([{}, {"delivered": 2}], True),
        ([{"delivered": 2}, {}], True),
        ([{}, {"is_gone": True}, {"fails_for_long": True}], True),
        ([{"delivered": 3}, {"is_gone": True}, {"fails_for_long": True}], False),
    ],
)
def test_streams_of_older_attempts(states: list[dict[str, Any]], *, are_pending: bool) -> None:
    """A stream waits until each stream of an older attempt is delivered up to a given event.

    It does not wait for streams that are gone or that have failed for long.
    """
    older: Any = [(SimpleNamespace(**(_WAITS | state)), 2) for state in states]
    waiting = Predecessors()
    waiting.set(older, None, None)
    for _ in range(2):
        assert waiting.are_pending() is are_pending
    for other, _ in older:
        other.delivered = 2
    assert not waiting.are_pending()
