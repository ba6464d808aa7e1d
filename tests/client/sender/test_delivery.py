"""Tests of the choice of the next call and the effect of each answer, with a model of a server."""

import itertools
from collections.abc import Iterator, Sequence

import pytest
from podium._sender.protocol import Delivery
from podium._sender.verdicts import Again, Batch, Opening, Pause, Refused, Reject, Rewound
from podium.errors import REASONS, Disposition, PodiumError, RefusedEvent, error_for
from podium.events import arm_finished, experiment_declared
from podium.v1.event_pb2 import ArmStarted, Event, MetricsRecorded, Skipped
from podium_server.testing.calls import arm as whole
from podium_server.testing.calls import row

from tests.client.sender.model import Entry, Outbox, Server, event, kind_of, step
from tests.each import each
from tests.sparse import sparse

FAULTS = ("", "before", "after", "crash")
_ABOUT_THE_SERVER = {"UNAVAILABLE", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "PERMISSION_DENIED"}


def _streams() -> Iterator[str]:
    """Yields every stream of one to four events of any kinds."""
    for length in range(1, 5):
        yield from map("".join, itertools.product("gbwl", repeat=length))


def _expected(kinds: str) -> tuple[list[str], list[tuple[int, str]]]:
    """Returns the server's events at the end, and the sequence and reason of each rejection."""
    reasons = {"b": "VALUE_INVALID", "l": "LIMIT_EXCEEDED"}
    stored = [f"{kind}{i}" if kind in "gw" else "-" for i, kind in enumerate(kinds, 1)]
    rejected = [(i, reasons[kind]) for i, kind in enumerate(kinds, 1) if kind in reasons]
    return stored, rejected


def _deliver(outbox: Outbox, server: Server, faults: Iterator[str]) -> None:
    """Delivers until no event is left.

    When no other event can be sent, makes the server accept the waiting events.
    """
    delivery = outbox.delivery()
    for _ in range(200):
        match step(outbox, delivery, server, next(faults, "")):
            case "idle":
                return
            case "crashed":
                delivery = outbox.delivery()
            case Pause(is_refusal=True):
                server.waits = False
            case _:
                pass
    raise AssertionError("the delivery does not end")


@pytest.mark.parametrize("every", sparse([20, 1]))
def test_events_arrive_once_and_in_order_after_any_three_faults(every: int) -> None:
    """After any three faults, each event arrives once and in order, or is rejected."""
    for kinds, *faults in itertools.product([*_streams()][::every], FAULTS, FAULTS, FAULTS):
        outbox, server = Outbox.of(kinds), Server()
        _deliver(outbox, server, iter(faults))
        found = server.applied, sorted({(item.sequence, item.reason) for item in outbox.rejected})
        assert found == _expected(kinds), (kinds, faults)


@each("kinds", ["ggg", "gbg", "bwg", "ggwl", "bbbb"])
@each("kept", range(4))
def test_a_restored_server_gets_the_events_that_it_lacks(kinds: str, kept: int) -> None:
    """A server restored from an older state gets all events that it lacks, except rejected ones."""
    outbox, server = Outbox.of(kinds), Server()
    _deliver(outbox, server, iter(()))
    del server.applied[kept:]
    outbox.entries.append(Entry(len(kinds) + 1, event("g", len(kinds) + 1).SerializeToString()))
    _deliver(outbox, server, iter(()))
    assert server.applied == [*_expected(kinds)[0], f"g{len(kinds) + 1}"]


def test_events_that_nobody_has_are_skipped() -> None:
    """In place of events that neither the server nor the outbox has, the sender sends Skipped."""
    outbox, server = Outbox.of("gggggg"), Server()
    outbox.delivered = 4
    del outbox.entries[:4]
    delivery = outbox.delivery()
    assert step(outbox, delivery, server) == Rewound(1)
    batch = delivery.next(outbox.after(0))
    assert isinstance(batch, Batch)
    assert (batch.first, batch.absent) == (1, (1, 2, 3, 4))
    _deliver(outbox, server, iter(()))
    assert server.applied == ["-", "-", "-", "-", "g5", "g6"]


def test_a_hole_in_the_middle_is_skipped() -> None:
    """Events that come after missing records of the outbox are delivered."""
    outbox, server = Outbox.of("ggggg"), Server()
    del outbox.entries[1:3]
    _deliver(outbox, server, iter(()))
    assert server.applied == ["g1", "-", "-", "g4", "g5"]


