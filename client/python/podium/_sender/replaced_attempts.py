"""Describes running attempts of other hosts that a training of this host replaced."""

import os
from collections.abc import Iterable, Sequence

from podium._interface.recorders import host_of_attempt
from podium._model.recording import ReplacedAttempt
from podium.v1.event_pb2 import Event

__all__ = ["replaced_attempts_texts"]

_MOST_QUIET_SECONDS = 120.0
"""An attempt that was quiet for longer has missed heartbeats, so its process has ended."""


def replaced_attempts_texts(
    events: Sequence[Event], replaced: Iterable[ReplacedAttempt]
) -> list[str]:
    """Returns a text for each replaced attempt that may still run on another host.

    Without provenance, the host is known from the attempt's id, unless the user has chosen the id.
    Attempts whose host is unknown are left out, because they may be of this host. The recorder
    itself finds the processes of its own host that record the same arm.

    Args:
        events: The events of the call.
        replaced: The replaced attempts of the response.
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
        "logs from now on. If both still run, give each training its own arm name, or end one of "
        "them"
    )
