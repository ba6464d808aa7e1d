"""Tests of the rules of watches, lists and requests, without a server."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from podium._client import calls
from podium._client.listing import Listing
from podium._client.live_points import LivePoints
from podium._client.live_state import LiveState
from podium._client.near_names import near_filters
from podium._model.recording import KeptField, RecordResult, ReplacedAttempt
from podium._model.watching import WatchMarker, WatchUpdate
from podium.curves import Series
from podium.errors import (
    REASONS,
    InternalError,
    NotFoundError,
    PodiumError,
    UnavailableError,
    error_for,
)
from podium.events import skipped
from podium.v1.recording_service_pb2 import RecordResponse

from tests.client.client.sessions import session
from tests.each import each

# ---- Watches -------------------------------------------------------------------------------------

_GOES_ON = {"OVERLOADED", "QUOTA_EXCEEDED", "SHUTTING_DOWN", "WATCH_TOO_SLOW", "OUTCOME_UNKNOWN"}


_session = partial(session, with_series=False)


def test_the_errors_after_which_a_watch_goes_on() -> None:
    """A watch makes another call after each temporary failure, and raises every other error."""
    for reason in REASONS:
        _check_pause(error_for(reason, ""), goes_on=reason in _GOES_ON)
    _check_pause(UnavailableError("away"), goes_on=True)
    _check_pause(InternalError("broken"), goes_on=True)
    _check_pause(PodiumError("unknown"), goes_on=False)


def _check_pause(error: PodiumError, *, goes_on: bool) -> None:
    if goes_on:
        assert 0.0 <= _session().pause(error) <= 0.1, error.reason
        return
    with pytest.raises(type(error)):
        _session().pause(error)


def test_the_pauses_of_a_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest possible pause between two calls of a watch doubles, up to ten seconds.

    After an update, it is short again. If the server asks for a pause, the watch pauses exactly
    that long.
    """
    drawn: list[float] = []

    def uniform(_least: float, most: float) -> float:
        drawn.append(most)
        return most

    random = SimpleNamespace(uniform=uniform)
    monkeypatch.setattr("podium._client.watching._RANDOM", random)
    session = _session()
    for _ in range(9):
        session.pause(UnavailableError("away"))
    assert drawn == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert session.pause(UnavailableError("away", retry_after=30.0)) == 30.0
    session._complete(WatchUpdate(), WatchMarker(1, "e"))
    assert session.pause(UnavailableError("away")) == 0.1


@pytest.mark.parametrize("has_begun", [False, True])
def test_only_a_watch_that_has_not_begun_gives_up(
    monkeypatch: pytest.MonkeyPatch, *, has_begun: bool
) -> None:
    """If a watch gets no first update within ten seconds, it raises the error of its call.

    After its first update, a watch does not give up.
    """
    now = 100.0
    monkeypatch.setattr("podium._client.watching.time.monotonic", lambda: now)
    session = _session()
    if has_begun:
        session._marker = WatchMarker(1, "e")
    now = 109.9
    session.pause(UnavailableError("away"))
    now = 110.1
    if has_begun:
        session.pause(UnavailableError("away"))
        assert session.is_deletion(NotFoundError("gone"))
        return
    with pytest.raises(UnavailableError):
        session.pause(UnavailableError("away"))
    assert not session.is_deletion(NotFoundError("never was"))


@each(
    ("after", "revision", "epoch"),
    [
        (7, 7, ""),
        (WatchMarker(7, "e"), 7, "e"),
        (WatchUpdate(marker=WatchMarker(7, "e")), 7, "e"),
        (None, 0, ""),
    ],
)
def test_where_a_watch_continues(after: Any, revision: int, epoch: str) -> None:
    """The request of a watch has the revision of `after`, and the epoch if `after` has one.

    `after` can be a revision, a marker, an update or None.
    """
    request = _session(after=after).request
    assert (request.after_revision, request.epoch) == (revision, epoch)


def test_the_points_of_states_that_share_them() -> None:
    """Two states derived from the same state change neither each other nor that state."""
    first = LivePoints().followed_by([1, 2], [0.1, 0.2])
    one, other = (first.followed_by([step], [0.5]) for step in (3, 4))
    states = (first, one, other, one.before(2), one.before(9), first.before(9))
    found = [points.series("k") for points in states]
    assert found == [
        Series("k", [1, 2], [0.1, 0.2]),
        Series("k", [1, 2, 3], [0.1, 0.2, 0.5]),
        Series("k", [1, 2, 4], [0.1, 0.2, 0.5]),
        Series("k", [1], [0.1]),
        Series("k", [1, 2, 3], [0.1, 0.2, 0.5]),
        Series("k", [1, 2], [0.1, 0.2]),
    ]


def test_arms_of_a_state_are_in_the_order_of_their_creation() -> None:
    """The arms of a state are in the order of creation, even if one newly passes a filter."""
    state = LiveState()
    for places in ({"c": 2, "a": 0}, {"b": 1}, {"a": 0}):
        arms: list[Any] = [
            SimpleNamespace(position=at, arm=SimpleNamespace(name=name))
            for name, at in places.items()
        ]
        state = state.after(WatchUpdate(arms=arms, marker=WatchMarker(1, "e")))
    assert list(state.arms) == ["a", "b", "c"]


