"""Tests of the rules of streams and of the sender around them, without a server."""

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from podium._model.recording import RecordResult
from podium._outbox import SenderState
from podium._sender import BACKGROUND, Sender, __main__
from podium._sender.stream import Stream
from podium._sender.streams import Streams
from podium._sender.verdicts import Batch, Pause
from podium.errors import PodiumError, RefusedEvent, error_for
from podium.v1.event_pb2 import Event, Skipped
from podium_server.testing.calls import row

from tests.client.outbox.places import new_outbox
from tests.client.sender.outboxes import appended, dead_stream, writer

_AWAY = Pause("UNAVAILABLE", "away")


class _Client:
    """A client that fails each call with an error, or accepts its events."""

    def __init__(self, error: PodiumError | None = None) -> None:
        self.error = error
        self.lists = 0

    def experiment(self, _name: str) -> Any:
        return self

    async def arms(self) -> AsyncIterator[Any]:
        self.lists += 1
        yield SimpleNamespace(name="lora_rank4")

    async def record(self, _experiment: str, events: Iterable[Event], position: Any) -> Any:
        if self.error is not None:
            raise self.error
        return RecordResult(1, last_sequence=position.first_sequence + len(list(events)) - 1)


def _stream(tmp_path: Path, *events: Event, arm: str = "a", **given: Any) -> Stream:
    return Stream(dead_stream(new_outbox(tmp_path), "x", *events, arm=arm), 600.0, **given)


async def test_similar_names_of_a_misspelt_arm_are_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """However often a misspelt arm is retried, similar names are looked up and logged once."""
    refusal = RefusedEvent(0, "ARM_NOT_FOUND", False, "there is no arm")  # noqa: FBT003
    client: Any = _Client(error_for("ARM_NOT_FOUND", "no", refusals=[refusal]))
    stream = _stream(tmp_path, row("v", 1), arm="lora_rnak4")
    for _ in range(3):
        pause = await stream.send(client)
        assert pause is not None
        assert pause.message == (
            "there is no arm; did you mean 'lora_rank4'? "
            "Then `podium outbox retry --as NAME` records the waiting rows there"
        )
    assert (client.lists, caplog.text.count("delivery waits")) == (1, 1)


async def test_a_bounded_stream_has_only_the_events_of_its_start(tmp_path: Path) -> None:
    """`podium sync` sends only the events that a stream had when the command started."""
    outbox, client = new_outbox(tmp_path), _Client()
    given: Any = client
    stream_writer = appended(writer(outbox, "x"), row("v", 1))
    bounded, other = (Stream(stream_writer.folder, 600.0, is_bounded=b) for b in (True, False))
    assert bounded.count_pending() == 1
    await bounded.send(given)
    await other.send(given)
    appended(stream_writer, row("v", 2))
    assert [(s.has_pending, s.count_pending()) for s in (bounded, other)] == [(False, 0), (True, 1)]
    stream_writer.release()


