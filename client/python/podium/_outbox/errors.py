"""Defines the errors of an outbox."""

__all__ = ["DamagedError", "OutboxFullError", "UnknownFormatError"]


class OutboxFullError(OSError):
    """There is no room for a record now: the next segment is not ready, or the outbox is full."""


class DamagedError(ValueError):
    """A file of the outbox is damaged."""


class UnknownFormatError(DamagedError):
    """A file of the outbox was written by another version of podium."""