def test_another_sender_may_have_been_faster() -> None:
    """If the server has more events than this sender has sent, the stream continues after them."""
    delivery = Delivery()
    batch = delivery.next(Outbox.of("gg").entries[:1])
    assert isinstance(batch, Batch)
    delivery.succeeded(batch, 2)
    assert delivery.delivered == 2
    assert delivery.next(Outbox.of("gg").entries) is None


def _batch(delivery: Delivery, kinds: str) -> Batch:
    batch = delivery.next(Outbox.of(kinds).entries)
    assert isinstance(batch, Batch)
    return batch


@each("reason", [name for name, info in REASONS.items() if info.disposition])
def test_every_reason_of_a_refusal(reason: str) -> None:
    """An event with a permanent reason is rejected. With any other reason, the stream waits."""
    permanent = REASONS[reason].disposition is Disposition.PERMANENT
    delivery = Delivery()
    batch = _batch(delivery, "gg")
    refusal = RefusedEvent(0, reason, permanent, "why")
    verdict = delivery.failed(batch, error_for(reason, "text", refusals=[refusal]))
    if permanent:
        assert verdict == Reject([Refused(1, reason, "why", event("g", 1).SerializeToString())])
    else:
        assert verdict == Pause(reason, "why", is_refusal=True)
        assert len(_batch(delivery, "gg").events) == 1


@each("reason", [name for name, info in REASONS.items() if not info.disposition])
def test_every_reason_of_a_call(reason: str) -> None:
    """An error of the whole call rejects no event."""
    delivery = Delivery()
    verdict = delivery.failed(_batch(delivery, "gg"), error_for(reason, "text"))
    if reason == "MALFORMED_REQUEST":
        assert verdict == Again()
    else:
        about_server = REASONS[reason].code in _ABOUT_THE_SERVER
        assert verdict == Pause(reason, "text", is_about_server=about_server)
    assert delivery.delivered == 0


@each(
    ("code", "about_server"),
    [
        ("UNAVAILABLE", True),
        ("DEADLINE_EXCEEDED", True),
        ("UNAUTHENTICATED", True),
        ("PERMISSION_DENIED", True),
        ("UNIMPLEMENTED", True),
        ("RESOURCE_EXHAUSTED", True),
        ("CANCELLED", True),
        ("UNKNOWN", False),
        ("INTERNAL", False),
        ("INVALID_ARGUMENT", False),
        ("FAILED_PRECONDITION", False),
    ],
)
def test_every_code_without_a_reason(code: str, about_server: bool) -> None:
    """After an error without a reason, such as that of a proxy, the events are sent again."""
    error = PodiumError("text")
    error.code = code
    delivery = Delivery()
    is_defect = code in {"UNKNOWN", "INTERNAL"}
    assert delivery.failed(_batch(delivery, "g"), error) == Pause(
        code, "text", about_server, is_defect=is_defect
    )
    assert _batch(delivery, "g").events == [event("g", 1)]


def test_a_single_event_that_is_too_large_is_rejected() -> None:
    """An event that is too large is rejected, even if only the text of gRPC's error shows that."""
    error = PodiumError("CLIENT: Received message larger than max (5 vs. 4)")
    delivery = Delivery()
    assert delivery.failed(_batch(delivery, "gg"), error) == Again()
    verdict = delivery.failed(_batch(delivery, "gg"), error)
    assert isinstance(verdict, Reject)
    assert [(item.sequence, item.reason) for item in verdict.refused] == [(1, "LIMIT_EXCEEDED")]


@each("most", [1, 2, 7, 100])
def test_a_server_that_takes_less_in_a_call(most: int) -> None:
    """If a server accepts fewer events in a call, few calls are rejected before batches fit."""
    outbox, server = Outbox.of("g" * 1_000), Server(most=most)
    delivery = outbox.delivery()
    calls = 0
    while step(outbox, delivery, server) != "idle":
        calls += 1
    assert len(server.applied) == 1_000
    assert calls <= 2.3 * 1_000 / most + 30


def test_after_deadlines_fewer_events_are_sent_and_then_more_again() -> None:
    """A missed deadline halves the number of events of the next batch, and a success doubles it."""
    outbox = Outbox.of("g" * 3_000)
    delivery = outbox.delivery()
    sizes = []
    for failed in [True, True, False, False, False]:
        batch = delivery.next(outbox.after(delivery.delivered))
        assert isinstance(batch, Batch)
        sizes.append(len(batch.events))
        if failed:
            error = PodiumError("slow")
            error.code = "DEADLINE_EXCEEDED"
            delivery.failed(batch, error)
        else:
            delivery.succeeded(batch, batch.last)
    assert sizes == [1_000, 500, 250, 500, 1_000]


