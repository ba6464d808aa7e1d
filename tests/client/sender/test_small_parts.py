"""Tests of parts of the sender that need no server: texts, the status file and heartbeats."""

import shutil
import time
from collections.abc import AsyncIterator, Iterable
from datetime import UTC
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import podium
import pytest
from podium import events
from podium._model.recording import KeptField, RecordResult, ReplacedAttempt
from podium._outbox import (
    DELIVERING,
    IDLE,
    THROTTLED,
    UNREACHABLE,
    WAITING,
    SenderState,
    StreamReader,
)
from podium._sender import BACKGROUND, FOREGROUND, Report, Rules, heartbeat
from podium._sender import missing_end as ends
from podium._sender.circuit_breaker import CircuitBreaker
from podium._sender.kept_fields import kept_fields_texts
from podium._sender.poison_events import PoisonEventPolicy
from podium._sender.protocol import DEFECTS
from podium._sender.replaced_attempts import replaced_attempts_texts
from podium._sender.verdicts import Pause
from podium.errors import NotFoundError
from podium.v1.event_pb2 import Event
from podium_server.testing.calls import started

from tests.client.outbox.places import info, new_outbox
from tests.client.sender.outboxes import dead_stream


class _Experiment:
    """An experiment that answers the reads of the sender from a list of arms."""

    def __init__(self, arms: Iterable[Any] = (), about: Any = None) -> None:
        self._arms, self._about = arms, about

    async def arms(self, **filters: Any) -> AsyncIterator[Any]:
        if self._about is None:
            raise NotFoundError("no")
        for arm in self._arms:
            if arm.name.startswith(filters["name_prefix"]):
                yield arm

    async def get(self) -> Any:
        if self._about is None:
            raise NotFoundError("no")
        return self._about


class _Client:
    """A client that keeps the events that the sender records."""

    def __init__(self, experiment: _Experiment) -> None:
        self._experiment = experiment
        self.recorded: list[Event] = []

    def experiment(self, _name: str) -> Any:
        return self._experiment

    async def record(self, _experiment: str, events: Iterable[Event], *_: Any) -> RecordResult:
        self.recorded += events
        return RecordResult(1)


# ---- Texts for users -----------------------------------------------------------------------------


async def test_the_text_of_a_kept_field_has_the_values_of_its_declaration() -> None:
    """Each message quotes the value from the declaration that its kept field refers to.

    A call can have several declarations. A kept field is one that keeps its stored value.
    """
    declared = [
        events.experiment_declared(hypothesis="first"),
        events.experiment_declared(
            hypothesis="second", direction="minimize", tags=["t"], metadata={"owner": "ana"}
        ),
    ]
    stored = podium.Experiment("x", hypothesis="old", direction="maximize", metadata={"owner": 7})
    kept = [KeptField(path, 1) for path in ("hypothesis", "direction", "tags", "metadata.owner")]
    client: Any = _Client(_Experiment(about=stored))
    texts = await kept_fields_texts(client, "x", declared, [KeptField("hypothesis", 0), *kept])
    assert [text.partition(" was given")[0] for text in texts] == [
        "experiment 'x' keeps its hypothesis 'old': 'first'",
        "experiment 'x' keeps its hypothesis 'old': 'second'",
        "experiment 'x' keeps its direction 'maximize': 'minimize'",
        "experiment 'x' keeps its tags []: ['t']",
        "experiment 'x' keeps its metadata.owner 7: 'ana'",
    ]


async def test_the_text_of_a_kept_field_without_the_stored_value() -> None:
    """If the experiment cannot be read, the message about a kept field has no stored value.

    It quotes the beginning of the given value.
    """
    client: Any = _Client(_Experiment())
    declared = [events.experiment_declared(parent="p" * 999)]
    [text] = await kept_fields_texts(client, "x", declared, [KeptField("parent")])
    assert text.startswith("experiment 'x' keeps its parent: 'ppp")
    assert "p" * 201 not in text


