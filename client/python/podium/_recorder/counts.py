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
        dropped: Events that are lost, because disk and memory had no room or no part of the call
            could be recorded.
        incomplete: Calls that were recorded without some of their values; a warning names each
            missing value.
        lag_seconds: The seconds since the oldest pending event was logged; 0.0 if no event is
            pending.
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
    """The result of `flush`: counts of the events that were logged before the call.

    Attributes:
        delivered: Events that the server has stored.
        pending: Events that wait for delivery.
        rejected: Events that the server rejected permanently.
        dropped: Events that are lost, because disk and memory had no room or no part of the call
            could be recorded.
        synced: Whether the pending events would survive a power cut of this machine.
        incomplete: Calls that were recorded without some of their values; a warning names each
            missing value.
    """

    delivered: int
    pending: int
    rejected: int
    dropped: int
    synced: bool
    incomplete: int = 0

    @property
    def durable(self) -> bool:
        """Whether the server has stored all events that were logged before the call."""
        return not (self.pending or self.rejected or self.dropped or self.incomplete)
