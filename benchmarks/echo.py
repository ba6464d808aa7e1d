"""Runs the echo server, which sends every request back. Podium is compared with it.

The echo server uses the same grpc.aio, event loop, options, admission and errors as Podium, and
does no other work. So no server in Python on this stack can be faster.
"""

import asyncio
import signal
import sys

import grpc
from podium_server.rpc.access.tokens import Access
from podium_server.rpc.admission import Admission
from podium_server.rpc.fronts.grpcio import server_options
from podium_server.rpc.fronts.grpcio_handlers import generic_handler
from podium_server.rpc.handlers import UnaryMethod
from podium_server.rpc.serving import CallServer
from podium_server.rpc.telemetry import Telemetry
from podium_server.serve.command import loop_factory, tune_collector
from podium_server.serve.settings import Settings
from podium_server.store.tokens import TokenRow


async def _no_tokens() -> list[TokenRow]:
    return []


async def _echo(request: bytes) -> bytes:
    return request


async def _serve() -> None:
    settings = Settings()
    server = grpc.aio.server(options=server_options(settings.limits.message_bytes))
    methods = [UnaryMethod("bench.Echo.Echo", _echo)]
    calls = CallServer(Admission(settings.admission), Access(_no_tokens, is_on=False), Telemetry())
    server.add_generic_rpc_handlers((generic_handler("bench.Echo", methods, calls),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"listening on 127.0.0.1:{port}\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(0)


if __name__ == "__main__":
    tune_collector()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve())
