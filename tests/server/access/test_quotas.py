"""Tests of the limits of each token and of all calls together, over gRPC and over HTTP."""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import podium
import pytest
from google.rpc import error_details_pb2  # type: ignore[import-untyped]  # no py.typed
from podium import TokenLimits, events
from podium._wire.status import from_rpc_error
from podium.v1.results_service_pb2 import WatchRequest
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium_server.api import quotas
from podium_server.api.quotas import Quotas
from podium_server.serve import tokens
from podium_server.store.tokens import Role, TokenRow

from tests.each import each
from tests.server.access.conftest import Clock
from tests.server.access.serving import serving
from tests.stores import store_url

pytest.importorskip("connectrpc")


class Served(NamedTuple):
    """A server with a gRPC port and an HTTP port, and two tokens."""

    address: str
    url: str
    limited: str
    other: str

    async def ask(
        self, port: str, token: str, method: str, body: dict[str, Any]
    ) -> tuple[str, float]:
        """Makes a call. Returns the reason of its error, and the seconds to wait before a retry.

        Without an error, the reason is empty, and the seconds are 0.
        """
        if port == "http":
            return await asyncio.to_thread(_ask_http, self.url, token, method, body)
        async with podium.AsyncClient(self.address, token=token, retry=False) as client:
            try:
                if method == "ResultsService/ListExperiments":
                    [each async for each in client.experiments()]
                else:
                    await client.record("x", [events.experiment_declared()] * len(body["events"]))
            except podium.ResourceExhaustedError as error:
                return error.reason, error.retry_after or 0.0
        return "", 0.0


def _ask_http(url: str, token: str, method: str, body: dict[str, Any]) -> tuple[str, float]:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=120)
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    try:
        connection.request("POST", f"/podium.v1.{method}", json.dumps(body).encode(), headers)
        response = connection.getresponse()
        content = json.loads(response.read())
    finally:
        connection.close()
    if response.status == 200:
        return "", 0.0
    assert (response.status, content["code"]) == (429, "resource_exhausted")
    reason, wait = "", 0.0
    for detail in content["details"]:
        raw = base64.b64decode(detail["value"] + "==")
        if detail["type"] == "google.rpc.ErrorInfo":
            reason = error_details_pb2.ErrorInfo.FromString(raw).reason
        if detail["type"] == "google.rpc.RetryInfo":
            delay = error_details_pb2.RetryInfo.FromString(raw).retry_delay
            wait = delay.ToTimedelta().total_seconds()
    return reason, wait


@asynccontextmanager
async def served(
    folder: Path, limits: TokenLimits | None = None, **settings: Any
) -> AsyncIterator[Served]:
    """Runs a server inside the block, with a token that has limits and one without."""
    store = store_url(folder)

    def create(name: str, given: TokenLimits | None) -> str:
        return tokens.create(store, name, "recorder", (), None, given)[1]

    limited = await asyncio.to_thread(create, "limited", limits)
    other = await asyncio.to_thread(create, "other", None)
    async with serving(folder, auth="tokens", http=("127.0.0.1:0",), **settings) as [address, url]:
        yield Served(address, url, limited, other)


LIST: tuple[str, dict[str, Any]] = ("ResultsService/ListExperiments", {})
PORTS = ("grpc", "http")


def declared(count: int) -> tuple[str, dict[str, Any]]:
    """Returns the method and the body of a Record call with `count` events."""
    declaration: dict[str, Any] = {"experimentDeclared": {}}
    return "RecordingService/Record", {"experiment": "x", "events": [declaration] * count}


@pytest.mark.parametrize("port", PORTS)
async def test_calls_per_second_of_a_token(tmp_path: Path, clock: Clock, port: str) -> None:
    """After a burst, a token gets QUOTA_EXCEEDED until its rate allows the next call.

    Calls with other tokens are not affected.
    """
    async with served(tmp_path, TokenLimits(calls_per_second=2)) as server:
        for _ in range(3):
            assert await server.ask(port, server.limited, *LIST) == ("", 0.0)
        assert await server.ask(port, server.limited, *LIST) == ("QUOTA_EXCEEDED", 0.5)
        assert await server.ask(port, server.other, *LIST) == ("", 0.0)
        clock.now += 0.5
        assert await server.ask(port, server.limited, *LIST) == ("", 0.0)
        assert await server.ask(port, server.limited, *LIST) == ("QUOTA_EXCEEDED", 0.5)


