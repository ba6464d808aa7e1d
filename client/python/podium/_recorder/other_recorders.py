"""Warns if another live process on this machine trains the same arm."""

import contextlib
import os
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from podium._outbox import DamagedError, StreamInfo, StreamReader, streams
from podium._recorder.problems import Target
from podium._recorder.warnings import RecorderWarnings

__all__ = ["warn_of_other_recorders"]

_WARNING = (
    "start_arm{}: process {} of this machine records this arm, too (attempt {!r}, since {}). Only "
    "the newest attempt of an arm is kept: the server rejects everything that {} logs from now on. "
    "Give each training run its own arm name, or end one of the processes"
)


def warn_of_other_recorders(outbox: Path, own: StreamInfo, notices: RecorderWarnings) -> None:
    """Logs a warning if another live process on this machine trains the arm of the stream `own`."""
    if own.arm is None or own.attempt_order is None:
        return
    with contextlib.suppress(OSError):
        for folder in streams(outbox):
            other = _info(folder)
            if other is not None and _is_rival(other, own) and _writer_lives(folder):
                _warn(other, own, notices)


@lru_cache(maxsize=10_000)
def _info(folder: Path) -> StreamInfo | None:
    with contextlib.suppress(OSError, DamagedError):
        return StreamInfo.read(folder)
    return None


def _is_rival(other: StreamInfo, own: StreamInfo) -> bool:
    is_same_arm = (other.experiment, other.arm) == (own.experiment, own.arm)
    is_attempt = other.attempt_order is not None and other.attempt_id != own.attempt_id
    return is_same_arm and is_attempt and other.pid != os.getpid()


def _writer_lives(folder: Path) -> bool:
    with contextlib.suppress(OSError, DamagedError):
        return StreamReader(folder).writer_lives()
    return False


def _warn(other: StreamInfo, own: StreamInfo, notices: RecorderWarnings) -> None:
    target = Target(own.experiment, own.arm)
    since = f"{datetime.fromtimestamp(other.create_time, UTC):%Y-%m-%d %H:%M:%S} UTC"
    is_newer = (own.attempt_order or 0) > (other.attempt_order or 0)
    older = "the other process" if is_newer else "this process"
    text = _WARNING.format(target, other.pid, other.attempt_id, since, older)
    notices.say(f"other processes that record arm {own.arm!r}", text, target)
