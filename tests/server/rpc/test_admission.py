"""Tests of admission: how connections share the limits, and how a server rejects calls."""

import asyncio
import time

import pytest
from podium.errors import PodiumError, ResourceExhaustedError
from podium_server.rpc import admission as admission_module
from podium_server.rpc import reading
from podium_server.rpc.admission import Admission, AdmissionLimits, AdmittedCall
from podium_server.rpc.reading import ReadGate
from podium_server.rpc.shares import SharedBudget


def test_a_budget_is_never_exceeded_and_never_taken_by_one() -> None:
    """One connection gets half of a budget, and the next one half of the rest.

    An amount that is given back can be taken again.
    """
    budget = SharedBudget(100)
    taken = dict.fromkeys("abc", 0)
    for peer in taken:
        while budget.take(peer, 5):
            taken[peer] += 5
    assert taken == {"a": 50, "b": 25, "c": 15}
    assert budget.used == 90
    budget.give_back("a", 50)
    assert budget.used_by("a") == 0
    assert budget.take("c", 30)
    assert not budget.take("b", 15)


def test_each_connection_has_the_least_share() -> None:
    """Even if a budget is used up, a new connection may take the least share, but no more."""
    budget = SharedBudget(4, least=2)
    assert [budget.take("a") for _ in range(3)] == [True, True, False]
    assert [budget.take("b") for _ in range(3)] == [True, True, False]
    assert [budget.take("c") for _ in range(3)] == [True, True, False]


class _Reader:
    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.refused = asyncio.Event()

    def refuse(self, error: PodiumError) -> None:
        """Checks the reason of the error, and sets `refused`."""
        assert error.reason == "OVERLOADED"
        self.refused.set()


async def _never() -> bytes | None:
    await asyncio.Event().wait()
    return None


async def _at_once() -> bytes | None:
    return b"request"


async def _start(gate: ReadGate, peer: str) -> tuple[_Reader, asyncio.Task[bytes | None]]:
    call = _Reader(peer)
    task = asyncio.create_task(gate.read(call, _never))
    await asyncio.sleep(0)
    return call, task


async def test_requests_wait_for_a_slot_of_their_connection() -> None:
    """A request waits while others of its connection use the connection's share of the slots."""
    gate = ReadGate(4, 10)
    _, first = await _start(gate, "a")
    _, second = await _start(gate, "a")
    waiting = asyncio.create_task(gate.read(_Reader("a"), _at_once))
    await asyncio.sleep(0)
    assert not waiting.done()
    first.cancel()
    assert await waiting == b"request"
    second.cancel()


async def test_a_waiting_request_that_is_cancelled_leaves_its_slot() -> None:
    """A call that is cancelled while it waits for a slot keeps no slot.

    The same holds for a call that is cancelled after it got its slot.
    """
    gate = ReadGate(2, 10)
    _, first = await _start(gate, "a")
    cancelled = [asyncio.create_task(gate.read(_Reader("a"), _never)) for _ in range(2)]
    await asyncio.sleep(0)
    cancelled[0].cancel()
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    cancelled[1].cancel()
    await asyncio.gather(first, *cancelled, return_exceptions=True)
    async with asyncio.timeout(60):
        assert await gate.read(_Reader("a"), _at_once) == b"request"


async def test_slow_requests_make_room_for_other_connections() -> None:
    """Even if slow requests have all slots, a request of another connection is read at once.

    Slow requests beyond the number of slots are rejected.
    """
    gate = ReadGate(2, 10)
    slow = [await _start(gate, peer) for peer in ("a", "b", "c", "d")]
    assert await gate.read(_Reader("e"), _at_once) == b"request"
    refused = 0
    waiting = {asyncio.create_task(reader.refused.wait()) for reader, _ in slow}
    while refused < 2:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        refused += len(done)
    assert refused == 2
    for task in (*waiting, *(task for _, task in slow)):
        task.cancel()


async def test_incomplete_requests_wait_while_they_have_too_many_bytes() -> None:
    """If incomplete requests have too many bytes, they are not read further.

    They are read again after one of them has ended.
    """
    gate = ReadGate(2, 10)
    with gate.holding() as first:
        await first(10)
        with gate.holding() as second:
            await second(10)
            waiting = asyncio.ensure_future(second(1))
            await asyncio.sleep(0)
            assert not waiting.done()
            later = asyncio.ensure_future(first(1))
        await waiting
        await later


async def _abort(_: PodiumError) -> None:
    """Does nothing, since there is no gRPC call to end."""


def _admitted(admission: Admission, peer: str = "a") -> AdmittedCall:
    return admission.enter(peer, _abort)


