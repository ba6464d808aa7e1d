"""Counts calls by method and outcome, and passes each call that has ended to the audit log.

The counts begin at the start of the process. They are shown in the text format of Prometheus.
"""

import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Protocol, Self

import grpc
from google.protobuf.message import Message
from podium.errors import PodiumError

from podium_server.histogram import SECONDS, Histogram
from podium_server.rpc.audit import Audit, AuditedCall

__all__ = [
    "CURRENT_CALL",
    "METRICS_PAGE",
    "SESSION_PAGE",
    "Headers",
    "ObservedCall",
    "Telemetry",
    "Trace",
]

METRICS_PAGE = "/metrics"
"""The path of the page with metrics. Its access rule has this name."""
SESSION_PAGE = "/session"
"""The path to which the page for browsers sends its user's token. Its access rule has this name."""
_CANCELLED = "CANCELLED"

Gauges = Callable[[], Mapping[str, float]]
"""A function that returns metrics by name.

The names lack the prefix `podium_`. Only the names of counters end with `_total`.
"""

Headers = Callable[[str], list[str]]
"""A function that returns the values of a call's header."""


class Trace(Protocol):
    """The trace of a call."""

    def end(self, code: str, reason: str) -> None:
        """Ends the trace with the status code and the reason of the call."""


class Telemetry:
    """The metrics of a server.

    Args:
        gauges: The metrics that other parts of the server keep.
        audit: The audit log, or None if there is none.
        streams: The full names of methods that answer with streams. Their calls are not timed.
        begin_trace: Begins the trace of a call, from the method's full name and the headers. None
            if calls are not traced.
        slow_gauges: Returns further metrics, which it reads from the store.
        histograms: The histograms that other parts of the server keep, by name.

    Attributes:
        has_audit: Whether there is an audit log.
    """

    def __init__(
        self,
        gauges: Iterable[Gauges] = (),
        audit: Audit | None = None,
        streams: Iterable[str] = (),
        begin_trace: Callable[[str, Headers], Trace | None] | None = None,
        slow_gauges: Callable[[], Awaitable[Mapping[str, float]]] | None = None,
        histograms: Mapping[str, Histogram] | None = None,
    ) -> None:
        self._gauges = tuple(gauges)
        self._audit = audit
        self.has_audit = audit is not None
        self._streams = frozenset(streams)
        self._begin_trace = begin_trace
        self._slow_gauges = slow_gauges
        self._histograms = histograms or {}
        self._calls: Counter[tuple[str, str]] = Counter()
        self._refused: Counter[str] = Counter()
        self._times: dict[str, Histogram] = {}
        self._lag = _Greatest()

    def call(self, method: str, peer: str, headers: Headers | None = None) -> "ObservedCall":
        """Returns an object that measures a call from now on.

        A call without headers is not traced.
        """
        call = ObservedCall(self, method, peer)
        if self._begin_trace is not None and headers is not None:
            call.trace = self._begin_trace(method, headers)
        return call

    async def end(self, call: "ObservedCall", error: BaseException | None) -> None:
        """Counts a call that has ended.

        Waits until the call's line is in the audit log, if it gets one.
        """
        call.release()
        code, reason = ("OK", "") if error is None else _outcome(error)
        self._calls[call.method, code] += 1
        if reason:
            self._refused[reason] += 1
        elif code == "OK" and call.method not in self._streams:
            times = self._times.get(call.method)
            if times is None:
                times = self._times[call.method] = Histogram(SECONDS)
            times.add(time.perf_counter() - call.begin)
        if call.trace is not None:
            call.trace.end(code, reason)
        if self._audit is not None:
            await self._audit.note(call, code, reason)

    def note_lag(self, values: Iterable[str]) -> None:
        """Stores for how many seconds a sender's oldest event has waited.

        `values` are the values of the header with this number.
        """
        for value in values:
            with suppress(ValueError):
                self._lag.add(float(value))

    async def text(self) -> str:
        """Returns all metrics in the text format of Prometheus."""
        slow = {} if self._slow_gauges is None else await self._slow_gauges()
        return "".join(f"{line}\n" for line in self._lines(slow))

    def _lines(self, slow_gauges: Mapping[str, float]) -> Iterator[str]:
        yield "# TYPE podium_calls_total counter"
        for (method, code), count in sorted(self._calls.items()):
            yield f'podium_calls_total{{method="{method}",code="{code}"}} {count}'
        yield "# TYPE podium_errors_total counter"
        for reason, count in sorted(self._refused.items()):
            yield f'podium_errors_total{{reason="{reason}"}} {count}'
        yield "# TYPE podium_call_seconds histogram"
        for method, times in sorted(self._times.items()):
            yield from times.lines("podium_call_seconds", f'method="{method}"')
        for name, histogram in self._histograms.items():
            yield f"# TYPE podium_{name} histogram"
            yield from histogram.lines(f"podium_{name}")
        yield "# TYPE podium_outbox_lag_seconds gauge"
        yield f"podium_outbox_lag_seconds {self._lag.greatest():.15g}"
        for gauges in (*(gauges() for gauges in self._gauges), slow_gauges):
            yield from _gauge_lines(gauges)


