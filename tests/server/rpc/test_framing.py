"""Tests of the frames, the compression and the deadlines of requests.

Both gRPC fronts give the answers that these tests expect.
"""

import gzip
import zlib
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from podium.v1.results_service_pb2 import GetExperimentRequest
from podium_server.testing import running_server

from tests.server.rpc.attack import MAX_WINDOW, attackers, headers, message

_PATH = "/podium.v1.ResultsService/GetExperiment"
_REQUEST = GetExperimentRequest(experiment="none").SerializeToString()
_NONE = ("5", "there is no experiment 'none'")
_SECONDS = 120


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Yields the address of a server that all tests of this file share."""
    with running_server(None, "--log-level", "error") as server:
        yield server.address


def _flagged(content: bytes) -> bytes:
    """Returns a message whose flag says that it is compressed."""
    return b"\1" + message(content)[1:]


@pytest.mark.parametrize(
    ("more", "body", "expected"),
    [
        ({"grpc-encoding": "gzip"}, _flagged(gzip.compress(_REQUEST)), _NONE),
        ({"grpc-encoding": "deflate"}, _flagged(zlib.compress(_REQUEST)), _NONE),
        ({"grpc-encoding": "gzip"}, message(_REQUEST), _NONE),
        (
            {"grpc-encoding": "gzip"},
            _flagged(b"xxxx"),
            ("13", "Decompression failed due to zlib error"),
        ),
        (
            {"grpc-encoding": "snappy"},
            _flagged(b"xxxx"),
            ("13", "Error parsing 'grpc-encoding' metadata"),
        ),
        ({}, _flagged(b"xxxx"), ("13", "Compression bit set but no encoding configured")),
        ({}, message(_REQUEST) * 2, _NONE),
        ({"content-type": "application/grpc+proto"}, message(_REQUEST), _NONE),
        ({":authority": "tmp%2Fpodium.sock"}, message(_REQUEST), _NONE),
        ({"grpc-timeout": "100S"}, message(_REQUEST), _NONE),
        ({"grpc-timeout": "123456789u"}, message(_REQUEST), _NONE),
        (
            {"grpc-timeout": "abc"},
            message(_REQUEST),
            ("13", "Error parsing 'grpc-timeout' metadata"),
        ),
    ],
    ids=[
        "gzip",
        "deflate",
        "gzip of others",
        "damaged",
        "unknown encoding",
        "flag alone",
        "two messages",
        "content type",
        "path as host",
        "timeout",
        "long timeout",
        "malformed timeout",
    ],
)
def test_a_request(
    more: dict[str, str], body: bytes, expected: tuple[str, str], address: str
) -> None:
    """Requests with odd encodings, headers or messages get the expected code and text."""
    with attackers(address, 1, window=MAX_WINDOW) as (attacker,):
        attacker.call(headers(_PATH, more), body)
        [code], [text] = attacker.statuses_of(1), attacker.messages_of(1)
    assert (code, text.partition(";")[0]) == expected


def test_a_call_without_time(address: str) -> None:
    """A call with a timeout of 0 gets DEADLINE_EXCEEDED, unless the answer is faster."""
    with attackers(address, 1, window=MAX_WINDOW) as (attacker,):
        attacker.call(headers(_PATH, {"grpc-timeout": "0m"}), message(_REQUEST))
        [code], [text] = attacker.statuses_of(1), attacker.messages_of(1)
    assert (code, text.partition(";")[0]) in {("4", "Deadline Exceeded"), _NONE}


def test_the_deadline_ends_a_call_that_stalls(address: str) -> None:
    """The server ends a call whose request never ends, at the deadline of the client."""
    with attackers(address, 1, window=MAX_WINDOW) as (one,):
        half = message(_REQUEST, declared=1_000)
        one.call(headers(_PATH, {"grpc-timeout": "300m"}), half, end=False)
        assert one.statuses_of(1) == ["4"]


def _failed(address: str, **settings: Any) -> tuple[grpc.StatusCode, str]:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(address, options) as channel:
        call: Any = channel.unary_unary(_PATH)
        with pytest.raises(grpc.RpcError) as raised:
            call(timeout=_SECONDS, **settings)
    failed: Any = raised.value
    return failed.code(), failed.details()


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_request_of_twice_the_limit_is_not_read(
    compression: grpc.Compression | None, address: str
) -> None:
    """A request of 50 MB gets RESOURCE_EXHAUSTED, even if its compressed form is small."""
    code, text = _failed(address, request=bytes(50_000_000), compression=compression)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert text == (
        "Decompressed message larger than max"
        if compression
        else "SERVER: Received message larger than max (50000000 vs. 8388608)"
    )


def test_metadata_has_a_limit(address: str) -> None:
    """Metadata over 16 KiB ends the call with RESOURCE_EXHAUSTED."""
    metadata = (("x-a", "v" * 7_000), ("x-b", "v" * 13_000))
    code, text = _failed(address, request=b"", metadata=metadata)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert text.startswith("received metadata size exceeds hard limit (20")
