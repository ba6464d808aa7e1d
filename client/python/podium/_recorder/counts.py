"""Counts of delivered, waiting, rejected and lost events."""

from dataclasses import dataclass

__all__ = ["Counters", "Flushed"]


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts of the events that this process has logged, refreshed about once a second.

    Attributes:
        pending: Events that wait for delivery, on disk or in memory.
        delivered: Events that the server has stored.
        rejected: Events that the server rejected permanently. `podium outbox` shows them.
        dropped: Events that are lost, because the disk and the memory had no room, or because no
            part of the call was valid.
        incomplete: Calls that were recorded without some of their values. Warnings name these
            values.
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
    """The result of `flush`: counts of the events that were logged before `flush` was called.

    Attributes:
        delivered: Events that the server has stored.
        pending: Events that still wait for delivery.
        rejected: Events that the server rejected permanently. `podium outbox` shows them.
        dropped: Events that are lost, because the disk and the memory had no room, or because no
            part of the call was valid.
        synced: Whether the pending events are synced to disk, so that they survive a power cut.
        incomplete: Calls that were recorded without some of their values. Warnings name these
            values.
    """

    delivered: int
    pending: int
    rejected: int
    dropped: int
    synced: bool
    incomplete: int = 0

    @staticmethod
    def of(counters: Counters, *, synced: bool = True) -> "Flushed":
        """Returns the result of a `flush` that found these counts."""
        return Flushed(
            counters.delivered,
            counters.pending,
            counters.rejected,
            counters.dropped,
            synced,
            counters.incomplete,
        )

    @property
    def durable(self) -> bool:
        """Whether the server has stored everything that was logged before `flush` was called."""
        return not (self.pending or self.rejected or self.dropped or self.incomplete)
