"""A server that is dead, stalled or something else gives a clear error, never a hang."""

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import grpc
import podium
import pytest
from podium import events
from podium.v1 import arm_result_pb2, eval_result_pb2, results_service_pb2
from podium_server.testing import running_server

from tests.client.client.both import AnyClient, entered, result
from tests.client.client.broken import closed_port, grpc_server, tcp_server

Connect = Callable[..., AbstractAsyncContextManager[AnyClient]]


@pytest.fixture(params=["blocking", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Makes a client of each kind for an address."""
    kind = podium.Client if request.param == "blocking" else podium.AsyncClient
    return lambda address, **options: entered(kind(address, **options))


async def test_a_dead_address(connect: Connect) -> None:
    """Where nobody listens, reads and writes say the address and what to do."""
    address = closed_port()
    expected = (
        f"no Podium server answers at {address}: start one with `podium serve`, or give the right "
        r"address \(Connection refused\)$"
    )
    async with connect(address) as client:
        with pytest.raises(podium.UnavailableError, match=expected):
            await result(client.arm("e", "a").eval("val"))
        with pytest.raises(ConnectionError, match=expected):
            await result(client.experiment("e").declare())


async def test_a_host_that_does_not_exist(connect: Connect) -> None:
    """A name that does not resolve is said like a dead address."""
    async with connect("no-such-host.invalid:50051") as client:
        with pytest.raises(podium.UnavailableError, match=r"no-such-host\.invalid:50051") as found:
            await result(client.experiment("e").declare())
    assert "[field" not in str(found.value)


async def test_a_socket_that_does_not_exist(
    connect: Connect, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A missing socket is said like a dead address."""
    async with connect(f"unix:{tmp_path_factory.mktemp('s')}/podium.sock") as client:
        with pytest.raises(podium.UnavailableError, match="no Podium server answers at unix:"):
            await result(client.experiment("e").declare())


async def test_a_server_that_accepts_and_never_answers(connect: Connect) -> None:
    """A stalled server is an error at the deadline, with the address and the time."""
    with tcp_server(b"") as address:
        async with connect(address, read_timeout=0.3, write_timeout=0.4) as client:
            with pytest.raises(podium.DeadlineExceededError) as read:
                await result(client.arm("e", "a").score("m"))
            with pytest.raises(TimeoutError) as write:
                await result(client.experiment("e").declare())
    assert str(read.value) == f"{address} did not answer within 0.3 s"
    assert str(write.value) == (
        f"{address} did not answer within 0.4 s: whether it was stored is unknown, "
        "and it is safe to send it again"
    )


async def test_a_server_that_stops_answering(connect: Connect) -> None:
    """A server that stands still is an error at the deadline, and works when it goes on."""
    with running_server() as server:
        async with connect(server.address, read_timeout=0.5) as client:
            await result(client.experiment("e").declare())
            server.process.send_signal(signal.SIGSTOP)
            with pytest.raises(podium.DeadlineExceededError):
                await result(client.experiment("e").get())
            server.process.send_signal(signal.SIGCONT)
            assert (await result(client.experiment("e").get())).name == "e"


async def test_a_server_that_comes_back(connect: Connect) -> None:
    """A client lives on when its server is killed and started again."""
    with running_server() as server:
        async with connect(server.address) as client:
            await result(client.experiment("e").declare())
            server.kill()
            with pytest.raises(podium.UnavailableError):
                await result(client.experiment("e").declare(tags=["t"]))
            server.start()
            assert (await result(client.experiment("e").get())).name == "e"


async def test_something_else_listens(connect: Connect) -> None:
    """A web server at the address is said like a dead address."""
    with tcp_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        async with connect(address, write_timeout=5) as client:
            with pytest.raises(podium.PodiumError, match=address):
                await result(client.experiment("e").declare())


async def test_a_grpc_server_of_others(connect: Connect) -> None:
    """A server that does not know the call is an UnimplementedError that names both."""
    with grpc_server() as address:
        async with connect(address) as client:
            with pytest.raises(podium.UnimplementedError) as caught:
                await result(client.arm("e", "a").eval("val"))
    assert address in str(caught.value)
    assert "podium.v1.ResultsService.Eval" in str(caught.value)


async def test_an_answer_that_is_no_message(connect: Connect) -> None:
    """Bytes that are no response are an InternalError."""
    with grpc_server(Eval=lambda _request, _context: b"\xff") as address:
        async with connect(address) as client:
            with pytest.raises(podium.InternalError, match=address):
                await result(client.arm("e", "a").eval("val"))


async def test_reads_are_repeated_and_writes_are_not(connect: Connect) -> None:
    """A server that is away for a moment is noticed by writes only."""
    calls: list[str] = []

    def away(name: str, times: int, context: grpc.ServicerContext) -> bytes:
        calls.append(name)
        if calls.count(name) <= times:
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        return b""

    with grpc_server(
        Eval=lambda _request, context: away("eval", 1, context),
        Score=lambda _request, context: away("score", 5, context),
        Record=lambda _request, context: away("record", 1, context),
    ) as address:
        async with connect(address) as client:
            assert await result(client.arm("e", "a").eval("val")) is None
            with pytest.raises(podium.UnavailableError):
                await result(client.arm("e", "a").score("m"))
            with pytest.raises(podium.UnavailableError):
                await result(client.record("e", [events.skipped()]))
    assert (calls.count("eval"), calls.count("score"), calls.count("record")) == (2, 5, 1)


class BusyArm:
    """An arm whose revision moves between GetArm and ListEvals, so many times."""

    def __init__(self, moves: int) -> None:
        """Starts at revision 1."""
        self.moves = moves
        self.revision = 1

    def get_arm(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        """Answers the first row and a token."""
        arm = arm_result_pb2.ArmResult(
            name="a",
            status=arm_result_pb2.ARM_STATUS_RUNNING,
            evals=[eval_result_pb2.EvalResult(name="first")],
            revision=self.revision,
        )
        arm.run_config.name = "a"
        response = results_service_pb2.GetArmResponse(
            arm_result=arm,
            next_evals_page_token="more",  # noqa: S106 - no secret
        )
        return response.SerializeToString()

    def list_evals(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        """Answers the second row, after another change if any is left."""
        self.revision += self.moves > 0
        self.moves -= 1
        return results_service_pb2.ListEvalsResponse(
            evals=[eval_result_pb2.EvalResult(name="second")], revision=self.revision
        ).SerializeToString()


async def test_get_is_one_state_of_the_arm(connect: Connect) -> None:
    """get() begins again when the arm changes while its rows are read."""
    arm = BusyArm(moves=4)
    with grpc_server(GetArm=arm.get_arm, ListEvals=arm.list_evals) as address:
        async with connect(address) as client:
            found = await result(client.arm("e", "a").get())
    assert ([row.name for row in found.evals], found.revision) == (["first", "second"], 5)


async def test_get_says_that_an_arm_is_too_busy(connect: Connect) -> None:
    """get() gives up, with what to do, when the arm changes each time."""
    arm = BusyArm(moves=1000)
    with grpc_server(GetArm=arm.get_arm, ListEvals=arm.list_evals) as address:
        async with connect(address) as client:
            with pytest.raises(podium.AbortedError, match="too busy"):
                await result(client.arm("e", "a").get())
    assert arm.revision == 6


async def test_a_closed_client(connect: Connect) -> None:
    """A closed client says so; closing it again is all right."""
    async with connect(closed_port()) as client:
        arm = client.arm("e", "a")
    with pytest.raises(podium.ClientStateError, match="closed"):
        await result(arm.eval("val"))
    await result(client.close())


def test_closing_during_a_call_of_another_thread() -> None:
    """A call under way ends with an error that says that the client was closed."""
    errors: list[BaseException] = []

    def call() -> None:
        try:
            client.arm("e", "a").eval("val")
        except podium.PodiumError as error:
            errors.append(error)

    called, closed = threading.Event(), threading.Event()

    def wait(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        called.set()
        closed.wait()
        return b""

    with grpc_server(Eval=wait) as address:
        client = podium.Client(address)
        thread = threading.Thread(target=call)
        thread.start()
        called.wait()
        client.close()
        thread.join()
        closed.set()
    (error,) = errors
    assert type(error) is podium.CanceledError
    assert str(error) == "the client was closed during the call"


async def test_closing_during_a_call_of_another_task() -> None:
    """A task that waits for an answer gets an error, and is not cancelled itself."""
    called, closed = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def wait(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        loop.call_soon_threadsafe(called.set)
        closed.wait()
        return b""

    with grpc_server(Eval=wait) as address:
        client = podium.AsyncClient(address)
        task = asyncio.create_task(client.arm("e", "a").eval("val"))
        await called.wait()
        await client.close()
        with pytest.raises(podium.CanceledError, match="closed"):
            await task
        closed.set()


def test_an_asynchronous_client_belongs_to_one_loop() -> None:
    """Used from another event loop it says so, instead of waiting for ever."""
    with running_server() as server:
        client = podium.AsyncClient(server.address)

        async def declare() -> None:
            await client.experiment("e").declare()

        asyncio.run(declare())
        with pytest.raises(podium.ClientStateError, match="event loop"):
            asyncio.run(declare())
