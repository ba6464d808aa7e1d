"""Tests of calls over HTTP: Connect in JSON and in Protobuf, and gRPC-Web."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import podium
import pytest
from google.protobuf.json_format import MessageToJson, Parse
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from podium._wire import codec
from podium.errors import PodiumError
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import (
    EvalRequest,
    GetArmRequest,
    ScoreRequest,
)
from podium_server.serve.addresses import Reach, check_addresses
from podium_server.serve.server import running
from podium_server.serve.settings import ConfigError, ServerTLS, Settings
from podium_server.testing.calls import arm, declared

from tests.server.rpc.http_requests import JSON, PROTO, framed, send
from tests.server.writes.ways import METHODS
from tests.sparse import sparse
from tests.unit.scoring.vectors import arm_of, cases, check

pytest.importorskip("connectrpc")

_SCORE = "/podium.v1.ResultsService/Score"
_UNKNOWN_ARM = b'{"experiment": "x", "arm": "b", "metric": "m"}'
_MALFORMED = (400, "invalid_argument", "MALFORMED_REQUEST")


async def _call(url: str, method: str, request: Message, *, as_json: bool) -> Any:
    """Makes a call in one of the two encodings. Returns its response, or raises its error."""
    described = METHODS[method]
    body = MessageToJson(request).encode() if as_json else request.SerializeToString()
    headers = JSON if as_json else PROTO
    path = f"/{described.containing_service.full_name}/{method}"
    found = await send(url, path, body, headers)
    if found.status != 200:
        _, code, reason = found.error
        raise podium.errors.error_class_for(code.upper())("", reason=reason)
    assert found.headers["content-type"] == headers["content-type"]
    response = GetMessageClass(described.output_type)()
    return Parse(found.body, response) if as_json else response.FromString(found.body)


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """Yields the URL of a server with an experiment `x` and an arm `a` that has the metric `m`."""
    settings = Settings(
        listen=(f"unix:{tmp_path / 'socket'}",),
        http=("127.0.0.1:0",),
        store=f"sqlite:///{tmp_path / 'podium.db'}",
    )
    async with running(settings, asyncio.Event()) as (_, url):
        events = [declared(), arm(metrics={"m": 0.5})]
        await _call(url, "Record", RecordRequest(experiment="x", events=events), as_json=False)
        yield url


class _OverHTTP:
    """An arm whose results are read over HTTP, from a thread other than the event loop's."""

    def __init__(
        self, url: str, arm: str, loop: asyncio.AbstractEventLoop, *, as_json: bool
    ) -> None:
        self._url, self._arm, self._loop, self._as_json = url, arm, loop, as_json

    def _ask(self, method: str, request: Message) -> Any:
        call: Awaitable[Any] = _call(self._url, method, request, as_json=self._as_json)
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(120)  # type: ignore[arg-type]

    def eval(self, name: str, step: int | None) -> podium.EvalResult | None:
        request = EvalRequest(experiment="x", arm=self._arm, name=name, step=step)
        found = self._ask("Eval", request)
        has_row = found.HasField("eval_result")
        return codec.eval_result_from_proto(found.eval_result) if has_row else None

    def score(self, metric: str) -> podium.Score | None:
        request = ScoreRequest(experiment="x", arm=self._arm, metric=metric)
        return codec.score_from_proto(self._ask("Score", request))

    def arm(self) -> podium.ArmResult:
        found = self._ask("GetArm", GetArmRequest(experiment="x", arm=self._arm))
        return codec.arm_result_from_proto(found.arm_result)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("every", sparse([4, 1]), ids=["some", "all"])
async def test_reads_answer_as_the_vectors_say(url: str, every: int, as_json: bool) -> None:
    """Each arm of the vectors is recorded and read over HTTP, in both encodings."""
    loop = asyncio.get_running_loop()
    for case in cases()[as_json::every]:
        result = arm_of(case)
        result.name = case["name"]
        request = RecordRequest(experiment="x")
        request.events.add().arm_recorded.arm_result.CopyFrom(result)
        if "refused" in case:
            with pytest.raises(PodiumError) as raised:
                await _call(url, "Record", request, as_json=as_json)
            assert raised.value.reason == case["refused"]
            continue
        await _call(url, "Record", request, as_json=as_json)
        asker = _OverHTTP(url, result.name, loop, as_json=as_json)
        await asyncio.to_thread(check, case, asker)


