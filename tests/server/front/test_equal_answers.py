"""Tests that servers of both fronts, with equal stores, give equal answers to equal requests."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import apsw
import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from podium.v1.access_service_pb2 import ListTokensResponse
from podium_server.serve import tokens
from podium_server.testing import running_server

from tests.server.rpc.fuzz import random_request
from tests.server.rpc.good_requests import good_requests
from tests.server.writes.ways import METHODS

REQUESTS = int(os.environ.get("PODIUM_FUZZ_REQUESTS", "1000"))
"""The number of requests; `make front-fuzz` sends 50,000."""

_SEED = int(os.environ.get("PODIUM_FUZZ_SEED", "1"))
_SECONDS = 120
_MOST_TOKENS = 20
_RANDOM = "a page token with a random id in it"
_DIFFERENT = {
    "podium.v1.CreateTokenResponse.secret",
    "podium.v1.ReplacedAttempt.quiet_seconds",
    "podium.v1.Token.id",
    # The server counts the rows again only from time to time.
    "podium.v1.Token.stored_rows",
    "podium.v1.WatchMarker.epoch",
}
"""Fields whose values differ from run to run."""
_FRONTS = ("grpcio", "native")


class _Answer(NamedTuple):
    """All that a client sees of a call, without what differs between two runs."""

    code: str
    details: str
    first: tuple[Any, ...]
    last: tuple[Any, ...]
    response: Message | None


class _Client:
    """A client of one of the servers."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {token}"),)

    def begin(self, method: str, raw: bytes) -> Any:
        """Starts a call."""
        path = f"/{METHODS[method].containing_service.full_name}/{method}"
        settings: dict[str, Any] = {"timeout": _SECONDS, "metadata": self._metadata}
        if METHODS[method].server_streaming:
            stream: Any = self._channel.unary_stream(path)
            return stream(raw, **settings)
        call: Any = self._channel.unary_unary(path)
        return call.future(raw, **settings)


def _answer(method: str, call: Any) -> _Answer:
    """Waits for the answer of a call, or for the first message of a stream."""
    response, code, details, last = None, "OK", "", ()
    try:
        raw = next(call) if METHODS[method].server_streaming else call.result()
        response = GetMessageClass(METHODS[method].output_type).FromString(raw)
        _clear_measured(response)
    except grpc.RpcError:
        code, details, last = call.code().name, call.details(), call.trailing_metadata()
    first = tuple(call.initial_metadata())
    call.cancel()
    return _Answer(code, details, first, tuple(last), response)


def _clear_measured(message: Message) -> None:
    """Removes times, random values, and other fields that differ from run to run."""
    if isinstance(message, ListTokensResponse):
        message.next_page_token = message.next_page_token and _RANDOM
    for field, value in message.ListFields():
        if field.full_name in _DIFFERENT or _is_time(field):
            message.ClearField(field.name)
        elif field.message_type is not None and not field.is_repeated:
            _clear_measured(value)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for inner in value:
                _clear_measured(inner)


def _is_time(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return kind is not None and kind.full_name == "google.protobuf.Timestamp"


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[list[_Client]]:
    """Yields a client for each front. The stores of both servers have the same content."""
    paths = [tmp_path / f"{name}.db" for name in _FRONTS]
    url = f"sqlite:///{paths[0]}"
    _, token = tokens.create(url, "the fuzzer", "admin", (), None)
    with running_server(url, "--front", "grpcio") as server:
        _fill(server.address, token)
    with closing(apsw.Connection(str(paths[0]))) as store:
        store.pragma("wal_checkpoint(TRUNCATE)")
    shutil.copy(*paths)
    with ExitStack() as stack:
        found = []
        for name, path in zip(_FRONTS, paths, strict=True):
            server = stack.enter_context(running_server(f"sqlite:///{path}", "--front", name))
            channel = stack.enter_context(grpc.insecure_channel(server.address))
            found.append(_Client(channel, token))
        yield found


def _fill(address: str, token: str) -> None:
    with grpc.insecure_channel(address) as channel:
        client = _Client(channel, token)
        for method, request in good_requests():
            answer = _answer(method, client.begin(method, request.SerializeToString()))
            assert answer.code == "OK", answer


@pytest.mark.timeout(3_600)
def test_both_fronts_give_the_same_answers(clients: list[_Client]) -> None:
    """Both fronts give the same answers to random requests, most of which are wrong.

    The code, the text, the metadata and the response are the same.
    """
    rng, seen, page_tokens = Random(_SEED), Counter[str](), list[str]()  # noqa: S311 - repeatable
    for number in range(REQUESTS):
        method, raw = random_request(rng, page_tokens)
        calls = [client.begin(method, raw) for client in clients]
        reference, native = (_answer(method, call) for call in calls)
        where = f"request {number} of seed {_SEED}: {method} {raw[:2_000]!r}"
        assert native == reference, where
        seen[native.code] += 1
        page_token = getattr(native.response, "next_page_token", "")
        if page_token not in {"", _RANDOM} and len(page_tokens) < _MOST_TOKENS:
            page_tokens.append(page_token)
    print(f"\n{REQUESTS} requests: {dict(seen.most_common())}")  # noqa: T201 - for pytest -s
    assert min(seen["OK"], seen["INVALID_ARGUMENT"], seen["NOT_FOUND"]) > REQUESTS // 50
