"""Servers for histories of watches: in this process, or `podium serve` with small pages."""

import asyncio
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from podium._limits.limits import Limits
from podium._wire.status import from_rpc_error
from podium.v1.results_service_pb2 import WatchRequest, WatchResponse
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium_server.store.open import open_store
from podium_server.testing import RunningServer

from tests.server.watch.planted import NOTHING, PLANTS
from tests.server.watch.spoiled import SpoiledWatches
from tests.server.writes.ways import METHODS, Direct

__all__ = ["CHANNEL", "DirectServer", "NetworkServer", "SpoiledServer", "Wire", "replace_store"]

CHANNEL = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))


class DirectServer:
    """The handlers of a server in this process, perhaps with a defect."""

    def __init__(self, file: Path, plant: str = "") -> None:
        self._file, self._plant = file, PLANTS[plant] if plant else NOTHING

    async def start(self) -> None:
        """Opens the store."""
        self._store = await open_store(f"sqlite:///{self._file}", on_broken=lambda: None)
        self.way = Direct(self._store, Limits())
        self._watches = SpoiledWatches(self._plant, self._store)

    async def stop(self) -> None:
        """Closes the store."""
        self._watches.stop()
        await self._store.close()

    async def watch(self, request: WatchRequest) -> AsyncGenerator[WatchResponse]:
        """Yields the messages of a watch."""
        async with aclosing(self._watches.watch(request)) as responses:
            async for raw in responses:
                yield WatchResponse.FromString(raw)


class SpoiledServer(RunningServer):
    """A server in its own process, with small pages and perhaps a defect."""

    def __init__(self, file: Path, plant: str = "") -> None:
        self._plant = plant
        super().__init__(f"sqlite:///{file}")

    def _command(self) -> list[str]:
        module = "tests.server.watch.spoiled"
        return [sys.executable, "-m", module, self._plant, *super()._command()[3:]]


class NetworkServer:
    """A server in its own process, and one connection to it."""

    def __init__(self, file: Path, plant: str = "") -> None:
        self._file, self._plant = file, plant
        self._process: SpoiledServer | None = None

    async def start(self) -> None:
        """Starts the process, on the same address as before."""
        if self._process is None:
            self._process = await asyncio.to_thread(SpoiledServer, self._file, self._plant)
        else:
            await asyncio.to_thread(self._process.start)
        self.way = Wire(self._process.address)

    async def stop(self) -> None:
        """Stops the process with SIGTERM."""
        await self.way.close()
        if self._process is not None:
            await asyncio.to_thread(self._process.stop)

    async def watch(self, request: WatchRequest) -> AsyncGenerator[WatchResponse]:
        """Yields the messages of a watch."""
        stub: Any = ResultsServiceStub(self.way.channel)
        call = stub.Watch(request)
        try:
            async for response in call:
                yield response
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()


class Wire:
    """Calls a server without blocking the event loop."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.aio.insecure_channel(address, CHANNEL)

    async def call(self, method: str, request: Message) -> Message:
        """Returns the response to a call."""
        about = METHODS[method]
        call: Any = self.channel.unary_unary(
            f"/{about.containing_service.full_name}/{method}",
            type(request).SerializeToString,
            GetMessageClass(about.output_type).FromString,
        )
        try:
            response: Message = await call(request, timeout=120)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return response

    async def close(self) -> None:
        """Closes the connection."""
        await self.channel.close()


def replace_store(file: Path, backup: Path) -> None:
    """Replaces the file of a store by a backup and removes its log, as the documentation says."""
    for end in ("", "-wal", "-shm"):
        Path(f"{file}{end}").unlink(missing_ok=True)
    shutil.copyfile(backup, file)
