"""The streams that have to be delivered before another one."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from podium._sender.damage import ignored_disk_errors

__all__ = ["Predecessor", "Predecessors"]


class Predecessor(Protocol):
    """A stream, as seen by those behind it."""

    folder: Path
    is_gone: bool

    @property
    def delivered(self) -> int:
        """The last event that the server has."""

    @property
    def is_orphan(self) -> bool:
        """Whether no start of its arm reached the server."""

    @property
    def is_unreadable(self) -> bool:
        """Whether its files could not be read for a while."""

    @property
    def fails_for_long(self) -> bool:
        """Whether all of its calls have failed for a while, though the server takes others."""

    @property
    def predecessors(self) -> "Predecessors":
        """The streams before it."""

    def last_sequence(self) -> int:
        """Returns the sequence of the last event at present."""


class Predecessors:
    """The streams before another one, which stays behind them.

    Attributes:
        are_orphans: Whether no start of the arm reached the server in the stream that it continues.
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
        """Sets the streams that come first.

        Args:
            older: Older attempts at the arm, each with the sequence up to which it comes first.
            continued: The stream of the same arm and process that ended before.
            starts_after: The stream of an arm that the process started earlier.
        """
        self._older = list(older)
        self._starts_after = starts_after
        if continued is not None:
            with ignored_disk_errors(continued.folder):
                # A stream ends before the next one of its arm is made: no event is added.
                self._continued = continued, continued.last_sequence()

    def are_pending(self) -> bool:
        """Returns whether any of them has to be delivered first."""
        return self._is_continued_pending() or self.are_older_pending() or self._is_start_pending()

    def are_older_pending(self) -> bool:
        """Returns whether older attempts have undelivered events, unless those fail for long."""
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
        """Returns whether the earlier arm does not exist yet, but soon will."""
        before = self._starts_after
        if before is not None and (
            before.is_gone
            or before.delivered
            or before.fails_for_long
            # An older attempt of that arm created it, so its place is settled.
            or before.predecessors.are_older_pending()
        ):
            self._starts_after = before = None
        return before is not None
