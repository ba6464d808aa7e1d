"""Tests of which calls a sender makes, when it wakes up and ends, and what it counts."""

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from podium._client.channel import OUTBOX_LAG
from podium._sender import BACKGROUND, FOREGROUND, Rules, Sender
from podium._sender import sender as module
from podium._sender.verdicts import Pause

_OUTBOX = Path("outbox")
_AWAY = Pause("UNAVAILABLE", "away", is_about_server=True)
_WAITS = Pause("ARM_NOT_FOUND", "no arm", is_refusal=True)
_NOW = 100.0


class _Stream:
    """A stream with undelivered events."""

    def __init__(self, name: str, **fields: Any) -> None:
        self.folder = _OUTBOX / name
        self.pause: Pause | None = None
        self.due = 0.0
        self.is_behind = self.has_ended = self.has_pending = self.writer_alive = False
        self.answers = self.advances = self.taken = self.rejected = self.missing = 0
        self.notices: list[str] = []
        self.oldest: float | None = None
        self.heartbeat = SimpleNamespace(send=self.send)
        self.hurries = 0
        self.waits: list[str] = []
        vars(self).update(fields)

    def __hash__(self) -> int:
        return hash(self.folder)

    async def send(self, _client: object) -> Pause | None:
        """Waits until it is cancelled."""
        await asyncio.Event().wait()
        return None

    def needs_heartbeat(self) -> bool:
        """Returns True, as for an arm that is being trained."""
        return True

    def was_woken(self) -> bool:
        """Returns whether the stream is named `woken`, as if a process waited for its delivery."""
        return self.folder.name == "woken"

    def hurry(self) -> None:
        """Counts the calls."""
        self.hurries += 1

    def wait(self, pause: Pause) -> None:
        """Keeps the reason of a pause."""
        self.waits.append(pause.reason)


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns a sender that has just searched its outbox. Its clock stands still."""
    clock = SimpleNamespace(monotonic=lambda: _NOW, time=lambda: 5_000.0)
    monkeypatch.setattr(module, "time", clock)
    return _sender(BACKGROUND)


def _sender(rules: Rules, *streams: _Stream) -> Any:
    client: Any = object()
    sender: Any = Sender([_OUTBOX], client, rules)
    sender._next_look = _NOW + 0.5
    _have(sender, *streams)
    return sender


def _have(sender: Any, *streams: _Stream) -> None:
    sender.streams.known = {stream.folder: stream for stream in streams}
    sender.streams.unsent = dict.fromkeys(streams)


def _streams(count: int, **fields: Any) -> list[_Stream]:
    return [_Stream(f"s{number:02}", **fields) for number in range(count)]


async def _end(sender: Any) -> None:
    await module._cancelled(*sender._tasks)
    await asyncio.sleep(0)


# ---- Calls ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paused", "due", "calls"), [(None, 0.0, 8), (_AWAY, _NOW, 1), (_AWAY, _NOW + 0.1, 0)]
)
async def test_how_many_calls_run_at_once(
    sender: Any, paused: Pause | None, due: float, calls: int
) -> None:
    """At most eight streams send at a time, and those that have sent come last in the next turn.

    While the server cannot be used, only one stream tries, and only when its retry is due.
    """
    sender.circuit_breaker.pause, sender.circuit_breaker.due = paused, due
    streams = _streams(12)
    _have(sender, *streams)
    for _ in range(2):
        sender._start_calls()
    assert [stream.folder for stream in sender._tasks.values()] == [
        stream.folder for stream in streams[:calls]
    ]
    assert list(sender.streams.unsent) == streams[calls:] + streams[:calls]
    await _end(sender)


async def test_heartbeats_take_the_calls_that_are_left(sender: Any) -> None:
    """Heartbeats are sent only for streams without events, if fewer than eight calls run.

    `podium sync` sends none, and a sender sends none while the server is away.
    """
    busy, quiet = _streams(12), [_Stream(f"q{number}") for number in range(12)]
    _have(sender, *busy[:3], *quiet)
    sender.streams.unsent = dict.fromkeys(busy[:3])
    sender._start_calls()
    sender._start_heartbeats()
    assert list(sender._tasks.values()) == [*busy[:3], *quiet[:5]]
    await _end(sender)
    sender.circuit_breaker.pause, sender.circuit_breaker.due = _AWAY, _NOW + 1.0
    sender._start_heartbeats()
    assert sender._tasks == {}
    bounded = _sender(FOREGROUND)
    bounded.streams.known = {stream.folder: stream for stream in quiet}
    bounded._start_heartbeats()
    assert bounded._tasks == {}


@pytest.mark.parametrize("is_bounded", [False, True])
def test_which_streams_send_first(sender: Any, *, is_bounded: bool) -> None:
    """Streams that have ended send first.

    A stream does not send while it waits for another stream, or before its retry is due.
    """
    sender._rules = replace(BACKGROUND, is_bounded=is_bounded)
    running, behind = _Stream("running"), _Stream("behind", is_behind=True)
    ended = _Stream("ended", has_ended=True)
    due, later = (_Stream(f"due{at}", pause=_AWAY, due=at) for at in (_NOW, _NOW + 0.1))
    refused = _Stream("refused", pause=_WAITS, due=_NOW)
    _have(sender, running, behind, due, later, refused, ended)
    names = [stream.folder.name for stream in sender._ready(_NOW)]
    assert names == ["ended", "running", f"due{_NOW}", *["refused"] * (not is_bounded)]


def test_a_bounded_sender_tries_again_only_after_progress(sender: Any) -> None:
    """`podium sync` retries a stream whose arm does not exist only after another stream progressed.

    If no other stream progresses, `podium sync` ends.
    """
    sender._rules = FOREGROUND
    stream = _Stream("refused", pause=_WAITS, due=_NOW)
    _have(sender, stream)
    found = []
    for tried, advances in ((None, 0), (0, 0), (0, 1), (1, 1)):
        sender._tried = {} if tried is None else {stream.folder: tried}
        sender._advances = advances
        found.append((bool(sender._ready(_NOW)), sender._is_done_for_now()))
    assert found == [(True, False), (False, True), (True, False), (False, True)]


# ---- Counts --------------------------------------------------------------------------------------


async def test_what_a_call_has_done_is_counted(sender: Any) -> None:
    """A call adds its delivered, rejected and missing events to the counts of the outbox.

    Its notices are kept for the user, and it ends the pause of all calls.
    """
    stream = _Stream("s")

    async def send(_client: object) -> None:
        for name, number in (("answers", 1), ("advances", 1), ("taken", 5), ("rejected", 2)):
            setattr(stream, name, getattr(stream, name) + number)
        stream.missing += 3
        stream.notices.append("notice")

    stream.send = send  # type: ignore[method-assign]
    _have(sender, stream)
    sender.circuit_breaker.shut(_AWAY, _NOW)
    sender._advanced = 0.0
    for _ in range(2):
        await sender._send(stream)
    tally = sender.tallies[_OUTBOX]
    assert (tally.delivered, tally.rejected, tally.missing) == (10, 4, 6)
    assert tally.notices == ["notice"] * 2
    assert (sender.circuit_breaker.pause, sender._advances, sender._advanced) == (None, 2, _NOW)
    assert sender.streams.unsent == {}


async def test_a_call_that_the_server_did_not_look_at(sender: Any) -> None:
    """A call that does not reach the server pauses all calls, and is not counted as a try."""
    stream = _Stream("s")

    async def send(_client: object) -> Pause:
        return _AWAY

    stream.send = send  # type: ignore[method-assign]
    await sender._send(stream)
    assert sender.circuit_breaker.pause is _AWAY
    assert sender._tried == {}


async def test_a_defect_of_the_sender(sender: Any, caplog: pytest.LogCaptureFixture) -> None:
    """After a defect of the sender, the stream pauses and the log asks for a report.

    The calls of other streams are not paused.
    """
    stream = _Stream("s")

    async def send(_client: object) -> Pause:
        raise ZeroDivisionError("broken")

    stream.send = send  # type: ignore[method-assign]
    await sender._send(stream)
    assert (stream.waits, sender.circuit_breaker.pause) == (["INTERNAL"], None)
    assert "Podium has a bug: the events in outbox/s cannot be sent now" in caplog.text


# ---- Time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pause", "is_sending", "dues", "seconds"),
    [
        (None, False, [], 0.5),
        (None, False, [_NOW + 0.2, _NOW + 0.3], 0.2),
        (None, False, [_NOW - 0.2, _NOW + 0.9], 0.5),
        (_NOW + 0.1, False, [], 0.1),
        (_NOW + 0.9, False, [], 0.5),
        (_NOW - 0.1, False, [], 0.0),
        (_NOW + 0.1, True, [], 0.5),
    ],
)
def test_when_a_sender_wakes_up(
    sender: Any, pause: float | None, dues: list[float], seconds: float, *, is_sending: bool
) -> None:
    """A sender wakes up at its next search or at the next retry of a stream, whichever is sooner.

    While all calls are paused, it wakes up for their retry instead, unless a call runs.
    """
    if pause is not None:
        sender.circuit_breaker.pause, sender.circuit_breaker.due = _AWAY, pause
    if is_sending:
        sender._tasks[object()] = _Stream("sending")
    _have(sender, *(_Stream(f"s{due}", pause=_WAITS, due=due) for due in dues), _Stream("ready"))
    assert sender._seconds_to_next_poll() == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("is_settling", "streams", "paused", "idle", "is_done"),
    [
        (False, [], None, 0.0, True),
        (True, [], None, 0.0, False),
        (True, [], None, 5.0, True),
        (False, [_Stream("s")], None, 4.9, False),
        (False, [_Stream("s")], None, 5.0, True),
        (False, [_Stream("s", is_behind=True)], None, 0.0, True),
        (False, [_Stream("s", is_behind=True)], _AWAY, 0.0, False),
        (False, [_Stream("s", is_behind=True), _Stream("t")], None, 0.0, False),
    ],
)
def test_when_a_bounded_sender_ends(
    sender: Any,
    streams: list[_Stream],
    paused: Pause | None,
    idle: float,
    *,
    is_settling: bool,
    is_done: bool,
) -> None:
    """`podium sync` ends when it can send nothing more, or after five seconds without progress.

    It does not end while a call runs.
    """
    sender._rules = FOREGROUND
    _have(sender, *streams)
    sender.streams.is_settling = is_settling
    sender.circuit_breaker.pause = paused
    sender._advanced = _NOW - idle
    assert sender._is_done() is is_done
    sender._tasks[object()] = _Stream("sending")
    assert not sender._is_done()


def test_a_waiting_process_hastens_retries(sender: Any) -> None:
    """If a process waits for a paused stream, the stream and paused calls are retried sooner."""
    hurries: list[int] = []
    sender.circuit_breaker.hurry = lambda: hurries.append(1)
    woken, other = _Stream("woken", pause=_WAITS), _Stream("other", pause=_WAITS)
    _have(sender, woken, other, _Stream("woken/woken"))
    sender._listen()
    assert (woken.hurries, other.hurries, len(hurries)) == (1, 0, 1)
    woken.pause = None
    sender.circuit_breaker.pause = _AWAY
    sender._listen()
    assert (woken.hurries, other.hurries) == (2, 0)


async def test_a_sender_that_is_stopped(sender: Any) -> None:
    """A sender that is stopped cancels its calls and reports its state a last time.

    During a call, `OUTBOX_LAG` returns the age of the sender's oldest event.
    """
    stop, cancelled, lags = asyncio.Event(), asyncio.Event(), list[Any]()
    stream = _Stream("s", oldest=4_990.0)

    async def send(_client: object) -> None:
        lags.append(OUTBOX_LAG.get())
        stop.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    stream.send = send  # type: ignore[method-assign]
    _have(sender, stream)
    observed: list[int] = []
    sender._observe = lambda _sender: observed.append(len(sender._tasks))
    async with asyncio.timeout(120):
        await sender.run(stop)
    assert cancelled.is_set()
    assert [lag() for lag in lags] == [10.0]
    assert observed == [1, 0]
