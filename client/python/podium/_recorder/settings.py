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
    """A unique id. In a process, all unpickled recorders with the same id become one object."""
    experiment: str
    declared: bytes
    """The serialized declaration of the experiment: the first event of the experiment's stream."""
    address: str
    """The address of the server, as `server_address` returns it."""
    root: Path
    """The folder of the outboxes."""
    attempt: Attempt | None
    """The attempt that several processes share. None if each arm gets attempts of its own."""
    is_silent: bool
    """Whether this process records nothing, because it is not the main one."""
    is_main: bool
    """Whether this process records that arms completed, if several processes share an attempt."""
    is_offline: bool
    """Whether no sender is started."""
    is_strict: bool
    """Whether an invalid argument raises an error."""
    has_provenance: bool
    """Whether attempts record where their code came from, and where it runs."""
    close_timeout: float
    """The most seconds that the end of the experiment's block waits for delivery."""
    max_bytes: int
    """The most bytes of undelivered events in the outbox of this process."""


class Subject(NamedTuple):
    """The arm and attempt of a stream. Each process of an attempt has its own streams."""

    arm: str | None
    """The name of the arm. None for the experiment itself."""
    attempt_id: str | None = None
    attempt_order: int | None = None
    opening: bytes | None = None
    """The serialized start of the attempt. Each process logs it before other events of the
    attempt. A repeated start changes nothing."""

    @property
    def token(self) -> str | bytes | None:
        """The identity of an experiment's or attempt's start. None for a whole arm."""
        return self.opening if self.arm is None else self.attempt_id
