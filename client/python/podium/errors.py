"""The exceptions that Podium raises.

    PodiumError                      the base class; also raised for other codes
     ├── InvalidArgumentError        INVALID_ARGUMENT      also a ValueError
     ├── NotFoundError               NOT_FOUND             also a LookupError
     ├── FailedPreconditionError     FAILED_PRECONDITION
     ├── AbortedError                ABORTED
     ├── OutOfRangeError             OUT_OF_RANGE
     ├── ResourceExhaustedError      RESOURCE_EXHAUSTED
     ├── UnavailableError            UNAVAILABLE           also a ConnectionError
     ├── DeadlineExceededError       DEADLINE_EXCEEDED     also a TimeoutError
     ├── CanceledError               CANCELLED
     ├── UnauthenticatedError        UNAUTHENTICATED
     ├── PermissionDeniedError       PERMISSION_DENIED     also a PermissionError
     ├── UnimplementedError          UNIMPLEMENTED         also a NotImplementedError
     ├── InternalError               INTERNAL
     ├── ClientStateError            a closed or forked client      also a RuntimeError
     └── RecordingError              a result cannot be recorded    also a RuntimeError

Each class has a gRPC status code. The `reason` of an error is its exact cause: a name of the proto
enum `ErrorReason` without the prefix. The table `REASONS`, which server and client use, has the
code of each reason. It also tells whether an event that was rejected for this reason can be
accepted later.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "REASONS",
    "AbortedError",
    "CanceledError",
    "ClientStateError",
    "DeadlineExceededError",
    "Disposition",
    "FailedPreconditionError",
    "InternalError",
    "InvalidArgumentError",
    "NotFoundError",
    "OutOfRangeError",
    "PermissionDeniedError",
    "PodiumError",
    "ReasonInfo",
    "RecordingError",
    "RefusedEvent",
    "ResourceExhaustedError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "error_class_for",
    "error_for",
]


class Disposition(StrEnum):
    """Whether a rejected event can be accepted later."""

    PERMANENT = "permanent"
    """The event will never be accepted unchanged."""
    WAIT = "wait"
    """The event needs something that may be recorded later, such as its arm: send it again then."""


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """One rejected event of a Record call."""

    index: int
    """The index of the event in the call, from 0."""
    reason: str
    """The reason, such as `STALE_ATTEMPT`. A newer server may send a reason unknown to REASONS."""
    permanent: bool
    """True if the event will never be accepted unchanged, False if it can be accepted later."""
    message: str
    """The problem, and how to fix it.

    If several events have the same reason, each has the message of the first one.
    """


class PodiumError(Exception):
    """Raised if a call to a server failed, or could not be made. The base class of all errors.

    Attributes:
        code: The name of the canonical gRPC status code, such as `NOT_FOUND`.
        message: The problem, and how to fix it.
        reason: The exact cause, such as `STALE_ATTEMPT`: a key of `REASONS`. Empty if unknown.
        metadata: Details of the reason, such as `{"arm": "lora_rank4"}`.
        refusals: The rejected events of a Record call, in the order of the call; empty for other
            calls.
        retry_after: The seconds to wait before a retry; None if the server does not ask to wait.
    """

    code: str = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        refusals: Iterable[RefusedEvent] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.refusals = list(refusals)
        self.retry_after = retry_after


class InvalidArgumentError(PodiumError, ValueError):
    """A field of the request is missing, malformed or out of range."""

    code = "INVALID_ARGUMENT"


class NotFoundError(PodiumError, LookupError):
    """The experiment or the arm does not exist."""

    code = "NOT_FOUND"


class FailedPreconditionError(PodiumError):
    """The recorded state does not allow the call: for example, the arm has a newer attempt."""

    code = "FAILED_PRECONDITION"


class AbortedError(PodiumError):
    """Some data changed during the call, so the call could not be completed. Retry the call."""

    code = "ABORTED"


class OutOfRangeError(PodiumError):
    """The position of a Record call is too far ahead: earlier events of its stream are missing."""

    code = "OUT_OF_RANGE"


class ResourceExhaustedError(PodiumError):
    """The server is overloaded or its disk is full, a quota is used up, or a message is too large.

    `reason` names the cause. It is empty if gRPC itself rejected a message that is too large.
    """

    code = "RESOURCE_EXHAUSTED"


class UnavailableError(PodiumError, ConnectionError):
    """No server answers at the address, or it is starting or stopping.

    A write may or may not have been stored. It is safe to send it again.
    """

    code = "UNAVAILABLE"


class DeadlineExceededError(PodiumError, TimeoutError):
    """The server did not answer in time.

    A write may or may not have been stored. It is safe to send it again.
    """

    code = "DEADLINE_EXCEEDED"


class CanceledError(PodiumError):
    """The call was cancelled, because the client was closed or the server ended it."""

    code = "CANCELLED"


class UnauthenticatedError(PodiumError):
    """The call has no token or client certificate that the server accepts."""

    code = "UNAUTHENTICATED"


class PermissionDeniedError(PodiumError, PermissionError):
    """The caller is not allowed to make this call."""

    code = "PERMISSION_DENIED"


class UnimplementedError(PodiumError, NotImplementedError):
    """The server does not have the method: it is older than the client, or it is not Podium."""

    code = "UNIMPLEMENTED"


class InternalError(PodiumError):
    """A bug in the server. `metadata["incident"]` is an id that is also in the server's log."""

    code = "INTERNAL"


