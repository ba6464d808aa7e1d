"""Calls over HTTP mean the same as over gRPC: Connect in both encodings, and gRPC-Web."""

import asyncio
import json
import struct
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import podium
import pytest
from google.protobuf.json_format import MessageToJson, Parse
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]
from podium._wire import codec
from podium.errors import PodiumError
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import (
    EvalRequest,
    GetArmRequest,
    GetServerResponse,
    ScoreRequest,
)
from podium_server.rpc.access.tokens import Access
from podium_server.rpc.admission import Admission, AdmissionLimits
from podium_server.rpc.handlers import StreamMethod, UnaryMethod
from podium_server.rpc.telemetry import Telemetry
from podium_server.serve.addresses import Reach, check_addresses
from podium_server.serve.server import running
from podium_server.serve.settings import ConfigError, ServerTLS, Settings
from podium_server.testing.calls import arm, declared

from tests.server.writes.ways import METHODS
from tests.sparse import sparse
from tests.unit.scoring.vectors import arm_of, cases, check

pytest.importorskip("connectrpc")
from podium_server.rpc.fronts import http_server
from podium_server.rpc.fronts.connect import ConnectFront

_SCORE = "/podium.v1.ResultsService/Score"
_JSON = {"content-type": "application/json"}
_PROTO = {"content-type": "application/proto"}
_UNKNOWN_ARM = b'{"experiment": "x", "arm": "b", "metric": "m"}'
_MALFORMED = (400, "invalid_argument", "MALFORMED_REQUEST")


class _Response:
    """The status, the headers and the body of a response."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def error(self) -> tuple[int, str, str]:
        """The HTTP status, the code and the reason of an error."""
        said = json.loads(self.body)
        reasons = [
            ErrorInfo.FromString(b64decode(detail["value"] + "===")).reason
            for detail in said.get("details", [])
            if detail["type"] == "google.rpc.ErrorInfo"
        ]
        return self.status, said["code"], "".join(reasons)


async def _send(
    url: str, path: str, body: bytes | None, headers: dict[str, str], method: str = "POST"
) -> _Response:
    def send() -> _Response:
        connection = HTTPConnection(url.removeprefix("http://"), timeout=120)
        try:
            connection.request(method, path, body, headers)
            found = connection.getresponse()
            return _Response(
                found.status, {k.lower(): v for k, v in found.headers.items()}, found.read()
            )
        finally:
            connection.close()

    return await asyncio.to_thread(send)


async def _call(url: str, method: str, request: Message, *, as_json: bool) -> Any:
    """The response of a call, in one of the two encodings."""
    described = METHODS[method]
    body = MessageToJson(request).encode() if as_json else request.SerializeToString()
    headers = _JSON if as_json else _PROTO
    path = f"/{described.containing_service.full_name}/{method}"
    found = await _send(url, path, body, headers)
    if found.status != 200:
        _, code, reason = found.error
        raise podium.errors.error_class_for(code.upper())("", reason=reason)
    assert found.headers["content-type"] == headers["content-type"]
    response = GetMessageClass(described.output_type)()
    return Parse(found.body, response) if as_json else response.FromString(found.body)


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a server with an experiment `x` and an arm `a` that has the metric `m`."""
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
    """An arm that is asked over HTTP; the vectors ask from a thread of their own."""

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
    """Messages over 16 KiB, which other calls do not wait for, have all of their values."""
    metrics = {f"m{number}": float(number) for number in range(900)}
    request = RecordRequest(experiment="x", events=[arm("big", metrics=metrics)])
    await _call(url, "Record", request, as_json=True)
    found = await _call(url, "GetArm", GetArmRequest(experiment="x", arm="big"), as_json=True)
    assert dict(found.arm_result.metrics) == metrics


