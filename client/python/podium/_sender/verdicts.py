"""The events and verdicts that `protocol` and its callers pass to each other."""

from enum import Enum, auto
from typing import NamedTuple, Protocol, TypeAlias

from podium._client.channel import OUTCOME_UNKNOWN
from podium.errors import PodiumError
from podium.v1.event_pb2 import Event

__all__ = [
    "Absent",
    "Again",
    "Batch",
    "Entry",
    "Opening",
    "Pause",
    "Refused",
    "Reject",
    "Rewound",
    "Verdict",
    "pause_of",
]

_ABOUT_THE_SERVER = frozenset(
    {
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "UNAUTHENTICATED",
        "UNAVAILABLE",
        "UNIMPLEMENTED",
    }
)
"""The status codes of failures for which the server is the cause, not the request."""

_LIMITED = frozenset({"OVERLOADED", "QUOTA_EXCEEDED"})


class Entry(Protocol):
    """An event of a stream, as it is stored in the outbox."""

    @property
    def sequence(self) -> int:
        """The sequence number of the event in the stream, from 1."""

    @property
    def payload(self) -> bytes:
        """The serialized event."""


class Batch(NamedTuple):
    """The events of one call."""

    first: int
    """The sequence number of the first event."""
    events: list[Event]
    absent: tuple[int, ...] = ()
    """The sequence numbers of events that the outbox does not have or cannot read.

    A `Skipped` is sent in place of each of them.
    """

    @property
    def last(self) -> int:
        """The sequence number of the last event."""
        return self.first + len(self.events) - 1


class Absent(NamedTuple):
    """The events of a batch that the server did not get, because the outbox does not have them."""

    gone: int
    """The number of events that were delivered before, and then deleted from the outbox.

    The server has lost them, or it is another server.
    """
    damaged: list[int]
    """The sequence numbers of events that were never delivered and cannot be read."""


class Refused(NamedTuple):
    """An event that the server rejects permanently."""

    sequence: int
    reason: str
    message: str
    payload: bytes


class Reject(NamedTuple):
    """Tells the caller to store events as rejected, and to pass them to `Delivery.reject` then."""

    refused: list[Refused]


class Again(NamedTuple):
    """Tells the caller to call `Delivery.next` again at once. The next batch is smaller."""


class Rewound(NamedTuple):
    """Tells the caller to call `Delivery.next` again at once: the server has lost events."""

    expected: int
    """The sequence number of the event from which to send again."""


class Pause(NamedTuple):
    """Tells the caller to retry later. No event is lost."""

    reason: str
    """A key of `podium.errors.REASONS`, or the status code if the error has no reason."""
    message: str
    is_about_server: bool = False
    """Whether the calls of other streams would also fail now."""
    is_refusal: bool = False
    """Whether the server rejected the event because its experiment or arm does not exist yet."""
    is_defect: bool = False
    """Whether the server failed at a single event that may be skipped."""
    least_seconds: float = 0.0
    """The least seconds to wait, if the server asked for a pause."""

    @property
    def is_throttled(self) -> bool:
        """Whether a limit of the server or token is reached, so that an early retry is wrong."""
        return self.reason in _LIMITED


Verdict: TypeAlias = Reject | Again | Rewound | Pause


class Opening(Enum):
    """The kind of the first event of a stream."""

    ANY = auto()
    ARM = auto()
    """The start of an attempt at an arm."""
    EXPERIMENT = auto()
    """The declaration of the experiment."""
    WHOLE_ARM = auto()
    """An arm with its rows. The other events of the stream are further rows of this arm."""

    @property
    def creates_arm(self) -> bool:
        """Whether the first event creates the arm, so that the arm's later events need it."""
        return self in {Opening.ARM, Opening.WHOLE_ARM}


def pause_of(error: PodiumError) -> Pause:
    """Returns the pause that an error of a call causes."""
    # All events are sent again after the pause, so an unknown outcome does no harm.
    message = error.message.removesuffix(OUTCOME_UNKNOWN)
    return Pause(
        error.reason or error.code,
        message,
        error.code in _ABOUT_THE_SERVER,
        least_seconds=error.retry_after or 0.0,
    )
