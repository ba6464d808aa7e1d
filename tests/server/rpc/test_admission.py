"""Admission: how bounds are shared among connections."""

import asyncio

import pytest
from podium.errors import PodiumError, ResourceExhaustedError
from podium_server.rpc.admission import Admission, AdmissionLimits, AdmittedCall
from podium_server.rpc.reading import ReadGate
from podium_server.rpc.shares import SharedBudget


def test_a_budget_is_never_exceeded_and_never_taken_by_one() -> None:
    """One connection gets half, the next half of the rest. A returned amount can be taken again."""
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
    """When nothing is free, a connection may still take the least share, and no more."""
    budget = SharedBudget(4, least=2)
    assert [budget.take("a") for _ in range(3)] == [True, True, False]
    assert [budget.take("b") for _ in range(3)] == [True, True, False]
    assert [budget.take("c") for _ in range(3)] == [True, True, False]


class _Reader:
    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.refused = asyncio.Event()

    def refuse(self, error: PodiumError) -> None:
        """Notes that the call was refused."""
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
    """A connection reads as many requests as its share; the next begins when one has ended."""
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
    """A call that was cancelled while it waited keeps no slot, before and after it got one."""
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
    assert await gate.read(_Reader("a"), _at_once) == b"request"


async def test_slow_requests_make_room_for_other_connections() -> None:
    """With every slot taken, others still read at once, and slow requests beyond are refused."""
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
    """Beyond the bytes of all slots, a request is read no further until another one has ended."""
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
    """Ends no call: there is none in gRPC."""


def _admitted(admission: Admission, peer: str = "a") -> AdmittedCall:
    return admission.enter(peer, _abort)


def test_unread_responses_are_bounded() -> None:
    """A response without room is OVERLOADED, and so is the connection until it may try again."""
    admission = Admission(AdmissionLimits(response_bytes=400_000))
    call = _admitted(admission)
    call.answer(b"x" * 100_000)
    with pytest.raises(ResourceExhaustedError):
        _admitted(admission).answer(b"x" * 100_000)
    with pytest.raises(ResourceExhaustedError):
        _admitted(admission)
    _admitted(admission, "b").answer(b"x" * 50_000)
    call.leave()
    assert admission.response_bytes.used == 100_000


async def test_a_call_gives_back_what_it_holds() -> None:
    """After a call has left, the whole budget is free."""
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


async def test_a_refused_call_is_not_answered() -> None:
    """A response after the refusal of its call is dropped. An earlier one is kept."""
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
