"""Tests of a flipped bit in an outbox: readable events are delivered, the damage is reported."""

from pathlib import Path
from typing import Any

import podium
import pytest
from podium._outbox import SenderState, StreamReader
from podium.v1.event_pb2 import Event, ExperimentConcluded
from podium_server.testing.calls import declared, metrics, row, started

from tests.client.cli.shell import Outcome
from tests.client.cli.shell import podium as command
from tests.client.sender.outboxes import dead_stream, deliver_here, rejected_events


def _flip(folder: Path, record: int) -> None:
    """Changes one bit in the payload of a record."""
    segment = folder / "00000001.segment"
    content = bytearray(segment.read_bytes())
    payloads = list(StreamReader(folder).remaining())
    content[content.index(payloads[record - 1])] ^= 1
    segment.write_bytes(content)


def _of(attempt: str, event: Event) -> Event:
    getattr(event, event.WhichOneof("kind") or "").attempt_id = attempt
    return event


def _training(outbox: Path, **fields: Any) -> Path:
    rows = [_of("A", row("v", step)) for step in range(3)]
    loss = _of("A", metrics({"loss": 1}))
    given = {"attempt_id": "A", "attempt_order": 1, **fields}
    return dead_stream(outbox, "x", started("a", "A", 1), loss, *rows, **given)


def _run(client: podium.Client, *arguments: str) -> Outcome:
    return command(*arguments, address=client.address)


def test_a_damaged_row(outbox: Path, client: podium.Client) -> None:
    """If a row is damaged, the other events arrive, and the row is listed as rejected."""
    client.experiment("x").declare()
    folder = _training(outbox)
    _flip(folder, 4)
    done = _run(client, "sync", str(outbox))
    assert (done.code, done.out) == (1, f"4 events delivered to {client.address}\n")
    assert "were delivered before" not in done.err
    assert [found.step for found in client.arm("x", "a").evals()] == [0, 2]
    assert rejected_events(folder) == [(4, "DAMAGED")]
    assert (
        "1 DAMAGED: the record in the outbox is damaged" in _run(client, "outbox", str(outbox)).out
    )


def test_a_damaged_declaration(outbox: Path, client: podium.Client) -> None:
    """If the declaration is damaged, the experiment is created without it, and its arms arrive."""
    folder = dead_stream(outbox, "x", declared(hypothesis="h"), arm=None)
    _training(outbox)
    _flip(folder, 1)
    deliver_here(outbox)
    assert client.experiment("x").get().hypothesis is None
    assert len(list(client.arm("x", "a").evals())) == 3
    assert [path.name for path in StreamReader(folder).torn()] == ["00000001.torn"]


def test_a_damaged_declaration_before_a_conclusion(outbox: Path, client: podium.Client) -> None:
    """A damaged declaration is replaced by an empty one, and the conclusion after it arrives."""
    concluded = Event(experiment_concluded=ExperimentConcluded(conclusion="c"))
    folder = dead_stream(outbox, "x", declared(hypothesis="h"), concluded, arm=None)
    _flip(folder, 1)
    deliver_here(outbox)
    found = client.experiment("x").get()
    assert (found.hypothesis, found.conclusion) == (None, "c")
    assert rejected_events(folder) == [(1, "DAMAGED")]


def test_a_damaged_start(outbox: Path, client: podium.Client) -> None:
    """If the start of an arm is damaged, all events of the arm are rejected.

    Another sender rejects them, too. `podium outbox retry` delivers all but the damaged start.
    """
    client.experiment("x").declare()
    folder = _training(outbox)
    _flip(folder, 1)
    deliver_here(outbox)
    assert rejected_events(folder) == [
        (1, "DAMAGED"),
        *((sequence, "ARM_NOT_FOUND") for sequence in range(2, 6)),
    ]
    state = SenderState.read(outbox)
    assert state is None or state.waits == {}
    # Another sender comes to the same result.
    deliver_here(outbox)
    done = _run(client, "outbox", "retry", str(outbox), "--restart")
    assert (done.code, done.out) == (1, "4 of 5 events delivered\n")
    assert "event 1 of arm 'a' of 'x' remains rejected: the record in the outbox is dam" in done.err
    arm = client.arm("x", "a").get()
    assert ([found.step for found in arm.evals], arm.metrics) == ([0, 1, 2], {"loss": 1})
    assert arm.run_config.name == "a"


def test_an_evaluator_whose_first_row_is_damaged_waits(outbox: Path, client: podium.Client) -> None:
    """If the first row of an evaluator is damaged, its other rows wait for the start of the arm.

    Another process starts the arm, not the evaluator.
    """
    client.experiment("x").declare()
    folder = dead_stream(outbox, "x", row("v", 1), row("v", 2))
    _flip(folder, 1)
    deliver_here(outbox, patience=0.5)
    assert rejected_events(folder) == [(1, "DAMAGED")]
    client.record("x", [started("a", "A", 1)])
    deliver_here(outbox)
    assert [found.step for found in client.arm("x", "a").evals()] == [2]


@pytest.mark.parametrize("noted", [True, False])
def test_events_that_another_server_has(noted: bool, outbox: Path, client: podium.Client) -> None:
    """A damaged event that the server already has is not rejected, and later events arrive."""
    client.experiment("x").declare()
    folder = _training(outbox)
    reader = StreamReader(folder)
    events = [Event.FromString(payload) for payload in reader.remaining()]
    client.record("x", events[:3], podium.StreamPosition(reader.info.writer_id, 1))
    if noted:
        reader.note_delivered(3)
    _flip(folder, 2)
    deliver_here(outbox)
    assert rejected_events(folder) == []
    assert [found.step for found in client.arm("x", "a").evals()] == [0, 1, 2]
