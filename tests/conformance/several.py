"""Tests clients with two servers of the same results, one of which goes down during a call."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import podium
from podium.v1.arm_result_pb2 import ARM_STATUS_COMPLETED
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import (
    ArmFinished,
    ArmStarted,
    EvalRecorded,
    Event,
    ExperimentDeclared,
    MetricsRecorded,
)
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import GetArmRequest
from podium.v1.run_config_pb2 import RunConfig

from tests.client.client.broken import grpc_server
from tests.client.recorder.cut import Connection, connection_to
from tests.server.writes.ways import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conformance.judging import Session

__all__ = ["LEAVES", "SEVERAL", "go_on"]

SEVERAL = "two servers"
"""The row of the table for a client with the addresses of two servers."""

LEAVES = ("before it stores a call", "after it has stored a call")
"""The moments at which a server goes down."""

_STEPS = 6
_MOST_READS = 1_000


def go_on(leaves: str, session: Session) -> None:
    """Makes a client read and record while one of its two servers goes down and stays down.

    Each event must be stored once. Each recording call makes one revision, so a call that is
    stored twice would make two.
    """
    experiment = session.new_experiment()
    with _two_servers(session.address) as pair:
        client = _Asking(session, experiment, pair.address)
        client.record("client", experiment_declared=ExperimentDeclared())
        client.record("attempt", arm_started=ArmStarted(run_config=RunConfig(name="a")))
        client.read_until(pair.are_both_used)
        for step in range(_STEPS):
            pair.leaves = leaves if step == 1 else ""
            _record_step(client, step)
        client.record("attempt", arm_finished=ArmFinished(arm="a", status=ARM_STATUS_COMPLETED))
        assert pair.has_one_left(), "no server has left"
    _check(session, experiment, calls=client.records)


def _record_step(client: _Asking, step: int) -> None:
    logged = MetricsRecorded(arm="a", step=step, metrics={"loss": step})
    client.record("attempt", metrics_recorded=logged)
    row = EvalResult(name="val", step=step, metrics={"acc": step})
    client.record("attempt", eval_recorded=EvalRecorded(arm="a", eval_result=row))
    # The client retries reads at the other server. So it finds out that a server is down before it
    # sends the next write, which is not retried.
    client.read()
    client.read()
    row = EvalResult(name="test", step=step, metrics={"acc": -step})
    client.record("client", eval_recorded=EvalRecorded(arm="a", eval_result=row))


def _check(session: Session, experiment: str, calls: int) -> None:
    with podium.Client(session.address) as other:
        found = other.experiment(experiment)
        arm = found.arm("a").get()
        assert arm.status == "completed", arm.status
        assert arm.metrics == {"loss": _STEPS - 1}, arm.metrics
        rows = sorted((row.name, row.step, row.metrics["acc"]) for row in arm.evals)
        expected = [("test", step, -step) for step in range(_STEPS)]
        assert rows == expected + [("val", step, step) for step in range(_STEPS)], rows
        revision = found.get().revision
        assert revision == calls, f"{revision} revisions by {calls} calls"


class _Asking:
    """Makes the client of a language call two servers."""

    def __init__(self, session: Session, experiment: str, address: str) -> None:
        self._ask = partial(session.runner.ask, address=address)
        self._experiment = experiment
        self.records = 0

    def record(self, way: str, **kind: Any) -> None:
        """Records an event through the client's experiment, or through its attempt."""
        self._ask(way, "Record", RecordRequest(experiment=self._experiment, events=[Event(**kind)]))
        self.records += 1

    def read(self) -> None:
        """Gets the arm, and checks the answer."""
        request = GetArmRequest(experiment=self._experiment, arm="a")
        found: Any = self._ask("client", "GetArm", request)
        assert found.arm_result.name == "a", found

    def read_until(self, is_over: Callable[[], bool]) -> None:
        """Gets the arm again and again until a condition is true."""
        for _ in range(_MOST_READS):
            self.read()
            if is_over():
                return
        raise AssertionError(f"one of the servers got none of {_MOST_READS} calls")


class _Front:
    """One of two servers. It forwards calls to the real server."""

    def __init__(self, channel: grpc.Channel, pair: _Pair) -> None:
        self._channel = channel
        self._pair = pair
        self.connection: Connection | None = None
        self.is_used = self.has_left = False
        # If the health service has no Watch, gRPC treats the server as healthy.
        self.answers = {
            name: partial(self._answer, name)
            for name, rpc in METHODS.items()
            if not rpc.server_streaming
        }

    def _answer(self, name: str, data: bytes, _: grpc.ServicerContext) -> bytes:
        self.is_used = True
        leaves = self._pair.leaves if name == "Record" else ""
        self._pair.leaves = ""
        if leaves == LEAVES[0]:
            return self._leave()
        method = f"/{METHODS[name].containing_service.full_name}/{name}"
        forward: Callable[..., bytes] = self._channel.unary_unary(method)
        response = forward(data, timeout=120)
        return self._leave() if leaves else response

    def _leave(self) -> bytes:
        """Ends the connections and accepts none, so that no response arrives."""
        assert self.connection
        self.connection.close()
        self.has_left = True
        return b""


class _Pair:
    """Two servers of the same results."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.leaves = ""
        """When the server that gets the next Record call goes down. Empty if it stays up."""
        self.fronts = [_Front(channel, self), _Front(channel, self)]

    @property
    def address(self) -> str:
        """Both addresses, with white space that clients must ignore."""
        return ", ".join(front.connection.address for front in self.fronts if front.connection)

    def are_both_used(self) -> bool:
        """Returns whether each server has got a call."""
        return all(front.is_used for front in self.fronts)

    def has_one_left(self) -> bool:
        """Returns whether exactly one of the servers has gone down."""
        return sum(front.has_left for front in self.fronts) == 1


@contextmanager
def _two_servers(address: str) -> Iterator[_Pair]:
    with ExitStack() as stack:
        pair = _Pair(stack.enter_context(grpc.insecure_channel(address)))
        for front in pair.fronts:
            near = stack.enter_context(grpc_server(**front.answers))
            front.connection = stack.enter_context(connection_to(near))
        yield pair
