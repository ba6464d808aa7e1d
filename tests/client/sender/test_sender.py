"""Tests of the sender process with real servers: it delivers an outbox, and then ends."""

from pathlib import Path

import podium
from podium._outbox import streams
from podium_server.testing.calls import declared, metrics, row, started

from tests.client.sender.outboxes import (
    appended,
    dead_stream,
    deliver,
    rejected_events,
    running_sender,
    until,
    writer,
)


def test_outboxes_of_dead_trainers_are_delivered(outbox: Path, client: podium.Client) -> None:
    """Streams of several ended processes arrive and are removed."""
    for name in ("a", "b", "c"):
        rows = (row("val", step, name=name, metrics={"acc": step / 10}) for step in range(5))
        dead_stream(outbox, "x", started(name, name, 1), *rows, arm=name)
    dead_stream(outbox, "x", declared(success_metric="val.acc"), arm=None)
    deliver(outbox)
    for name in ("a", "b", "c"):
        assert [found.step for found in client.arm("x", name).evals()] == [0, 1, 2, 3, 4]
    assert client.experiment("x").get().success_metric == "val.acc"
    assert streams(outbox) == []


def test_events_arrive_while_they_are_recorded(outbox: Path, client: podium.Client) -> None:
    """Events arrive while they are recorded. The sender runs as long as the training process."""
    client.experiment("x").declare()
    stream = appended(writer(outbox, "x"), started("a", "A", 1))
    with running_sender(outbox) as sender:
        for step in range(5):
            appended(stream, row("val", step, metrics={"acc": step}))
            until(lambda: stream.progress().delivered == stream.last_sequence)
        assert client.arm("x", "a").score("val.acc") == 4
        assert sender.poll() is None
        stream.release()
        assert sender.wait(120) == 0
    assert streams(outbox) == []


def test_permanently_rejected_events_are_kept(outbox: Path, client: podium.Client) -> None:
    """A permanently rejected event is kept with its reason, and the other events are delivered."""
    client.experiment("x").declare()
    folder = dead_stream(
        outbox,
        "x",
        started("a", "A", 1),
        row("", 1),
        metrics({"loss": 1}),
        row("val", 1, eval_seconds=-1),
        row("val", 2, metrics={"acc": 2}),
    )
    said = deliver(outbox)
    assert rejected_events(folder) == [(2, "NAME_INVALID"), (4, "FIELD_OUT_OF_RANGE")]
    assert client.arm("x", "a").score("val.acc") == 2
    assert client.arm("x", "a").score("loss") == 1
    assert "2 events were rejected; the first, event 2: " in said
