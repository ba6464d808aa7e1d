"""Traces of calls for OpenTelemetry. Loaded only if tracing is on, since it needs podium[otel].

The span of a call is a child of the span in the client's `traceparent` header, if there is one. The
export runs in a thread. A slow collector never delays a call: if the queue of spans is full,
further spans are dropped.
"""

import os
import threading
from functools import cache

import podium
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from podium_server.rpc.telemetry import Headers
from podium_server.store.stages import STAGES, Stage

__all__ = ["Tracing"]

_STOP_SECONDS = 1.0
"""The most seconds for which a stopping server sends its last spans."""
_DEFECTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""The codes of errors that the server causes. Errors of callers do not mark a span as failed."""


class Tracing:
    """Makes a span for each sampled call, and sends it to a collector.

    The environment variables of OpenTelemetry apply: OTEL_EXPORTER_OTLP_ENDPOINT and the other
    variables of the exporter, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
    OTEL_PROPAGATORS, OTEL_BSP_* and OTEL_SDK_DISABLED.

    Args:
        share: The share of calls to trace, from 0 to 1, among calls that the client does not trace.
            OTEL_TRACES_SAMPLER replaces it.
        exporter: Sends the spans; by default over HTTP, with the protocol OTLP.
    """

    def __init__(self, share: float, exporter: SpanExporter | None = None) -> None:
        is_given = bool(os.environ.get("OTEL_TRACES_SAMPLER"))
        own = Resource({"service.name": "podium", "service.version": podium.__version__})
        given = OTELResourceDetector().detect()
        self._provider = TracerProvider(
            None if is_given else ParentBasedTraceIdRatio(share),
            Resource.create().merge(own).merge(given),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("podium_server", podium.__version__)

    def begin(self, method: str, headers: Headers) -> "_TracedCall | None":
        """Begins the span of a call. Returns None if the call is not sampled."""
        name, attributes = _described(method)
        span = self._tracer.start_span(
            name, extract(headers, Context(), _HEADERS), SpanKind.SERVER, attributes
        )
        return _TracedCall(self._tracer, span) if span.is_recording() else None

    def close(self) -> None:
        """Sends the last spans, within a limited time."""
        # The exporter retries for longer than a server may take to stop.
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(_STOP_SECONDS)


class _TracedCall:
    """A sampled call."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer, self._span = tracer, span
        self._stages: list[Stage] = []
        STAGES.set(self._stages)

    def end(self, code: str, reason: str) -> None:
        """Ends the span of the call. Adds a child span for each stage of the call in the store."""
        context = set_span_in_context(self._span)
        for stage in self._stages:
            child = self._tracer.start_span(stage.name, context, start_time=stage.begin)
            child.end(stage.end)
        self._span.set_attribute("rpc.response.status_code", code)
        if reason:
            self._span.set_attribute("error.type", reason)
        if code in _DEFECTS:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class _HeadersGetter(Getter[Headers]):
    """Reads the headers of a call for OpenTelemetry."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        """Returns the values of a header, or None if there is none."""
        return carrier(key.lower()) or None

    def keys(self, _carrier: Headers) -> list[str]:
        """Returns no names, since the propagators know the names of their headers."""
        return []


_HEADERS = _HeadersGetter()


@cache
def _described(method: str) -> tuple[str, dict[str, str]]:
    """Returns the name of a method's spans, and their attributes."""
    service, _, name = method.rpartition(".")
    path = f"{service}/{name}" if service else method
    return path, {"rpc.system.name": "grpc", "rpc.method": path}