def test_calls_grow_slowly_after_one_was_too_large() -> None:
    """After a call was too large, each accepted call lets the next one grow by only one event."""
    outbox = Outbox.of("g" * 3_000)
    delivery, sizes = outbox.delivery(), []
    for refused in (True, False, False, False):
        batch = delivery.next(outbox.after(delivery.delivered))
        assert isinstance(batch, Batch)
        sizes.append(len(batch.events))
        if refused:
            assert delivery.failed(batch, error_for("LIMIT_EXCEEDED", "too large")) == Again()
        else:
            delivery.succeeded(batch, batch.last)
    assert sizes == [1_000, 500, 501, 502]


def test_the_bounds_of_a_call() -> None:
    """A call has at most 1,000 events, 10,000 metric values and 1 MiB, or one larger event."""
    assert len(_batch(Delivery(), "g" * 1_001).events) == 1_000
    metrics = MetricsRecorded(arm="a", metrics={str(i): i for i in range(4_000)})
    assert _sizes(Event(metrics_recorded=metrics), [0, 0]) == [1, 2]
    large = Event(metrics_recorded=MetricsRecorded(arm="a" * (1 << 20)))
    assert _sizes(large, [0, 0]) == [1, 1]
    small = Event(metrics_recorded=MetricsRecorded(arm="a" * 10_000))
    assert _sizes(small, [0, 0, 0, 0]) == [6, 26, 104, 104]


def test_a_slow_link_gets_smaller_calls() -> None:
    """A call after one of over 2 s is half as large. A call after one of over 1 s does not grow."""
    event = Event(metrics_recorded=MetricsRecorded(arm="a" * 1_018))
    assert _sizes(event, [1.5, 2.5, 2.5, 1.5, 0.5, 0]) == [64, 64, 32, 16, 16, 64]
    assert _sizes(event, [9, 9, 9, 9, 9, 9, 0]) == [64, 32, 16, 8, 4, 4, 4]


def _sizes(event: Event, seconds: Sequence[float]) -> list[int]:
    """Returns the number of events in each call, if the calls take these seconds."""
    payload = event.SerializeToString()
    entries = [Entry(sequence, payload) for sequence in range(1, 301)]
    delivery, sizes = Delivery(), []
    for took in seconds:
        batch = delivery.next(entries)
        assert isinstance(batch, Batch)
        sizes.append(len(batch.events))
        delivery.succeeded(batch, batch.last, seconds=took)
    return sizes


def test_events_after_a_rejected_start_are_rejected() -> None:
    """If the start of an arm was rejected, later events of this arm are rejected, too."""
    start = Event(arm_started=ArmStarted(arm="a")).SerializeToString()
    rest = Event(metrics_recorded=MetricsRecorded(arm="a")).SerializeToString()
    entries = [Entry(1, start), Entry(2, rest)]
    missing = RefusedEvent(1, "ARM_NOT_FOUND", permanent=False, message="no arm")
    bad = RefusedEvent(0, "VALUE_INVALID", permanent=True, message="bad")
    error = error_for("VALUE_INVALID", "bad", refusals=[bad, missing])

    delivery = Delivery()
    batch = delivery.next(entries)
    assert isinstance(batch, Batch)
    first = delivery.failed(batch, error)
    assert first == Reject([Refused(1, "VALUE_INVALID", "bad", start)])
    delivery.reject(first.refused)
    again = error_for("ARM_NOT_FOUND", "no arm", refusals=[missing])
    for restarted in (delivery, Delivery(0, {1}, is_orphan=True)):
        batch = restarted.next(entries)
        assert isinstance(batch, Batch)
        assert list(map(kind_of, batch.events)) == ["-", ""]
        assert restarted.failed(batch, again) == Reject(
            [Refused(2, "ARM_NOT_FOUND", "no arm", rest)]
        )


def test_errors_after_a_waiting_event_are_ignored() -> None:
    """After an event that waits, the errors of later events in the call are ignored."""
    delivery = Delivery()
    refusals = [
        RefusedEvent(1, "ARM_NOT_FOUND", permanent=False, message="early"),
        RefusedEvent(2, "STALE_ATTEMPT", permanent=True, message="stale"),
    ]
    verdict = delivery.failed(
        _batch(delivery, "ggg"), error_for("ARM_NOT_FOUND", "early", refusals=refusals)
    )
    assert verdict == Again()
    assert [kind_of(told) for told in _batch(delivery, "ggg").events] == ["g1"]