async def test_large_messages_are_converted_to_json(url: str) -> None:
    """JSON messages over 16 KiB are converted with all of their values."""
    metrics = {f"m{number}": float(number) for number in range(900)}
    request = RecordRequest(experiment="x", events=[arm("big", metrics=metrics)])
    await _call(url, "Record", request, as_json=True)
    found = await _call(url, "GetArm", GetArmRequest(experiment="x", arm="big"), as_json=True)
    assert dict(found.arm_result.metrics) == metrics


async def test_a_negative_zero_without_a_fraction_keeps_its_sign(url: str) -> None:
    """A metric of -0 in JSON is stored as -0.0. Go clients write -0.0 as -0."""
    metrics = b'{"arm": "a", "metrics": {"zero": -0}}'
    body = b'{"experiment": "x", "events": [{"metricsRecorded": %s}]}' % metrics
    assert (await send(url, "/podium.v1.RecordingService/Record", body, JSON)).status == 200
    found = await _call(url, "GetArm", GetArmRequest(experiment="x", arm="a"), as_json=False)
    assert struct.pack(">d", found.arm_result.metrics["zero"]) == struct.pack(">d", -0.0)


async def test_curl_needs_no_content_type(url: str) -> None:
    """`curl -d` sends the content type of a form. The body is read as JSON."""
    body = b'{"experiment": "x", "arm": "a", "metric": "m"}'
    form = {"content-type": "application/x-www-form-urlencoded"}
    found = await send(url, _SCORE, body, form)
    assert json.loads(found.body)["value"] == 0.5