def test_unread_responses_are_bounded() -> None:
    """If there is no room because of unread responses, a further response is rejected.

    The next calls of its connection, and of connections with unread responses, are rejected, too.
    Other connections can still make calls.
    """
    admission = Admission(AdmissionLimits(response_bytes=400_000))
    call = _admitted(admission)
    call.answer(b"x" * 100_000)
    with pytest.raises(ResourceExhaustedError):
        _admitted(admission).answer(b"x" * 100_000)
    with pytest.raises(ResourceExhaustedError):
        _admitted(admission)
    _admitted(admission, "b").answer(b"x" * 50_000)
    with pytest.raises(ResourceExhaustedError):
        _admitted(admission, "b")
    _admitted(admission, "c")
    call.leave()
    assert admission.response_bytes.used == 100_000


async def test_a_call_gives_back_what_it_holds() -> None:
    """After a call has ended, it holds no memory and no place."""
    admission = Admission(AdmissionLimits(request_bytes=400_000, watches=1))
    call = _admitted(admission)

    async def receive() -> bytes:
        return b"x" * 100_000

    await call.read(receive)
    assert admission.request_bytes.used == 200_000
    call.answer(b"x" * 100_000)
    assert admission.request_bytes.used == 0
    call.leave()
    assert (admission.calls.used, admission.response_bytes.used) == (0, 0)


async def test_a_call_that_was_ended_cannot_be_answered() -> None:
    """A stopping server ends a running call with an error. The call can no longer be answered.

    A call that already has its answer gets no error. New calls are rejected.
    """
    admission = Admission(AdmissionLimits())
    refused, answered = _admitted(admission), _admitted(admission)
    answered.answer(b"response")
    await admission.close(0)
    assert refused.refusal is not None
    await refused.refusal
    assert answered.refusal is None
    with pytest.raises(PodiumError):
        refused.answer(b"response")
    with pytest.raises(PodiumError) as raised:
        _admitted(admission)
    assert raised.value.reason == "SHUTTING_DOWN"


async def _large() -> bytes:
    return b"x" * 100_000


async def test_a_watch_gives_its_place_back() -> None:
    """A watch that has ended gives back its place, and so does a health watch."""
    admission = Admission(AdmissionLimits(watches=1))
    for method in ("podium.v1.ResultsService.Watch", "grpc.health.v1.Health.Watch") * 3:
        call = _admitted(admission)
        call.watch(method)
        assert admission.gauges()["watches"] == 1
        assert admission.gauges()["calls_under_way"] == 0
        call.leave()
    assert (admission.watches.used, admission.health_watches.used) == (0, 0)
    assert admission.gauges()["watches"] == admission.calls.used == 0


async def test_each_connection_may_watch_the_health() -> None:
    """Even if all watches are in use, each connection can have one health watch."""
    admission = Admission(AdmissionLimits(watches=2))
    _admitted(admission).watch("podium.v1.ResultsService.Watch")
    for peer in "abcd":
        _admitted(admission, peer).watch("grpc.health.v1.Health.Watch")
    with pytest.raises(PodiumError, match="too many watches"):
        _admitted(admission, "d").watch("grpc.health.v1.Health.Watch")
    with pytest.raises(PodiumError, match="too many watches"):
        _admitted(admission).watch("podium.v1.ResultsService.Watch")


async def test_further_requests_of_a_stream_take_the_place_of_the_first() -> None:
    """A stream holds the memory of one request at a time, and none after its end."""
    admission = Admission(AdmissionLimits(request_bytes=400_000))
    call = _admitted(admission)
    await call.read(_large)
    for _ in range(5):
        assert await call.read_next(_large) == await _large()
        assert admission.request_bytes.used == 200_000
    call.leave()
    assert admission.request_bytes.used == 0


@pytest.mark.parametrize(("size", "counted"), [(16 * 1024, 0), (16 * 1024 + 1, 2 * 16 * 1024 + 2)])
async def test_small_requests_are_not_counted(size: int, counted: int) -> None:
    """For the limit of request bytes, only requests over 16 KiB count, and they count twice."""
    admission = Admission(AdmissionLimits())

    async def receive() -> bytes:
        return b"x" * size

    await _admitted(admission).read(receive)
    assert admission.gauges()["request_bytes"] == counted


async def test_a_request_of_exactly_the_limit_is_read() -> None:
    """A request of exactly the limit is read. With one more byte, it is rejected.

    The error has the limit.
    """
    admission = Admission(AdmissionLimits(message_bytes=100_000))
    await _admitted(admission).read(_large)
    admission.message_bytes -= 1
    with pytest.raises(ResourceExhaustedError, match="100000 bytes; send at most 99999") as raised:
        await _admitted(admission).read(_large)
    assert (raised.value.reason, raised.value.metadata) == (
        "LIMIT_EXCEEDED",
        {"limit": "message_bytes"},
    )


