"""Tests the texts of errors that clients raise. They are the same in all languages."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from podium.errors import PodiumError
from podium.v1.event_pb2 import Event, ExperimentDeclared
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import GetArmRequest

from tests.client.client.broken import closed_port, hanging_up

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from tests.conformance.judging import Session

__all__ = ["absent", "lost", "silent"]

_READ = GetArmRequest(experiment="x", arm="a")
_WRITE = RecordRequest(experiment="x", events=[Event(experiment_declared=ExperimentDeclared())])
_TIMEOUT_MS = 1_500


def silent(session: Session) -> None:
    """Makes the client call a server that never answers.

    The error must name the server's address, and the seconds for which the client waited.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        error = _error(session, "GetArm", _READ, address=address, timeout_ms=_TIMEOUT_MS)
    assert error.code == "DEADLINE_EXCEEDED", error
    # The error has the time that was left when the call was sent, which may be a bit shorter.
    found = re.fullmatch(r"(\S+) did not answer within ([0-9.]+) s", error.message)
    assert found, error.message
    assert found[1] == address, error.message
    assert 0 < float(found[2]) <= _TIMEOUT_MS / 1_000, error.message


def absent(session: Session) -> None:
    """Makes the client write to servers that do not exist. The error must name all of them."""
    address = f"{closed_port()},{closed_port()}"
    # A write without a position is not retried, so it fails long before its deadline.
    error = _error(session, "Record", _WRITE, address=address)
    assert error.code == "UNAVAILABLE", error
    expected = (
        f"no Podium server answers at {address}: start one with `podium serve`, or give the right "
        "address ("
    )
    assert error.message.startswith(expected), error.message
    assert "unknown" not in error.message, error.message


def lost(session: Session) -> None:
    """Makes the client write to a server that disconnects.

    The error must say that it is unknown whether the call was stored.
    """
    with hanging_up() as address:
        error = _error(session, "Record", _WRITE, address=address)
    assert error.code == "UNAVAILABLE", error
    start = f"the connection to {address} was lost during the call ("
    end = "): whether it was stored is unknown, and it is safe to send it again"
    assert error.message.startswith(start), error.message
    assert error.message.endswith(end), error.message


def _error(session: Session, call: str, request: Message, **more: str | int) -> PodiumError:
    try:
        session.runner.ask("client", call, request, **more)
    except PodiumError as error:
        return error
    raise AssertionError(f"{call} has not failed")
