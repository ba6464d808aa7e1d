"""The client of a Podium server."""

from collections.abc import Iterable
from datetime import datetime
from os import PathLike
from typing import Self

from podium._client import access_calls, calls
from podium._client.aio.arm import AsyncArmHandle
from podium._client.aio.connection import AsyncConnection
from podium._client.aio.experiment import AsyncExperimentHandle
from podium._client.channel import deadline
from podium._client.listing import AsyncListing
from podium._client.retries import RetryPolicy
from podium._model.access import IssuedToken, Token, TokenLimits
from podium._model.listings import Server
from podium._model.recording import RecordResult, StreamPosition
from podium._model.results import Experiment
from podium._values import coerce
from podium._values.arguments import ExperimentStatuses, Strings
from podium._values.tls import TLS
from podium.v1.event_pb2 import Event

__all__ = ["AsyncClient"]


class AsyncClient:
    """A client of a Podium server.

        async with podium.AsyncClient("localhost:50051") as client:
            arm = client.arm("rank_sweep", "lora_rank4")
            await arm.score("test.pass_rate")

    The client connects at the first call, and reconnects after the server was unreachable. It sends
    up to 256 calls at a time. Further calls wait until the server has answered some of these.
    It belongs to the event loop of its first call.
    If the process forks after the first call, its child cannot use the client.

    Args:
        address: `HOST:PORT` or `unix:PATH`. If not given, it is the environment variable
            PODIUM_ADDRESS, or localhost:50051 if that is not set. Several `HOST:PORT`, separated by
            commas, are servers with the same results. The client sends calls to them in turn. If a
            server cannot be reached, its calls go to the others.
        read_timeout: The time limit of each call that reads, in seconds.
        write_timeout: The time limit of each call that writes, in seconds.
        connect_timeout: The seconds for which a call tries to reach a server, as long as no server
            has answered this client before. If not given, a read tries until its time limit, and a
            write tries once.
        retry: Whether the client retries a call, within its time limit, while the server is
            overloaded or unreachable. A write whose response was lost is not retried.
        tls: The files of an encrypted connection, or True for a server with a certificate of a
            public authority. If not given, the files of the environment variables PODIUM_TLS_CA,
            PODIUM_TLS_CERT and PODIUM_TLS_KEY. If these variables are not set, or if `tls` is
            False, nothing is encrypted.
        token: The token for a server that requires one: its text, or the path (a `Path`) of a file
            with it. The file is read again after it has changed. If not given, the token comes from
            the environment variable PODIUM_TOKEN or PODIUM_TOKEN_FILE. The token is sent only over
            an encrypted connection, to a `unix:PATH` address, or to a loopback address of this
            machine.

    Raises:
        ValueError: The address, a timeout or the token is malformed, or `tls` is given for a
            `unix:PATH` address.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        read_timeout: float = 10.0,
        write_timeout: float = 30.0,
        connect_timeout: float | None = None,
        retry: bool = True,
        tls: TLS | bool | None = None,
        token: str | PathLike[str] | None = None,
    ) -> None:
        policy = RetryPolicy(retry, coerce.optional(deadline, connect_timeout, "connect_timeout"))
        self._connection = AsyncConnection(address, read_timeout, write_timeout, policy, tls, token)

    @property
    def address(self) -> str:
        """The address of the server, or of several servers, separated by commas."""
        return self._connection.address

    def experiment(self, name: str) -> AsyncExperimentHandle:
        """Returns a handle of an experiment. Makes no call, so the experiment need not exist yet.

        Args:
            name: The name of the experiment.
        """
        return AsyncExperimentHandle(self._connection, name)

    def arm(self, experiment: str, arm: str, *, attempt_id: str | None = None) -> AsyncArmHandle:
        """Returns a handle of an arm. Makes no call, so the arm need not exist yet.

        Args:
            experiment: The name of the experiment.
            arm: The name of the arm.
            attempt_id: The id of the attempt that the handle records for, such as one that another
                process has started. The server rejects events of an attempt after a newer one has
                started. Without an id, it accepts events at any time.
        """
        return AsyncArmHandle(self._connection, experiment, arm, attempt_id)

    def experiments(
        self,
        *,
        name_prefix: str | None = None,
        status: ExperimentStatuses | None = None,
        tags: Strings = (),
        page_size: int | None = None,
    ) -> AsyncListing[Experiment]:
        """Lists experiments, sorted by the bytes of their names.

        Args:
            name_prefix: Lists only experiments whose names begin with this text.
            status: Lists only experiments with this status, or with one of these.
            tags: Lists only experiments that have all of these tags.
            page_size: The number of experiments to fetch in a call, at most 1,000; 100 if not
                given.
        """
        pages = calls.experiments(
            name_prefix=name_prefix, status=status, tags=tags, page_size=page_size
        )
        return self._connection.listing(pages)

    async def server(self) -> Server:
        """Returns the version and the limits of the server, and the id of its store."""
        return await self._connection.run(calls.server())

    async def whoami(self) -> Token | None:
        """Returns the token with which this client makes its calls, without its secret.

        Returns None if the server requires no tokens.
        """
        return await self._connection.run(access_calls.whoami())

    async def create_token(
        self,
        name: str,
        role: str,
        *,
        prefixes: Strings = (),
        expire_time: datetime | None = None,
        limits: TokenLimits | None = None,
    ) -> IssuedToken:
        """Creates a token. This client's own token must be that of an administrator.

        Args:
            name: The name of the user. Several tokens can have the same name.
            role: The role of the token: a `podium.Role`, such as `"recorder"`. It decides which
                calls the token allows.
            prefixes: The names of the experiments that the token gives access to. A name such as
                `nlp` includes the experiments below it, such as `nlp/sweep`. If not given, the
                prefixes are those of this client's own token.
            expire_time: The time at which the token expires, with a time zone. If not given, the
                token never expires.
            limits: The limits of calls with the token. In place of a limit that is None, the token
                gets the limit of this client's own token.
        """
        return await self._connection.run(
            access_calls.create_token(name, role, prefixes, expire_time, limits)
        )

    def tokens(self) -> AsyncListing[Token]:
        """Lists tokens in the order of their creation, including revoked and expired ones.

        This client's own token must be that of an administrator. If it has prefixes, only tokens
        whose prefixes are within these are listed.
        """
        return self._connection.listing(access_calls.tokens())

    async def revoke_token(self, id_or_name: str) -> list[Token]:
        """Revokes the valid tokens with an id or a name, and returns them.

        Within 5 seconds, every server rejects calls with them. This client's own token must be that
        of an administrator.

        Args:
            id_or_name: The id of a token, or the name of one or several tokens.
        """
        return await self._connection.run(access_calls.revoke_token(id_or_name))

    async def record(
        self,
        experiment: str,
        events: Iterable[Event],
        position: StreamPosition | None = None,
        *,
        validate_only: bool = False,
    ) -> RecordResult:
        """Records events of one experiment in one transaction: all of them or none.

        The recording methods of handles record one event each. To make events, use `podium.events`.

        Args:
            experiment: The name of the experiment.
            events: The events, in order; at most 1,000, with at most 10,000 metric values.
            position: The position of the first event in its stream. If given, the server applies
                each event exactly once, and skips those that it has applied before.
            validate_only: Whether to check the events and return the result without recording
                them.

        Raises:
            PodiumError: An event was rejected. The reason of the first rejected event decides the
                class of the error. `refusals` lists all rejected events.
            OutOfRangeError: Events of the stream that come before the first event are missing.
                `metadata["expected_sequence"]` is the number of the event that must come next.
        """
        name = coerce.text(experiment, "experiment")
        call = calls.record(name, events, position, validate_only=validate_only)
        return await self._connection.run(call)

    async def close(self) -> None:
        """Closes the connection. Calls that are under way end with a CanceledError."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, error_type: object, error: BaseException | None, trace: object
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"
