"""The settings of a recorder, as plain data that child processes get."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from podium._model.results import Attempt

__all__ = ["Settings", "Subject"]


@dataclass(frozen=True)
class Settings:
    """How an experiment is recorded."""

    key: str
    """A unique id: unpickling twice yields the same recorder."""
    experiment: str
    declared: bytes
    """The serialized event that begins the experiment's own stream."""
    address: str
    """The address of the server, as `HOST:PORT` or `unix:PATH`."""
    root: Path
    """The folder of the outboxes."""
    attempt: Attempt | None
    """The attempt that several processes share."""
    is_silent: bool
    """Whether this process records nothing, because it is not the main one."""
    is_main: bool
    """Whether this process records how arms end, if several share an attempt."""
    is_offline: bool
    """Whether no sender is started."""
    is_strict: bool
    """Whether an invalid argument raises an error."""
    close_timeout: float
    """The most seconds that the end of the experiment's block waits for delivery."""
    max_bytes: int
    """The bytes of undelivered events that the outbox may take."""


class Subject(NamedTuple):
    """The arm and attempt of a stream. Each process of an attempt has its own streams."""

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
