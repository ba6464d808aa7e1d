"""The measure of what the stack can do: a server that sends every request back as it came.

It runs on the same grpc.aio, loop and options as Podium's, without any work in between.
"""

import asyncio
import signal
import sys
from typing import Any

import grpc
from podium_server.app import server_options
from podium_server.command import loop_factory, tune_collector
from podium_server.config import Settings


async def _echo(request: bytes, _context: object) -> bytes:
    return request


async def _serve() -> None:
    server = grpc.aio.server(options=server_options(Settings()))
    method: Any = grpc.unary_unary_rpc_method_handler(_echo)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("bench.Echo", {"Echo": method}),)
    )
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
