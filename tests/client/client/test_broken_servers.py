"""Tests of clients whose server is dead, stalled or not a Podium server.

Each call ends with a clear error. No call hangs.
"""

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import grpc
import podium
import pytest
from podium import errors, events
from podium._client.connection import CALLS_AT_ONCE
from podium._wire.status import to_status
from podium.v1 import arm_result_pb2, eval_result_pb2, results_service_pb2
from podium_server.testing import running_server

from tests.client.client.both import AnyClient, entered, result
from tests.client.client.broken import closed_port, grpc_server, tcp_server

Connect = Callable[..., AbstractAsyncContextManager[AnyClient]]


@pytest.fixture(params=["blocking", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Returns a function that makes a client for an address: blocking or asynchronous."""
    kind = podium.Client if request.param == "blocking" else podium.AsyncClient
    return lambda address, **options: entered(kind(address, **options))


async def test_a_dead_address(connect: Connect) -> None:
    """If no server listens, the error names the address and says what to do."""
    address = closed_port()
    expected = (
        f"no Podium server answers at {address}: start one with `podium serve`, or give the right "
        r"address \(Connection refused\)$"
    )
    async with connect(address, connect_timeout=0.2) as client:
        with pytest.raises(podium.UnavailableError, match=expected):
            await result(client.arm("e", "a").eval("val"))
        with pytest.raises(ConnectionError, match=expected):
            await result(client.experiment("e").declare())


async def test_a_host_that_does_not_exist(connect: Connect) -> None:
    """If the host name does not resolve, the error names the address."""
    async with connect("no-such-host.invalid:50051") as client:
        with pytest.raises(podium.UnavailableError, match=r"no-such-host\.invalid:50051") as found:
            await result(client.experiment("e").declare())
    assert "[field" not in str(found.value)


async def test_a_socket_that_does_not_exist(
    connect: Connect, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """If the socket file does not exist, the error says that no server answers at its path."""
    async with connect(f"unix:{tmp_path_factory.mktemp('s')}/podium.sock") as client:
        with pytest.raises(podium.UnavailableError, match="no Podium server answers at unix:"):
            await result(client.experiment("e").declare())


async def test_a_server_that_accepts_and_never_answers(connect: Connect) -> None:
    """If a server never answers, the error of a call names the address and the timeout."""
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
    """If a server is paused, calls fail at their deadline. Once it continues, calls succeed."""
    with running_server() as server:
        async with connect(server.address, read_timeout=0.5) as client:
            await result(client.experiment("e").declare())
            server.process.send_signal(signal.SIGSTOP)
            with pytest.raises(podium.DeadlineExceededError):
                await result(client.experiment("e").get())
            server.process.send_signal(signal.SIGCONT)
            found = None
            while found is None:
                with contextlib.suppress(podium.DeadlineExceededError):
                    found = await result(client.experiment("e").get())
            assert found.name == "e"


async def test_a_server_that_comes_back(connect: Connect) -> None:
    """A client can still make calls after its server was killed and started again."""
    with running_server() as server:
        async with connect(server.address) as client:
            await result(client.experiment("e").declare())
            server.kill()
            server.start()
            assert (await result(client.experiment("e").get())).name == "e"


async def test_something_else_listens(connect: Connect) -> None:
    """If a web server listens at the address, the error names the address."""
    with tcp_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        async with connect(address, write_timeout=5) as client:
            with pytest.raises(podium.PodiumError, match=address):
                await result(client.experiment("e").declare())


async def test_a_grpc_server_of_others(connect: Connect) -> None:
    """If a gRPC server does not know the method, the error names its address and the method."""
    with grpc_server() as address:
        async with connect(address) as client:
            with pytest.raises(podium.UnimplementedError) as caught:
                await result(client.arm("e", "a").eval("val"))
    assert address in str(caught.value)
    assert "podium.v1.ResultsService.Eval" in str(caught.value)


async def test_an_answer_that_is_no_message(connect: Connect) -> None:
    """A response that cannot be parsed raises an InternalError."""
    with grpc_server(Eval=lambda _request, _context: b"\xff") as address:
        async with connect(address) as client:
            with pytest.raises(podium.InternalError, match=address):
                await result(client.arm("e", "a").eval("val"))


class Failing:
    """An rpc that fails a given number of times and then answers."""

    def __init__(self, times: int, error: podium.PodiumError) -> None:
        """Makes an rpc that fails `times` times with the status of `error`."""
        self.calls = 0
        self._times = times
        self._status = to_status(error)

    def __call__(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        """Answers with an empty response, or fails."""
        self.calls += 1
        if self.calls <= self._times:
            context.set_trailing_metadata(self._status.trailing_metadata)
            context.abort(self._status.code, self._status.text)
        return b""


@pytest.mark.slow
async def test_reads_are_retried_until_their_deadline(connect: Connect) -> None:
    """If a read fails with UnavailableError several times, it is retried each time.

    A write is not retried after this error, because the server may have stored it.
    """
    away = podium.UnavailableError("away")
    read, write = Failing(7, away), Failing(1, away)
    with grpc_server(Eval=read, Record=write) as address:
        async with connect(address, read_timeout=120) as client:
            assert await result(client.arm("e", "a").eval("val")) is None
            with pytest.raises(podium.UnavailableError, match="unknown, and it is safe to send"):
                await result(client.record("e", [events.skipped()]))
    assert (read.calls, write.calls) == (8, 1)


@pytest.mark.parametrize("reason", ["OVERLOADED", "SHUTTING_DOWN"])
async def test_a_rejected_call_is_retried_after_the_requested_pause(
    connect: Connect, reason: str
) -> None:
    """A rejected read or write is retried after the pause that the server asked for."""
    error = errors.error_for(reason, "later")
    error.retry_after = 0.3
    read, write = Failing(2, error), Failing(2, error)
    with grpc_server(Eval=read, Record=write) as address:
        async with connect(address) as client:
            begin = time.monotonic()
            await result(client.arm("e", "a").eval("val"))
            await result(client.record("e", [events.skipped()]))
    assert time.monotonic() - begin > 3 * 0.3, "without the time asked for it takes half as long"
    assert (read.calls, write.calls) == (3, 3)


async def test_an_overload_that_does_not_end(connect: Connect) -> None:
    """If no time is left for a retry, the server's error is raised, with its retry_after."""
    pauses = iter([0.1, 0.1, 1_000.0])

    def busy(request: bytes, context: grpc.ServicerContext) -> bytes:
        error = errors.error_for("OVERLOADED", "too many calls at once")
        error.retry_after = next(pauses)
        return Failing(1, error)(request, context)

    with grpc_server(Record=busy) as address:
        async with connect(address, write_timeout=120) as client:
            with pytest.raises(podium.ResourceExhaustedError, match="too many calls") as caught:
                await result(client.record("e", [events.skipped()]))
    assert (caught.value.reason, caught.value.retry_after) == ("OVERLOADED", 1_000.0)


async def test_without_retries_the_first_failure_is_final(connect: Connect) -> None:
    """With retry=False, a call that fails with OVERLOADED is not sent again."""
    overloaded = Failing(1, errors.error_for("OVERLOADED", "later"))
    with grpc_server(Eval=overloaded) as address:
        async with connect(address, retry=False) as client:
            with pytest.raises(podium.ResourceExhaustedError):
                await result(client.arm("e", "a").eval("val"))
    assert overloaded.calls == 1


@pytest.mark.slow
async def test_a_write_outlasts_a_restart(connect: Connect) -> None:
    """If a server has answered before and then refuses connections, a write is retried.

    It succeeds once the server runs again.
    """
    with running_server() as server:
        async with connect(server.address, read_timeout=0.5, write_timeout=120) as client:
            await result(client.experiment("e").declare())
            server.kill()
            # A write on the dead connection would fail, since the server may have stored it.
            with pytest.raises(podium.PodiumError):
                await result(client.experiment("e").get())
            restart = threading.Timer(1.0, server.start)
            restart.start()
            try:
                await result(client.experiment("e").declare(tags=["t"]))
            finally:
                restart.join()
        async with connect(server.address) as client:
            assert (await result(client.experiment("e").get())).tags == ["t"]


def test_waiting_calls_fail_if_the_server_does_not_answer() -> None:
    """If the server does not answer, calls that wait for other calls of the client fail, too."""

    async def gather(address: str) -> list[BaseException | None]:
        async with podium.AsyncClient(address, read_timeout=0.5) as client:
            calls = [client.arm("e", "a").score("m") for _ in range(2 * CALLS_AT_ONCE)]
            return await asyncio.gather(*calls, return_exceptions=True)  # type: ignore[return-value]

    with tcp_server(b"") as address:
        found = asyncio.run(gather(address))
    assert {type(error) for error in found} == {podium.DeadlineExceededError}


@pytest.mark.slow
def test_thousands_of_calls_at_once() -> None:
    """One asynchronous client can make 5,000 writes at once, and each of them is stored."""

    async def gather(address: str) -> int:
        async with podium.AsyncClient(address, write_timeout=240) as client:
            experiment = client.experiment("e")
            await experiment.declare()
            arm = await experiment.start_arm(podium.RunConfig("a"))
            await asyncio.gather(*(arm.log_eval("v", {"m": k}, step=k) for k in range(5_000)))
            return len((await arm.get()).evals)

    with running_server() as server:
        assert asyncio.run(gather(server.address)) == 5_000


def test_calls_name_their_client() -> None:
    """The user agent of a call names the client and its version."""
    agents: list[str] = []

    def answer(_request: bytes, context: grpc.ServicerContext) -> bytes:
        agents.append(str(dict(context.invocation_metadata())["user-agent"]))
        return b""

    with grpc_server(Eval=answer) as address, podium.Client(address) as client:
        client.arm("e", "a").eval("val")
    assert agents[0].startswith(f"podium-python/{podium.__version__} ")


class BusyArm:
    """Answers GetArm and ListEvals for an arm that changes a given number of times.

    Each change happens just before the answer to a ListEvals call.
    """

    def __init__(self, moves: int) -> None:
        """Makes an arm at revision 1, which will change `moves` times."""
        self.moves = moves
        self.revision = 1

    def get_arm(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        """Answers with the first row and a page token for more rows."""
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
        """Changes the arm if any change is left, and answers with the second row."""
        self.revision += self.moves > 0
        self.moves -= 1
        return results_service_pb2.ListEvalsResponse(
            evals=[eval_result_pb2.EvalResult(name="second")], revision=self.revision
        ).SerializeToString()


async def test_get_is_one_state_of_the_arm(connect: Connect) -> None:
    """get() starts again if the arm changes while its rows are read."""
    arm = BusyArm(moves=4)
    with grpc_server(GetArm=arm.get_arm, ListEvals=arm.list_evals) as address:
        async with connect(address) as client:
            found = await result(client.arm("e", "a").get())
    assert ([row.name for row in found.evals], found.revision) == (["first", "second"], 5)


async def test_get_fails_if_the_arm_keeps_changing(connect: Connect) -> None:
    """get() raises an error if the arm changes during each of five attempts."""
    arm = BusyArm(moves=1000)
    with grpc_server(GetArm=arm.get_arm, ListEvals=arm.list_evals) as address:
        async with connect(address) as client:
            with pytest.raises(podium.AbortedError, match="too busy"):
                await result(client.arm("e", "a").get())
    assert arm.revision == 6


async def test_a_closed_client(connect: Connect) -> None:
    """Calls of a closed client raise an error. Closing it again is allowed."""
    async with connect(closed_port()) as client:
        arm = client.arm("e", "a")
    with pytest.raises(podium.ClientStateError, match="closed"):
        await result(arm.eval("val"))
    await result(client.close())


def test_closing_during_a_call_of_another_thread() -> None:
    """If the client is closed during a call, the call raises an error that names the cause."""
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
    """If the client is closed during a call, the task gets an error. It is not cancelled."""
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
    """An asynchronous client that is used from another event loop raises an error."""
    with running_server() as server:
        client = podium.AsyncClient(server.address)

        async def declare() -> None:
            await client.experiment("e").declare()

        asyncio.run(declare())
        with pytest.raises(podium.ClientStateError, match="event loop"):
            asyncio.run(declare())
