"""Tests that random requests get precise answers, and that rejected writes leave no trace."""

import base64
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from podium._wire.status import from_rpc_error
from podium.errors import REASONS
from podium.v1.recording_service_pb2 import RecordRequest
from podium_server.serve import tokens
from podium_server.testing import RunningServer, running_server
from podium_server.testing.calls import declared, metrics, row

from tests.server.rpc.fuzz import HUGE, random_request
from tests.server.rpc.good_requests import good_requests
from tests.server.rpc.http_requests import PROTO, Response
from tests.server.store.places import Dump, Place, new_place
from tests.server.store.test_derived import check_derived
from tests.server.writes.ways import METHODS

REQUESTS = int(os.environ.get("PODIUM_FUZZ_REQUESTS", "2500"))
"""The number of requests; the documented number is 50,000."""

_SEED = int(os.environ.get("PODIUM_FUZZ_SEED", "1"))
_CODES = {
    "OK",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
    "RESOURCE_EXHAUSTED",
}


@dataclass
class _Target:
    """A running server, and a view of its store."""

    server: RunningServer
    channel: grpc.Channel
    place: Place
    metadata: tuple[tuple[str, str], ...]
    tokens: list[str] = field(default_factory=list)

    def send(self, method: str, raw: bytes) -> tuple[str, str]:
        """Sends a request. Returns the code and the reason of the answer.

        A response is decoded, and its page token is kept for later requests.
        """
        path = f"/{METHODS[method].containing_service.full_name}/{method}"
        call: Any = self.channel.unary_unary(path)
        if METHODS[method].server_streaming:
            call = self._first_of_stream(path)
        try:
            answer: bytes = call(raw, timeout=120, metadata=self.metadata)
        except grpc.RpcError as error:
            failed = from_rpc_error(error)
            return failed.code, failed.reason
        response: Any = GetMessageClass(METHODS[method].output_type).FromString(answer)
        self._keep_token(response)
        return "OK", ""

    def send_over_http(self, method: str, raw: bytes) -> tuple[str, str]:
        """Sends a request over HTTP. Returns the code and the reason of the answer."""
        path = f"/{METHODS[method].containing_service.full_name}/{method}"
        # The server closes connections that are idle for some seconds, so each request has its own.
        with closing(HTTPConnection(self.server.http.removeprefix("http://"), timeout=300)) as http:
            http.request("POST", path, raw, PROTO | dict(self.metadata))
            answer = http.getresponse()
            response = Response(answer.status, {}, answer.read())
        if response.status == 200:
            return "OK", ""
        _, code, reason = response.error
        return code.upper(), reason

    def _first_of_stream(self, path: str) -> Any:
        """Returns a call that reads the first response of a stream, and then ends it."""

        def call(raw: bytes, **settings: Any) -> bytes:
            start: Any = self.channel.unary_stream(path)
            stream = start(raw, **settings)
            try:
                return bytes(next(stream))
            finally:
                stream.cancel()

        return call

    def _keep_token(self, response: Any) -> None:
        for name in ("next_page_token", "next_evals_page_token"):
            token = getattr(response, name, "")
            if token and len(self.tokens) < 20:
                self.tokens.append(token)

    def version(self) -> int:
        """Returns a number that changes whenever the server has stored something."""
        return self.place.version()

    def dump(self) -> Dump:
        """Returns every row of every table."""
        dump: Dump = self.place.dump()
        return dump


@pytest.fixture
def target(tmp_path: Path) -> Iterator[_Target]:
    """Yields a server with an experiment that has every kind of row."""
    place = new_place(tmp_path)
    _, token = tokens.create(place.url, "the fuzzer", "admin", (), None)
    with running_server(place.url, "--http", "127.0.0.1:0") as server:
        with (
            grpc.insecure_channel(server.address) as channel,
        ):
            target = _Target(server, channel, place, (("authorization", f"Bearer {token}"),))
            for method, request in good_requests():
                assert target.send(method, request.SerializeToString()) == ("OK", "")
            yield target
        assert server.process.poll() is None
        assert server.stop() == 0


@pytest.mark.slow
def test_any_request_is_answered_precisely(target: _Target) -> None:
    """Each of thousands of random requests gets one of the expected codes.

    A rejected request has a reason, changes nothing in the store, and gets the same answer over
    HTTP.
    """
    rng, seen = Random(_SEED), Counter[str]()  # noqa: S311 - the same requests every time
    version, dump = target.version(), target.dump()
    for number in range(REQUESTS):
        method, raw = random_request(rng, target.tokens)
        code, reason = target.send(method, raw)
        where = f"request {number} of seed {_SEED}: {method} {raw[:2_000]!r}: {code} {reason}"
        assert code in _CODES, where
        if code != "OK" and len(raw) <= HUGE:
            assert REASONS[reason].code == code, where
            if not METHODS[method].server_streaming:
                assert target.send_over_http(method, raw) == (code, reason), where
        seen[reason or code] += 1
        if (now := target.version()) != version:
            before, version, dump = dump, now, target.dump()
            assert code == "OK" or dump == before, where
        if now != version or number % 500 == 0:
            assert target.dump() == dump, where
    assert target.dump() == dump
    check_derived(dump)
    print(f"\n{REQUESTS} requests: {dict(seen.most_common())}")  # noqa: T201 - for who asks with -s
    _check_worth(seen)


def _check_worth(seen: Counter[str]) -> None:
    """Asserts that enough requests have succeeded, and that each common reason has occurred."""
    assert seen["OK"] > REQUESTS // 20
    for reason in (
        "MALFORMED_REQUEST", "FIELD_MISSING", "NAME_INVALID", "VALUE_INVALID", "ENUM_INVALID",
        "FIELD_OUT_OF_RANGE", "PAGE_TOKEN_INVALID", "LIMIT_EXCEEDED", "EXPERIMENT_NOT_FOUND",
        "ARM_NOT_FOUND",
    ):  # fmt: skip
        assert seen[reason], reason


@pytest.mark.slow
def test_a_damaged_page_token_is_rejected(target: _Target) -> None:
    """A page token that was changed, cut off or extended is rejected by each list."""
    for events, experiment in (
        ([row("gen"), metrics({"loss": 1}, step=8)], "x"),
        ([declared()], "xy"),
    ):
        more = RecordRequest(experiment=experiment, events=events)
        assert target.send("Record", more.SerializeToString()) == ("OK", "")
    tried = set()
    for method, request in good_requests():
        if "page_token" not in request.DESCRIPTOR.fields_by_name:
            continue
        target.tokens.clear()
        target.send(method, request.SerializeToString())
        for token in target.tokens:
            tried.add(method)
            for damaged in _damaged(token):
                wrong = type(request)()
                wrong.CopyFrom(request)
                wrong.page_token = damaged  # type: ignore[attr-defined]
                answer = target.send(method, wrong.SerializeToString())
                assert answer == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"), (method, damaged)
    kinds = ("Arms", "Evals", "Experiments", "Metrics", "Series", "Tokens")
    lists = {f"List{what}" for what in kinds}
    assert tried == {*lists, "Rank", "Scores"}


def _damaged(token: str) -> Iterator[str]:
    """Yields the token with each byte changed, cut off before each byte, and extended."""
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        yield base64.urlsafe_b64encode(changed).rstrip(b"=").decode()
        yield base64.urlsafe_b64encode(raw[:at]).rstrip(b"=").decode() or "A"
    yield from (token + "A", token + "AAAA", "ä", "====", "*")