# ---- Lists and requests --------------------------------------------------------------------------


class _Pages:
    """Five items in pages of two."""

    def __init__(self) -> None:
        self.request: int | None = 0

    def from_start(self) -> "_Pages":
        return _Pages()


def _listing() -> tuple[Listing[Any], list[int]]:
    fetched: list[int] = []

    def fetch(pages: Any) -> list[Any]:
        fetched.append(begin := pages.request)
        pages.request = None if begin >= 4 else begin + 2
        return list(range(begin, min(begin + 2, 5)))

    pages: Any = _Pages()
    return Listing("arms", [], pages, fetch), fetched


@each(
    ("use", "result", "count"),
    [
        (bool, True, 1),
        (lambda items: items[0], 0, 1),
        (lambda items: items[1], 1, 1),
        (lambda items: items[2], 2, 2),
        (lambda items: items[-1], 4, 3),
        (lambda items: list(items[:2]), [0, 1], 1),
        (lambda items: list(items[1:3]), [1, 2], 2),
        (lambda items: list(items[3:]), [3, 4], 3),
        (lambda items: list(items[-2:]), [3, 4], 3),
        (lambda items: list(items[1:-1]), [1, 2, 3], 3),
        (lambda items: list(items[::-1]), [4, 3, 2, 1, 0], 3),
        (len, 5, 3),
        (list, [0, 1, 2, 3, 4], 3),
        (lambda items: next(items.stream()), 0, 1),
    ],
)
def test_how_much_of_a_list_is_fetched(use: Any, result: Any, count: int) -> None:
    """Each use of a list fetches only as many pages as it needs, and no page twice."""
    items, fetched = _listing()
    assert [use(items), fetched] == [result, [0, 2, 4][:count]]


def test_threads_fetch_one_page_after_the_other() -> None:
    """A list is locked while it fetches a page, so two threads do not fetch the same page."""
    locked: list[bool] = []

    def fetch(pages: Any) -> list[Any]:
        locked.append(items._lock.locked())
        pages.request = None
        return [0]

    pages: Any = _Pages()
    items: Listing[Any] = Listing("arms", [], pages, fetch)
    assert (list(items), locked) == ([0], [True])


def test_the_results_of_several_calls_as_one() -> None:
    """The results of two calls are joined: counts are added up, and lists are concatenated.

    The revision is that of the last call.
    """
    one = RecordResult(3, 1, kept_fields=(KeptField("a"),), replaced_attempts=())
    other = RecordResult(
        5, 2, kept_fields=(KeptField("b"),), replaced_attempts=(ReplacedAttempt("A", 1.0),)
    )
    assert calls._together(one, other) == RecordResult(
        5,
        3,
        kept_fields=(KeptField("a"), KeptField("b")),
        replaced_attempts=(ReplacedAttempt("A", 1.0),),
    )


def test_a_range_of_steps_of_a_request() -> None:
    """A range can begin and end at the same step. A reversed range raises an error."""
    given: dict[str, Any] = {"name": None, "page_size": None}
    request: Any = calls.evals("x", "a", min_step=3, max_step=3, **given).request
    assert (request.min_step, request.max_step) == (3, 3)
    with pytest.raises(ValueError, match="the range is reversed"):
        calls.evals("x", "a", min_step=4, max_step=3, **given)


@each(
    ("filters", "text"),
    [
        ({}, ""),
        ({"group_name": "g", "tags": ["t"], "name_prefix": "lo", "config": ["lr"]}, ""),
        ({"group_name": "h"}, ": none is in group 'h'"),
        ({"tags": ["t", "u"]}, ": none has the tag 'u'"),
        ({"name_prefix": "ro"}, ": none begins with 'ro'"),
        ({"config": ["lr", "rl"]}, ": none has a configuration value 'rl'"),
    ],
)
def test_the_first_filter_that_no_arm_passes(filters: dict[str, Any], text: str) -> None:
    """The explanation of an empty list names the first filter that no arm passes."""
    arm: Any = SimpleNamespace(
        name="lora", group_name="g", tags=["t"], record=lambda: {"config.lr": 1}
    )
    assert near_filters([arm], **{"config": [], **filters}).startswith(text)
    assert bool(near_filters([arm], **{"config": [], **filters})) is bool(text)


def test_events_of_several_calls_have_one_result() -> None:
    """If events are recorded in several calls, the result adds up the changes of all calls."""
    requests: Any = calls.record_in_parts("x", [skipped() for _ in range(1_001)])
    sent = [len(next(requests).events)]
    sent.append(len(requests.send(RecordResponse(revision=3, changed_events=1_000)).events))
    with pytest.raises(StopIteration) as end:
        requests.send(RecordResponse(revision=5, changed_events=1))
    assert (sent, end.value.value) == ([1_000, 1], RecordResult(5, 1_001))
