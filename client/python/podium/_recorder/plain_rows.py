"""Makes the events of most eval rows quickly, because the training loop waits for `log_eval`.

This module skips the conversions and checks of other rows. It handles a row only if the row's
values need no conversion, and its names were accepted before.
"""

import time
from typing import Any

from podium._limits.checks import are_accepted
from podium._limits.limits import Limits
from podium.v1.event_pb2 import Event

__all__ = ["plain_row_event"]

_LIMITS = Limits()
_FEW_NAMES = 100
"""With at most this many names, an event is certainly within the limits of keys and bytes."""
_NANOS = 1_000_000_000
_GREATEST = 2**63 - 1
_TEXTS = frozenset({str})
_FLOATS = frozenset({float})


def plain_row_event(
    arm: str, attempt_id: str | None, name: Any, metrics: Any, step: Any, tags: Any
) -> Event | None:
    """Returns the event of an eval row, or None if an argument may need a conversion or check."""
    if type(metrics) is not dict or type(tags) not in {tuple, list}:
        return None
    if step is not None and (type(step) is not int or not -_GREATEST <= step <= _GREATEST):
        return None
    names = (name, *metrics, *tags)
    if (
        len(names) > _FEW_NAMES
        or not _TEXTS.issuperset(map(type, names))
        or not _FLOATS.issuperset(map(type, metrics.values()))
        or not are_accepted(names, _LIMITS)
    ):
        return None
    event = Event()
    event.event_time.seconds, event.event_time.nanos = divmod(time.time_ns(), _NANOS)
    recorded = event.eval_recorded
    recorded.arm = arm
    if attempt_id is not None:
        recorded.attempt_id = attempt_id
    row = recorded.eval_result
    row.name = name
    values = row.metrics
    for key, value in metrics.items():
        values[key] = value
    if step is not None:
        row.step = step
    if tags:
        row.tags.extend(tags)
    return event
