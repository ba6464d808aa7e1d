"""Tests of events at which the server fails: they are rejected, and later ones are delivered."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import podium
import pytest
from podium._outbox import SenderLock, StreamReader, outbox_address
from podium._sender import BACKGROUND, FOREGROUND, Rules, Sender
from podium._sender.backoff import Backoff
from podium._sender.poison_events import PoisonEventPolicy
from podium.errors import error_for
from podium.v1.event_pb2 import Event
from podium_server.testing.calls import declared, row, started

from tests.client.sender.outboxes import dead_stream, rejected_events

POISON = "poison"
QUICK = Rules(idle_seconds=0, patience_seconds=120, defect_seconds=0.05)


class FailingClient:
    """A client of a real server, which fails at calls with certain events."""

    def __init__(self, client: podium.AsyncClient, kind: str) -> None:
        self._client = client
        self._kind = kind

    async def record(
        self,
        experiment: str,
        events: Iterable[Event],
        position: podium.StreamPosition | None = None,
    ) -> podium.RecordResult:
        """Records events. Raises INTERNAL if the call has an event at which the server fails."""
        sent = list(events)
        if any(self._is_poison(event) for event in sent):
            raise error_for("INTERNAL", "internal error 4711", {"incident": "4711"})
        return await self._client.record(experiment, sent, position)

    def experiment(self, name: str) -> podium.AsyncExperimentHandle:
        """Returns the handle of an experiment."""
        return self._client.experiment(name)

    def _is_poison(self, event: Event) -> bool:
        if self._kind == "eval_recorded":
            return event.eval_recorded.eval_result.name == POISON
        return event.WhichOneof("kind") == self._kind


def _deliver(outbox: Path, rules: Rules, kind: str = "eval_recorded") -> Sender:
    async def run() -> Sender:
        async with podium.AsyncClient(outbox_address(outbox)) as client:
            sender = Sender([outbox], FailingClient(client, kind), rules)
            await sender.run()
            return sender

    lock = SenderLock(outbox)
    assert lock.try_acquire()
    try:
        return asyncio.run(run())
    finally:
        lock.release()


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the sender retry at once."""
    monkeypatch.setattr(Backoff, "next", lambda _self: 0.01)


def test_events_at_which_the_server_fails_are_rejected(outbox: Path, client: podium.Client) -> None:
    """Events at which the server fails are rejected with its error, and all others arrive."""
    client.experiment("x").declare()
    rows = [row(POISON if step in {3, 4, 40} else "v", step) for step in range(60)]
    folder = dead_stream(outbox, "x", started("a", "A", 1), *rows)
    sender = _deliver(outbox, QUICK)
    assert [found.step for found in client.arm("x", "a").evals()] == [
        step for step in range(60) if step not in {3, 4, 40}
    ]
    assert rejected_events(folder) == [(5, "INTERNAL"), (6, "INTERNAL"), (42, "INTERNAL")]
    assert StreamReader(folder).rejected_events()[0].message == (
        "the server fails at this event: internal error 4711"
    )
    assert sender.tallies[outbox].delivered == 58
    assert sender.tallies[outbox].rejected == 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["arm_started", "experiment_declared"])
def test_starts_and_declarations_are_never_skipped(
    outbox: Path, client: podium.Client, kind: str
) -> None:
    """The start of an arm, or a declaration, at which the server fails is never skipped."""
    client.experiment("x").declare()
    first = started("a", "A", 1) if kind == "arm_started" else declared()
    folder = dead_stream(outbox, "x", first, arm=None)
    _deliver(outbox, replace(QUICK, patience_seconds=2), kind)
    assert rejected_events(folder) == []
    assert StreamReader(folder).read(0)


def test_a_server_that_works_again_in_time_gets_all_events(
    outbox: Path, client: podium.Client
) -> None:
    """If the server works again before the time limit, no event is rejected.

    All events are then delivered.
    """
    client.experiment("x").declare()
    folder = dead_stream(outbox, "x", started("a", "A", 1), row(POISON, 1), row("v", 2))
    _deliver(outbox, replace(QUICK, defect_seconds=60, patience_seconds=0.5))
    assert rejected_events(folder) == []
    _deliver(outbox, QUICK, "nothing")
    assert [found.name for found in client.arm("x", "a").evals()] == [POISON, "v"]


def test_patience() -> None:
    """An event at which the server fails is skipped after three tries and a time limit.

    If the server also fails at the next event, the limit is doubled for it. If the server accepts
    an event after the skipped one, the limit is halved.
    """
    patience = PoisonEventPolicy(600)
    assert [patience.is_over(7, now) for now in (0, 599, 600)] == [False, False, True]
    assert [patience.is_over(8, now) for now in (700, 1_500, 1_899, 1_900)] == [
        False,
        False,
        False,
        True,
    ]
    patience.succeeded()
    patience.succeeded()
    assert [patience.is_over(10, now) for now in (2_000, 2_599, 2_600)] == [False, False, True]
    patience.succeeded()
    assert [patience.is_over(12, now) for now in (3_000, 3_299, 3_300)] == [False, False, True]


def test_patience_has_bounds() -> None:
    """The time limit of an event is at most an hour, and at least a 64th of the first limit."""
    longer, shorter = PoisonEventPolicy(600), PoisonEventPolicy(640)
    for sequence in range(1, 20):
        for now in (0, 1, 3_600):
            longer.is_over(sequence, now)
            shorter.is_over(sequence, now)
        shorter.succeeded()
    assert [longer.is_over(99, now) for now in (0, 3_599, 3_600)] == [False, False, True]
    assert [shorter.is_over(99, now) for now in (0, 9, 10)] == [False, False, True]


def test_sync_skips_a_failing_event_before_it_gives_up() -> None:
    """`podium sync` retries a failing event for less time than it runs without progress.

    Other senders retry such an event for at least ten minutes.
    """
    assert FOREGROUND.defect_seconds < FOREGROUND.patience_seconds
    assert BACKGROUND.defect_seconds >= 600
