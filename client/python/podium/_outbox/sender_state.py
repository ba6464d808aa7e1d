"""What the sender of an outbox says of itself, in `sender.json`: for recorders and people.

It stays when the sender has ended: `SenderLock.is_held` tells whether one runs.
"""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from podium._outbox.errors import DamagedError
from podium._outbox.files import read_json, write_json

__all__ = ["DELIVERING", "IDLE", "UNREACHABLE", "WAITING", "SenderState", "forget_state"]

DELIVERING = "delivering"
"""Events are on their way."""
WAITING = "waiting"
"""What is left waits for something at the server that is not there yet."""
UNREACHABLE = "unreachable"
"""The server does not answer, or takes nothing at all now."""
IDLE = "idle"
"""Nothing waits."""

_FILE = "sender.json"


@dataclass(frozen=True)
class SenderState:
    """What a sender does, and what keeps it from doing more."""

    pid: int
    address: str
    state: str
    """One of DELIVERING, WAITING, UNREACHABLE, IDLE."""
    error: str | None = None
    """Why the server is UNREACHABLE."""
    since: float | None = None
    """Since when it is, in seconds since 1970."""
    next_try: float | None = None
    """When it is tried again, in seconds since 1970."""
    waits: dict[str, str] = field(default_factory=dict)
    """Why streams wait, by writer_id; not all of very many."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Folders of streams that cannot be read, and why; not all of very many."""

    def write(self, outbox: Path) -> None:
        """Says it in an outbox.

        Raises:
            OSError: The disk is full, or fails.
        """
        write_json(outbox / _FILE, asdict(self))

    @staticmethod
    def read(outbox: Path) -> "SenderState | None":
        """Returns the state that the last sender of an outbox wrote; None if unreadable."""
        try:
            content = read_json(outbox / _FILE)
            return SenderState(**{item.name: content[item.name] for item in fields(SenderState)})
        except (OSError, DamagedError, KeyError):
            return None


def forget_state(outbox: Path) -> None:
    """Forgets what the sender before said: with the lock taken, for one that begins.

    Raises:
        OSError: It cannot be deleted.
    """
    (outbox / _FILE).unlink(missing_ok=True)
