"""Tests of what a sender does after each answer to its calls, without a server."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from podium import Experiment
from podium._model.recording import KeptField, RecordResult, ReplacedAttempt
from podium._outbox.notices import read_notices
from podium._sender.stream import Stream
from podium.errors import PodiumError, error_for
from podium.v1.event_pb2 import Event
from podium_server.testing.calls import declared, row, started

from tests.client.outbox.places import new_outbox
from tests.client.sender.outboxes import appended, dead_stream, rejected_events, writer

_OWN = os.uname().nodename


class _Client:
    """A client that gives each call the next answer, and afterwards accepts all events."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.sent: list[tuple[int, int]] = []
        self.stored: Experiment | None = None

    async def record(self, _name: str, events: Iterable[Event], position: Any) -> Any:
        """Keeps the first sequence number and the number of events that are not skipped."""
        sent = list(events)
        first, count = position.first_sequence, len(sent)
        self.sent.append((first, sum(not event.HasField("skipped") for event in sent)))
        answer = self._answers.pop(0) if self._answers else {}
        if isinstance(answer, PodiumError):
            raise answer
        return RecordResult(1, **{"last_sequence": first + count - 1, **answer})

    def experiment(self, _name: str) -> Any:
        """Returns this client, as the handle of the experiment."""
        return self

    async def get(self) -> Experiment:
        """Returns the stored experiment."""
        if self.stored is None:
            raise error_for("SHUTTING_DOWN", "later")
        return self.stored


def _gap(expected: object) -> PodiumError:
    return error_for("SEQUENCE_GAP", "a gap", {"expected_sequence": str(expected)})


@pytest.mark.parametrize(
    ("expected", "sent"),
    [(1, (1, 4)), (2, (2, 3)), (3, (3, 2)), (4, (3, 2)), (0, (3, 2)), ("", (3, 2)), ("x", (3, 2))],
)
async def test_a_server_that_was_restored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, expected: object, sent: tuple[int, int]
) -> None:
    """If a server was restored from an older state, the sender repeats what the server lacks.

    After any other sequence gap, the stream pauses.
    """
    written = writer(new_outbox(tmp_path), "x")
    appended(written, row("v", 1), row("v", 2))
    stream = Stream(written.folder, 600.0)
    client: Any = _Client({}, _gap(expected))
    await stream.send(client)
    appended(written, row("v", 3), row("v", 4))
    paused = await stream.send(client)
    is_rewound = expected in {1, 2}
    assert (paused is None) is is_rewound
    assert ("the server has only the events before" in caplog.text) is is_rewound
    stream.wait(None)
    await stream.send(client)
    assert client.sent == [(1, 2), (3, 2), sent]
    assert stream.delivered == 4
    written.release()


@pytest.mark.parametrize("stored", [None, Experiment("x", hypothesis="old", metadata={"n": 1})])
async def test_fields_that_an_experiment_keeps(tmp_path: Path, stored: Experiment | None) -> None:
    """If an experiment keeps a field, a notice names the value that was not stored.

    The notice also names the value that stays, if the server can be asked for it.
    """
    events = [row("v", 1), declared(hypothesis="new", metadata={"n": {"int_value": 2}})]
    folder = dead_stream(new_outbox(tmp_path), "x", *events, arm=None)
    stream = Stream(folder, 600.0)
    kept = tuple(KeptField(path, 1) for path in ("hypothesis", "metadata.n"))
    client: Any = _Client({"kept_fields": kept})
    client.stored = stored
    await stream.send(client)
    before = ("", "") if stored is None else (" 'old'", " 1")
    end = "and is not stored; record with overwrite=True to replace the value"
    expected = [
        f"experiment 'x' keeps its hypothesis{before[0]}: 'new' was given {end}",
        f"experiment 'x' keeps its metadata.n{before[1]}: 2 was given {end}",
    ]
    assert stream.notices == read_notices(folder) == expected


@pytest.mark.parametrize(
    ("host", "quiet_seconds", "is_told"),
    [
        ("node7", 3, True),
        ("node7", 10**6, False),
        (None, 3, False),
        (os.uname().nodename, 3, False),
    ],
)
async def test_an_attempt_that_was_replaced(
    tmp_path: Path, host: str | None, quiet_seconds: float, *, is_told: bool
) -> None:
    """A sender warns the user if the replaced attempt recently ran on another host."""
    folder = dead_stream(new_outbox(tmp_path), "x", started("a", "new", 2))
    stream = Stream(folder, 600.0)
    client: Any = _Client({"replaced_attempts": (ReplacedAttempt("old", quiet_seconds, host),)})
    await stream.send(client)
    assert len(read_notices(folder)) == is_told
    for text in stream.notices:
        assert "attempt 'old' on host 'node7' was running" in text


async def test_notices_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If notices cannot be stored on a full disk, delivery continues and sends nothing twice."""
    stream = Stream(dead_stream(new_outbox(tmp_path), "x", started("a", "new", 2)), 600.0)

    def fail(*_arguments: object) -> None:
        raise OSError("no room")

    for name in ("add_notice", "note_delivered"):
        monkeypatch.setattr(stream._reader, name, fail)
    client: Any = _Client({"replaced_attempts": (ReplacedAttempt("old", 1.0, "node7"),)})
    assert await stream.send(client) is None
    await stream.send(client)
    assert (client.sent, len(stream.notices), stream.delivered) == ([(1, 1)], 1, 1)


@pytest.mark.parametrize(
    ("skipped", "last", "missing", "delivered"), [(0, 3, 0, 3), (3, 3, 0, 3), (0, 9, 0, 9)]
)
async def test_events_that_the_server_already_has(
    tmp_path: Path, skipped: int, last: int, missing: int, delivered: int
) -> None:
    """All events up to the server's last sequence number count as delivered.

    That includes events that this sender has not sent, because another sender may have sent them.
    """
    folder = dead_stream(new_outbox(tmp_path), "x", row("v", 1), row("v", 2), row("v", 3))
    stream = Stream(folder, 600.0)
    client: Any = _Client({"skipped_events": skipped, "last_sequence": last})
    await stream.send(client)
    assert (stream.delivered, stream.missing, stream.taken) == (delivered, missing, 3)
    assert rejected_events(folder) == []