@pytest.mark.parametrize(
    ("attempt", "host"),
    [
        (ReplacedAttempt("A", 0.0, "node7"), "node7"),
        (ReplacedAttempt("A", 120.0, "node7"), "node7"),
        (ReplacedAttempt("A", 121.0, "node7"), None),
        (ReplacedAttempt("A", 0.0, "here"), None),
        (ReplacedAttempt("A", 0.0), None),
        (ReplacedAttempt(f"node-8-71-{'0a' * 8}", 0.0), "node-8"),
        (ReplacedAttempt(f"here-71-{'0a' * 8}", 0.0), None),
    ],
)
def test_which_replaced_attempts_are_reported(
    attempt: ReplacedAttempt, host: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replaced attempt is reported only if it ran on another host within the last two minutes."""
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(nodename="here"))
    found = replaced_attempts_texts([started("a", "B", 2)], [attempt])
    assert [f"on host {host!r} was running" in text for text in found] == [True] * bool(host)


def test_a_replaced_attempt_is_named_with_its_own_arm() -> None:
    """If a call starts several arms, the message names the arm whose attempt was replaced."""
    attempt = ReplacedAttempt("A", 3.4, "node7", event_index=1)
    [text] = replaced_attempts_texts([started("a", "B", 2), started("b", "B", 2)], [attempt])
    assert text.startswith("arm 'b': attempt 'A' on host 'node7' was running")
    assert "its last event came 3 s before" in text


# ---- Status --------------------------------------------------------------------------------------


def _stream(outbox: Path, name: str, pause: Pause | None, *, is_behind: bool = False) -> Any:
    return SimpleNamespace(
        folder=outbox / name, info=info(writer_id=name), pause=pause, is_behind=is_behind
    )


def _sender(breaker: CircuitBreaker, *streams: Any, damaged: Any = None) -> Any:
    found = SimpleNamespace(unsent=dict.fromkeys(map(_Hashed, streams)), damaged=damaged or {})
    return SimpleNamespace(circuit_breaker=breaker, streams=found)


class _Hashed:
    def __init__(self, stream: Any) -> None:
        vars(self).update(vars(stream))


_WAITS = Pause("ARM_NOT_FOUND", "no arm", is_refusal=True)


@pytest.mark.parametrize(
    ("streams", "state"),
    [
        ([], IDLE),
        ([(None, False)], DELIVERING),
        ([(_WAITS, False)], WAITING),
        ([(None, True)], WAITING),
        ([(_WAITS, False), (None, True)], WAITING),
        ([(_WAITS, False), (None, False)], DELIVERING),
    ],
)
def test_the_state_of_a_sender(
    tmp_path: Path, streams: list[tuple[Pause | None, bool]], state: str
) -> None:
    """The state is DELIVERING if a stream can send now, and WAITING if none of the streams can.

    Without undelivered streams, the state is IDLE.
    """
    given = [_stream(tmp_path, f"s{n}", p, is_behind=b) for n, (p, b) in enumerate(streams)]
    Report([tmp_path], "here:1")(_sender(CircuitBreaker(), *given))
    found = SenderState.read(tmp_path)
    assert found is not None
    assert (found.state, found.error, found.since, found.next_try) == (state, None, None, None)


@pytest.mark.parametrize(
    ("reason", "state"),
    [("UNAVAILABLE", UNREACHABLE), ("OVERLOADED", THROTTLED), ("QUOTA_EXCEEDED", THROTTLED)],
)
def test_the_state_of_a_sender_that_pauses(tmp_path: Path, reason: str, state: str) -> None:
    """The status of a paused sender has the reason, and the times in seconds since 1970."""
    breaker = CircuitBreaker()
    before = time.time()
    breaker.shut(Pause(reason, "not now", is_about_server=True, least_seconds=5.0), 1.0)
    Report([tmp_path], "here:1")(_sender(breaker, _stream(tmp_path, "s", None)))
    found = SenderState.read(tmp_path)
    assert found is not None
    assert (found.state, found.error) == (state, f"not now ({reason})")
    assert before <= (found.since or 0) <= time.time() < (found.next_try or 0) < before + 60


def test_a_status_names_the_first_hundred_streams_of_its_outbox(tmp_path: Path) -> None:
    """The status of an outbox names at most 100 of its own streams, and none of other outboxes."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    streams = [_stream(one, f"s{n}", _WAITS) for n in range(103)]
    damaged = {folder / f"d{n}": "torn" for folder in (one, other) for n in range(103)}
    sender = _sender(CircuitBreaker(), *streams, damaged=damaged)
    Report([one, other], "here:1")(sender)
    found, beside = SenderState.read(one), SenderState.read(other)
    assert found is not None
    assert beside is not None
    assert found.waits == {f"s{n}": "no arm (ARM_NOT_FOUND)" for n in range(100)}
    assert (len(found.damaged), len(beside.damaged), beside.waits) == (100, 100, {})


def test_a_status_is_written_only_after_a_change(tmp_path: Path) -> None:
    """A status is written to the disk only if it has changed."""
    report, sender = Report([tmp_path], "here:1"), _sender(CircuitBreaker())
    report(sender)
    (tmp_path / "sender.json").unlink()
    report(sender)
    assert SenderState.read(tmp_path) is None
    report(_sender(CircuitBreaker(), _stream(tmp_path, "s", None)))
    assert SenderState.read(tmp_path) is not None


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": 1}', b"[]", b'{"crc32": 1, "pid": 2}'])
def test_a_damaged_status_is_none(tmp_path: Path, content: bytes) -> None:
    """If the status file is damaged, `SenderState.read` returns None instead of an error."""
    (tmp_path / "sender.json").write_bytes(content)
    assert SenderState.read(tmp_path) is None


# ---- Heartbeats and ends -------------------------------------------------------------------------


async def test_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat is due 45 s after the last event or heartbeat, and names arm and attempt."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    beat = heartbeat.Heartbeat(info(arm="a", attempt_id="A"))
    for _ in range(2):
        now += 44.9
        assert not beat.is_due()
        now += 0.2
        assert beat.is_due()
        client: Any = _Client(_Experiment())
        await beat.send(client)
        [event] = client.recorded
        assert (event.metrics_recorded.arm, event.metrics_recorded.attempt_id) == ("a", "A")
    now += 44.9
    beat.note_delivered([started("a", "A", 1)])
    now += 44.9
    assert not beat.is_due()


@pytest.mark.parametrize(
    ("arms", "is_recorded"),
    [
        ([("a", "A")], True),
        ([("a", "B")], False),
        ([("a", None)], False),
        ([("ab", "A")], False),
        ([("ab", "B"), ("a", "A")], True),
        ([], False),
    ],
)
async def test_a_missing_end_is_that_of_the_newest_attempt(
    arms: list[tuple[str, str | None]], *, is_recorded: bool
) -> None:
    """The missing end of an attempt is recorded only if it is the newest attempt of the arm."""
    known = [
        SimpleNamespace(name=name, attempt=attempt and podium.Attempt(attempt, 1))
        for name, attempt in arms
    ]
    client: Any = _Client(_Experiment(known, about=True))
    stream = info(arm="a", host="node7", pid=71)
    last = events.metrics_recorded("a", {}).event_time.ToDatetime(tzinfo=UTC)
    await ends.MissingEnd(stream, "A", last.replace(2026, 1, 2, 3, 4, 5)).record(client)
    text = "the process ended without finishing the arm: host node7, pid 71, last event "
    found = [event.arm_finished.error for event in client.recorded]
    assert found == [f"{text}2026-01-02T03:04:05+00:00"] * is_recorded


def test_a_copied_stream_lacks_no_end(tmp_path: Path) -> None:
    """A copied stream lacks no end, because the process that writes the original may still run."""
    folder = dead_stream(new_outbox(tmp_path), "x", started("a", "A", 1))
    copy = shutil.copytree(folder, tmp_path / "copy")
    found = [ends.find_missing_end(StreamReader(each)) for each in (folder, copy)]
    assert [end is None for end in found] == [False, True]


# ---- Rules ---------------------------------------------------------------------------------------


def test_the_rules_of_senders() -> None:
    """A sender ends after an hour without progress, and `podium sync` after five seconds."""
    assert Rules(10, 3_600, is_bounded=False, defect_seconds=600, poll_seconds=0.1) == BACKGROUND
    assert Rules(0, 5, is_bounded=True, defect_seconds=2, poll_seconds=0.1) == FOREGROUND
    assert heartbeat._SECONDS == 45.0
    assert {"INTERNAL", "UNKNOWN", "DATA_LOSS"} == DEFECTS


def test_the_time_for_which_an_event_is_retried_has_bounds() -> None:
    """An event at which the server fails is retried for at most an hour.

    This time limit never falls below a 64th of its first value. There are at least three tries.
    """
    policy = PoisonEventPolicy(640.0)
    for sequence in range(1, 20):
        for _ in range(2):
            assert not policy.is_over(sequence, 0.0)
        policy.is_over(sequence, 1e9)
        policy.succeeded()
    assert policy._seconds == 10.0
    for sequence in range(20, 40):
        for now in (0.0, 1.0, 1e9):
            policy.is_over(sequence, now)
    assert policy._seconds == 3_600.0
    assert [policy.is_over(99, now) for now in (0.0, 1e9, 1e9)] == [False, False, True]
