"""The blocking client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium._client import calls
from podium._client.blocking.handles import ArmHandle, ExperimentHandle
from podium._client.connection import BlockingConnection
from podium._values import coerce

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from podium._interface.recorders import RecordResult, StreamPosition
    from podium._model.results import Experiment
    from podium.v1.event_pb2 import Event

__all__ = ["Client"]


class Client:
    """A client of a Podium server.

        with podium.Client("localhost:50051") as client:
            arm = client.arm("rank_sweep", "lora_rank4")
            arm.score("test.pass_rate")

    It connects at the first call, and connects again by itself when a server was away. Threads
    may share it. A process forked from one that has used it cannot: it says so, and needs a
    client of its own.

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
        self._connection = BlockingConnection(address, read_timeout, write_timeout)

    @property
    def address(self) -> str:
        """The address of the server."""
        return self._connection.address

    def experiment(self, name: str) -> ExperimentHandle:
        """Returns a handle of an experiment. It makes no call; the experiment need not exist."""
        return ExperimentHandle(self._connection, name)

    def arm(self, experiment: str, arm: str, *, attempt_id: str | None = None) -> ArmHandle:
        """Returns a handle of an arm. It makes no call; the arm need not exist.

        Args:
            experiment: The name of the experiment.
            arm: The name of the arm.
            attempt_id: The attempt that what the handle records is part of, such as that of
                another process of the same training. Without one it is accepted at any time.
        """
        return ArmHandle(self._connection, experiment, arm, attempt_id)

    def experiments(
        self,
        *,
        name_prefix: str | None = None,
        status: str | Iterable[str] | None = None,
        tags: Iterable[str] = (),
        page_size: int | None = None,
    ) -> Iterator[Experiment]:
        """Lists experiments by name, in the order of the names' bytes.

        Args:
            name_prefix: Only experiments whose name begins with this text.
            status: Only experiments with this status, or with one of these.
            tags: Only experiments that have all of these tags.
            page_size: How many to fetch in a call, at most 1,000; 100 if not given.
        """
        pages = calls.experiments(
            name_prefix=name_prefix, status=status, tags=tags, page_size=page_size
        )
        return self._connection.iterate(pages)

    def record(
        self, experiment: str, events: Iterable[Event], position: StreamPosition | None = None
    ) -> RecordResult:
        """Records events of one experiment in one transaction: all of them or none.

        The handles' methods call this with one event each. `podium.events` makes events.

        Args:
            experiment: The name of the experiment.
            events: The events, in order; at most 1,000, with at most 10,000 metric values.
            position: Where in its stream the first event stands: the call is then applied
                exactly once, and what was applied already is skipped.

        Raises:
            PodiumError: Of the class of the first refused event; `refusals` lists all of them.
            OutOfRangeError: Events of the stream before the first one are missing;
                `metadata["expected_sequence"]` says which one comes next.
        """
        name = coerce.text(experiment, "experiment")
        return self._connection.run(calls.record(name, events, position))

    def close(self) -> None:
        """Closes the connection. Calls under way in other threads end with a CanceledError."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"
