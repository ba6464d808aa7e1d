"""Measures the CPU time that it takes to check the token of a call and the token's limits.

    python benchmarks/access.py

First it measures the check alone. The result is the time of the fastest of many rounds, since other
processes only add to the time. Then it measures whole calls of Eval: one server process switches
the check on and off between short rounds, in random order. The result is the median of the
differences. The load of the machine and the memory layout of the process have little influence on
it. PODIUM_SERVE_FRONT chooses the front, by default grpcio.
"""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import grpc
import podium
from podium import TokenLimits
from podium.v1.results_service_pb2 import EvalRequest
from podium_server.api.quotas import Quotas
from podium_server.api.tokens import new_row
from podium_server.rpc.access.tokens import Access
from podium_server.rpc.telemetry import Telemetry
from podium_server.serve import server
from podium_server.serve.settings import Settings
from podium_server.store.tokens import Role, TokenRow

_ROUNDS, _CALLS = 30, 5_000
_EVAL = "podium.v1.ResultsService.Eval"
_LIMITS = TokenLimits(calls_per_second=10**9, calls=10**9, watches=10**9)
_SLICES, _SLICE_CALLS, _AT_ONCE = 300, 160, 16
_REQUEST = EvalRequest(experiment="bench", arm="a", name="val").SerializeToString()


async def main() -> None:
    """Prints the CPU time of the check without and with tokens, alone and in whole calls."""
    limited = Quotas(total=TokenLimits(calls_per_second=10**9))
    row, secret = new_row("t", Role.READER, ("bench",), None, _LIMITS)

    async def tokens() -> list[TokenRow]:
        return [row]

    headers = [f"Bearer {secret}"]
    off = await _micros(Access(tokens, is_on=False), [])
    on = await _micros(Access(tokens, is_on=True, quotas=limited), headers)
    print(f"{off:.2f} µs without tokens, {on:.2f} µs with a token and limits: +{on - off:.2f} µs")
    await _whole_calls(row, secret)


async def _micros(access: Access, header: list[str]) -> float:
    """Returns the CPU time of one check in microseconds."""
    telemetry, best = Telemetry(), float("inf")
    for _ in range(_ROUNDS):
        begin = time.process_time()
        for _ in range(_CALLS):
            call = telemetry.call(_EVAL, "peer")
            await access.enter(_EVAL, lambda: header)
            call.release()
        best = min(best, time.process_time() - begin)
    return best / _CALLS * 1_000_000


async def _whole_calls(row: TokenRow, secret: str) -> None:
    """Prints the CPU time of the server for a call without a token, and what a token adds to it."""
    times: dict[str, list[float]] = {kind: [] for kind in ("off", "header", "on")}
    async with _served(row) as (access, address), _client(address, secret) as client:
        for number in range(_SLICES + 1):
            for kind in random.sample(list(times), len(times)):
                access._is_on = kind == "on"  # noqa: SLF001 - the switch is for this benchmark only
                begin = time.process_time()
                await _send(client, with_header=kind != "off")
                if number:  # the first round warms up
                    times[kind].append((time.process_time() - begin) / _SLICE_CALLS * 1_000_000)
    base = median(times["off"])
    print(f"Eval takes {base:.0f} µs of the server's CPU without a token")
    for what, less, more in (
        ("to receive the header", "off", "header"),
        ("to check it", "header", "on"),
    ):
        cost = median(b - a for a, b in zip(times[less], times[more], strict=True))
        print(f"{what}: {cost:+.1f} µs, {cost / base:+.1%}")


@asynccontextmanager
async def _served(row: TokenRow) -> AsyncIterator[tuple[Access, str]]:
    """Runs a server with one eval row in this process. Yields its access control and address."""
    made: list[Access] = []

    async def tokens() -> list[TokenRow]:
        return [row]

    def make(*_arguments: object, **_settings: object) -> Access:
        limits = Quotas(total=TokenLimits(calls_per_second=10**9))
        made.append(Access(tokens, is_on=False, quotas=limits))
        return made[-1]

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(server, "Access", make):
        store = f"sqlite:///{Path(folder) / 'podium.db'}"
        front: Any = os.environ.get("PODIUM_SERVE_FRONT", "grpcio")
        settings = Settings(listen=("127.0.0.1:0",), store=store, front=front)
        async with server.running(settings, asyncio.Event()) as [address]:
            async with podium.AsyncClient(address) as client:
                experiment = client.experiment("bench")
                await experiment.declare()
                async with experiment.start_arm(podium.RunConfig("a")) as arm:
                    await arm.log_eval("val", {"pass_rate": 0.5})
            yield made[-1], address


@asynccontextmanager
async def _client(address: str, secret: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a client in its own process.

    The client sends a fixed number of calls for each line of its input.
    """
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, address, secret), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield client
    finally:
        client.terminate()
        await client.wait()


async def _send(client: asyncio.subprocess.Process, *, with_header: bool) -> None:
    if client.stdin is None or client.stdout is None:
        raise RuntimeError("the client has no pipes")
    client.stdin.write(b"token\n" if with_header else b"\n")
    if not await client.stdout.readline():
        raise RuntimeError("the client has failed")


async def _run_client(address: str, secret: str) -> None:
    """Sends calls for each line of standard input, and prints a line when they have ended."""
    header = (("authorization", f"Bearer {secret}"),)
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(f"/{_EVAL.replace('.Eval', '/Eval')}")

        async def send(metadata: tuple[tuple[str, str], ...]) -> None:
            for _ in range(_SLICE_CALLS // _AT_ONCE):
                await call(_REQUEST, metadata=metadata)

        while line := await asyncio.to_thread(sys.stdin.readline):
            metadata = header if line.strip() else ()
            await asyncio.gather(*(send(metadata) for _ in range(_AT_ONCE)))
            print("sent", flush=True)


if __name__ == "__main__":
    asyncio.run(_run_client(*sys.argv[1:]) if sys.argv[1:] else main())
