"""What is left of a record with a bad value in it: bad input loses nothing but itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from podium._values import coerce

if TYPE_CHECKING:
    from podium.v1.event_pb2 import Event

__all__ = ["EventOf", "event_without_bad_metrics", "good_numbers"]

EventOf: TypeAlias = "Callable[[Mapping[Any, Any]], Event]"
"""Makes an event of metrics; raises an error for bad ones."""


def event_without_bad_metrics(event_of: EventOf, metrics: object) -> Event | None:
    """The event of those metrics that can be recorded.

    None if nothing is left, such as where something else than a metric is bad.
    """
    if not isinstance(metrics, Mapping):
        return None
    good = dict(_good(event_of, metrics))
    if metrics and not good:
        return None
    try:
        return event_of(good)
    except Exception:  # noqa: BLE001 - whatever the value raises, it cannot be recorded
        return None


def good_numbers(metrics: object) -> Iterator[tuple[str, float]]:
    """Those of some metrics that are numbers."""
    for key, value in metrics.items() if isinstance(metrics, Mapping) else ():
        try:
            yield from coerce.metrics({key: value}, "metrics").items()
        except Exception:  # noqa: BLE001, S112 - as above, and this is no fast path
            continue


def _good(event_of: EventOf, metrics: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    for key, value in metrics.items():
        try:
            event_of({key: value})
        except Exception:  # noqa: BLE001, S112 - as above, and this is no fast path
            continue
        yield key, value
