"""Tests of traces: the spans that a server sends, and the trace contexts of clients."""

import asyncio
import http.server
import json
import queue
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, ClassVar

import grpc
import podium
import pytest
from podium._client.channel import trace_metadata
from podium_server.serve.settings import ConfigError
from podium_server.store.stages import Stage

from tests.server.access.serving import serving

pytest.importorskip("connectrpc")
trace = pytest.importorskip("opentelemetry.sdk.trace")
memory: Any = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
tracing: Any = pytest.importorskip("podium_server.rpc.tracing")
messages: Any = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")

_SECONDS = 300
_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_RECORD = "podium.v1.RecordingService/Record"
_GET = "podium.v1.ResultsService/GetExperiment"


class _Collector(http.server.BaseHTTPRequestHandler):
    """Receives spans in place of a real collector."""

    spans: ClassVar[queue.Queue[Any]]
    resources: ClassVar[list[dict[str, str]]]

    def do_POST(self) -> None:
        """Puts all spans of a request into the queue."""
        body = self.rfile.read(int(self.headers["content-length"]))
        for group in messages.ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = group.resource.attributes
            self.resources.append({each.key: each.value.string_value for each in attributes})
            for scope in group.scope_spans:
                for span in scope.spans:
                    self.spans.put(span)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Logs nothing."""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Collector]]:
    """Yields a collector, whose address is in the environment variables."""
    handler = type("Collector", (_Collector,), {"spans": queue.Queue(), "resources": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        yield handler
        server.shutdown()
        thread.join()


async def _spans(collector: type[_Collector], *names: str) -> dict[str, Any]:
    """Waits for spans with these names. Returns all received spans by name."""
    found: dict[str, Any] = {}
    while not found.keys() >= {*names}:
        span = await asyncio.to_thread(collector.spans.get, timeout=_SECONDS)
        found[span.name] = span
    return found


def _attributes(span: Any) -> dict[str, str]:
    return {each.key: each.value.string_value for each in span.attributes}


async def test_a_call_is_a_child_of_the_span_of_its_client(
    tmp_path: Path, collector: type[_Collector]
) -> None:
    """Both clients send the context of the running span.

    The server's spans are children of this span.
    """
    tracer = trace.TracerProvider().get_tracer("training")
    async with serving(tmp_path, traces=0.0) as [address]:
        async with podium.AsyncClient(address) as client:
            with tracer.start_as_current_span("own") as own:
                await client.experiment("x").declare()
            spans = await _spans(collector, _RECORD, "queue", "commit")
        with podium.Client(address) as blocking:
            with tracer.start_as_current_span("other") as other:
                await asyncio.to_thread(blocking.experiment("x").get)
            read = (await _spans(collector, _GET))[_GET]
    record = spans[_RECORD]
    assert record.trace_id.hex() == f"{own.get_span_context().trace_id:032x}"
    assert record.parent_span_id.hex() == f"{own.get_span_context().span_id:016x}"
    assert {spans[name].parent_span_id for name in ("queue", "commit")} == {record.span_id}
    assert {spans[name].trace_id for name in ("queue", "commit")} == {record.trace_id}
    times = [record.start_time_unix_nano, spans["queue"].start_time_unix_nano]
    times += [spans["queue"].end_time_unix_nano, spans["commit"].start_time_unix_nano]
    times += [spans["commit"].end_time_unix_nano, record.end_time_unix_nano]
    assert times == sorted(times)
    assert read.parent_span_id.hex() == f"{other.get_span_context().span_id:016x}"
    assert _attributes(read) == {
        "rpc.system.name": "grpc",
        "rpc.method": _GET,
        "rpc.response.status_code": "OK",
    }
    assert collector.resources[0]["service.name"] == "podium"
    assert collector.resources[0]["service.version"] == podium.__version__


async def test_a_call_over_http_is_a_child_too(tmp_path: Path, collector: type[_Collector]) -> None:
    """Over HTTP, the header `traceparent` names the parent of the server's span.

    The span of a rejected call has the code and the reason of the error.
    """

    def ask(url: str) -> int:
        connection = HTTPConnection(url.removeprefix("http://"), timeout=_SECONDS)
        headers = {"content-type": "application/json", "traceparent": _PARENT}
        body = json.dumps({"experiment": "none"})
        connection.request("POST", f"/{_GET}", body, headers)
        status = connection.getresponse().status
        connection.close()
        return status

    async with serving(tmp_path, http=("127.0.0.1:0",), traces=0.0) as [_, url]:
        assert await asyncio.to_thread(ask, url) == 404
        span = (await _spans(collector, _GET))[_GET]
    assert span.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert span.parent_span_id.hex() == "b7ad6b7169203331"
    assert _attributes(span)["rpc.response.status_code"] == "NOT_FOUND"
    assert _attributes(span)["error.type"] == "EXPERIMENT_NOT_FOUND"
    assert span.status.code == 0  # the server made no mistake


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_the_share_decides_about_other_calls(
    tmp_path: Path, collector: type[_Collector], share: float
) -> None:
    """If a client sends no trace context, the share of --traces decides whether a call is traced.

    With the share 0 it is not traced, and with the share 1 it is.
    """
    tracer = trace.TracerProvider().get_tracer("training")
    async with serving(tmp_path, traces=share) as [address], podium.AsyncClient(address) as client:
        await client.experiment("x").declare()
        with tracer.start_as_current_span("own"):
            await client.experiment("x").get()
        spans = await _spans(collector, _GET)
        if share:
            spans |= await _spans(collector, _RECORD) if _RECORD not in spans else {}
    assert (_RECORD in spans) == bool(share)


async def test_the_variables_of_opentelemetry_apply(
    tmp_path: Path, collector: type[_Collector], monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenTelemetry's variables set the sampler and the name of the service."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "results")
    async with serving(tmp_path, traces=0.0) as [address], podium.AsyncClient(address) as client:
        await client.experiment("x").declare()
        await _spans(collector, _RECORD)
    assert collector.resources[0]["service.name"] == "results"


async def test_the_extra_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If OpenTelemetry is not installed, the error of --traces names what to install."""
    monkeypatch.setitem(sys.modules, "podium_server.rpc.tracing", None)
    with pytest.raises(ConfigError, match=r"--traces needs more packages: .*podium\[otel\]"):
        async with serving(tmp_path, traces=1.0):
            pass


