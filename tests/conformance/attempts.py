"""Tests how clients record attempts through their handles, with `record_attempt.json`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import podium
from google.protobuf.json_format import ParseDict
from podium.v1.event_pb2 import Event
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import GetArmRequest, ListSeriesRequest

from tests.client.client.broken import grpc_server
from tests.client.recorder.cut import Connection, connection_to
from tests.server.writes import vectors as writes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conformance.judging import Session

__all__ = ["record"]

Case = dict[str, Any]

_RECORD = "/podium.v1.RecordingService/Record"


def record(case: Case, session: Session) -> None:
    """Makes the client record every event of a case through its attempt handle, then reads the arm.

    For some calls, the connection is cut before the request is stored, or before the response.
    """
    experiment = session.new_experiment()
    with podium.Client(session.address) as other:
        other.experiment(experiment).declare()
        with _line_to(session, other, experiment) as (line, address):
            for step in case["steps"]:
                line.step = step
                request = RecordRequest(experiment=experiment, events=[_event(step["event"])])
                session.runner.ask("attempt", "Record", request, address=address)
                assert not line.is_cut_next, f"no request with the event of {step}"
            assert not line.foreign_events, f"not of the attempt: {line.foreign_events}"
    _check_arm(case, session, {"experiment": experiment, "arm": case["arm"].get("name", "a")})


def _check_arm(case: Case, session: Session, place: dict[str, Any]) -> None:
    stub = {"way": "stub", "address": session.address}
    found: Any = session.runner.ask(call="GetArm", request=GetArmRequest(**place), **stub)
    writes.check(case["arm"], found.arm_result, case["name"])
    assert found.arm_result.attempt.id, "the attempt has no id"
    assert found.arm_result.attempt.order, "the attempt has no order"
    listed: Any = session.runner.ask(call="ListSeries", request=ListSeriesRequest(**place), **stub)
    series = {
        one.key: {
            str(step): _plain(value) for step, value in zip(one.steps, one.values, strict=True)
        }
        for one in listed.series
    }
    assert series == case.get("series", {}), series


def _plain(value: float) -> float | str:
    return value if value == value else "NaN"  # noqa: PLR0124 - NaN is not itself


def _event(given: Case) -> Event:
    return ParseDict(given, Event())


class _Line:
    """Forwards calls to a server, and cuts the connection of some of them.

    If a step has a `cut`, its first call with an event of the same kind loses the connection.
    """

    def __init__(self, channel: grpc.Channel, other: podium.Client, experiment: str) -> None:
        self._forward: Callable[..., bytes] = channel.unary_unary(_RECORD)
        self._other = other
        self._experiment = experiment
        self._step: Case = {}
        self.connection: Connection | None = None
        self.is_cut_next = False
        self.foreign_events: list[Event] = []
        """The events that do not name the newest attempt of their arm."""
        self._attempts: dict[str, str] = {}

    @property
    def step(self) -> Case:
        """The current step."""
        return self._step

    @step.setter
    def step(self, step: Case) -> None:
        self._step, self.is_cut_next = step, "cut" in step

    def answer(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        """Forwards a Record call and returns the response, unless the step cuts this call."""
        kind = _event(self.step["event"]).WhichOneof("kind")
        request = RecordRequest.FromString(data)
        self.foreign_events += [event for event in request.events if not self._is_own(event)]
        is_cut = self.is_cut_next and any(e.WhichOneof("kind") == kind for e in request.events)
        self.is_cut_next = self.is_cut_next and not is_cut
        if is_cut and self.step["cut"] == "request":
            self._cut()
            return b""
        response = self._forwarded(data, context)
        if is_cut:
            if "meanwhile" in self.step:
                self._other.record(self._experiment, [_event(self.step["meanwhile"])])
            self._cut()
        return response

    def _is_own(self, event: Event) -> bool:
        content = getattr(event, event.WhichOneof("kind") or "")
        if event.HasField("arm_started"):
            self._attempts[content.arm] = content.attempt.id
        is_of_an_attempt = "attempt_id" in content.DESCRIPTOR.fields_by_name
        return not is_of_an_attempt or content.attempt_id == self._attempts[content.arm]

    def _cut(self) -> None:
        """Ends all connections, so that no response arrives. Accepts new ones."""
        assert self.connection
        self.connection.cut()
        self.connection.mend()

    def _forwarded(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return self._forward(data, timeout=120)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details() or "")


@contextmanager
def _line_to(
    session: Session, other: podium.Client, experiment: str
) -> Iterator[tuple[_Line, str]]:
    with grpc.insecure_channel(session.address) as channel:
        line = _Line(channel, other, experiment)
        with grpc_server(Record=line.answer) as near, connection_to(near) as connection:
            line.connection = connection
            yield line, connection.address
