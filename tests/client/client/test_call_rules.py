"""Tests of how a client handles failed calls and chooses servers, without a server."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import podium
import pytest
from podium._client.connection import CALLS_AT_ONCE
from podium._values.tls import file_states
from podium._values.tokens import new_token
from podium._wire.status import to_status
from podium.errors import (
    CanceledError,
    NotFoundError,
    PermissionDeniedError,
    PodiumError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    error_for,
)
from podium.v1.results_service_pb2 import GetServerRequest

from tests.client.client.both import entered, result
from tests.unit.wire.test_status import FailedCall

# ---- Failures ------------------------------------------------------------------------------------


def _failed(error: PodiumError) -> grpc.RpcError:
    """Returns the gRPC error of a call that failed with `error`."""
    return FailedCall(*to_status(error))


_REFUSED = "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:1: refused"
_METHOD: Any = SimpleNamespace(address="h:1", name="n", timeout=10.0, is_write=False)


@pytest.mark.parametrize(
    ("error", "kind", "was_sent", "is_left_out"),
    [
        (UnavailableError(_REFUSED), UnavailableError, False, True),
        (UnavailableError("Socket closed"), UnavailableError, True, False),
        (error_for("SHUTTING_DOWN", "bye"), UnavailableError, True, True),
        (error_for("OVERLOADED", "later"), ResourceExhaustedError, True, False),
        (CanceledError("by the server"), UnavailableError, True, False),
    ],
)
def test_what_a_failed_call_means(
    error: PodiumError,
    kind: type[PodiumError],
    monkeypatch: pytest.MonkeyPatch,
    *,
    was_sent: bool,
    is_left_out: bool,
) -> None:
    """The error of a failed call determines which error the client raises.

    It also determines whether the call counts as sent, and whether the server gets no calls for one
    second.
    """
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    connection: Any = podium.Client("h:1,i:1")._connection
    failure = connection._failure(_failed(error), _METHOD)
    assert (type(failure.error), failure.was_sent) == (kind, was_sent)
    assert failure.is_of_server is is_left_out
    up = [connection._is_up("h:1", now) for now in (100.0, 100.9, 101.0)]
    assert up == ([False, False, True] if is_left_out else [True] * 3)
    assert connection._is_up("i:1", 100.0)


def test_a_call_that_the_client_cancelled() -> None:
    """A call that is cancelled because the client was closed fails with CanceledError."""
    connection: Any = podium.Client("h:1")._connection
    connection.close()
    failure = connection._failure(_failed(CanceledError("closed")), _METHOD)
    assert type(failure.error) is CanceledError


def test_a_watch_goes_on_with_a_replaced_token(tmp_path: Path) -> None:
    """A watch continues after TOKEN_INVALID only if the token file now has another token."""
    file = tmp_path / "token"
    file.write_text(new_token().text)
    connection: Any = podium.Client("localhost:1", token=file)._connection
    metadata = connection._security.metadata()
    revoked, other = (
        _failed(error_for(reason, "no")) for reason in ("TOKEN_INVALID", "ROLE_TOO_LOW")
    )
    kinds = [type(connection._stream_failure(revoked, _METHOD, metadata))]
    file.write_text(f"{new_token().text}\n")  # a new size, even at the same time
    kinds += [
        type(connection._stream_failure(each, _METHOD, metadata)) for each in (revoked, other)
    ]
    assert kinds == [UnauthenticatedError, UnavailableError, PermissionDeniedError]


def test_new_tls_files_are_used_for_the_next_call(tmp_path: Path) -> None:
    """A client opens new channels if a connection failed and its TLS files have changed since."""
    ca = tmp_path / "ca.pem"
    ca.write_text("1")
    connection: Any = podium.Client("h:1", tls=podium.TLS(ca))._connection
    connection._security._states = file_states([ca])

    def keeps_channels(text: str) -> bool:
        connection._opened = "opened"
        connection._failure(_failed(UnavailableError(text)), _METHOD)
        return connection._opened is not None

    assert keeps_channels(_REFUSED)
    ca.write_text("22")
    assert keeps_channels("Socket closed")
    assert not keeps_channels(_REFUSED)


# ---- Servers and places --------------------------------------------------------------------------


def test_servers_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of a client get calls in turn.

    A server that could not be reached gets no calls for a time. If that applies to all servers,
    the client calls them in turn again.
    """
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    connection: Any = podium.Client("h:1,i:1")._connection
    methods = [{GetServerRequest: SimpleNamespace(address=each)} for each in ("h:1", "i:1")]
    connection._opened = SimpleNamespace(pid=os.getpid(), methods=methods)

    def asked() -> str:
        names = (connection._next_method(GetServerRequest()).address[0] for _ in range(4))
        return "".join(names)

    found = [asked()]
    connection._left_out["h:1"] = 101.0
    found.append(asked())
    connection._left_out["i:1"] = 102.0
    found.append(asked())
    now = 101.0
    found.append(asked())
    assert found == ["hihi", "iiii", "hihi", "hhhh"]


@pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient])
async def test_each_call_gives_its_place_back(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed call no longer counts towards the limit of concurrent calls of its client."""

    def fail(*_arguments: object) -> None:
        raise NotFoundError("no")

    async with entered(kind("localhost:1")) as client:
        connection = client._connection
        monkeypatch.setattr(connection, "_answer", fail)
        for _ in range(CALLS_AT_ONCE + 1):
            with pytest.raises(NotFoundError):
                await result(connection._call(GetServerRequest()))


class _Stream:
    """A streaming call that yields two responses, or raises an error."""

    def __init__(self, error: grpc.RpcError | None = None) -> None:
        self._error = error
        self.cancels = 0

    def cancel(self) -> None:
        self.cancels += 1

    def __iter__(self) -> Iterator[str]:
        if self._error is not None:
            raise self._error
        yield from ("first", "second")

    async def __aiter__(self) -> AsyncIterator[str]:
        if self._error is not None:
            raise self._error
        yield "first"
        yield "second"


@pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient])
async def test_a_stream_has_the_token_and_ends_its_call(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A streaming call sends the client's token and is cancelled when its iterator is closed.

    `stream` also gives its caller a function with which the call can be cancelled.
    """
    token, stream = new_token().text, _Stream()
    sent: list[dict[str, str]] = []
    cancels: list[Any] = []

    def call(_request: object, metadata: Any) -> _Stream:
        sent.append(dict(metadata))
        return stream

    async with entered(kind("localhost:1", token=token)) as client:
        connection = client._connection
        monkeypatch.setattr(connection, "_next_method", lambda _: SimpleNamespace(call=call))
        monkeypatch.setattr(connection, "_check_loop", lambda: None, raising=False)
        responses = connection.stream(GetServerRequest(), cancels.append)
        if kind is podium.Client:
            assert next(responses) == "first"
            responses.close()
        else:
            assert await anext(responses) == "first"
            await responses.aclose()
        assert connection._answered_at is not None
    assert (sent[0]["authorization"], cancels, stream.cancels) == (
        f"Bearer {token}",
        [stream.cancel],
        1,
    )


@pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient])
async def test_a_stream_whose_token_is_replaced_meanwhile(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream fails with UnavailableError if its invalid token was replaced during the call.

    A watch continues after this error, because its next call sends the new token.
    """
    file = tmp_path / "token"
    file.write_text(new_token().text)

    def call(_request: object, **_options: object) -> _Stream:
        file.write_text(f"{new_token().text}\n")
        return _Stream(_failed(error_for("TOKEN_INVALID", "it was revoked")))

    method = SimpleNamespace(**vars(_METHOD), call=call)
    async with entered(kind("localhost:1", token=file)) as client:
        connection = client._connection
        monkeypatch.setattr(connection, "_next_method", lambda _: method)
        monkeypatch.setattr(connection, "_check_loop", lambda: None, raising=False)
        responses = connection.stream(GetServerRequest(), lambda _: None)
        with pytest.raises(UnavailableError, match="the token was replaced"):
            await anext(responses) if kind is podium.AsyncClient else next(responses)