def test_a_process_without_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client sends no trace headers if OpenTelemetry is not loaded, and does not load it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    assert trace_metadata() == ()
    assert "opentelemetry.propagate" not in sys.modules


async def test_the_last_spans_are_sent_when_the_server_stops(
    tmp_path: Path, collector: type[_Collector], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stops sends the spans that wait for the next export."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    async with serving(tmp_path, traces=1.0) as [address], podium.AsyncClient(address) as client:
        await client.experiment("x").declare()
        assert collector.spans.empty()
    names = [collector.spans.get_nowait().name for _ in range(collector.spans.qsize())]
    assert {"queue", "commit", _RECORD} <= {*names}


_OF_THE_SERVER = {"UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}


def test_only_errors_of_the_server_fail_a_span() -> None:
    """A span fails only with an error of the server, not with an error of the caller.

    Each stage of a call in the store has a span of its own.
    """
    exporter = memory.InMemorySpanExporter()
    traces = tracing.Tracing(1.0, exporter)
    codes = [code.name for code in grpc.StatusCode]
    for code in codes:
        call = traces.begin(f"x.S.{code}", lambda _name: [])
        assert call is not None
        call._stages.append(Stage("commit", 5, 9))
        call.end(code, "")
    traces.close()
    spans = exporter.get_finished_spans()
    failed = {span.name for span in spans if span.status.status_code.name == "ERROR"}
    assert failed == {f"x.S/{code}" for code in _OF_THE_SERVER}
    stages = [(span.start_time, span.end_time) for span in spans if span.name == "commit"]
    assert stages == [(5, 9)] * len(codes)