def test_a_record_that_is_no_event_is_rejected() -> None:
    """A record that is not an event is rejected, and later events are delivered."""
    entries = [Entry(1, event("g", 1).SerializeToString()), Entry(2, b"\xff\xff")]
    delivery = Delivery()
    batch = delivery.next(entries)
    assert isinstance(batch, Batch)
    assert len(batch.events) == 1
    delivery.succeeded(batch, 1)
    verdict = delivery.next(entries)
    assert isinstance(verdict, Reject)
    assert [item[:2] + item[3:] for item in verdict.refused] == [
        (2, "MALFORMED_REQUEST", b"\xff\xff")
    ]
    delivery.reject(verdict.refused)
    batch = delivery.next(entries)
    assert isinstance(batch, Batch)
    assert list(map(kind_of, batch.events)) == ["-"]


@pytest.mark.parametrize(
    "error",
    [
        error_for("SEQUENCE_GAP", "no number"),
        error_for("SEQUENCE_GAP", "later", {"expected_sequence": "9"}),
        error_for("SEQUENCE_GAP", "none", {"expected_sequence": "0"}),
        error_for("SEQUENCE_GAP", "the first one", {"expected_sequence": "1"}),
        error_for("VALUE_INVALID", "x", refusals=[RefusedEvent(7, "VALUE_INVALID", True, "")]),  # noqa: FBT003
        error_for("VALUE_INVALID", "x", refusals=[RefusedEvent(0, "VALUE_INVALID", True, "")]),  # noqa: FBT003
        error_for("LIMIT_EXCEEDED", "x"),
    ],
    ids=range(7),
)
def test_the_sender_waits_after_an_impossible_answer(error: PodiumError) -> None:
    """After an impossible answer, such as a rejected Skipped, the sender waits."""
    delivery = Delivery(0, {1})
    batch = _batch(delivery, "g")
    verdict = delivery.failed(batch, error)
    assert isinstance(verdict, Pause)
    assert delivery.delivered == 0


def test_the_rows_of_a_rejected_whole_arm_are_rejected_again() -> None:
    """Rows of a rejected whole arm are never sent, even if a disk error delayed their rejection."""
    entries = _whole_arm()
    refused = Refused(1, "ARM_HAS_ATTEMPTS", "taken", entries[0].payload)
    delivery = Delivery(1, {1}, opens=Opening.WHOLE_ARM, whole_arm=refused)
    first, verdict = delivery.next(entries), delivery.next(entries)
    assert isinstance(verdict, Reject)
    assert first == verdict
    assert [item[:2] for item in verdict.refused] == [
        (2, "ARM_HAS_ATTEMPTS"),
        (3, "ARM_HAS_ATTEMPTS"),
    ]
    delivery.reject(verdict.refused)
    batch = delivery.next(entries)
    assert isinstance(batch, Batch)
    assert [each.WhichOneof("kind") for each in batch.events] == ["skipped"] * 2


def test_the_rows_of_a_damaged_whole_arm_are_rejected() -> None:
    """If the record of a whole arm is damaged, its rows are not sent as rows of another arm."""
    entries = _whole_arm()[1:]
    delivery = Delivery(opens=Opening.WHOLE_ARM)
    batch = delivery.next(entries)
    assert isinstance(batch, Batch)
    assert [each.WhichOneof("kind") for each in batch.events] == ["skipped"]
    delivery.succeeded(batch, 1)
    assert delivery.is_orphan
    verdict = delivery.next(entries)
    assert isinstance(verdict, Reject)
    assert [item[:2] for item in verdict.refused] == [(2, "DAMAGED"), (3, "DAMAGED")]


def _whole_arm() -> list[Entry]:
    """Returns three records of a whole arm: one for the arm, and one for each of two rows."""
    events = [whole(), row("val", 1), row("val", 2)]
    return [Entry(number, each.SerializeToString()) for number, each in enumerate(events, 1)]


@each(
    ("events", "is_skipped"),
    [
        ([row("val", 1)], True),
        ([event("g", 1)], True),
        ([arm_finished("a")], True),
        ([row("val", 1), row("val", 2)], False),
        ([Event(arm_started=ArmStarted(arm="a"))], False),
        ([experiment_declared()], False),
        ([Event()], False),
        ([Event(skipped=Skipped())], False),
    ],
)
def test_which_events_may_be_skipped(events: list[Event], *, is_skipped: bool) -> None:
    """An event may be skipped if the server fails at it and it was sent alone.

    An event on which later events depend, such as the start of an arm, is never skipped.
    """
    delivery = Delivery()
    for code in ("INTERNAL", "UNKNOWN", "DATA_LOSS", "UNAVAILABLE"):
        error = PodiumError("text")
        error.code = code
        verdict = delivery.failed(Batch(1, events), error)
        assert isinstance(verdict, Pause)
        assert verdict.is_defect is (is_skipped and code != "UNAVAILABLE")