async def test_reads_can_be_sent_by_get(url: str) -> None:
    """Score, which changes nothing, can be called with GET. Record cannot."""
    message = quote('{"experiment": "x", "arm": "a", "metric": "m"}')
    query = f"?connect=v1&encoding=json&message={message}"
    found = await send(url, _SCORE + query, None, {}, "GET")
    assert json.loads(found.body)["value"] == 0.5
    refused = await send(url, "/podium.v1.RecordingService/Record" + query, None, {}, "GET")
    assert refused.status == 405


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"{", JSON, _MALFORMED),
        (b'{"arms": "a"}', JSON, _MALFORMED),
        (b'{"arm": "\xff"}', JSON, _MALFORMED),
        (b'{"arm": "a", "arm": "b"}', JSON, _MALFORMED),
        (b"[1]", JSON, _MALFORMED),
        (b"null", JSON, _MALFORMED),
        (b"-0", JSON, _MALFORMED),
        (b"9" * 5_000, JSON, _MALFORMED),
        (b"[" * 50_000, JSON, _MALFORMED),
        (b"\xff", PROTO, _MALFORMED),
        (b"{}", JSON, (400, "invalid_argument", "NAME_INVALID")),
        (_UNKNOWN_ARM, JSON, (404, "not_found", "ARM_NOT_FOUND")),
        (b" " * 5_000_000, JSON, (429, "resource_exhausted", "LIMIT_EXCEEDED")),
        (b" " * 9_000_000, JSON, (429, "resource_exhausted", "LIMIT_EXCEEDED")),
    ],
)  # fmt: skip
async def test_wrong_requests_get_a_reason(
    url: str, body: bytes, headers: dict[str, str], expected: tuple[int, str, str]
) -> None:
    """Malformed, invalid and too large requests get the code and the reason that gRPC gives."""
    assert (await send(url, _SCORE, body, headers)).error == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-name": "\xe9"}, (400, "invalid_argument")),
        ({"authorization": "Bearer \xff"}, (400, "invalid_argument")),
        ({"content-type": "application/grpc+proto"}, (415, "unknown")),
        ({"content-encoding": "gzip"}, (501, "unimplemented")),
    ],
)
async def test_requests_that_the_library_cannot_answer_are_rejected(
    url: str, headers: dict[str, str], expected: tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Odd headers, gRPC over HTTP/1.1 and compressed bodies are rejected.

    The log has no error about them.
    """
    found = await send(url, _SCORE, b"{}", {**JSON, **headers})
    assert (found.status, json.loads(found.body)["code"]) == expected
    assert caplog.records == []


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "podium.example"},
        {"host": "localhost.podium.example:80"},
        {"origin": "http://podium.example"},
        {"origin": "null"},
        {"content-type": "text/plain", "origin": "http://localhost:1"},
    ],
)
async def test_calls_of_foreign_web_pages_are_rejected(url: str, headers: dict[str, str]) -> None:
    """A call under a foreign host name, or from a page of another origin, is rejected."""
    body = b'{"experiment": "x", "arm": "a", "metric": "m"}'
    found = await send(url, _SCORE, body, {**JSON, **headers})
    assert (found.status, json.loads(found.body)["code"]) == (403, "permission_denied")


async def test_pages_of_an_allowed_origin_are_answered(tmp_path: Path) -> None:
    """A page of an origin in --http-origin may make calls, and read responses and errors.

    Pages of other origins may not.
    """
    page = {"origin": "https://podium.example"}
    settings = Settings(
        listen=(f"unix:{tmp_path / 'socket'}",),
        http=("127.0.0.1:0",),
        http_origins=("https://podium.example",),
        store=f"sqlite:///{tmp_path / 'podium.db'}",
    )
    async with running(settings, asyncio.Event()) as (_, url):
        asked = await send(url, _SCORE, None, page, "OPTIONS")
        assert asked.status == 204
        assert "authorization" in asked.headers["access-control-allow-headers"]
        found = await send(url, _SCORE, _UNKNOWN_ARM, {**JSON, **page})
        assert found.error == (404, "not_found", "EXPERIMENT_NOT_FOUND")
        for response in (asked, found):
            assert response.headers["access-control-allow-origin"] == "https://podium.example"
            assert response.headers["vary"] == "origin"
        other = await send(url, _SCORE, None, {"origin": "http://podium.example"}, "OPTIONS")
        assert other.status == 403
        assert "access-control-allow-origin" not in other.headers


async def test_pages_of_the_same_origin_are_answered(url: str) -> None:
    """A page from the server itself may call it, under each name of this machine."""
    port = url.rpartition(":")[2]
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
        headers = {**JSON, "host": host, "origin": f"http://{host}"}
        body = b'{"experiment": "x", "arm": "a", "metric": "m"}'
        assert (await send(url, _SCORE, body, headers)).status == 200


async def test_details_of_errors_are_readable(url: str) -> None:
    """An error over HTTP has its details as JSON: reason, metadata and rejected events."""
    event = {"metricsRecorded": {"arm": "nobody", "metrics": {"loss": 1}}}
    body = json.dumps({"experiment": "x", "events": [event]}).encode()
    found = await send(url, "/podium.v1.RecordingService/Record", body, JSON)
    details = {one["type"]: one["debug"] for one in json.loads(found.body)["details"]}
    assert details["google.rpc.ErrorInfo"]["reason"] == "ARM_NOT_FOUND"
    assert details["google.rpc.ErrorInfo"]["metadata"] == {"arm": "nobody", "experiment": "x"}
    (refusal,) = details["podium.v1.Refusals"]["refusals"]
    assert (refusal["eventIndexes"], refusal["kind"]) == ([0], "REFUSAL_KIND_WAIT")


async def test_grpc_web(url: str) -> None:
    """A gRPC-Web client gets a message and a trailer, or the status of an error with details."""
    headers = {"content-type": "application/grpc-web+proto"}
    request = ScoreRequest(experiment="x", arm="a", metric="m").SerializeToString()
    found = await send(url, _SCORE, framed(request), headers)
    flag, size = struct.unpack(">BI", found.body[:5])
    assert (flag, found.body[5 + size]) == (0, 0x80)
    assert b"grpc-status: 0" in found.body[5 + size :]
    failed = await send(url, _SCORE, framed(b""), headers)
    said = failed.body + json.dumps(failed.headers).encode()
    assert b"grpc-status" in said
    assert b"grpc-status-details-bin" in said


async def test_reachable_addresses_need_insecure(tmp_path: Path) -> None:
    """An HTTP address that others can reach needs TLS or --insecure, as with gRPC."""
    settings = Settings(http=("0.0.0.0:0",), store=f"sqlite:///{tmp_path / 'podium.db'}")
    with pytest.raises(ConfigError, match="--insecure"):
        async with running(settings, asyncio.Event()):
            pass
    encrypted = replace(settings, tls=ServerTLS(tmp_path / "cert.pem", tmp_path / "key.pem"))
    assert check_addresses(encrypted) == Reach(is_reachable=True, is_exposed=False)