async def test_an_answered_call_is_not_ended_with_an_error() -> None:
    """A call that already has its response can no longer be ended with an error."""
    admission = Admission(AdmissionLimits())
    call = _admitted(admission)
    call.answer(b"response")
    call.refuse(PodiumError("late"))
    assert call.refusal is None


def test_a_connection_is_rejected_for_a_short_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """If there is no room for a response, the connection's next calls are rejected for 0.25 s.

    After that, the server keeps nothing about the connection.
    """
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    admission = Admission(AdmissionLimits(response_bytes=0))
    for peer in "ab":
        with pytest.raises(ResourceExhaustedError):
            _admitted(admission, peer).answer(b"x" * 100_000)
    assert admission.gauges()["overloaded_total"] == 2
    with pytest.raises(ResourceExhaustedError):
        _admitted(admission, "b")
    now[0] += 0.25
    _admitted(admission, "c")
    assert admission._wait_until == {}


async def test_a_connection_with_many_slow_requests_loses_one_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If there are more slow requests than slots, one of them is ended as OVERLOADED.

    It is the newest request of the connection that has the most requests.
    """
    monkeypatch.setattr(reading, "_SLOW_SECONDS", 3600)  # the test itself makes the regular check
    gate = ReadGate(4, 10)
    started = {name: await _start(gate, name[0]) for name in ("b1", "b2", "a", "c", "d")}
    monkeypatch.setattr(reading, "_SLOW_SECONDS", 0)
    gate._sweep()
    assert [name for name, (call, _) in started.items() if call.refused.is_set()] == ["b2"]
    for _, task in started.values():
        task.cancel()


async def test_a_request_that_never_arrives_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that does not arrive in time is rejected, even if slots are free."""
    monkeypatch.setattr(reading, "_READ_SECONDS", 0.03)
    call, task = await _start(ReadGate(100, 10), "a")
    async with asyncio.timeout(120):
        await call.refused.wait()
    task.cancel()


async def test_a_closing_server_waits_for_calls_that_still_arrive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While calls still arrive, a closing server rejects each one with a reason.

    The server ends only when no more calls arrive.
    """
    monkeypatch.setattr(admission_module, "_QUIET_SECONDS", 0)
    monkeypatch.setattr(admission_module, "_LAST_REFUSALS_SECONDS", 100)
    admission = Admission(AdmissionLimits())
    closing = asyncio.ensure_future(admission.close(0))
    await asyncio.sleep(0)
    for _ in range(10):
        with pytest.raises(PodiumError, match="the server is stopping"):
            _admitted(admission)
        await asyncio.sleep(0)
        assert not closing.done()
    await closing


async def test_a_closing_server_waits_for_its_last_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closing server waits until its last running call has ended, and ends no call itself."""
    monkeypatch.setattr(admission_module, "_QUIET_SECONDS", 0)
    admission = Admission(AdmissionLimits())
    calls = [_admitted(admission) for _ in range(2)]
    closing = asyncio.ensure_future(admission.close(3600))
    for call in calls:
        for _ in range(9):
            await asyncio.sleep(0)
        assert not closing.done()
        call.leave()
    async with asyncio.timeout(30):
        await closing
    assert [call.refusal for call in calls] == [None, None]


async def test_a_closing_server_ends_watches_that_do_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A closing server ends a watch that is still open, and does not wait for the grace period."""
    for name in ("_QUIET_SECONDS", "_LAST_WATCHES_SECONDS"):
        monkeypatch.setattr(admission_module, name, 0)
    admission = Admission(AdmissionLimits())
    call = _admitted(admission)
    call.watch("podium.v1.ResultsService.Watch")
    await admission.close(3600)
    assert call.refusal is not None
    await call.refusal


async def test_calls_that_a_front_has_rejected(caplog: pytest.LogCaptureFixture) -> None:
    """Calls that a front has rejected are counted. A warning has their number.

    The warning is not logged again for each further call.
    """
    admission = Admission(AdmissionLimits())
    for calls in (3, 4):
        admission.note_overloaded(calls)
    assert "3 calls rejected so far" in caplog.text
    assert caplog.text.count("OVERLOADED") == 1
    admission._next_warning = 0.0
    admission.note_overloaded(1)
    assert "8 calls rejected so far" in caplog.text


def test_the_pause_between_two_warnings(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning about rejected calls is logged at most once a minute."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    admission = Admission(AdmissionLimits())
    counts = []
    for seconds in (0, 59.5, 0.5, 59.5, 0.5):
        now[0] += seconds
        admission.note_overloaded(1)
        counts.append(caplog.text.count("OVERLOADED"))
    assert counts == [1, 1, 2, 2, 3]
