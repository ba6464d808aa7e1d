"""The asynchronous client: the same methods, awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium._client import calls
from podium._client.aio.handles import AsyncArmHandle, AsyncExperimentHandle
from podium._client.connection import AsyncConnection
from podium._values import coerce

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from types import TracebackType
    from typing import Self

    from podium._interface.recorders import RecordResult, StreamPosition
    from podium._model.results import Experiment
    from podium.v1.event_pb2 import Event

__all__ = ["AsyncClient"]


class AsyncClient:
    """A client of a Podium server, for asyncio: `Client` with its methods awaited.

        async with podium.AsyncClient("localhost:50051") as client:
            arm = client.arm("rank_sweep", "lora_rank4")
            await arm.score("test.pass_rate")
            summaries = [arm async for arm in client.experiment("rank_sweep").arms()]

    It belongs to the event loop of its first call.

    Args:
        address: `HOST:PORT` or `unix:PATH`. The environment variable PODIUM_ADDRESS if not given,
            and localhost:50051 where that is not set either.
        read_timeout: How long a call that reads may take, in seconds. While no server answers it
            is repeated for a second or two.
        write_timeout: How long a call that writes may take, in seconds. It is never repeated by
            itself, though that is always safe to do.

    Raises:
        ValueError: The address or a timeout is malformed.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        read_timeout: float = 10.0,
        write_timeout: float = 30.0,
    ) -> None:
        self._connection = AsyncConnection(address, read_timeout, write_timeout)

    @property
    def address(self) -> str:
        """The address of the server."""
        return self._connection.address

    def experiment(self, name: str) -> AsyncExperimentHandle:
        """As `Client.experiment`; it makes no call and is not awaited."""
        return AsyncExperimentHandle(self._connection, name)

    def arm(self, experiment: str, arm: str, *, attempt_id: str | None = None) -> AsyncArmHandle:
        """As `Client.arm`; it makes no call and is not awaited."""
        return AsyncArmHandle(self._connection, experiment, arm, attempt_id)

    def experiments(
        self,
        *,
        name_prefix: str | None = None,
        status: str | Iterable[str] | None = None,
        tags: Iterable[str] = (),
        page_size: int | None = None,
    ) -> AsyncIterator[Experiment]:
        """As `Client.experiments`, for `async for`."""
        pages = calls.experiments(
            name_prefix=name_prefix, status=status, tags=tags, page_size=page_size
        )
        return self._connection.iterate(pages)

    async def record(
        self, experiment: str, events: Iterable[Event], position: StreamPosition | None = None
    ) -> RecordResult:
        """As `Client.record`, awaited."""
        name = coerce.text(experiment, "experiment")
        return await self._connection.run(calls.record(name, events, position))

    async def close(self) -> None:
        """As `Client.close`, awaited."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"
