"""Tests of which streams a stream waits for before it is sent, and when it stops waiting."""

from dataclasses import dataclass, field
from pathlib import Path

from podium._sender.predecessors import Predecessors

from tests.each import each


@dataclass
class _Stream:
    """A stream with three events, of which the server has one."""

    folder: Path = Path("stream")
    is_gone: bool = False
    delivered: int = 1
    is_orphan: bool = True
    is_unreadable: bool = False
    fails_for_long: bool = False
    predecessors: Predecessors = field(default_factory=Predecessors)

    def last_sequence(self) -> int:
        """Returns the sequence number of the last event."""
        return 3


@each(
    ("change", "waits"),
    [
        ({}, True),
        ({"delivered": 2}, True),
        ({"delivered": 3}, False),
        ({"is_gone": True}, False),
        ({"is_unreadable": True}, False),
        ({"fails_for_long": True}, True),
    ],
)
def test_a_continued_stream(change: dict[str, int], *, waits: bool) -> None:
    """A stream waits until the stream that it continues is delivered, deleted or unreadable."""
    before, streams = _Stream(), Predecessors()
    streams.set([], before, None)
    vars(before).update(change)
    assert streams.are_pending() is waits
    assert streams.are_orphans is not waits


@each(
    ("change", "waits"),
    [
        ({}, True),
        ({"delivered": 2}, False),
        ({"is_gone": True}, False),
        ({"is_unreadable": True}, True),
        ({"fails_for_long": True}, False),
    ],
)
def test_an_older_attempt(change: dict[str, int], *, waits: bool) -> None:
    """A stream waits until the stream of an older attempt is delivered up to a given event.

    It does not wait for a stream that is deleted or has failed for long.
    """
    older, streams = _Stream(), Predecessors()
    streams.set([(older, 2)], None, None)
    vars(older).update(change)
    assert streams.are_pending() is waits


@each(
    ("change", "waits"),
    [
        ({"delivered": 0}, True),
        ({"delivered": 1}, False),
        ({"delivered": 0, "is_gone": True}, False),
        ({"delivered": 0, "fails_for_long": True}, False),
    ],
)
def test_the_stream_of_an_earlier_arm(change: dict[str, int], *, waits: bool) -> None:
    """A stream waits until the first event of an earlier arm is delivered.

    So arms are created in order. A stream does not wait for one that is deleted or has failed for
    long.
    """
    earlier, streams = _Stream(), Predecessors()
    streams.set([], None, earlier)
    vars(earlier).update(change)
    assert streams.are_pending() is waits


def test_an_earlier_arm_that_waits_itself() -> None:
    """A stream does not wait for an earlier arm that itself waits for an older attempt.

    The earlier arm exists already, because the older attempt has started it.
    """
    earlier, streams = _Stream(delivered=0), Predecessors()
    earlier.predecessors.set([(_Stream(), 2)], None, None)
    streams.set([], None, earlier)
    assert not streams.are_pending()
