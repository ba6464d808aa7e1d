"""Counts of delivered and waiting events."""

from dataclasses import dataclass

__all__ = ["Counters", "Flushed"]


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts of the events of this process, refreshed about once a second.

    Attributes:
        pending: Events that wait for delivery, on disk or in memory.
        delivered: Events that the server has stored.
        rejected: Events that the server rejected permanently. `podium outbox` shows them.
        dropped: Events that are lost: there was no room on disk and in memory, or no part of the
            call could be recorded.
        incomplete: Calls of which some part could not be recorded; a warning names each part.
        lag_seconds: The time for which the oldest pending event has been waiting; 0.0 if none is.
    """

    pending: int = 0
    delivered: int = 0
    rejected: int = 0
    dropped: int = 0
    lag_seconds: float = 0.0
    incomplete: int = 0

    def __add__(self, other: "Counters") -> "Counters":
        return Counters(
            self.pending + other.pending,
            self.delivered + other.delivered,
            self.rejected + other.rejected,
            self.dropped + other.dropped,
            max(self.lag_seconds, other.lag_seconds),
            self.incomplete + other.incomplete,
        )


@dataclass(frozen=True, slots=True)
class Flushed:
    """The result of `flush`: counts of the events that were logged before it.

    Attributes:
        delivered: Events that the server has stored.
        pending: Events that wait for delivery.
        rejected: Events that the server rejected permanently.
        dropped: Events that are lost: there was no room for them, or no part of the call could be
            recorded.
        synced: Whether the pending events would survive a power cut of this machine.
        incomplete: Calls of which some part could not be recorded; a warning names each part.
    """

    delivered: int
    pending: int
    rejected: int
    dropped: int
    synced: bool
    incomplete: int = 0

    @property
    def durable(self) -> bool:
        """Whether the server has stored all events that were logged."""
        return not (self.pending or self.rejected or self.dropped or self.incomplete)
