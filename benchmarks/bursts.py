"""Measures the CPU time of a call in a burst, in a bare gRPC server and in Podium.

    python benchmarks/bursts.py

Six connections send 1,000 calls each at the same moment. A bare grpcio server rejects each call
without reading it. Podium rejects only the calls that exceed its limits. A server handles calls in
the order of their arrival. So a burst delays other clients by the number of its calls, times the
CPU time of a call.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from podium.v1.results_service_pb2 import EvalRequest
from podium_server.rpc.fronts.grpcio import server_options
from podium_server.serve.command import loop_factory
from podium_server.testing import running_server

_CONNECTIONS, _CALLS = 6, 1_000
_ROUNDS = 5
_SERVICE = "podium.v1.ResultsService"
_SERVE = "serve"
_TICKS = 100
_SECONDS = 120


async def _reject(_requests: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "rejected")
    return b""


async def _serve() -> None:
    server = grpc.aio.server(options=server_options(4 << 20))
    methods: dict[str, Any] = {"Eval": grpc.stream_unary_rpc_method_handler(_reject)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, methods),))
    sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
    sys.stdout.flush()
    await server.start()
    await server.wait_for_termination()


@contextmanager
def _bare_server() -> Iterator[tuple[str, int]]:
    command = [sys.executable, __file__, _SERVE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("the server has no output")
        try:
            yield f"127.0.0.1:{process.stdout.readline().strip()}", process.pid
        finally:
            process.kill()


def _burst(address: str) -> None:
    options = (("grpc.use_local_subchannel_pool", 1),)
    channels = [grpc.insecure_channel(address, options) for _ in range(_CONNECTIONS)]
    request = EvalRequest(experiment="x", arm="a", name="none").SerializeToString()
    for channel in channels:
        grpc.channel_ready_future(channel).result(_SECONDS)
    methods: list[Any] = [channel.unary_unary(f"/{_SERVICE}/Eval") for channel in channels]
    calls = [method.future(request, timeout=_SECONDS) for method in methods for _ in range(_CALLS)]
    for call in calls:
        call.exception()
    for channel in channels:
        channel.close()


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _milliseconds_per_call(address: str, process: int) -> float:
    """Returns the server's CPU time for one call of a burst: the lowest of several rounds."""
    costs = []
    for _ in range(_ROUNDS):
        before = _cpu_seconds(process)
        _burst(address)
        costs.append((_cpu_seconds(process) - before) / (_CONNECTIONS * _CALLS) * 1e3)
    return min(costs)


def main() -> None:
    """Prints the CPU time of a call in a burst for both servers."""
    with _bare_server() as (address, process):
        bare = _milliseconds_per_call(address, process)
    with running_server(None, "--log-level", "error") as server:
        podium = _milliseconds_per_call(server.address, server.process.pid)
    sys.stdout.write(
        f"{_CONNECTIONS} connections x {_CALLS:,} calls at the same moment, CPU of a call: "
        f"{bare:.2f} ms if a bare grpcio server rejects it, {podium:.2f} ms in Podium\n"
    )


if __name__ == "__main__":
    if sys.argv[1:] == [_SERVE]:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve())
    else:
        main()
