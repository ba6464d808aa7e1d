"""Tests of how the native front divides the event loop's time between connections."""

import asyncio

from podium_server.rpc.access.tokens import Access
from podium_server.rpc.admission import Admission, AdmissionLimits
from podium_server.rpc.fronts.native import NativeFront
from podium_server.rpc.handlers import UnaryMethod
from podium_server.rpc.serving import CallServer
from podium_server.rpc.telemetry import Telemetry
from podium_server.store.tokens import TokenRow

from tests.server.front.harness import PATH
from tests.server.rpc.attack import MAX_WINDOW, attackers, headers, message, wait_until

_SLOW = 20


async def _no_tokens() -> list[TokenRow]:
    return []


async def test_a_call_waits_for_few_slow_calls_of_another_connection() -> None:
    """A call waits for at most four slow calls of another connection.

    One of these four is already running when the call arrives.
    """
    begun: list[bytes] = []

    async def answer(request: bytes) -> bytes:
        begun.append(request)
        if request == b"first":
            busy.calls([(headers(PATH), message(b"slow"))] * _SLOW)
            wait_until(lambda: waiting() == _SLOW)
        if request == b"slow" and begun.count(b"slow") == 1:
            before = waiting()
            other.call(headers(PATH), message(b"other"))
            wait_until(lambda: waiting() == before + 1)
        return b""

    server = CallServer(Admission(AdmissionLimits()), Access(_no_tokens, is_on=False), Telemetry())
    front = NativeFront(
        {"test.Test": [UnaryMethod("test.Test.Call", answer)]},
        server,
        message_bytes=1_000,
        certificates=None,
        on_failed=lambda: None,
    )
    waiting = front._native.waiting
    [address] = await front.start(["127.0.0.1:0"])
    try:
        with attackers(address, 2, window=MAX_WINDOW) as (busy, other):
            busy.call(headers(PATH), message(b"first"))
            await asyncio.to_thread(busy.statuses_of, 1 + _SLOW)
            await asyncio.to_thread(other.statuses_of, 1)
    finally:
        await front.stop()
    assert begun.index(b"other") - begun.index(b"slow") <= 4
