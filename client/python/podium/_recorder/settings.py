"""The settings of a recorder: plain data that is passed to child processes."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from podium._model.results import Attempt

__all__ = ["Settings", "Subject"]


@dataclass(frozen=True)
class Settings:
    """How an experiment is recorded."""

    key: str
    """A unique id of the recorder, by which a process finds the copy that it unpickled before."""
    experiment: str
    declared: bytes
    """The serialized declaration of the experiment: the first event of the experiment's stream."""
    address: str
    """The address of the server, as `server_address` returns it."""
    root: Path
    """The root folder of the outboxes."""
    attempt: Attempt | None
    """The attempt that several processes share. None if each arm gets attempts of its own."""
    is_silent: bool
    """Whether this process records nothing, because it is not the main one."""
    is_main: bool
    """Whether this is the main process.

    If several processes share an attempt, only the main one records that arms completed.
    """
    is_offline: bool
    """Whether no sender is started, so that results stay in the outbox."""
    is_strict: bool
    """Whether an invalid argument raises an error."""
    has_provenance: bool
    """Whether attempts record where their code came from, and where it runs."""
    close_timeout: float
    """The most seconds that the end of the experiment's block waits for delivery."""
    max_bytes: int
    """The most bytes of undelivered events that this process keeps on disk."""


class Subject(NamedTuple):
    """The arm and the attempt that events belong to, or the experiment itself."""

    arm: str | None
    """The name of the arm. None for the experiment itself."""
    attempt_id: str | None = None
    attempt_order: int | None = None
    opening: bytes | None = None
    """The serialized event that starts the attempt or declares the experiment.

    Each process logs it before its other events of the attempt. A repeated start changes nothing.
    """

    @property
    def token(self) -> str | bytes | None:
        """A key of the opening event, by which a process remembers that it has logged the event.

        None for an arm without an attempt.
        """
        return self.opening if self.arm is None else self.attempt_id
