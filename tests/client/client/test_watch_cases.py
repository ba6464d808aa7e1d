"""Tests of both clients with the cases of `watch_stream.json`, without a network.

`make conformance` runs the same cases over connections, with the clients for all languages.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from podium._client.aio.watching import watch as watch_async
from podium._client.blocking.watching import watch
from podium._client.watching import WatchSession
from podium._model.watching import WatchUpdate
from podium.errors import PodiumError, error_class_for
from podium.v1.results_service_pb2 import WatchRequest, WatchResponse

from tests.conformance.python_runner import update_message

_FILE = Path(__file__).parents[2] / "vectors" / "watch_stream.json"
_CASES: list[dict[str, Any]] = json.loads(_FILE.read_text(encoding="utf-8"))["cases"]
_CANCELLED = {"code": "UNAVAILABLE"}
"""The error that a connection reports for a lost call, and for a call that the server cancelled."""


class _Connection:
    """Answers each call as a case says. Counts the pauses between calls instead of waiting."""

    def __init__(self, calls: list[dict[str, Any]]) -> None:
        self._calls = calls
        self.requests: list[WatchRequest] = []
        self.pauses = 0

    def answers(self, request: WatchRequest) -> Iterator[WatchResponse]:
        """Yields the messages of the next call, and then ends the call as the case says."""
        self.requests.append(WatchRequest.FromString(request.SerializeToString()))
        call = self._calls[len(self.requests) - 1]
        for message in call.get("sends", []):
            yield ParseDict(message, WatchResponse())
        end = call.get("end", {})
        assert end != "open", "the watch did not end its call"
        if end:
            raise _error(_CANCELLED if end == "cut" or end["code"] == "CANCELLED" else end)


class _Blocking(_Connection):
    def stream(self, request: WatchRequest, _begin: object) -> Iterator[WatchResponse]:
        return self.answers(request)

    def pause(self, _session: object, seconds: float) -> None:
        assert seconds >= 0
        self.pauses += 1


class _Asynchronous(_Connection):
    async def stream(self, request: WatchRequest, _begin: object) -> AsyncIterator[WatchResponse]:
        for response in self.answers(request):
            yield response

    async def pause(self, _session: object, seconds: float) -> None:
        assert seconds >= 0
        self.pauses += 1


def _error(end: dict[str, Any]) -> PodiumError:
    error = error_class_for(end["code"])("as the case says", reason=end.get("reason", ""))
    error.retry_after = end.get("retryAfter")
    return error


def _session(first: dict[str, Any]) -> WatchSession:
    session = WatchSession(
        "watched",
        after=None,
        status=None,
        group_name=None,
        name_prefix=None,
        with_evals=True,
        with_breakdowns=True,
        with_series=False,
    )
    ParseDict(first, session.request)
    return session


async def _updates(connection: Any, session: WatchSession) -> AsyncIterator[WatchUpdate]:
    if isinstance(connection, _Asynchronous):
        async with aclosing(watch_async(connection, session)) as found:  # type: ignore[type-var, arg-type]
            async for update in found:
                yield update
        return
    with closing(watch(connection, session)) as updates:  # type: ignore[type-var]
        for update in updates:
            yield update


async def _watched(
    connection: Any, session: WatchSession, most: int
) -> tuple[list[WatchUpdate], dict[str, str] | None]:
    """Returns the first `most` updates of a watch, and the error that ended it or None.

    If `most` is 0, returns all updates.
    """
    found: list[WatchUpdate] = []
    try:
        async with aclosing(_updates(connection, session)) as updates:  # type: ignore[type-var]
            async for update in updates:
                found.append(update)
                if len(found) == most:
                    break
    except PodiumError as error:
        return found, {"code": error.code, "reason": error.reason}
    return found, None


def _plain(update: WatchUpdate) -> dict[str, Any]:
    """Returns an update as JSON values, as in the cases. NaN is a string in them."""
    return MessageToDict(update_message(update))


def _expected(update: dict[str, Any]) -> dict[str, Any]:
    return MessageToDict(ParseDict(update, WatchResponse()))


@pytest.mark.parametrize("kind", [_Blocking, _Asynchronous])
async def test_the_loops_of_both_clients(kind: type[_Connection]) -> None:
    """In each case, a watch yields the expected updates and makes the expected calls.

    The watch pauses once between two calls, and ends with the expected error.
    """
    for case in _CASES:
        first = case["calls"][0].get("request", {})
        connection = kind(case["calls"])
        updates, error = await _watched(connection, _session(first), case.get("take", 0))
        name = case["name"]
        assert error == case.get("error"), name
        assert list(map(_plain, updates)) == [_expected(update) for update in case["updates"]], name
        requests = [{**first, **call.get("request", {})} for call in case["calls"]]
        assert connection.requests == [
            ParseDict({"experiment": "watched", **request}, WatchRequest()) for request in requests
        ], name
        assert connection.pauses == len(requests) - 1, name