class ObservedCall(AuditedCall):
    """A call that is counted when it ends. As a context manager, it ends with its block.

    Attributes:
        on_end: Releases the call's share of its caller's limits.
        trace: The trace of the call, if it is traced.
    """

    __slots__ = ("_telemetry", "begin", "on_end", "trace")

    def __init__(self, telemetry: Telemetry, method: str, peer: str) -> None:
        super().__init__(method, peer)
        self._telemetry = telemetry
        self.begin = time.perf_counter()
        self.on_end: Callable[[], None] | None = None
        self.trace: Trace | None = None
        CURRENT_CALL.set(self)

    def release(self) -> None:
        """Releases the call's share of its caller's limits.

        Further calls of this method do nothing.
        """
        if self.on_end is not None:
            self.on_end()
            self.on_end = None

    def note_request(self, request: Message) -> None:
        """Stores the names in a request for the audit log.

        Does nothing without an audit log, to save the time of reading all events of the request.
        """
        if self._telemetry.has_audit:
            super().note_request(request)

    async def __aenter__(self) -> Self:
        return self

    def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Awaitable[None]:
        return self._telemetry.end(self, error)

    def end(self, error: BaseException | None) -> Awaitable[None]:
        """Ends the call with an error, or with None if it has succeeded.

        Fronts use this method if they cannot use the call as a context manager.
        """
        return self._telemetry.end(self, error)


CURRENT_CALL: ContextVar[ObservedCall | None] = ContextVar("podium_call", default=None)
"""The call that runs in this task, or None outside of calls."""


class _Greatest:
    """The greatest number that was added in the last one to two minutes."""

    def __init__(self) -> None:
        self._minute, self._now, self._before = _minute(), 0.0, 0.0

    def add(self, number: float) -> None:
        """Adds a number, unless it is not finite."""
        self._move_on()
        if math.isfinite(number):
            self._now = max(self._now, number)

    def greatest(self) -> float:
        """Returns the greatest number; 0 if there was none."""
        self._move_on()
        return max(self._now, self._before)

    def _move_on(self) -> None:
        passed = _minute() - self._minute
        if passed:
            self._minute += passed
            self._before, self._now = self._now if passed == 1 else 0.0, 0.0


def _gauge_lines(gauges: Mapping[str, float]) -> Iterator[str]:
    """Yields the lines of metrics. Metrics that differ only in labels share a TYPE line."""
    typed = set()
    for sample, value in sorted(gauges.items()):
        name = sample.partition("{")[0]
        if name not in typed:
            typed.add(name)
            yield f"# TYPE podium_{name} {'counter' if name.endswith('_total') else 'gauge'}"
        yield f"podium_{sample} {value:.15g}"


def _minute() -> int:
    return int(time.monotonic() // 60)


def _outcome(error: BaseException) -> tuple[str, str]:
    """Returns the status code and the reason of a call that ended with an error."""
    if isinstance(error, PodiumError):
        return error.code, error.reason
    # gRPC raises its own error if a call was aborted from outside, or if its client is gone.
    if isinstance(error, grpc.aio.BaseError) or not isinstance(error, Exception):
        return _CANCELLED, ""
    return "INTERNAL", "INTERNAL"
