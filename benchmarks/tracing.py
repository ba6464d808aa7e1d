"""Measures the CPU time that traces add to a call, in the server and in the client.

    python benchmarks/tracing.py

Each figure is the fastest of many rounds, since other processes on the machine only add to the
time. The figures include the CPU time of the thread that exports the spans.
"""

import asyncio
import sys
import time
from collections.abc import Callable

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from podium._client.channel import trace_metadata
from podium_server.rpc.telemetry import Telemetry
from podium_server.rpc.tracing import Tracing

_ROUNDS, _CALLS = 20, 2_000
_EVAL = "podium.v1.ResultsService.Eval"
_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class _Nowhere(SpanExporter):
    def export(self, _spans: object) -> SpanExportResult:
        return SpanExportResult.SUCCESS


async def main() -> None:
    """Prints the CPU time of a call: without traces, with traces but not sampled, and sampled."""
    tracing = Tracing(0.0, _Nowhere())
    off = await _micros(Telemetry(), None)
    unsampled = await _micros(Telemetry(begin_trace=tracing.begin), None)
    sampled = await _micros(Telemetry(begin_trace=tracing.begin), _PARENT)
    print(
        f"server: {off:.1f} µs a call without traces, +{unsampled - off:.1f} µs with --traces if "
        f"the call is not sampled, +{sampled - off:.1f} µs if it is"
    )
    loaded = _client_micros()
    del sys.modules["opentelemetry.trace"]
    print(f"client: {_client_micros():.2f} µs without OpenTelemetry, {loaded:.2f} µs with it")


async def _micros(telemetry: Telemetry, parent: str | None) -> float:
    """Returns the CPU time that telemetry takes for a call, in microseconds.

    `parent` is the value of the call's header `traceparent`, or None if it has none.
    """

    def headers(name: str) -> list[str]:
        return [parent] if parent is not None and name == "traceparent" else []

    best = float("inf")
    for _ in range(_ROUNDS):
        begin = time.process_time()
        for _ in range(_CALLS):
            await telemetry.call(_EVAL, "peer", headers).end(None)
        best = min(best, time.process_time() - begin)
    return best / _CALLS * 1_000_000


def _client_micros() -> float:
    return min(_timed(trace_metadata) for _ in range(_ROUNDS)) / _CALLS * 1_000_000


def _timed(function: Callable[[], object]) -> float:
    begin = time.process_time()
    for _ in range(_CALLS):
        function()
    return time.process_time() - begin


if __name__ == "__main__":
    asyncio.run(main())
