"""Defines the errors of an outbox."""

__all__ = ["DamagedError", "OutboxFullError", "UnknownFormatError"]


class OutboxFullError(OSError):
    """There is no room for an event now: the next segment is not ready, or a limit is reached."""


class DamagedError(ValueError):
    """A file of the outbox is damaged."""


class UnknownFormatError(DamagedError):
    """A file of the outbox was written by another version of podium."""
