"""Tests of how a retry sends rejected events again, without a server or an outbox."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from podium import Attempt, RunConfig
from podium._outbox import RejectedEvent
from podium._outbox.folders import StreamInfo
from podium.cli import _attempts, _resending
from podium.cli._attempts import Item, Plan, RejectedAttempt, as_other_arm, as_restart, attempts_of
from podium.errors import RefusedEvent, UnavailableError, error_for
from podium.v1.event_pb2 import ArmAnnotated, ArmFinished, Event
from podium_server.testing.calls import arm as whole
from podium_server.testing.calls import metrics, row, started

from tests.each import each

_NOW = 1_700_000_000_000


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops the clock at `_NOW`."""
    monkeypatch.setattr(time, "time_ns", lambda: _NOW * 1_000_000)


def _item(event: Event | None, sequence: int = 1, *, is_whole: bool = False) -> Item:
    info = StreamInfo("e", "a", "s", is_whole_arm=is_whole)
    stream: Any = SimpleNamespace(folder=Path("s"), info=info)
    payload = b"" if event is None else event.SerializeToString()
    return Item(stream, RejectedEvent(sequence, "R", "damaged", 1.0, payload), event)


def _attempt(*events: Event | None, attempt_id: str | None = "A") -> RejectedAttempt:
    items = [_item(event, number) for number, event in enumerate(events, 1)]
    return RejectedAttempt("e", "a", attempt_id, items)


def _of(attempt: str, event: Event) -> Event:
    getattr(event, event.WhichOneof("kind") or "").attempt_id = attempt
    return event


def _known(attempt_id: str | None, order: int = 1) -> Any:
    attempt = None if attempt_id is None else Attempt(attempt_id, order)
    return SimpleNamespace(attempt=attempt, run_config=RunConfig("known"))


def test_events_of_a_plan() -> None:
    """A plan writes the name of its arm into each event, except into the start of an attempt.

    If the plan has an attempt, this attempt is written only into events that name an attempt.
    """
    plan = Plan("e", "b", "B", replace=True)
    end = Event(arm_finished=ArmFinished(arm="a"))
    for event in (_of("A", metrics({"m": 1})), _of("A", row("v", 1)), _of("A", end), row("v", 1)):
        kind = event.WhichOneof("kind") or ""
        sent = plan.event(event)
        content, before = getattr(sent, kind), getattr(event, kind)
        assert (content.arm, before.arm) == ("b", "a")
        assert content.attempt_id == ("B" if before.HasField("attempt_id") else "")
    assert plan._replace(attempt_id=None).event(_of("A", row("v", 1))) == _of(
        "A", _renamed(row("v", 1))
    )
    recorded = plan.event(whole("a"))
    assert recorded is not None
    assert (recorded.arm_recorded.arm_result.name, recorded.arm_recorded.replace) == ("b", True)
    kept = Plan("e", "b").event(whole("a", replace=True))
    assert kept is not None
    assert kept.arm_recorded.replace
    note = plan.event(Event(arm_annotated=ArmAnnotated(arm="a", notes="n")))
    assert note == Event(arm_annotated=ArmAnnotated(arm="b", notes="n"))
    start = started("a", "A", 1)
    assert plan.event(start) is start
    assert plan._replace(start=start).event(start) is None


def _renamed(event: Event) -> Event:
    event.eval_recorded.arm = "b"
    return event


@each(
    ("known", "order", "attempt_id"),
    [
        (None, _NOW, "A"),
        (_known(None), _NOW, "A"),
        (_known("B", 5), _NOW, "A"),
        (_known("B", _NOW), _NOW + 1, "A"),
        (_known("A", 5), _NOW, f"A-{_NOW}"),
        (_known("A-5", _NOW + 9), _NOW + 10, f"A-{_NOW + 10}"),
        (_known("AB", 5), _NOW, "A"),
    ],
)
def test_a_restart(known: Any, order: int, attempt_id: str) -> None:
    """A restart makes the attempt the newest one of its arm.

    If the newest attempt on the server has the same id or is a copy of this attempt, this attempt
    gets a new id.
    """
    start = started("a", "A", 1)
    start.event_time.seconds = 7
    plan = as_restart(_attempt(start, row("v", 1)), known)
    assert isinstance(plan, Plan)
    assert plan.start is not None
    found = plan.start.arm_started
    assert (found.attempt.id, found.attempt.order, plan.attempt_id) == (
        attempt_id,
        order,
        attempt_id,
    )
    assert (found.restart, plan.start.event_time.seconds) == (True, 7)
    resumed = as_restart(_attempt(started("a", "A", 1, resume_step=0)), known)
    assert isinstance(resumed, Plan)
    assert resumed.start is not None
    assert resumed.start.arm_started.WhichOneof("mode") == "resume_step"


