"""Handles of the asynchronous client: one experiment, one arm, one attempt at training an arm."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

from podium import events
from podium._client import calls
from podium._client.compound_handles import AsyncAnalysis
from podium._client.connection import AsyncConnection
from podium._client.handle_base import ArmHandleBase
from podium._client.ranking_handles import AsyncRankings
from podium._interface.recorders import new_attempt
from podium._interface.timed_eval import AsyncTimedEvalMixin
from podium._values.enums import ArmStatus
from podium.errors import PodiumError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Generator, Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from podium._interface.recorders import Metrics, RecordResult
    from podium._model.results import (
        ArmResult,
        ArmSummary,
        EvalResult,
        Experiment,
        RunConfig,
        RunResult,
    )
    from podium.scoring import Score
    from podium.v1.event_pb2 import Event

__all__ = ["AsyncArmHandle", "AsyncArmRun", "AsyncArmStart", "AsyncExperimentHandle"]

_T = TypeVar("_T")


class AsyncExperimentHandle(AsyncAnalysis, AsyncRankings):
    """One experiment of a server, by name: `ExperimentHandle` for asyncio."""

    def arm(self, name: str, *, attempt_id: str | None = None) -> AsyncArmHandle:
        """Returns a handle of an arm; see `AsyncClient.arm`."""
        return AsyncArmHandle(self._connection, self._name, name, attempt_id)

    async def get(self) -> Experiment:
        """As `ExperimentHandle.get`, awaited."""
        return await self._connection.run(calls.get_experiment(self._name))

    def arms(
        self,
        *,
        status: str | Iterable[str] | None = None,
        group_name: str | None = None,
        name_prefix: str | None = None,
        tags: Iterable[str] = (),
        page_size: int | None = None,
    ) -> AsyncIterator[ArmSummary]:
        """As `ExperimentHandle.arms`, for `async for`."""
        pages = calls.arms(
            self._name,
            status=status,
            group_name=group_name,
            name_prefix=name_prefix,
            tags=tags,
            page_size=page_size,
        )
        return self._connection.iterate(pages)

    async def declare(
        self,
        *,
        hypothesis: str | None = None,
        success_metric: str | None = None,
        direction: str | None = None,
        parent: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> RecordResult:
        """As `ExperimentHandle.declare`, awaited."""
        event = events.experiment_declared(
            hypothesis=hypothesis,
            success_metric=success_metric,
            direction=direction,
            parent=parent,
            tags=tags,
            metadata=metadata,
            overwrite=overwrite,
        )
        return await self._connection.run(self._recorded(event))

    def start_arm(
        self,
        run_config: RunConfig,
        *,
        name: str | None = None,
        group_id: str | None = None,
        group_name: str | None = None,
        run_id: str | None = None,
        attempt_id: str | None = None,
        order: int | None = None,
        resume_step: int | None = None,
        restart: bool = False,
    ) -> AsyncArmStart:
        """As `ExperimentHandle.start_arm`, for `async with`, or awaited."""
        event = events.arm_started(
            name,
            run_config,
            new_attempt(attempt_id, order),
            group_id=group_id,
            group_name=group_name,
            run_id=run_id,
            resume_step=resume_step,
            restart=restart,
        )
        return AsyncArmStart(self._start(event))

    async def _start(self, event: Event) -> AsyncArmRun:
        await self._connection.run(self._recorded(event))
        started = event.arm_started
        return AsyncArmRun(self._connection, self._name, started.arm, started.attempt.id)

    async def record_arm(self, arm_result: ArmResult, *, replace: bool = False) -> RecordResult:
        """As `ExperimentHandle.record_arm`, awaited."""
        return await self._connection.run(
            self._recorded(events.arm_recorded(arm_result, replace=replace))
        )

    async def delete(self, *, allow_missing: bool = False) -> int:
        """As `ExperimentHandle.delete`, awaited."""
        steps = calls.delete_experiment(self._name, allow_missing=allow_missing)
        return await self._connection.run(steps)


class AsyncArmHandle(ArmHandleBase[AsyncConnection], AsyncTimedEvalMixin):
    """One arm of a server, by experiment and name: `ArmHandle` for asyncio."""

    async def eval(self, name: str, *, step: int | None = None) -> EvalResult | None:
        """As `ArmHandle.eval`, awaited."""
        return await self._connection.run(
            calls.eval_result(self._experiment, self._name, name, step)
        )

    async def score(self, metric: str) -> float | None:
        """As `ArmHandle.score`, awaited."""
        return await self._connection.run(calls.score(self._experiment, self._name, metric))

    async def find_score(self, metric: str) -> Score | None:
        """As `ArmHandle.find_score`, awaited."""
        return await self._connection.run(calls.find_score(self._experiment, self._name, metric))

    async def get(self) -> ArmResult:
        """As `ArmHandle.get`, awaited."""
        return await self._connection.run(calls.get_arm(self._experiment, self._name))

    def evals(
        self,
        *,
        name: str | None = None,
        min_step: int | None = None,
        max_step: int | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[EvalResult]:
        """As `ArmHandle.evals`, for `async for`."""
        pages = calls.evals(
            self._experiment,
            self._name,
            name=name,
            min_step=min_step,
            max_step=max_step,
            page_size=page_size,
        )
        return self._connection.iterate(pages)

    async def log(self, metrics: Metrics) -> None:
        """As `ArmHandle.log`, awaited."""
        event = events.metrics_recorded(self._name, metrics, attempt_id=self._attempt_id)
        await self._connection.run(self._recorded(event))

    async def log_eval(
        self,
        name: str,
        metrics: Metrics,
        *,
        step: int | None = None,
        tags: Iterable[str] = (),
        breakdowns: Mapping[Any, Any] | None = None,
        benchmark_id: str | None = None,
        eval_seconds: float = 0.0,
        model_ref: str | None = None,
    ) -> None:
        """As `ArmHandle.log_eval`, awaited."""
        steps = self._row_recorded(
            name,
            metrics,
            step=step,
            tags=tags,
            breakdowns={} if breakdowns is None else breakdowns,
            benchmark_id=benchmark_id,
            eval_seconds=eval_seconds,
            model_ref=model_ref,
        )
        await self._connection.run(steps)

    async def finish(
        self,
        status: str = ArmStatus.COMPLETED,
        *,
        error: str | None = None,
        train_seconds: float | None = None,
        run_result: RunResult | None = None,
    ) -> None:
        """As `ArmHandle.finish`, awaited."""
        await self._connection.run(self._finish(status, error, train_seconds, run_result))

    async def delete(self, *, allow_missing: bool = False) -> int:
        """As `ArmHandle.delete`, awaited."""
        steps = calls.delete_arm(self._experiment, self._name, allow_missing=allow_missing)
        return await self._connection.run(steps)


class AsyncArmRun(AsyncArmHandle):
    """An attempt at training an arm: `ArmRun` for asyncio. Cancelling its task cancels the arm."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        steps = self._ended(error)
        if steps is None:
            return
        try:
            # How it ended is told also where the task is cancelled at this very moment.
            await _to_its_end(self._connection.run(steps))
        except PodiumError as failure:
            if error is None:
                raise
            # What went wrong in the block is what its caller has to see.
            error.add_note(f"Podium could not record how {self!r} ended: {failure}")


class AsyncArmStart(Awaitable[AsyncArmRun]):
    """An attempt that is about to begin: awaited it is the AsyncArmRun, as `async with` too."""

    def __init__(self, start: Coroutine[Any, Any, AsyncArmRun]) -> None:
        self._start = start

    def __await__(self) -> Generator[Any, Any, AsyncArmRun]:
        return self._start.__await__()

    async def __aenter__(self) -> AsyncArmRun:
        start = asyncio.ensure_future(self._start)
        try:
            self._run = await _to_its_end(start)
        except asyncio.CancelledError as cancelled:
            if not start.cancelled() and start.exception() is None:
                await start.result().__aexit__(type(cancelled), cancelled, None)
            raise
        return self._run

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._run.__aexit__(error_type, error, trace)


async def _to_its_end(call: Awaitable[_T]) -> _T:
    """Awaits a call that has to come to its end: a cancellation waits for that, too."""
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
