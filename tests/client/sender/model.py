"""A model of a server and of an outbox for one stream, to test the delivery.

The server knows only streams and rejections. The kind of an event decides what the server does with
it:

    g  accepts it
    b  rejects it permanently
    w  rejects it with a reason to wait, while `Server.waits` is set
    l  rejects each call that contains it as too large, even if it is alone
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from podium._sender.protocol import Delivery
from podium._sender.verdicts import Again, Batch, Pause, Refused, Reject, Rewound
from podium.errors import PodiumError, RefusedEvent, error_for
from podium.v1.event_pb2 import Event, ExperimentConcluded

__all__ = ["Entry", "Outbox", "Server", "event", "kind_of", "step"]


class Entry(NamedTuple):
    """A record of the outbox."""

    sequence: int
    payload: bytes


def event(kind: str, number: int) -> Event:
    """Returns an event of a kind. Its number identifies it."""
    return Event(experiment_concluded=ExperimentConcluded(conclusion=f"{kind}{number}"))


def kind_of(told: Event) -> str:
    """Returns the kind and number of an event; `-` for Skipped."""
    return "-" if told.HasField("skipped") else told.experiment_concluded.conclusion


@dataclass
class Server:
    """The server's side of the stream: the applied events, in order."""

    applied: list[str] = field(default_factory=list)
    waits: bool = True
    most: int = 1_000

    def record(self, batch: Batch) -> int:
        """Applies a call, or raises an error. Returns the last sequence number of the stream."""
        expected = len(self.applied) + 1
        if batch.first > expected:
            raise error_for("SEQUENCE_GAP", "gap", {"expected_sequence": str(expected)})
        told = list(map(kind_of, batch.events))
        if len(told) > self.most or any(kind[0] == "l" for kind in told):
            raise error_for("LIMIT_EXCEEDED", "too much")
        fresh = told[expected - batch.first :]
        refusals = list(self._refusals(told, expected - batch.first))
        if refusals:
            raise error_for(refusals[0].reason, "no", refusals=refusals)
        self.applied += fresh
        return len(self.applied)

    def _refusals(self, told: list[str], first: int) -> "list[RefusedEvent]":
        bad = {"b": ("VALUE_INVALID", True)}
        if self.waits:
            bad["w"] = ("ARM_NOT_FOUND", False)
        return [
            RefusedEvent(index, *bad[kind[0]], kind)
            for index, kind in enumerate(told)
            if index >= first and kind[0] in bad
        ]


@dataclass
class Outbox:
    """The files of the writer: the events, the rejected ones, and the delivered position."""

    entries: list[Entry]
    rejected: list[Refused] = field(default_factory=list)
    delivered: int = 0

    @classmethod
    def of(cls, kinds: str) -> "Outbox":
        """Returns an outbox with an event for each letter."""
        payloads = (event(kind, i).SerializeToString() for i, kind in enumerate(kinds, 1))
        return cls([Entry(i, payload) for i, payload in enumerate(payloads, 1)])

    def delivery(self) -> Delivery:
        """Returns the delivery that a sender begins with these files."""
        return Delivery(self.delivered, {refused.sequence for refused in self.rejected})

    def after(self, sequence: int) -> list[Entry]:
        """Returns the entries after a sequence number."""
        return [entry for entry in self.entries if entry.sequence > sequence]


def step(
    outbox: Outbox, delivery: Delivery, server: Server, fault: str = ""
) -> "Again | Rewound | Pause | Reject | str":
    """Makes one call of a sender, with a fault if one is given.

    With the fault `before`, the call is lost. With `after`, its answer is lost. With `crash`, the
    sender ends before it calls `delivery.reject`, or before it stores what is delivered. Rejected
    events are stored before. Returns `idle`, `sent`, `crashed`, or the verdict of the delivery.
    """
    batch = delivery.next(outbox.after(delivery.delivered))
    if batch is None:
        return "idle"
    verdict = batch if isinstance(batch, Reject) else _answer(delivery, server, batch, fault)
    if isinstance(verdict, Reject):
        outbox.rejected += verdict.refused
        if fault == "crash":
            return "crashed"
        delivery.reject(verdict.refused)
    elif verdict == "sent":
        if fault == "crash":
            return "crashed"
        outbox.delivered = delivery.delivered
    return verdict


def _answer(
    delivery: Delivery, server: Server, batch: Batch, fault: str
) -> "Again | Rewound | Pause | Reject | str":
    try:
        if fault == "before":
            raise error_for("SHUTTING_DOWN", "lost")
        last = server.record(batch)
        if fault == "after":
            raise error_for("OUTCOME_UNKNOWN", "lost")
    except PodiumError as error:
        return delivery.failed(batch, error)
    delivery.succeeded(batch, last)
    return "sent"
