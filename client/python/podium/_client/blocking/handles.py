"""Handles of the blocking client: one experiment, one arm, one attempt at training an arm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podium import events
from podium._client import calls
from podium._client.compound_handles import Analysis
from podium._client.connection import BlockingConnection
from podium._client.handle_base import ArmHandleBase
from podium._client.ranking_handles import Rankings
from podium._interface.recorders import new_attempt
from podium._interface.timed_eval import TimedEvalMixin
from podium._values.enums import ArmStatus
from podium.errors import PodiumError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
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

__all__ = ["ArmHandle", "ArmRun", "ExperimentHandle"]


class ExperimentHandle(Analysis, Rankings):
    """One experiment of a server, by name. Making a handle makes no call.

    Every call can raise the errors of `podium.errors`; what is written below are those with a
    meaning of their own.
    """

    def arm(self, name: str, *, attempt_id: str | None = None) -> ArmHandle:
        """Returns a handle of an arm; see `Client.arm`."""
        return ArmHandle(self._connection, self._name, name, attempt_id)

    def get(self) -> Experiment:
        """Gets the experiment.

        Raises:
            NotFoundError: It does not exist.
        """
        return self._connection.run(calls.get_experiment(self._name))

    def arms(
        self,
        *,
        status: str | Iterable[str] | None = None,
        group_name: str | None = None,
        name_prefix: str | None = None,
        tags: Iterable[str] = (),
        page_size: int | None = None,
    ) -> Iterator[ArmSummary]:
        """Lists the arms, without their rows, in the order in which they were created.

        Args:
            status: Only arms with this status, or with one of these.
            group_name: Only arms of this group.
            name_prefix: Only arms whose name begins with this text.
            tags: Only arms whose run_config has all of these tags.
            page_size: How many arms to fetch in a call, at most 1,000; 100 if not given.

        Raises:
            NotFoundError: The experiment does not exist (said at the first arm).
        """
        pages = calls.arms(
            self._name,
            status=status,
            group_name=group_name,
            name_prefix=name_prefix,
            tags=tags,
            page_size=page_size,
        )
        return self._connection.iterate(pages)

    def declare(
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
        """Creates the experiment, or fills those of its fields that are still unset.

        A field that has another value is left as it is and named in the result's `kept_fields`,
        unless `overwrite` is set. Metadata is filled key by key.

        Args:
            hypothesis: What the experiment is to find out.
            success_metric: The metric that arms are compared by, in the forms `score` takes.
            direction: Which scores are better: `maximize` or `minimize`.
            parent: The name of the experiment that this one follows.
            tags: Free labels.
            metadata: Anything else worth keeping: JSON-like values by key.
            overwrite: Whether fields that have another value take the one given here.
        """
        event = events.experiment_declared(
            hypothesis=hypothesis,
            success_metric=success_metric,
            direction=direction,
            parent=parent,
            tags=tags,
            metadata=metadata,
            overwrite=overwrite,
        )
        return self._connection.run(self._recorded(event))

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
    ) -> ArmRun:
        """Begins an attempt at training an arm, which is then running.

        As a context manager the attempt also ends: the arm is completed at the end of the block,
        and failed with the error if the block raises.

        Args:
            run_config: What the arm is asked to do.
            name: The name of the arm; the name of the run_config if not given.
            group_id: The id of the group of arms that repeat one configuration.
            group_name: The name of that group.
            run_id: The id of the training run in the system that runs it.
            attempt_id: An id that only this attempt uses; a new one if not given.
            order: Which attempt is the newest: the greatest order. The start time in milliseconds
                since 1970 if not given; a scheduler's restart count is better where there is one.
            resume_step: Goes on after this step: metrics and in-loop rows up to it stay.
            restart: Begins anew, also where the arm has finished.

        Raises:
            NotFoundError: The experiment was not declared.
            FailedPreconditionError: A newer attempt runs (STALE_ATTEMPT), the arm has finished
                and neither resume_step nor restart is given (ARM_FINISHED), or the run_config is
                not the one of the earlier attempts (RUN_CONFIG_CHANGED).
        """
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
        self._connection.run(self._recorded(event))
        started = event.arm_started
        return ArmRun(self._connection, self._name, started.arm, started.attempt.id)

    def record_arm(self, arm_result: ArmResult, *, replace: bool = False) -> RecordResult:
        """Records a whole arm: the arm becomes equal to it.

        Args:
            arm_result: The arm; its output-only fields are ignored.
            replace: Whether the arm becomes equal to it also where it has attempts, or where
                this very arm was recorded before.

        Raises:
            FailedPreconditionError: The arm has attempts, and `replace` is not set.
        """
        return self._connection.run(
            self._recorded(events.arm_recorded(arm_result, replace=replace))
        )

    def delete(self, *, allow_missing: bool = False) -> int:
        """Deletes the experiment with its arms, and returns the revision after it.

        Args:
            allow_missing: Whether it is all right if the experiment does not exist.
        """
        steps = calls.delete_experiment(self._name, allow_missing=allow_missing)
        return self._connection.run(steps)


class ArmHandle(ArmHandleBase[BlockingConnection], TimedEvalMixin):
    """One arm of a server, by experiment and name. Making a handle makes no call.

    It asks, and it records for whoever is no attempt at training the arm, such as an evaluator
    elsewhere. Every call can raise the errors of `podium.errors`; a NotFoundError says that the
    experiment or the arm does not exist.
    """

    def eval(self, name: str, *, step: int | None = None) -> EvalResult | None:
        """Looks up an eval row; None if there is none.

        Args:
            name: The name of the eval.
            step: The in-loop row at exactly this step, 0 and negatives included. None asks for
                the post-training row, or else the in-loop row with the greatest step.
        """
        return self._connection.run(calls.eval_result(self._experiment, self._name, name, step))

    def score(self, metric: str) -> float | None:
        """Looks up a score; None if there is none, while NaN is a score.

        Args:
            metric: `pass_rate` is looked up in the metrics of the primary eval, then in the
                training metrics; `bench.pass_rate` in the row that `eval("bench")` answers.
        """
        return self._connection.run(calls.score(self._experiment, self._name, metric))

    def find_score(self, metric: str) -> Score | None:
        """Looks up a score and says where it came from: which eval and step, or training."""
        return self._connection.run(calls.find_score(self._experiment, self._name, metric))

    def get(self) -> ArmResult:
        """Gets the whole arm, all its rows included, in one state.

        Raises:
            AbortedError: The arm kept changing while it was read.
        """
        return self._connection.run(calls.get_arm(self._experiment, self._name))

    def evals(
        self,
        *,
        name: str | None = None,
        min_step: int | None = None,
        max_step: int | None = None,
        page_size: int | None = None,
    ) -> Iterator[EvalResult]:
        """Lists the rows in the order in which they were first accepted.

        A row that is there throughout appears exactly once, also while others arrive.

        Args:
            name: Only rows with this eval name.
            min_step: Only in-loop rows at this step or later.
            max_step: Only in-loop rows at this step or earlier.
            page_size: How many rows to fetch in a call, at most 1,000; 100 if not given.
        """
        pages = calls.evals(
            self._experiment,
            self._name,
            name=name,
            min_step=min_step,
            max_step=max_step,
            page_size=page_size,
        )
        return self._connection.iterate(pages)

    def log(self, metrics: Metrics) -> None:
        """Records training metrics: the latest value of each key counts.

        Args:
            metrics: Numbers by key; keys are free text.

        Raises:
            FailedPreconditionError: A newer attempt runs (STALE_ATTEMPT).
        """
        event = events.metrics_recorded(self._name, metrics, attempt_id=self._attempt_id)
        self._connection.run(self._recorded(event))

    def log_eval(
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
        """Records an eval row; a row of the same name and step is replaced.

        Args:
            name: The name of the eval: free text.
            metrics: What was measured, by key.
            step: The training step of an in-loop eval, 0 and negatives included. None for the
                post-training eval.
            tags: Free labels. `test` makes a post-training row a candidate for the primary eval.
            breakdowns: Results by part of the benchmark, of any JSON-like shape.
            benchmark_id: The id of the benchmark, where it differs from the name.
            eval_seconds: How long the evaluation took.
            model_ref: The model that was scored, where it is another than the arm's own.

        Raises:
            FailedPreconditionError: A newer attempt runs (STALE_ATTEMPT), or the row has another
                model_ref (MODEL_REF_CHANGED).
        """
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
        self._connection.run(steps)

    def finish(
        self,
        status: str = ArmStatus.COMPLETED,
        *,
        error: str | None = None,
        train_seconds: float | None = None,
        run_result: RunResult | None = None,
    ) -> None:
        """Records how training ended. It may be said again: the last one stands, as a whole.

        Args:
            status: `completed`, `failed` or `cancelled`.
            error: Why it failed. Long texts are shortened in the middle.
            train_seconds: How long training took.
            run_result: What the training backend returned, as it was.

        Raises:
            FailedPreconditionError: A newer attempt runs (STALE_ATTEMPT).
        """
        self._connection.run(self._finish(status, error, train_seconds, run_result))

    def delete(self, *, allow_missing: bool = False) -> int:
        """Deletes the arm with its rows, and returns the experiment's revision after it.

        Args:
            allow_missing: Whether it is all right if the experiment or the arm does not exist.
        """
        steps = calls.delete_arm(self._experiment, self._name, allow_missing=allow_missing)
        return self._connection.run(steps)


class ArmRun(ArmHandle):
    """An attempt at training an arm: what `start_arm` returns.

    As a context manager it says how the attempt ended: completed at the end of the block, failed
    with the error if the block raises, cancelled on KeyboardInterrupt and the like. If `finish`
    was called in the block, that stands.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        steps = self._ended(error)
        if steps is None:
            return
        try:
            self._connection.run(steps)
        except PodiumError as failure:
            if error is None:
                raise
            # What went wrong in the block is what its caller has to see.
            error.add_note(f"Podium could not record how {self!r} ended: {failure}")
