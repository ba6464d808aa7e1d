"""Converts exceptions to and from google.rpc.Status.

A status is sent twice: as gRPC's code and text, and as a google.rpc.Status in the trailing
metadata. The google.rpc.Status has a google.rpc.ErrorInfo and, for Record, a podium.v1.Refusals as
details. The text and the trailing metadata are sent as headers, and a client or proxy rejects more
than 8 KiB of headers. So texts and details are shortened. The indexes of rejected events have
priority, then the changed paths of a run_config. The texts of rejected events share the remaining
bytes. If there are many paths, the text of the status is shortened too, and the client completes it
from the paths.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from operator import attrgetter
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # no py.typed

from podium._values.shorten_text import shorten, utf8_size
from podium._wire.changed_paths import PATHS_KEY, complete_text, shorten_paths
from podium.errors import PodiumError, RefusedEvent, error_class_for
from podium.v1 import recording_service_pb2

__all__ = ["DETAILS_KEY", "ERROR_DOMAIN", "Status", "from_rpc_error", "to_status"]

ERROR_DOMAIN = "podium"
"""The domain of every google.rpc.ErrorInfo that Podium writes and reads."""

DETAILS_KEY = "grpc-status-details-bin"
"""The key of the trailing metadata that carries the google.rpc.Status."""

# The most bytes of the text and the details in base64. With the other headers, they take less than
# 8 KiB.
_STATUS_BYTES = 7168
_TEXT_BYTES = 1024
_TEXT_BYTES_BESIDE_PATHS = 384
_REFUSED_TEXT_BYTES_BESIDE_PATHS = 128
_METADATA_VALUE_BYTES = 300
# The most bytes of the Any around a Refusals, and of the header of one text in the Refusals.
_ANY_BYTES = 64
_HEADER_BYTES = 4

_PLAIN = re.compile("[ -$&-~]*")
"""Matches texts in which each character takes one byte, even after gRPC has escaped the text."""

_M = TypeVar("_M", bound=Message)


class Status(NamedTuple):
    """The status of a failed call."""

    code: grpc.StatusCode
    text: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


def to_status(error: PodiumError) -> Status:
    """Converts an exception to the status of a failed call."""
    code = grpc.StatusCode.__members__.get(error.code, grpc.StatusCode.UNKNOWN)
    many = utf8_size(error.metadata.get(PATHS_KEY, "")) > _METADATA_VALUE_BYTES
    limit = _TEXT_BYTES_BESIDE_PATHS if many else _TEXT_BYTES
    text = _cut(error.message, limit, _percent_encoded_size)
    status = status_pb2.Status(code=code.value[0], message=text)
    room = (_STATUS_BYTES - limit) * 3 // 4 - status.ByteSize()
    for detail in _details(error, room):
        status.details.add().Pack(detail)
    return Status(code, text, ((DETAILS_KEY, status.SerializeToString()),))


def from_rpc_error(error: grpc.RpcError) -> PodiumError:
    """Returns the error that the status of a failed call describes.

    Without details, as in an error of gRPC itself, fields such as `reason` are empty.
    """
    code, text, status = _parts(error)
    info = _detail(status, error_details_pb2.ErrorInfo())
    if info.domain != ERROR_DOMAIN:
        info.Clear()
    text = complete_text(text or status.message or code, info.metadata)
    refusals = _refusals_from_proto(_detail(status, recording_service_pb2.Refusals()))
    result = error_class_for(code)(
        text,
        reason=info.reason,
        metadata=info.metadata,
        refusals=[_completed(refused, info.reason, text) for refused in refusals],
        retry_after=_retry_after(_detail(status, error_details_pb2.RetryInfo())),
    )
    result.code = code
    return result


# ---- writing -----------------------------------------------------------------------------


def _percent_encoded_size(character: str) -> int:
    """Returns how many bytes gRPC uses for a character in the text of a status."""
    return 1 if " " <= character <= "~" and character != "%" else 3 * utf8_size(character)


def _details(error: PodiumError, room: int) -> list[Message]:
    """Returns the details of a status, with at most `room` bytes."""
    info = _error_info(error)
    details: list[Message] = [info] if error.reason else []
    if error.retry_after is not None:
        details.append(_retry_info(error.retry_after))
    refusals = recording_service_pb2.Refusals()
    if error.refusals:
        details.append(refusals)

    def free() -> int:
        return room - sum(detail.ByteSize() + _ANY_BYTES for detail in details)

    _add_indexes(refusals, error.refusals, free())
    if PATHS_KEY in error.metadata:
        paths = shorten_paths(error.metadata[PATHS_KEY], free() - _REFUSED_TEXT_BYTES_BESIDE_PATHS)
        info.metadata[PATHS_KEY] = _well_formed(paths)
    if error.refusals:
        _add_texts(refusals, error.refusals, free())
    return details


def _error_info(error: PodiumError) -> error_details_pb2.ErrorInfo:
    values = {key: value for key, value in error.metadata.items() if key != PATHS_KEY}
    metadata = {key: _cut(value, _METADATA_VALUE_BYTES) for key, value in values.items()}
    return error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=metadata)


def _retry_info(seconds: float) -> error_details_pb2.RetryInfo:
    result = error_details_pb2.RetryInfo()
    result.retry_delay.FromTimedelta(timedelta(seconds=seconds))
    return result


def _add_indexes(
    result: recording_service_pb2.Refusals, refusals: Sequence[RefusedEvent], room: int
) -> None:
    """Adds the indexes of rejected events, grouped by reason.

    If they take more than `room` bytes, adds only the first ones.
    """
    result.refusals.extend(_groups(refusals))
    while result.ByteSize() > room and len(refusals) > 1:
        refusals = refusals[: len(refusals) // 2]
        del result.refusals[:]
        result.refusals.extend(_groups(refusals))


def _groups(refusals: Iterable[RefusedEvent]) -> list[recording_service_pb2.Refusal]:
    groups: dict[tuple[str, bool], recording_service_pb2.Refusal] = {}
    for refused in refusals:
        key = (refused.reason, refused.permanent)
        if key not in groups:
            groups[key] = recording_service_pb2.Refusal(
                reason=refused.reason, kind=_kind(permanent=refused.permanent)
            )
        groups[key].event_indexes.append(refused.index)
    return list(groups.values())


def _add_texts(
    result: recording_service_pb2.Refusals, refusals: Iterable[RefusedEvent], room: int
) -> None:
    limit = min(room // len(result.refusals) - _HEADER_BYTES, _TEXT_BYTES)
    texts = {refused.index: refused.message for refused in refusals}
    for group in result.refusals:
        group.message = _cut(texts[group.event_indexes[0]], limit)


def _kind(*, permanent: bool) -> recording_service_pb2.RefusalKind.ValueType:
    if permanent:
        return recording_service_pb2.REFUSAL_KIND_PERMANENT
    return recording_service_pb2.REFUSAL_KIND_WAIT


def _cut(text: str, limit: int, size: Callable[[str], int] = utf8_size) -> str:
    if len(text) <= limit and _PLAIN.fullmatch(text):
        return text
    # No character is smaller than 1.
    return _well_formed(shorten(text[: limit + 1], limit, size))


def _well_formed(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


# ---- reading -----------------------------------------------------------------------------


@runtime_checkable
class _FailedCall(Protocol):
    """The methods that the errors of grpc and of grpc.aio have in common.

    Their base class, grpc.RpcError, does not have these methods.
    """

    def code(self) -> grpc.StatusCode | None: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...


def _parts(error: grpc.RpcError) -> tuple[str, str, status_pb2.Status]:
    if not isinstance(error, _FailedCall):
        return "UNKNOWN", str(error), status_pb2.Status()
    code = error.code()
    status = _status(error.trailing_metadata() or ())
    return code.name if code else "UNKNOWN", error.details() or "", status


def _status(metadata: Iterable[tuple[str, str | bytes]]) -> status_pb2.Status:
    values = [value for key, value in metadata if key == DETAILS_KEY]
    try:
        return status_pb2.Status.FromString(values[0] if values else b"")
    except (DecodeError, TypeError):
        return status_pb2.Status()


def _detail(status: status_pb2.Status, empty: _M) -> _M:
    """Returns the first detail of the type of `empty`, or `empty` if there is none."""
    for detail in status.details:
        try:
            if detail.Unpack(empty):
                return empty
        except DecodeError:
            empty.Clear()
    return empty


def _retry_after(info: error_details_pb2.RetryInfo) -> float | None:
    if not info.HasField("retry_delay"):
        return None
    delay: timedelta = info.retry_delay.ToTimedelta()
    return max(0.0, delay.total_seconds())


def _refusals_from_proto(refusals: recording_service_pb2.Refusals) -> list[RefusedEvent]:
    events = [
        RefusedEvent(index, refusal.reason, _is_permanent(refusal), refusal.message)
        for refusal in refusals.refusals
        for index in refusal.event_indexes
    ]
    return sorted(events, key=attrgetter("index"))


def _completed(refused: RefusedEvent, reason: str, text: str) -> RefusedEvent:
    """Returns a rejected event. If its message was cut, completes it from the status's text."""
    start = refused.message.removesuffix("…")
    place = text.find(start)
    is_cut = start != refused.message and refused.reason == reason and place >= 0
    return replace(refused, message=text[place:]) if is_cut else refused


def _is_permanent(refusal: recording_service_pb2.Refusal) -> bool:
    # A kind that this version does not know counts as permanent.
    return refusal.kind != recording_service_pb2.REFUSAL_KIND_WAIT