def test_restarts_without_a_start() -> None:
    """Events of an attempt whose start was delivered are sent if the server lacks the arm.

    They are also sent if the newest attempt on the server is a copy of their attempt. Otherwise
    they remain rejected, because another start would delete the events that were delivered.
    """
    rest = _attempt(_of("A", row("v", 1)))
    assert as_restart(rest, _known("A-5")) == Plan("e", "a", "A-5")
    for known in (_known("B"), _known(None)):
        assert as_restart(rest, known) == _attempts._START_IS_DELIVERED
    plan = as_restart(rest, None)
    assert isinstance(plan, Plan)
    assert plan.start is not None
    assert plan.start.arm_started.run_config.name == "a"
    assert as_restart(_attempt(row("v", 1), attempt_id=None), None) == Plan("e", "a", replace=True)
    lost = RejectedAttempt("e", "a", None, [_item(None, is_whole=True), _item(row("v", 1), 2)])
    assert as_restart(lost, None) == _attempts._ARM_IS_LOST
    later = RejectedAttempt("e", "a", None, [_item(None, 2, is_whole=True)])
    assert later.loss == RejectedAttempt("e", "a", None, [_item(None)]).loss == ""


def test_attempts_as_another_arm() -> None:
    """Rows without an attempt can be sent to another arm that exists.

    An attempt or a whole arm can be sent there only if an earlier retry has created that arm.
    """
    target = Plan("e", "b")
    taken = _attempts._NAME_IS_TAKEN.format("b")
    rows, arm = _attempt(row("v", 1), attempt_id=None), _attempt(whole("a"), attempt_id=None)
    attempt, rest = _attempt(started("a", "A", 1)), _attempt(_of("A", row("v", 1)))
    for given, known, is_from_retry, found in (
        (rows, _known("B"), False, target),
        (arm, None, False, target),
        (arm, _known(None), False, taken),
        (arm, _known(None), True, target),
        (attempt, _known("B"), False, taken),
        (rest, _known("A-5"), False, target._replace(attempt_id="A-5")),
    ):
        plan = as_other_arm(given, target, known, None, is_from_retry=is_from_retry)
        assert plan == found
    for original, name in ((_known("B"), "known"), (None, "a")):
        plan = as_other_arm(rest, target, None, original, is_from_retry=False)
        assert isinstance(plan, Plan)
        assert plan.start is not None
        found_start = plan.start.arm_started
        assert (found_start.arm, found_start.run_config.name) == ("b", name)


def test_groups_of_rejected_events() -> None:
    """Rejected events are grouped by arm and attempt. Each whole arm is a group of its own."""
    given = [
        _item(_of("A", row("v", 1))),
        _item(row("v", 2)),
        _item(_of("A", metrics({"m": 1})), 2),
        _item(started("a", "B", 1)),
        _item(whole("a"), is_whole=True),
        _item(None, 9),
    ]
    found = attempts_of((item.stream, item.rejected) for item in given)
    assert [
        (each.attempt_id, [item.rejected.sequence for item in each.items]) for each in found
    ] == [
        ("A", [1, 2]),
        (None, [1, 9]),
        ("B", [1]),
        (None, [1]),
    ]


# ---- Sending -------------------------------------------------------------------------------------


