"""Logs warnings about permanently rejected events, and the notices of the sender."""

from pathlib import Path

from podium._outbox import RejectedEvent, StreamReader, read_notices
from podium._recorder.problems import Target
from podium._recorder.stream import Stream
from podium._recorder.warnings import RecorderWarnings
from podium.v1.event_pb2 import Event

__all__ = ["pass_on_notices", "warn_of_rejected"]

_STALE, _FINISHED = "STALE_ATTEMPT", "ARM_FINISHED"
_ARM_FINISHED = (
    "{} is already completed, so its new events stay in the outbox. Use start_arm(…, restart=True) "
    "to replace its results, resume_step=… to continue from a step, or "
    "`podium outbox retry --as NAME` to keep both"
)


def warn_of_rejected(stream: Stream, folder: Path, notices: RecorderWarnings) -> None:
    """Logs a warning about each rejected event of a stream, unless one was logged before.

    After a warning about a rejected start or a first STALE_ATTEMPT, no warning is logged about the
    stream's further events that are rejected with STALE_ATTEMPT.
    """
    reader = StreamReader(folder)
    target = Target(reader.info.experiment, reader.info.arm)
    for rejected in reader.rejected_events():
        if rejected.retried or rejected.sequence <= stream.last_warned:
            continue
        stream.last_warned = rejected.sequence
        is_stale = rejected.reason == _STALE
        is_start = Event.FromString(rejected.event).HasField("arm_started")
        if not (is_stale and stream.is_rejected):
            kind = f"rejected events ({rejected.reason})"
            notices.say(kind, _text(rejected, target), target)
        stream.is_rejected |= is_stale or is_start


def pass_on_notices(stream: Stream, folder: Path, notices: RecorderWarnings) -> None:
    """Logs each notice of the sender about a stream, unless it was logged before."""
    for text in read_notices(folder, stream.notices_read):
        stream.notices_read += 1
        notices.say(text, text)


def _text(rejected: RejectedEvent, target: Target) -> str:
    if rejected.reason == _FINISHED:
        return _ARM_FINISHED.format(str(target).removeprefix(" of "))
    return (
        f"the server rejected an event{target}; it stays in the outbox (see `podium outbox`): "
        f"{rejected.reason}: {rejected.message}"
    )
