"""Makes the log lines about unfinished arms and undelivered events when recording ends."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from podium._recorder.arm import ArmRecording
    from podium._recorder.counts import Counters
    from podium._recorder.process_outbox import ProcessOutbox
    from podium._recorder.warnings import RecorderWarnings

__all__ = ["last_words", "postponed_words", "warn_of_unfinished"]

_NUMBERS = (("is", "it waits", "it"), ("are", "they wait", "them"))

_pending_later: dict[tuple[str, Path | None], int] = {}
"""The numbers of undelivered events to log when the process ends, by experiment and outbox."""
_warned: WeakSet[ArmRecording] = WeakSet()
"""The unfinished arms about which a warning was logged."""
_NOT_FINISHED = (
    "arm {!r} of {!r} was not finished, so it will be recorded as failed; call finish(), or start "
    "the arm in a `with` block"
)


def warn_of_unfinished(
    experiment: str, arms: Iterable[ArmRecording], notices: RecorderWarnings
) -> None:
    """Logs a warning for each unfinished arm when a recorder is closed, but only once per arm."""
    for arm in arms:
        if not arm.has_finished and arm not in _warned:
            _warned.add(arm)
            notices.say(f"unfinished arms ({arm.name})", _NOT_FINISHED.format(arm.name, experiment))


def last_words(experiment: str, outlet: ProcessOutbox, counters: Counters) -> Iterator[str]:
    """Yields a line about undelivered events, one about rejected and one about lost events.

    Yields no line about a kind of events that does not occur. Yields the line about undelivered
    events only in the first call for an experiment and outbox. `postponed_words` reports the
    undelivered events of later calls.
    """
    key = (experiment, outlet.folder)
    if counters.pending and key in _pending_later:
        # Callbacks close a recorder after each training run. All but the first line about
        # undelivered events become one line at the end of the process.
        _pending_later[key] += counters.pending
    elif counters.pending:
        _pending_later[key] = 0
        yield _not_delivered(counters.pending, outlet.why_pending(), *key)
    if counters.rejected:
        were, stay = ("were", "stay") if counters.rejected > 1 else ("was", "stays")
        rejected = f"{_events(counters.rejected)} {were} rejected"
        yield f"{rejected} and {stay} in the outbox: see `podium outbox`"
    if counters.dropped:
        yield f"{_events(counters.dropped)} {_NUMBERS[counters.dropped > 1][0]} lost"


def postponed_words() -> Iterator[str]:
    """Yields a line about the undelivered events of each experiment and outbox.

    Counts only the events that `last_words` has left unreported. Call it when the process ends.
    """
    for (experiment, folder), count in _pending_later.items():
        if count:
            yield _not_delivered(
                count, "in addition to the events reported before", experiment, folder
            )
    _pending_later.clear()


def _not_delivered(count: int, why: str, experiment: str, folder: Path | None) -> str:
    are, they_wait, them = _NUMBERS[count > 1]
    return (
        f"{_events(count)} of {experiment!r} {are} not delivered yet ({why}): {they_wait} in "
        f"{folder}; `podium sync` delivers {them}"
    )


def _events(count: int) -> str:
    return f"{count} event" if count == 1 else f"{count} events"
