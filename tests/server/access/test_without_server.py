"""Tests of what a caller's token decides about requests and streams, without a server."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from google.protobuf.message import Message
from podium.errors import NotFoundError, UnauthenticatedError
from podium.v1.event_pb2 import Event
from podium.v1.recording_service_pb2 import (
    DeleteArmRequest,
    DeleteExperimentRequest,
    RecordRequest,
)
from podium.v1.results_service_pb2 import WatchRequest
from podium_server.api.callers import CALLER, Caller
from podium_server.errors import failure
from podium_server.rpc.access.rules import name_check
from podium_server.rpc.handlers import _streaming
from podium_server.store.tokens import Role, TokenRow

from tests.server.writes.ways import METHODS

_TEAM = TokenRow("id", "t", b"", Role.ADMIN, ("team",), 0)


@pytest.mark.parametrize("request_type", [DeleteArmRequest, DeleteExperimentRequest])
def test_a_hidden_experiment_may_be_missing(request_type: type[Message]) -> None:
    """A deletion with `allow_missing` is accepted for a hidden experiment, as for a missing one.

    An experiment is hidden if its name is outside the prefixes of the token.
    """
    given: Any = request_type
    check = name_check(METHODS[request_type.DESCRIPTOR.name.removesuffix("Request")])
    token = CALLER.set(Caller(_TEAM))
    try:
        assert check(given(experiment="team/x")) is None
        assert check(given(experiment="other", allow_missing=True)) == b""
        with pytest.raises(NotFoundError, match="no experiment 'other'"):
            check(given(experiment="other"))
    finally:
        CALLER.reset(token)


def test_events_for_a_hidden_experiment_can_be_sent_again() -> None:
    """Events for an experiment outside the token's prefixes are rejected, but not permanently."""
    check = name_check(METHODS["Record"])
    token = CALLER.set(Caller(_TEAM))
    try:
        for count in (2, 0):
            request = RecordRequest(experiment="other", events=[Event() for _ in range(count)])
            with pytest.raises(NotFoundError) as raised:
                check(request)
            found = [(each.index, each.reason, each.permanent) for each in raised.value.refusals]
            expected = [(index, "EXPERIMENT_NOT_FOUND", False) for index in range(max(count, 1))]
            assert found == expected
    finally:
        CALLER.reset(token)


async def test_a_busy_stream_ends_with_its_token() -> None:
    """The token is checked before each message, so even a stream that never pauses ends."""
    is_live = True

    async def check_again() -> None:
        if not is_live:
            raise failure("TOKEN_INVALID", "it was revoked")

    async def messages(_request: Any) -> AsyncGenerator[bytes]:
        while True:
            yield b"message"

    CALLER.set(Caller(None, check_again=check_again))
    stream = _streaming(WatchRequest.FromString, lambda _request: None, messages)
    async with aclosing(stream(b"")) as responses:
        assert [await anext(responses) for _ in range(2)] == [b"message"] * 2
        is_live = False
        with pytest.raises(UnauthenticatedError):
            await anext(responses)
