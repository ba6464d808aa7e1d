"""The base classes of the handles of both clients. No I/O."""

from typing import Any, Generic, TypeVar

from podium import events
from podium._client import calls
from podium._client.calls import Requests
from podium._client.connection import Connection
from podium._interface.arm_base import ArmBase
from podium._interface.endings import Ending
from podium._model.recording import RecordResult
from podium._model.results import ArmStatus, EvalResult, RunResult
from podium._values import coerce
from podium._values.arguments import FinalStatus
from podium._values.coerce import Metrics
from podium.v1.event_pb2 import Event

__all__ = ["ArmHandleBase", "ExperimentHandleBase"]

_N = TypeVar("_N", bound=Connection[Any])


class ExperimentHandleBase(Generic[_N]):
    """The base class of the handles of an experiment."""

    def __init__(self, connection: _N, name: str) -> None:
        self._connection = connection
        self._name = coerce.text(name, "experiment")

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self._name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    def _recorded(self, event: Event) -> Requests[RecordResult]:
        return calls.record(self._name, [event])


class ArmHandleBase(ArmBase, Generic[_N]):
    """The base class of the handles of an arm."""

    def __init__(
        self, connection: _N, experiment: str, name: str, attempt_id: str | None = None
    ) -> None:
        self._connection = connection
        super().__init__(
            coerce.text(experiment, "experiment"),
            coerce.text(name, "arm"),
            coerce.optional(coerce.text, attempt_id, "attempt_id"),
        )

    def _recorded(self, event: Event) -> Requests[RecordResult]:
        return calls.record(self._experiment, [event])

    def _row_recorded(self, name: str, metrics: Metrics, **fields: Any) -> Requests[RecordResult]:
        given: Any = metrics
        row = EvalResult(name, metrics=given, **fields)
        return self._recorded(events.eval_recorded(self._name, row, attempt_id=self._attempt_id))

    def _finish(
        self,
        status: FinalStatus,
        error: str | None,
        train_seconds: float | None = None,
        run_result: RunResult | None = None,
    ) -> Requests[RecordResult]:
        event = events.arm_finished(
            self._name,
            status,
            error=error,
            train_seconds=train_seconds,
            run_result=run_result,
            attempt_id=self._attempt_id,
        )
        self._ending = Ending(ArmStatus(status), error)
        result = yield from self._recorded(event)
        self._finished = True
        return result

    def _ended(self, error: BaseException | None) -> Requests[RecordResult] | None:
        """Returns the call that records the arm's end when its block ends.

        `error` is the exception that ended the block, or None. Returns None if `finish` has
        recorded the end.
        """
        ending = self._end_of_block(error)
        return None if ending is None else self._finish(ending.status, ending.error)