async def test_a_negative_zero_without_a_fraction_keeps_its_sign(url: str) -> None:
    """Go writes the double -0.0 as -0 in JSON."""
    metrics = b'{"arm": "a", "metrics": {"zero": -0}}'
    body = b'{"experiment": "x", "events": [{"metricsRecorded": %s}]}' % metrics
    assert (await _send(url, "/podium.v1.RecordingService/Record", body, _JSON)).status == 200
    found = await _call(url, "GetArm", GetArmRequest(experiment="x", arm="a"), as_json=False)
    assert struct.pack(">d", found.arm_result.metrics["zero"]) == struct.pack(">d", -0.0)


async def test_curl_needs_no_content_type(url: str) -> None:
    """`curl -d` sends the content type of a form. The body is read as JSON."""
    body = b'{"experiment": "x", "arm": "a", "metric": "m"}'
    form = {"content-type": "application/x-www-form-urlencoded"}
    found = await _send(url, _SCORE, body, form)
    assert json.loads(found.body)["value"] == 0.5


async def test_reads_can_be_sent_by_get(url: str) -> None:
    """A method without side effects answers GET; Record does not."""
    message = quote('{"experiment": "x", "arm": "a", "metric": "m"}')
    query = f"?connect=v1&encoding=json&message={message}"
    found = await _send(url, _SCORE + query, None, {}, "GET")
    assert json.loads(found.body)["value"] == 0.5
    refused = await _send(url, "/podium.v1.RecordingService/Record" + query, None, {}, "GET")
    assert refused.status == 405


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"{", _JSON, _MALFORMED),
        (b'{"arms": "a"}', _JSON, _MALFORMED),
        (b'{"arm": "\xff"}', _JSON, _MALFORMED),
        (b'{"arm": "a", "arm": "b"}', _JSON, _MALFORMED),
        (b"[1]", _JSON, _MALFORMED),
        (b"null", _JSON, _MALFORMED),
        (b"-0", _JSON, _MALFORMED),
        (b"9" * 5_000, _JSON, _MALFORMED),
        (b"[" * 50_000, _JSON, _MALFORMED),
        (b"\xff", _PROTO, _MALFORMED),
        (b"{}", _JSON, (400, "invalid_argument", "NAME_INVALID")),
        (_UNKNOWN_ARM, _JSON, (404, "not_found", "ARM_NOT_FOUND")),
        (b" " * 5_000_000, _JSON, (429, "resource_exhausted", "LIMIT_EXCEEDED")),
        (b" " * 9_000_000, _JSON, (429, "resource_exhausted", "LIMIT_EXCEEDED")),
    ],
)  # fmt: skip
async def test_wrong_requests_get_a_reason(
    url: str, body: bytes, headers: dict[str, str], expected: tuple[int, str, str]
) -> None:
    """Malformed, invalid and oversized requests have the code and the reason that gRPC gives."""
    assert (await _send(url, _SCORE, body, headers)).error == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-name": "\xe9"}, (400, "invalid_argument")),
        ({"authorization": "Bearer \xff"}, (400, "invalid_argument")),
        ({"content-type": "application/grpc+proto"}, (415, "unknown")),
        ({"content-encoding": "gzip"}, (501, "unimplemented")),
    ],
)
async def test_what_the_library_cannot_answer_is_refused(
    url: str, headers: dict[str, str], expected: tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Odd headers, gRPC over HTTP/1.1, and bodies that unpack to more than any bound: no defect."""
    found = await _send(url, _SCORE, b"{}", {**_JSON, **headers})
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
async def test_foreign_web_pages_are_refused(url: str, headers: dict[str, str]) -> None:
    """A page under another name, and a page of another origin, cannot call the server."""
    body = b'{"experiment": "x", "arm": "a", "metric": "m"}'
    found = await _send(url, _SCORE, body, {**_JSON, **headers})
    assert (found.status, json.loads(found.body)["code"]) == (403, "permission_denied")


async def test_pages_of_an_allowed_origin_are_answered(tmp_path: Path) -> None:
    """The browser learns that a page of --http-origin may call, and read responses and errors."""
    page = {"origin": "https://podium.example"}
    settings = Settings(
        listen=(f"unix:{tmp_path / 'socket'}",),
        http=("127.0.0.1:0",),
        http_origins=("https://podium.example",),
        store=f"sqlite:///{tmp_path / 'podium.db'}",
    )
    async with running(settings, asyncio.Event()) as (_, url):
        asked = await _send(url, _SCORE, None, page, "OPTIONS")
        assert asked.status == 204
        assert "authorization" in asked.headers["access-control-allow-headers"]
        found = await _send(url, _SCORE, _UNKNOWN_ARM, {**_JSON, **page})
        assert found.error == (404, "not_found", "EXPERIMENT_NOT_FOUND")
        for response in (asked, found):
            assert response.headers["access-control-allow-origin"] == "https://podium.example"
            assert response.headers["vary"] == "origin"
        other = await _send(url, _SCORE, None, {"origin": "http://podium.example"}, "OPTIONS")
        assert other.status == 403
        assert "access-control-allow-origin" not in other.headers


async def test_pages_of_the_same_origin_are_answered(url: str) -> None:
    """A page that the host itself serves can call it, by each name of this machine."""
    port = url.rpartition(":")[2]
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
        headers = {**_JSON, "host": host, "origin": f"http://{host}"}
        body = b'{"experiment": "x", "arm": "a", "metric": "m"}'
        assert (await _send(url, _SCORE, body, headers)).status == 200


def _framed(content: bytes) -> bytes:
    return struct.pack(">BI", 0, len(content)) + content


async def test_grpc_web(url: str) -> None:
    """A gRPC-Web client gets a message and a trailer, or the status of an error with details."""
    headers = {"content-type": "application/grpc-web+proto"}
    request = ScoreRequest(experiment="x", arm="a", metric="m").SerializeToString()
    found = await _send(url, _SCORE, _framed(request), headers)
    flag, size = struct.unpack(">BI", found.body[:5])
    assert (flag, found.body[5 + size]) == (0, 0x80)
    assert b"grpc-status: 0" in found.body[5 + size :]
    failed = await _send(url, _SCORE, _framed(b""), headers)
    said = failed.body + json.dumps(failed.headers).encode()
    assert b"grpc-status" in said
    assert b"grpc-status-details-bin" in said


async def test_reachable_addresses_need_insecure(tmp_path: Path) -> None:
    """HTTP follows the rule of gRPC's addresses."""
    settings = Settings(http=("0.0.0.0:0",), store=f"sqlite:///{tmp_path / 'podium.db'}")
    with pytest.raises(ConfigError, match="--insecure"):
        async with running(settings, asyncio.Event()):
            pass
    encrypted = replace(settings, tls=ServerTLS(tmp_path / "cert.pem", tmp_path / "key.pem"))
    assert check_addresses(encrypted) == Reach(is_reachable=True, is_exposed=False)


# ---- Calls that last ---------------------------------------------------------------------


class _Slow:
    """A method that answers on request, and notes how it ends."""

    def __init__(self) -> None:
        self.begun, self.ended, self.go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def answer(self, _raw: bytes) -> bytes:
        self.begun.set()
        try:
            await self.go.wait()
        finally:
            self.ended.set()
        return b""


@asynccontextmanager
async def _front(
    method: UnaryMethod | StreamMethod, limits: AdmissionLimits | None = None
) -> AsyncIterator[tuple[str, Admission]]:
    admission = Admission(limits or AdmissionLimits())
    front = ConnectFront(
        {"": [method]}, admission, Access(cast("Any", None), is_on=False), Telemetry()
    )
    [url] = await front.start(["127.0.0.1:0"])
    try:
        yield url, admission
    finally:
        await front.stop()


def _get_server(slow: _Slow) -> UnaryMethod:
    return UnaryMethod("podium.v1.ResultsService.GetServer", slow.answer)


_GET_SERVER = "/podium.v1.ResultsService/GetServer"


async def test_a_deadline_ends_the_call() -> None:
    """The method is cancelled when the deadline of the request has passed."""
    slow = _Slow()
    async with _front(_get_server(slow)) as (url, _):
        headers = {**_JSON, "connect-timeout-ms": "50"}
        found = await _send(url, _GET_SERVER, b"{}", headers)
        assert found.error == (504, "deadline_exceeded", "")
        await slow.ended.wait()


async def test_a_client_that_leaves_cancels_its_call() -> None:
    """The method is cancelled, and the call no longer counts, when its connection ends."""
    slow = _Slow()
    async with _front(_get_server(slow)) as (url, admission):
        host, _, port = url.removeprefix("http://").rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {_GET_SERVER} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json"
        writer.write(f"{head}\r\ncontent-length: 2\r\n\r\n{{}}".encode())
        await slow.begun.wait()
        writer.close()
        await slow.ended.wait()
        while admission.calls.used:  # noqa: ASYNC110 - the call leaves right after its method
            await asyncio.sleep(0.01)


async def test_calls_under_way_are_refused_when_the_server_stops() -> None:
    """The call under way and later ones get SHUTTING_DOWN, as over gRPC."""
    slow = _Slow()
    async with _front(_get_server(slow)) as (url, admission):
        waiting = asyncio.create_task(_send(url, _GET_SERVER, b"{}", _JSON))
        await slow.begun.wait()
        await admission.close(0)
        assert (await waiting).error == (503, "unavailable", "SHUTTING_DOWN")
        late = await _send(url, _GET_SERVER, b"{}", _JSON)
        assert late.error == (503, "unavailable", "SHUTTING_DOWN")


async def test_defects_stay_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """An exception of a method is INTERNAL with an incident, without its text."""

    async def broken(_raw: bytes) -> bytes:
        raise ZeroDivisionError("secret")

    async with _front(UnaryMethod("podium.v1.ResultsService.GetServer", broken)) as (url, _):
        found = await _send(url, _GET_SERVER, b"{}", _JSON)
    assert found.error == (500, "internal", "INTERNAL")
    assert b"secret" not in found.body
    assert "secret" in caplog.text


async def test_streams() -> None:
    """A stream yields each response in a frame of its own, in both encodings."""

    async def stream(_raw: bytes) -> AsyncGenerator[bytes]:
        for version in ("1", "2"):
            response = GetServerResponse()
            response.server.version = version
            yield response.SerializeToString()

    async with _front(StreamMethod("podium.v1.ResultsService.GetServer", stream)) as (
        url,
        admission,
    ):
        headers = {"content-type": "application/connect+json"}
        found = await _send(url, _GET_SERVER, _framed(b"{}"), headers)
        frames, rest = [], found.body
        while rest:
            size = struct.unpack(">BI", rest[:5])[1]
            frames.append(json.loads(rest[5 : 5 + size]))
            rest = rest[5 + size :]
        assert frames == [{"server": {"version": "1"}}, {"server": {"version": "2"}}, {}]
        assert admission.watches.used == 0


async def test_connections_without_a_request_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that send nothing, or never end a head, take no connection. Calls go on."""
    slow = _Slow()
    async with _front(_get_server(slow)) as (url, _):
        host, _, port = url.removeprefix("http://").rpartition(":")
        calling = asyncio.create_task(_send(url, _GET_SERVER, b"{}", _JSON))
        await slow.begun.wait()
        monkeypatch.setattr(http_server, "_WAIT_TICKS", 1)
        for begin in (b"", b"GET / HTTP/1.1\r\nHost:"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(begin)
            assert await reader.read() == b""
            writer.close()
        slow.go.set()
        assert (await calling).status == 200
