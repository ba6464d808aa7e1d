"""What `podium.record` was told, as plain data: a child process records by the same settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from podium._model.results import Attempt

__all__ = ["Settings", "Subject"]


@dataclass(frozen=True)
class Settings:
    """How an experiment is recorded."""

    key: str
    """Names this recorder among all: what is sent to a process again and again is one there."""
    experiment: str
    declared: bytes
    """The serialized event that begins the experiment's own stream."""
    address: str
    """Of the server, as `HOST:PORT` or `unix:PATH`."""
    root: Path
    """The folder of the outboxes."""
    attempt: Attempt | None
    """The attempt that several processes share."""
    is_silent: bool
    """Whether nothing is recorded here: this is not the main process, or nothing could be."""
    is_main: bool
    """Whether this process says how arms end, where several share an attempt."""
    is_offline: bool
    """Whether nobody delivers for now."""
    is_strict: bool
    """Whether what cannot be recorded raises an error."""
    close_timeout: float
    """How long the end of the experiment's block waits for delivery, in seconds."""
    max_bytes: int
    """What the outbox may take of the disk."""


class Subject(NamedTuple):
    """Whose events a stream holds. Each process of an attempt has a stream of its own."""

    arm: str | None
    """None: the experiment's own stream."""
    attempt_id: str | None = None
    attempt_order: int | None = None
    opening: bytes | None = None
    """The serialized start of the attempt. Each process logs it before anything else of the
    attempt; repeated, it changes nothing."""

    @property
    def token(self) -> str | bytes | None:
        """Tells starts apart; None for a whole arm, which starts nothing that goes on."""
        return self.opening if self.arm is None else self.attempt_id