class ClientStateError(PodiumError, RuntimeError):
    """The client is closed, was inherited by a fork, or belongs to another event loop.

    No request was sent.
    """

    code = "FAILED_PRECONDITION"


class ReasonInfo(NamedTuple):
    """The status code of a reason, and whether an event rejected for it can be accepted later."""

    code: str
    """The name of the gRPC status code."""
    disposition: Disposition | None
    """Whether an event that was rejected for this reason can be accepted later.

    None if only whole calls, and never single events, are rejected for this reason.
    """


class RecordingError(PodiumError, RuntimeError):
    """A logged value could not be recorded. Raised only in the strict mode of `podium.record`."""

    code = "RESOURCE_EXHAUSTED"


_PERMANENT = Disposition.PERMANENT
_WAIT = Disposition.WAIT

REASONS: Mapping[str, ReasonInfo] = {
    "MALFORMED_REQUEST": ReasonInfo("INVALID_ARGUMENT", None),
    "FIELD_MISSING": ReasonInfo("INVALID_ARGUMENT", _PERMANENT),
    "NAME_INVALID": ReasonInfo("INVALID_ARGUMENT", _PERMANENT),
    "VALUE_INVALID": ReasonInfo("INVALID_ARGUMENT", _PERMANENT),
    "ENUM_INVALID": ReasonInfo("INVALID_ARGUMENT", _PERMANENT),
    "FIELD_OUT_OF_RANGE": ReasonInfo("INVALID_ARGUMENT", _PERMANENT),
    "PAGE_TOKEN_INVALID": ReasonInfo("INVALID_ARGUMENT", None),
    "LIMIT_EXCEEDED": ReasonInfo("INVALID_ARGUMENT", _PERMANENT),
    "MIRROR_CONTRADICTS_EVALS": ReasonInfo("INVALID_ARGUMENT", _PERMANENT),
    "STREAM_SUBJECT_CHANGED": ReasonInfo("INVALID_ARGUMENT", _PERMANENT),
    "EVENT_NEEDS_ATTEMPT": ReasonInfo("INVALID_ARGUMENT", _PERMANENT),
    "EXPERIMENT_NOT_FOUND": ReasonInfo("NOT_FOUND", _WAIT),
    "ARM_NOT_FOUND": ReasonInfo("NOT_FOUND", _WAIT),
    "STALE_ATTEMPT": ReasonInfo("FAILED_PRECONDITION", _PERMANENT),
    "ARM_FINISHED": ReasonInfo("FAILED_PRECONDITION", _PERMANENT),
    "RUN_CONFIG_CHANGED": ReasonInfo("FAILED_PRECONDITION", _PERMANENT),
    "ARM_HAS_ATTEMPTS": ReasonInfo("FAILED_PRECONDITION", _PERMANENT),
    "MODEL_REF_CHANGED": ReasonInfo("FAILED_PRECONDITION", _PERMANENT),
    "ARM_DELETED": ReasonInfo("FAILED_PRECONDITION", _PERMANENT),
    "EXPERIMENT_DELETED": ReasonInfo("FAILED_PRECONDITION", _PERMANENT),
    "METRIC_MISSING": ReasonInfo("FAILED_PRECONDITION", None),
    "WRITER_TAKEN": ReasonInfo("FAILED_PRECONDITION", _WAIT),
    "SEQUENCE_GAP": ReasonInfo("OUT_OF_RANGE", None),
    "OVERLOADED": ReasonInfo("RESOURCE_EXHAUSTED", None),
    "STORAGE_FULL": ReasonInfo("RESOURCE_EXHAUSTED", None),
    "SHUTTING_DOWN": ReasonInfo("UNAVAILABLE", None),
    "OUTCOME_UNKNOWN": ReasonInfo("UNAVAILABLE", None),
    "WATCH_TOO_SLOW": ReasonInfo("RESOURCE_EXHAUSTED", None),
    "QUOTA_EXCEEDED": ReasonInfo("RESOURCE_EXHAUSTED", None),
    "INTERNAL": ReasonInfo("INTERNAL", None),
    "TOKEN_MISSING": ReasonInfo("UNAUTHENTICATED", None),
    "TOKEN_INVALID": ReasonInfo("UNAUTHENTICATED", None),
    "ROLE_TOO_LOW": ReasonInfo("PERMISSION_DENIED", None),
}
"""All reasons by name: the values of the proto enum `ErrorReason` without their prefix."""


_CLASSES: Mapping[str, type[PodiumError]] = {
    error_class.code: error_class
    for error_class in PodiumError.__subclasses__()
    if error_class not in {ClientStateError, RecordingError}
}


def error_class_for(code: str) -> type[PodiumError]:
    """Returns the exception class of a gRPC status code, or PodiumError if the code has none."""
    return _CLASSES.get(code, PodiumError)


def error_for(
    reason: str,
    message: str,
    metadata: Mapping[str, str] | None = None,
    refusals: Iterable[RefusedEvent] = (),
) -> PodiumError:
    """Makes the exception for a reason. Its class is that of the reason's status code.

    Raises:
        KeyError: The reason is not in `REASONS`.
    """
    error_class = error_class_for(REASONS[reason].code)
    return error_class(message, reason=reason, metadata=metadata, refusals=refusals)
