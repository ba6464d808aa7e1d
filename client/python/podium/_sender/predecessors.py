"""Decides whether a stream has to wait for the delivery of other streams."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from podium._sender.damage import ignored_disk_errors

__all__ = ["Predecessor", "Predecessors"]


class Predecessor(Protocol):
    """The members of a stream by which later streams decide whether they wait for it."""

    folder: Path
    is_gone: bool

    @property
    def delivered(self) -> int:
        """The sequence number of the stream's last event that the server has."""

    @property
    def is_orphan(self) -> bool:
        """Whether the server has rejected the event that starts the stream's arm."""

    @property
    def is_unreadable(self) -> bool:
        """Whether the stream's files could not be read for over a minute."""

    @property
    def fails_for_long(self) -> bool:
        """Whether the stream's own calls have failed for over a minute."""

    @property
    def predecessors(self) -> "Predecessors":
        """The streams that have to be delivered before this one."""

    def last_sequence(self) -> int:
        """Returns the sequence number of the last event that was written to the stream so far."""


class Predecessors:
    """The streams that have to be delivered before one stream.

    Attributes:
        are_orphans: Whether the server has rejected the event that starts the arm, in the previous
            stream of the same arm and process.
    """

    def __init__(self) -> None:
        self._older: list[tuple[Predecessor, int]] = []
        self._continued: tuple[Predecessor, int] | None = None
        self._starts_after: Predecessor | None = None
        self.are_orphans = False

    def set(
        self,
        older: Iterable[tuple[Predecessor, int]],
        continued: Predecessor | None,
        starts_after: Predecessor | None,
    ) -> None:
        """Sets the streams to deliver first.

        Args:
            older: The streams of older attempts at the arm, each with the sequence number of the
                last event to wait for.
            continued: The previous stream of the same arm and process, or None.
            starts_after: The stream whose first event is delivered before this stream, or None.
        """
        self._older = list(older)
        self._starts_after = starts_after
        if continued is not None:
            with ignored_disk_errors(continued.folder):
                # A stream ends before the next one of its arm is created, so no events follow.
                self._continued = continued, continued.last_sequence()

    def are_pending(self) -> bool:
        """Returns whether any of these streams still has to be delivered first."""
        return self._is_continued_pending() or self.are_older_pending() or self._is_start_pending()

    def are_older_pending(self) -> bool:
        """Returns whether to wait for events of older attempts at the arm.

        Does not wait for streams whose calls have failed for over a minute.
        """
        while self._older:
            other, last = self._older[-1]
            if other.delivered < last and not other.is_gone and not other.fails_for_long:
                return True
            self._older.pop()
        return False

    def _is_continued_pending(self) -> bool:
        if self._continued is None:
            return False
        before, last = self._continued
        if before.delivered < last and not (before.is_gone or before.is_unreadable):
            return True
        self.are_orphans = before.is_orphan
        self._continued = None
        return False

    def _is_start_pending(self) -> bool:
        """Returns whether to wait until the arm that the process started before this one exists."""
        before = self._starts_after
        if before is not None and (
            before.is_gone
            or before.delivered
            or before.fails_for_long
            # An older attempt has created that arm already, so the order of the arms is fixed.
            or before.predecessors.are_older_pending()
        ):
            self._starts_after = before = None
        return before is not None
