"""The status that the sender of an outbox writes to `sender.json`, for recorders and the CLI.

The file still exists after the sender has ended. `SenderLock.is_held` returns whether a sender
runs.
"""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from podium._outbox.errors import DamagedError
from podium._outbox.files import read_json, write_json

__all__ = [
    "DELIVERING",
    "IDLE",
    "THROTTLED",
    "UNREACHABLE",
    "WAITING",
    "SenderState",
    "forget_state",
]

DELIVERING = "delivering"
"""A state: the sender is delivering events."""
WAITING = "waiting"
"""A state: all undelivered events wait for an experiment or arm that does not exist yet."""
UNREACHABLE = "unreachable"
"""A state: the server does not answer, or accepts no events now."""
THROTTLED = "throttled"
"""A state: a quota or limit of the server is reached, and the sender waits before it retries."""
IDLE = "idle"
"""A state: no events wait for delivery."""

_FILE = "sender.json"


@dataclass(frozen=True)
class SenderState:
    """The status of a sender, and the reasons why events wait for delivery."""

    pid: int
    address: str
    state: str
    """One of DELIVERING, WAITING, UNREACHABLE, THROTTLED, IDLE."""
    error: str | None = None
    """The error, if the state is UNREACHABLE or THROTTLED."""
    since: float | None = None
    """The time since which the server has accepted no events, in seconds since 1970."""
    next_try: float | None = None
    """The time of the next retry, in seconds since 1970."""
    waits: dict[str, str] = field(default_factory=dict)
    """The reasons why streams wait, by writer_id, for a limited number of streams."""
    damaged: dict[str, str] = field(default_factory=dict)
    """The reasons why streams cannot be read, by folder, for a limited number of streams."""

    def write(self, outbox: Path) -> None:
        """Writes this status to an outbox.

        Raises:
            OSError: The disk is full, or fails.
        """
        write_json(outbox / _FILE, asdict(self))

    @staticmethod
    def read(outbox: Path) -> "SenderState | None":
        """Returns the status that the last sender wrote, or None if it cannot be read."""
        try:
            content = read_json(outbox / _FILE)
            return SenderState(**{item.name: content[item.name] for item in fields(SenderState)})
        except (OSError, DamagedError, KeyError):
            return None


def forget_state(outbox: Path) -> None:
    """Deletes the status that the previous sender wrote.

    Only the holder of the SenderLock may call this function.

    Raises:
        OSError: The file cannot be deleted.
    """
    (outbox / _FILE).unlink(missing_ok=True)
