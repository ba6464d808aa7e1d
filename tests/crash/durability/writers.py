"""Writers that record continuously, and send each call again until it is answered.

Each writer keeps a ledger of its acknowledged calls. `checker` compares the ledgers with the
content of the server.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import grpc
from podium._wire.status import from_rpc_error
from podium.v1.arm_result_pb2 import Attempt
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import (
    ArmStarted,
    EvalRecorded,
    Event,
    ExperimentDeclared,
)
from podium.v1.recording_service_pb2 import RecordRequest, RecordResponse, StreamPosition
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium.v1.run_config_pb2 import RunConfig

__all__ = [
    "EVALUATED",
    "LATEST",
    "Arm",
    "Call",
    "Evaluator",
    "Trainer",
    "Writer",
    "begin",
    "channel",
]

EVALUATED = "evaluated"
"""The arm of each experiment to which evaluators write, without positions."""
LATEST = "latest"
"""The post-training row that every call of a trainer writes twice, with different values.

So a call that is applied again changes something.
"""

_UNKNOWN = {
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}
_DEADLINE_SECONDS = 20
_PAUSE_SECONDS = 0.02


@dataclass
class Call:
    """An acknowledged call.

    `steps` are the steps of the rows that only this call writes. `again` tells whether the call was
    sent more than once. If so, the revision in the answer can be later than that of the rows.
    """

    steps: list[int]
    revision: int
    again: bool


@dataclass
class Arm:
    """The rows that one writer recorded in one arm.

    `sequence` is the last sequence number of its stream, or 0.
    """

    experiment: str
    name: str
    eval_name: str
    calls: list[Call] = field(default_factory=list)
    sequence: int = 0


class Writer(threading.Thread):
    """Sends one call after the other until `stop` is called. The last call is always answered.

    Attributes:
        arms: The ledger.
        rows: The number of acknowledged rows so far.
        unknown: The number of calls that were sent again because they got no answer.
        stored: The number of these calls that the server had already stored.
        failure: The error with which the writer ended. None if there was none.
    """

    def __init__(self, address: str, experiment: str, name: str, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.arms: list[Arm] = []
        self.rows = 0
        self.unknown = 0
        self.stored = 0
        self.failure: str | None = None
        self._address = address
        self._experiment = experiment
        self._random = Random(seed)  # noqa: S311 - no secret
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """Ends the writer after its current call."""
        self._stop_asked.set()

    def run(self) -> None:
        """Sends calls until `stop` is called or a call fails."""
        with channel(self._address) as connection:
            stub = RecordingServiceStub(connection)
            try:
                for request, arm, steps in self._requests():
                    answer, again = self._send(stub, request)
                    self.stored += answer.changed_events == 0
                    arm.calls.append(Call(steps, answer.revision, again))
                    self.rows += len(steps)
                    if self._stop_asked.is_set():
                        return
            except grpc.RpcError as error:
                self.failure = f"{self.name}: {from_rpc_error(error)!r}"

    def _send(
        self, stub: RecordingServiceStub, request: RecordRequest
    ) -> tuple[RecordResponse, bool]:
        """Sends a call until it is answered. Returns the answer, and whether it was sent again."""
        again = False
        while True:
            try:
                return stub.Record(request, timeout=_DEADLINE_SECONDS), again
            except grpc.RpcError as error:
                if error.code() not in _UNKNOWN:
                    raise
            self.unknown += not again
            again = True
            time.sleep(_PAUSE_SECONDS)

    def _requests(self) -> Iterator[tuple[RecordRequest, Arm, list[int]]]:
        raise NotImplementedError


class Trainer(Writer):
    """Records one arm after the other, each as a stream with positions."""

    def _requests(self) -> Iterator[tuple[RecordRequest, Arm, list[int]]]:
        while True:
            arm = Arm(self._experiment, f"{self.name}-{len(self.arms)}", "val")
            self.arms.append(arm)
            for _ in range(self._random.randint(2, 30)):
                yield self._next(arm)

    def _next(self, arm: Arm) -> tuple[RecordRequest, Arm, list[int]]:
        first = arm.sequence + 1
        events = [] if first > 1 else [_started(arm.name)]
        events.append(_row(arm.name, LATEST, None, first))
        begin = first + len(events)
        steps = list(range(begin, begin + self._random.randint(1, 16)))
        events.extend(_row(arm.name, arm.eval_name, step, step) for step in steps)
        arm.sequence = first + len(events)
        events.append(_row(arm.name, LATEST, None, arm.sequence))
        position = StreamPosition(writer_id=arm.name, first_sequence=first)
        return (
            RecordRequest(experiment=arm.experiment, events=events, position=position),
            arm,
            steps,
        )


class Evaluator(Writer):
    """Records rows of one arm without positions. Each call is safe to repeat."""

    def _requests(self) -> Iterator[tuple[RecordRequest, Arm, list[int]]]:
        arm = Arm(self._experiment, EVALUATED, self.name)
        self.arms.append(arm)
        begin = 0
        while True:
            steps = list(range(begin, begin + self._random.randint(1, 8)))
            begin += len(steps)
            events = [_row(arm.name, arm.eval_name, step, step) for step in steps]
            yield RecordRequest(experiment=arm.experiment, events=events), arm, steps


def begin(address: str, experiment: str) -> None:
    """Declares an experiment, and starts the arm of its evaluators. Leaves its revision at 2."""
    declared = Event(experiment_declared=ExperimentDeclared(success_metric="val.value"))
    with channel(address) as connection:
        stub = RecordingServiceStub(connection)
        for event in (declared, _started(EVALUATED)):
            stub.Record(
                RecordRequest(experiment=experiment, events=[event]),
                timeout=120,
                wait_for_ready=True,
            )


def channel(address: str) -> grpc.Channel:
    """Returns a new connection that reconnects soon after the server has restarted."""
    options = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 100),
    ]
    return grpc.insecure_channel(address, options)


def _started(arm: str) -> Event:
    attempt = Attempt(id=arm, order=1)
    return Event(arm_started=ArmStarted(arm=arm, run_config=RunConfig(name=arm), attempt=attempt))


def _row(arm: str, name: str, step: int | None, value: int) -> Event:
    row = EvalResult(name=name, step=step, metrics={"value": value})
    return Event(eval_recorded=EvalRecorded(arm=arm, eval_result=row))
