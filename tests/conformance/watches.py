"""Tests clients that watch a server, which answers as a case of `watch_stream.json` says."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.json_format import MessageToDict, ParseDict
from podium._wire.status import to_status
from podium.errors import error_class_for
from podium.v1.results_service_pb2 import WatchRequest, WatchResponse

from tests.client.client.broken import grpc_server
from tests.client.recorder.cut import Connection, connection_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.judging import Session

__all__ = ["watch"]

Case = dict[str, Any]

_END_SECONDS = 60
_EXPERIMENT = "watched"


def watch(case: Case, session: Session) -> None:
    """Makes the client watch, and compares its updates, its calls and its error with the case."""
    first = _request(case["calls"][0].get("request", {}))
    script = _Script(case["calls"])
    with _served(script) as address:
        updates, error = session.runner.ask_watch(first, address=address, take=case.get("take", 0))
        assert script.ended.wait(_END_SECONDS), "the last call did not end"
    _expect([_plain(update) for update in updates], [_plain(_update(u)) for u in case["updates"]])
    _expect([_plain(one) for one in script.requests], [_plain(one) for one in script.expected])
    found = None if error is None else {"code": error.code, "reason": error.reason}
    _expect(found, case.get("error"))


def _request(given: Case) -> WatchRequest:
    return ParseDict({"experiment": _EXPERIMENT, **given}, WatchRequest())


def _update(given: Case) -> WatchResponse:
    return ParseDict(given, WatchResponse())


def _plain(message: Any) -> Any:
    return MessageToDict(message)


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"{found!r} instead of {expected!r}")


class _Script:
    """Answers each call of Watch with the messages and the end that the case lists for it."""

    def __init__(self, calls: list[Case]) -> None:
        self._calls = calls
        first = calls[0].get("request", {})
        self.expected = [_request({**first, **call.get("request", {})}) for call in calls]
        self.requests: list[WatchRequest] = []
        self.connection: Connection | None = None
        self.ended = threading.Event()
        """Set when the last call has ended, or when the client makes a call that is not expected.
        """

    def answer(self, data: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Sends the messages of the next call, then ends it."""
        self.requests.append(WatchRequest.FromString(data))
        place = len(self.requests) - 1
        if place >= len(self._calls):
            self.ended.set()
            context.abort(grpc.StatusCode.DATA_LOSS, "the case has no further call")
        if place == len(self._calls) - 1:
            context.add_callback(self.ended.set)
        call = self._calls[place]
        for message in call.get("sends", []):
            yield _update(message).SerializeToString()
        self._end(call.get("end", {}), context)

    def _end(self, end: Case | str, context: grpc.ServicerContext) -> None:
        if end == "cut":
            assert self.connection
            self.connection.cut()
            self.connection.mend()
        elif end == "open":
            assert self.ended.wait(_END_SECONDS), "the client did not end its call"
        elif isinstance(end, dict) and end:
            error = error_class_for(end["code"])("as the case says", reason=end.get("reason", ""))
            error.retry_after = end.get("retryAfter")
            status = to_status(error)
            context.set_trailing_metadata(status.trailing_metadata)
            context.abort(status.code, status.text)


@contextmanager
def _served(script: _Script) -> Iterator[str]:
    """Runs the server of a case, behind a connection that can be cut. Yields its address."""
    with grpc_server(Watch=script.answer) as near, connection_to(near) as connection:
        script.connection = connection
        yield connection.address
