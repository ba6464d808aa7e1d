"""Writers that record without end, and send each call again until it is answered.

Each keeps a ledger of what it was told, which `checker` compares with what the server holds.
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
"""The arm of each experiment that evaluators, who have no positions, record to."""
LATEST = "latest"
"""The post-training row that every call of a trainer writes twice: applied again, it shows."""

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
    """A call that was acknowledged.

    `steps` are those of the rows that only it writes; `again` says that it was sent more than
    once, so that the revision of the answer may be a later one.
    """

    steps: list[int]
    revision: int
    again: bool


@dataclass
class Arm:
    """The rows that one writer recorded to one arm. `sequence` is the last of its stream, or 0."""

    experiment: str
    name: str
    eval_name: str
    calls: list[Call] = field(default_factory=list)
    sequence: int = 0


class Writer(threading.Thread):
    """Sends call after call until it is told to stop; the last one is always answered.

    Attributes:
        arms: The ledger.
        rows: How many rows were acknowledged so far.
        unknown: How many calls had no answer at first and were sent again.
        stored: How many of those turned out to be stored already.
        failure: Why the writer gave up; None as long as it did not.
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
        """Makes the writer end after its current call."""
        self._stop_asked.set()

    def run(self) -> None:
        """Records."""
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
        """Sends a call until it is answered; the answer, and whether it was sent before."""
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
    """Writes arm after arm, each as a stream with positions."""

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
    """Writes rows to one arm, without positions: each is safe to repeat by itself."""

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
    """Declares an experiment and starts the arm of its evaluators: revisions 1 and 2."""
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
    """Returns a new connection that soon connects again after the server has restarted."""
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
