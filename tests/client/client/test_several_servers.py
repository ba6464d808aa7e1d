"""Tests of clients with the addresses of several servers, of which some may be away."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import podium
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from podium._values.tokens import new_token
from podium_server.serve.settings import ServerTLS

from tests.client.cli.shell import podium as command
from tests.client.client.both import AnyClient, entered, result
from tests.client.client.broken import closed_port
from tests.server.access.certificates import Authority
from tests.server.access.serving import serving

Asked = Callable[[Callable[[AnyClient], Any]], Awaitable[Any]]
both_kinds = pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient])


@asynccontextmanager
async def _asking(kind: Any, address: str, **options: Any) -> AsyncIterator[Asked]:
    """Yields a function that makes a call of a client and waits for the answer.

    It does not block the event loop, in which the servers run.
    """
    async with entered(kind(address, **options)) as client:

        async def asked(call: Callable[[AnyClient], Any]) -> Any:
            if kind is podium.Client:
                return await asyncio.to_thread(call, client)
            return await result(call(client))

        yield asked


def _score(client: AnyClient) -> Any:
    return client.arm("x", "a").score("acc")


def _declare(client: AnyClient) -> Any:
    return client.experiment("x").declare()


async def _started(
    stack: AsyncExitStack,
    folder: Path,
    score: float,
    host: str = "127.0.0.1",
    tls: ServerTLS | None = None,
) -> str:
    """Starts a server with one arm, which has the given score. Returns its address."""
    await asyncio.to_thread(folder.mkdir)
    [address] = await stack.enter_async_context(serving(folder, tls=tls))
    address = address.replace("127.0.0.1", host)
    files = None if tls is None else podium.TLS(ca=folder.parent / "ca.pem")
    async with podium.AsyncClient(address, tls=files) as client:
        experiment = client.experiment("x")
        await experiment.declare()
        await experiment.record_arm(
            podium.ArmResult("a", podium.RunConfig(name="a"), "completed", metrics={"acc": score})
        )
    return address


async def _ask_until_answered_by(asked: Asked, score: float) -> None:
    while await asked(_score) != score:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.01)


@both_kinds
async def test_each_server_gets_calls(kind: Any, tmp_path: Path) -> None:
    """The servers of a client get calls in turn."""
    async with AsyncExitStack() as stack:
        servers = [await _started(stack, tmp_path / str(at), at) for at in range(3)]
        async with _asking(kind, ", ".join(servers)) as asked:
            scores = [await asked(_score) for _ in range(6)]
    assert scores[:3] == scores[3:]
    assert set(scores) == {0.0, 1.0, 2.0}


@pytest.mark.slow
@both_kinds
@pytest.mark.parametrize("retry", [True, False])
async def test_a_server_that_leaves(kind: Any, retry: bool, tmp_path: Path) -> None:
    """If a server stops, reads and writes succeed at the other one, even without retries.

    Once the server runs again, it gets calls again.
    """
    async with AsyncExitStack() as stack:
        one = await _started(stack, tmp_path / "one", 1)
        async with AsyncExitStack() as leaving:
            other = await _started(leaving, tmp_path / "other", 2)
            client = _asking(kind, f"{other},{one}", retry=retry)
            asked = await stack.enter_async_context(client)
            assert {await asked(_score) for _ in range(4)} == {1.0, 2.0}
        for _ in range(4):
            assert await asked(_score) == 1.0
            await asked(_declare)
        await leaving.enter_async_context(serving(tmp_path / "other", other))
        async with leaving:
            await _ask_until_answered_by(asked, 2.0)


@pytest.mark.slow
@both_kinds
async def test_calls_while_a_server_stops(kind: Any, tmp_path: Path) -> None:
    """No call fails while one of two servers starts and stops repeatedly."""
    async with AsyncExitStack() as stack:
        one = await _started(stack, tmp_path / "one", 1)
        async with AsyncExitStack() as leaving:
            other = await _started(leaving, tmp_path / "other", 2)
        asked = await stack.enter_async_context(_asking(kind, f"{one},{other}"))
        is_over = asyncio.Event()

        async def ask() -> int:
            calls = 0
            while not is_over.is_set():
                assert await asked(_score) in {1.0, 2.0}
                calls += 1
            return calls

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        for _ in range(2):
            async with serving(tmp_path / "other", other):
                await _ask_until_answered_by(asked, 2.0)
        is_over.set()
        assert min(await asyncio.gather(*asking)) > 0


@asynccontextmanager
async def _unhealthy_server() -> AsyncIterator[str]:
    """Runs a server whose health service says that it does not serve."""
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    await servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@both_kinds
async def test_an_unhealthy_server(kind: Any, tmp_path: Path) -> None:
    """A server whose health service says that it does not serve gets no calls."""
    async with AsyncExitStack() as stack:
        one = await _started(stack, tmp_path / "one", 1)
        unhealthy = await stack.enter_async_context(_unhealthy_server())
        asked = await stack.enter_async_context(_asking(kind, f"{unhealthy},{one}", retry=False))
        assert [await asked(_score) for _ in range(4)] == [1.0] * 4
        alone = await stack.enter_async_context(_asking(kind, f"dns:{unhealthy}", retry=False))
        with pytest.raises(podium.UnavailableError):
            await alone(_score)


@both_kinds
async def test_no_server_answers(kind: Any) -> None:
    """If no server answers, the error of a write names all addresses."""
    address = f"{closed_port()},{closed_port()}"
    async with _asking(kind, address) as asked:
        with pytest.raises(podium.UnavailableError) as raised:
            await asked(_declare)
    assert f"no Podium server answers at {address}" in raised.value.message


async def test_each_server_has_a_certificate_of_its_own(tmp_path: Path) -> None:
    """Each server must have a certificate for its own name. Otherwise, it gets no calls."""
    authority = Authority(tmp_path)
    names = {"localhost": "DNS:localhost", "127.0.0.1": "IP:127.0.0.1"}
    async with AsyncExitStack() as stack:
        servers = [
            await _started(
                stack, tmp_path / str(at), at, host, ServerTLS(*authority.issue(host, name))
            )
            for at, (host, name) in enumerate(names.items())
        ]
        address = ",".join(servers)
        files = podium.TLS(ca=authority.cert)
        client = await stack.enter_async_context(podium.AsyncClient(address, tls=files))
        assert {await client.arm("x", "a").score("acc") for _ in range(4)} == {0.0, 1.0}
        wrong = address.replace("localhost", "127.0.0.1")
        client = await stack.enter_async_context(podium.AsyncClient(wrong, tls=files))
        assert {await client.arm("x", "a").score("acc") for _ in range(4)} == {1.0}


def test_addresses_of_several_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """White space and repeated addresses are removed. A malformed address is rejected."""
    monkeypatch.setenv("PODIUM_ADDRESS", " one:1, [::1]:2,one:1\n")
    assert podium.Client().address == "one:1,[::1]:2"
    monkeypatch.setenv("PODIUM_ADDRESS", "one:1,two")
    with pytest.raises(ValueError, match=r"PODIUM_ADDRESS is .* such as 'two:50051', not 'two'"):
        podium.AsyncClient()
    for address in ("one:1,", "one:1,unix:/run/podium.sock"):
        with pytest.raises(ValueError, match="an address is HOST:PORT or unix:PATH"):
            podium.Client(address)
    assert podium.Client("unix:/run/a,b").address == "unix:/run/a,b"


@both_kinds
async def test_a_token_is_sent_to_no_server_without_encryption(kind: Any) -> None:
    """Without encryption, no token is sent if one of the servers is on another machine."""
    token = new_token()[1]
    async with _asking(kind, "127.0.0.1:1,results.example:2", token=token) as asked:
        with pytest.raises(podium.UnauthenticatedError, match="without encryption"):
            await asked(_score)


async def test_recorded_results_reach_the_other_server(tmp_path: Path) -> None:
    """If one server does not answer, `podium.record` delivers results to the other one."""
    async with AsyncExitStack() as stack:
        one = await _started(stack, tmp_path / "one", 1)

        def train() -> None:
            recorder = podium.record(
                "x", address=f"{closed_port()},{one}", outbox=tmp_path / "outbox"
            )
            with recorder, recorder.start_arm(podium.RunConfig(name="b")) as arm:
                arm.log({"acc": 3.0})
            assert recorder.flush(timeout=120).durable

        await asyncio.to_thread(train)
        async with podium.AsyncClient(one) as client:
            assert await client.arm("x", "b").score("acc") == 3.0


async def test_commands(tmp_path: Path) -> None:
    """`health` and `doctor` report each server. `health` succeeds if one of them serves."""
    async with AsyncExitStack() as stack:
        one, gone = await _started(stack, tmp_path / "one", 1), closed_port()
        address = f"{gone},{one}"
        asked = await asyncio.to_thread(command, "health", "--json", address=address)
        assert asked.code == 0
        assert list(map(json.loads, asked.out.splitlines())) == [
            {"address": gone, "serving": False, "recording": False},
            {"address": one, "serving": True, "recording": True},
        ]
        found = await asyncio.to_thread(
            command, "doctor", "--json", address=address, PODIUM_OUTBOX=str(tmp_path / "outbox")
        )
        levels = [each["level"] for each in json.loads(found.out) if each["check"] == "address"]
        assert levels == ["failed", "ok"]
    asked = await asyncio.to_thread(command, "health", address=address)
    assert asked.code == 1
    assert f"{one} does not answer" in asked.err