class _Server:
    """A server that takes calls, except calls that have one of the rejected steps."""

    def __init__(self, refused: dict[int, str]) -> None:
        self.calls: list[int] = []
        self.steps: list[int] = []
        self._refused = refused

    def record(self, _experiment: str, events: list[Event]) -> None:
        steps = [each.eval_recorded.eval_result.step for each in events]
        self.calls.append(len(steps))
        named = [
            RefusedEvent(index, self._refused[step], True, f"bad {step}")  # noqa: FBT003
            for index, step in enumerate(steps)
            if self._refused.get(step, "").isupper()
        ]
        if named:
            raise error_for(named[0].reason, "", refusals=named)
        if any(step in self._refused for step in steps):
            raise error_for("LIMIT_EXCEEDED", "too large")
        self.steps += steps


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns the sequence numbers that were marked as sent again."""
    found: list[int] = []
    monkeypatch.setattr(
        _resending, "_mark_retried", lambda item: found.append(item.rejected.sequence)
    )
    return found


def test_good_events_of_a_rejected_call_are_sent(marked: list[int]) -> None:
    """A rejected call is sent again without its bad events, so that all good events are sent.

    If the server does not name the bad events, the call is halved until they are found.
    """
    events = [row("v", step) for step in range(8)]
    for refused, texts in (
        ({2: "NAME_INVALID", 5: "NAME_INVALID"}, ["bad 2 (NAME_INVALID)", "bad 5 (NAME_INVALID)"]),
        ({3: "large"}, ["too large (LIMIT_EXCEEDED)"]),
    ):
        server: Any = _Server(refused)
        marked.clear()
        target = Plan("e", "b")
        found = list(
            _resending.sent_anew(_lacking(server), _attempt(*events, attempt_id=None), target)
        )
        assert sorted(server.steps) == [step for step in range(8) if step not in refused]
        assert sorted(marked) == [step + 1 for step in range(8) if step not in refused]
        assert [each.refusal for each in found if each.refusal] == texts
        assert len(found) == 8


def _lacking(server: Any) -> Any:
    """Returns a client of a server without arms."""
    server.experiment = lambda _name: SimpleNamespace(arms=lambda **_: [])
    return server


def test_many_events_are_sent_in_calls(marked: list[int]) -> None:
    """Events are sent in calls of up to 1,000 events, and each event is sent once."""
    events = [row("v", step) for step in range(1_001)]
    server: Any = _Server({})
    target = Plan("e", "b")
    list(_resending.sent_anew(_lacking(server), _attempt(*events, attempt_id=None), target))
    assert (server.calls, server.steps) == ([1_000, 1], list(range(1_001)))
    assert marked == list(range(1, 1_002))


def test_events_that_are_sent_singly(marked: list[int]) -> None:
    """A damaged event is not sent. After a whole arm is rejected again, its rows are not sent."""
    server: Any = _Server({1: "NAME_INVALID"})
    unknown = _item(row("v", 5), 4)._replace(event=None)
    items = [_item(row("v", 1)), _item(row("v", 2), 2), _item(None, 3), unknown]
    found = list(_resending.sent_singly(server, RejectedAttempt("e", "a", None, items)))
    assert [each.refusal for each in found] == [
        "bad 1 (NAME_INVALID)",
        "",
        "damaged",
        _resending._UNREADABLE,
    ]
    assert (server.steps, marked) == ([2], [2])
    refused: Any = _Server({0: "NAME_INVALID"})
    found = list(_resending.sent_singly(refused, _attempt(whole("a"), row("v", 2))))
    assert [bool(each.refusal) for each in found] == [True, True]
    assert refused.calls == [1]


def test_a_retry_ends_if_the_server_does_not_answer(marked: list[int]) -> None:
    """A retry ends with the first event that the server does not answer.

    No event is marked as sent again.
    """

    def record(*_: object) -> None:
        raise UnavailableError("gone")

    client: Any = SimpleNamespace(record=record)
    attempt = _attempt(row("v", 1), row("v", 2), attempt_id=None)
    for found in (
        list(_resending.sent_singly(client, attempt)),
        list(_resending.sent_anew(_lacking(client), attempt, Plan("e", "b"))),
    ):
        assert [(each.item.rejected.sequence, each.failure) for each in found] == [(1, "gone")]
    assert marked == []