@pytest.mark.parametrize("port", PORTS)
async def test_recorded_events_per_second(tmp_path: Path, clock: Clock, port: str) -> None:
    """One call may have more events than the limit per second.

    The token's next Record call is rejected until the average is within the limit. Other calls and
    other tokens are not affected.
    """
    async with served(tmp_path, TokenLimits(events_per_second=10)) as server:
        assert await server.ask(port, server.limited, *declared(30)) == ("", 0.0)
        assert await server.ask(port, server.limited, *declared(1)) == ("QUOTA_EXCEEDED", 2.0)
        assert await server.ask(port, server.limited, *LIST) == ("", 0.0)
        assert await server.ask(port, server.other, *declared(1)) == ("", 0.0)
        clock.now += 2.0
        assert await server.ask(port, server.limited, *declared(1)) == ("", 0.0)


async def test_recorded_bytes_per_second(tmp_path: Path, clock: Clock) -> None:
    """After a large request, Record calls are rejected until the average is within the limit.

    A rejected call stores nothing, and its own bytes and events do not count.
    """
    async with (
        served(tmp_path, TokenLimits(bytes_per_second=1000, events_per_second=10)) as server,
        podium.AsyncClient(server.address, token=server.limited, retry=False) as client,
    ):
        await client.record("x", [events.experiment_declared(hypothesis="h" * 5000)])
        for _ in range(20):
            with pytest.raises(podium.ResourceExhaustedError, match="recorded bytes a second"):
                await client.record("x", [events.experiment_concluded("c")])
        clock.now += 5
        assert (await client.experiment("x").get()).conclusion is None
        await client.record("x", [events.experiment_concluded("c")])


@pytest.mark.parametrize("port", PORTS)
async def test_limits_of_all_calls_together(tmp_path: Path, clock: Clock, port: str) -> None:
    """All tokens share the limits of all calls together.

    A call beyond them gets OVERLOADED, not QUOTA_EXCEEDED, since its token is not at fault.
    """
    total = TokenLimits(calls_per_second=1, events_per_second=100)
    async with served(tmp_path, total_limits=total) as server:
        assert await server.ask(port, server.limited, *LIST) == ("", 0.0)
        assert await server.ask(port, server.other, *declared(300)) == ("", 0.0)
        assert await server.ask(port, server.limited, *LIST) == ("OVERLOADED", 1.0)
        clock.now += 1.0
        assert await server.ask(port, server.limited, *declared(1)) == ("OVERLOADED", 1.0)


async def test_a_server_without_tokens_has_total_limits(tmp_path: Path, clock: Clock) -> None:
    """The limits of all calls together apply even if the server requires no tokens."""
    total = TokenLimits(calls_per_second=1)
    async with (
        serving(tmp_path, auth="none", total_limits=total) as [address],
        podium.AsyncClient(address, retry=False) as client,
    ):
        await client.whoami()
        await client.whoami()
        with pytest.raises(podium.ResourceExhaustedError, match="1 calls a second in total"):
            await client.whoami()
        clock.now += 1.0
        await client.whoami()


@pytest.mark.usefixtures("clock")
async def test_the_servers_limits_are_those_of_tokens_without_own_ones(tmp_path: Path) -> None:
    """A token without limits has those of the server.

    If a token has a limit of its own, that limit replaces the server's limit of the same kind.
    """
    default = TokenLimits(calls_per_second=1, watches=1)
    async with served(tmp_path, TokenLimits(calls_per_second=3), token_limits=default) as server:
        for token, calls in ((server.limited, 4), (server.other, 2)):
            for _ in range(calls):
                assert await server.ask("grpc", token, *LIST) == ("", 0.0)
            assert (await server.ask("grpc", token, *LIST))[0] == "QUOTA_EXCEEDED"


