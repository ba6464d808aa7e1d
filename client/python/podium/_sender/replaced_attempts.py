"""Makes messages about running attempts on other hosts that an attempt on this host replaced."""

import os
from collections.abc import Iterable, Sequence

from podium._interface.recorders import host_of_attempt
from podium._model.recording import ReplacedAttempt
from podium.v1.event_pb2 import Event

__all__ = ["replaced_attempts_texts"]

_MOST_QUIET_SECONDS = 120.0
"""The seconds without an event or heartbeat after which an attempt counts as ended."""


def replaced_attempts_texts(
    events: Sequence[Event], replaced: Iterable[ReplacedAttempt]
) -> list[str]:
    """Returns a message for each replaced attempt that may still run on another host.

    If the response does not name the host of an attempt, the host is read from the attempt's id. An
    attempt is left out if its host is unknown, because it may run on this host. The recorder itself
    warns about processes of this host that record the same arm.

    Args:
        events: The events of the call.
        replaced: The replaced attempts in the response to the call.
    """
    own = os.uname().nodename
    hosts = [(attempt, attempt.host or host_of_attempt(attempt.attempt_id)) for attempt in replaced]
    return [
        _text(events[attempt.event_index].arm_started.arm, attempt, host)
        for attempt, host in hosts
        if attempt.quiet_seconds <= _MOST_QUIET_SECONDS and host not in {None, own}
    ]


def _text(arm: str, attempt: ReplacedAttempt, host: str | None) -> str:
    return (
        f"arm {arm!r}: attempt {attempt.attempt_id!r} on host {host!r} was running when "
        f"this attempt started; its last event came {attempt.quiet_seconds:.0f} s before. Only the "
        "newest attempt of an arm is kept: the server rejects everything that the other attempt "
        "logs from now on. If both still run, give each training run its own arm name, or end one "
        "of them"
    )