def test_a_stream_that_fails_for_over_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream fails for long if over a minute has passed since its first failure.

    After a success, this time begins again at the next failure. If the server rejects an event, the
    stream does not fail for long.
    """
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    stream = _stream(tmp_path, row("v", 1))
    for at in (100.0, 130.0, 160.0):
        now = at
        stream.wait(_AWAY)
        assert not stream.fails_for_long
    now = 160.1
    assert (stream.fails_for_long, stream.is_unreadable) == (True, False)
    stream.cannot_read(OSError("broken"))
    assert stream.is_unreadable
    stream.wait(_AWAY._replace(is_refusal=True))
    assert not stream.fails_for_long
    stream.wait(None)
    stream.wait(_AWAY)
    assert not stream.fails_for_long


@pytest.mark.parametrize(
    ("events", "is_success"),
    [([row("v", 1)], True), ([Event(skipped=Skipped())], False)],
    ids=["row", "skipped"],
)
def test_only_an_accepted_event_shows_that_the_server_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: list[Event], *, is_success: bool
) -> None:
    """Only a call with an accepted event counts as a success. A call that skips events does not."""
    stream, successes = _stream(tmp_path, row("v", 1)), []
    monkeypatch.setattr(stream._patience, "succeeded", lambda: successes.append(1))
    stream._note_delivered(Batch(1, events), 0)
    assert (bool(successes), stream.taken) == (is_success, int(is_success))


def test_a_stream_that_has_sent_comes_last(tmp_path: Path) -> None:
    """A stream that has sent comes last in the next turn, so it does not hold up others."""
    outbox = new_outbox(tmp_path)
    for arm in "abc":
        dead_stream(outbox, "x", row("v", 1), arm=arm)
    streams = Streams([outbox], is_bounded=False, defect_seconds=600.0)
    streams.look(set())
    first, *others = streams.known.values()
    streams.move_back(first)
    assert list(streams.known.values()) == [*others, first]
    assert list(streams.unsent) == [*others, first]


def test_a_deleted_stream_is_forgotten_when_its_call_has_ended(tmp_path: Path) -> None:
    """If a stream is deleted during its call, the sender forgets it only after the call."""
    outbox = new_outbox(tmp_path)
    folder = dead_stream(outbox, "x", row("v", 1))
    streams = Streams([outbox], is_bounded=False, defect_seconds=600.0)
    streams.look(set())
    stream = streams.known[folder]
    shutil.rmtree(folder)
    streams.look({folder})
    assert (folder in streams.known, stream.is_gone) == (True, False)
    streams.look(set())
    assert (folder in streams.known, stream.is_gone) == (False, True)


@pytest.mark.parametrize(
    ("ages", "lag"), [([], 0.0), ([None], 0.0), ([3.0, 9.0, None, 5.0], 9.0), ([-5.0], 0.0)]
)
def test_the_lag_is_that_of_the_oldest_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ages: list[float | None], lag: float
) -> None:
    """The lag is the age of the oldest waiting event of all streams. It is never negative."""
    monkeypatch.setattr("time.time", lambda: 1_000.0)
    client: Any = _Client()
    sender = Sender([new_outbox(tmp_path)], client)
    streams: Any = [_stream(tmp_path / str(n), row("v", 1)) for n in range(len(ages))]
    for stream, age in zip(streams, ages, strict=True):
        stream.oldest = None if age is None else 1_000.0 - age
    sender.streams.unsent = dict.fromkeys(streams)
    assert sender._lag() == lag


@pytest.mark.parametrize(
    ("has_unsent", "lived", "advanced", "is_done"),
    [
        (False, -9.9, -99.0, False),
        (False, -10.0, -10.0, True),
        (False, -99.0, -9.9, False),
        (True, -3_599.0, -9_999.0, False),
        (True, -3_600.0, -3_600.0, True),
    ],
)
def test_when_a_sender_ends(
    tmp_path: Path, *, has_unsent: bool, lived: float, advanced: float, is_done: bool
) -> None:
    """A sender ends 10 s after the last process has ended and the last event was delivered.

    If events wait, it ends after an hour.
    """
    client: Any = _Client()
    sender = Sender([new_outbox(tmp_path)], client, BACKGROUND)
    now = time.monotonic()
    sender._lived, sender._advanced = now + lived, now + advanced
    if has_unsent:
        sender.streams.unsent = {_stream(tmp_path, row("v", 1)): None}
    assert sender._is_done() is is_done


def test_a_sender_begins_without_the_status_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a sender delivers, it removes the status that an earlier sender has left."""
    outbox = new_outbox(tmp_path)
    SenderState(1, "here:1", "idle").write(outbox)
    seen: list[SenderState | None] = []

    async def deliver(folder: Path, *_: object) -> None:
        seen.append(SenderState.read(folder))

    monkeypatch.setattr(__main__, "_deliver", deliver)
    assert (__main__.main([str(outbox)]), seen) == (0, [None])


async def test_a_sender_handles_sigterm_and_sigint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender handles both SIGTERM and SIGINT."""
    handled: list[int] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "add_signal_handler", lambda number, _stop: handled.append(number))
    rules = BACKGROUND.__class__(idle_seconds=0.0, patience_seconds=0.0)
    assert await __main__._deliver(new_outbox(tmp_path), "localhost:1", rules) == frozenset()
    assert set(handled) == {signal.SIGTERM, signal.SIGINT}


@pytest.mark.parametrize(
    ("quiet", "least", "most"), [(0.0, 0.1, 0.3), (5.0, 0.5, 0.8), (1e6, 1.0, 1.5)]
)
def test_how_often_a_quiet_outbox_is_searched(
    tmp_path: Path, quiet: float, least: float, most: float
) -> None:
    """A quiet outbox is searched less and less often, but at least about once a second."""
    client: Any = _Client()
    sender = Sender([new_outbox(tmp_path)], client)
    sender._advanced = time.monotonic() - quiet
    sender._look()
    assert least - 0.1 < sender._next_look - time.monotonic() < most