async def test_watches_at_a_time(tmp_path: Path) -> None:
    """A watch counts for the limit of watches until it ends.

    While it runs, it does not count for the limit of calls at a time.
    """
    async with (
        served(tmp_path, TokenLimits(calls=1, watches=1)) as server,
        podium.AsyncClient(server.address, token=server.limited, retry=False) as client,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        await client.experiment("x").declare()
        watch = ResultsServiceStub(channel).Watch
        metadata = (("authorization", f"Bearer {server.limited}"),)
        first = watch(WatchRequest(experiment="x"), metadata=metadata)
        await first.read()
        await client.experiment("x").declare()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await watch(WatchRequest(experiment="x"), metadata=metadata).read()
        found = from_rpc_error(refused.value)
        assert (found.reason, found.metadata) == ("QUOTA_EXCEEDED", {"limit": "watches"})
        first.cancel()
        async for _ in client.experiment("x").watch():
            break


async def test_clients_wait_as_long_as_the_error_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client with retries waits as long as the error says, then sends the call again.

    Its caller sees no error.
    """
    readings = itertools.count(1000.0, 0.125)
    monkeypatch.setattr(quotas, "_clock", lambda: next(readings))
    monkeypatch.setattr(quotas, "_BURST_SECONDS", 0.0)
    async with (
        served(tmp_path, TokenLimits(calls_per_second=4)) as server,
        podium.AsyncClient(server.address, token=server.limited) as client,
    ):
        for _ in range(3):
            await client.whoami()
    assert next(readings) == 1000.0 + 5 * 0.125


async def test_a_token_cannot_give_more_than_it_has(tmp_path: Path) -> None:
    """A new token has the limits of the token that creates it, or lower ones.

    A higher limit is rejected.
    """
    store = store_url(tmp_path)
    own = TokenLimits(calls_per_second=50, watches=2)
    _, admin = await asyncio.to_thread(tokens.create, store, "a", "admin", (), None, own)
    async with (
        serving(tmp_path, auth="tokens") as [address],
        podium.AsyncClient(address, token=admin) as client,
    ):
        issued = await client.create_token(
            "t", "reader", limits=TokenLimits(calls_per_second=5, calls=9)
        )
        assert issued.token.limits == TokenLimits(calls_per_second=5, calls=9, watches=2)
        with pytest.raises(podium.InvalidArgumentError, match=r"limits\.watches is 3; your token"):
            await client.create_token("t", "reader", limits=TokenLimits(watches=3))
        listed = [token.limits async for token in client.tokens()]
    assert listed == [own, issued.token.limits]


@each("number", [0, -1, 1.5, True, "x"])
def test_a_limit_is_one_or_more(number: Any) -> None:
    """A limit that is not a whole number of 1 or more is rejected. The error names the limit."""
    with pytest.raises((ValueError, TypeError), match="watches"):
        TokenLimits(watches=number)


def test_calls_at_a_time() -> None:
    """A call counts for the limit of calls at a time until it ends.

    A rejected call does not count.
    """
    limited = TokenRow("id", "t", b"", Role.READER, (), 1, limits=TokenLimits(calls=2))
    usage = Quotas().of(limited)
    for _ in range(2):
        usage.enter()
    for _ in range(2):
        with pytest.raises(podium.ResourceExhaustedError, match="2 calls at a time"):
            usage.enter()
    usage.leave()
    assert Quotas().of(limited) is not usage
    usage.enter()


@pytest.mark.parametrize("port", PORTS)
async def test_every_call_ends(tmp_path: Path, port: str) -> None:
    """Successive calls never exceed a limit of one call at a time, even if they fail."""
    store = store_url(tmp_path)
    limits = TokenLimits(calls=1)
    _, token = await asyncio.to_thread(tokens.create, store, "t", "reader", ("a",), None, limits)
    async with serving(tmp_path, auth="tokens", http=("127.0.0.1:0",)) as [address, url]:
        for _ in range(3):
            if port == "http":
                await asyncio.to_thread(_fail_over_http, url, token)
                continue
            async with podium.AsyncClient(address, token=token, retry=False) as client:
                with pytest.raises(podium.PermissionDeniedError):
                    await client.experiment("a").declare()
                with pytest.raises(podium.NotFoundError):
                    await client.experiment("b").get()
                assert [each async for each in client.experiments()] == []


def _fail_over_http(url: str, token: str) -> None:
    bodies = {
        "RecordingService/Record": (b"{}", 403),
        "ResultsService/GetExperiment": (b'{"experiment": "b"}', 404),
        "ResultsService/ListExperiments": (b"no JSON", 400),
        "ResultsService/GetServer": (b"{}", 200),
    }
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    for method, (body, status) in bodies.items():
        connection = HTTPConnection(url.removeprefix("http://"), timeout=120)
        connection.request("POST", f"/podium.v1.{method}", body, headers)
        assert connection.getresponse().status == status
        connection.close()
