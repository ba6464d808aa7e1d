"""The recording interface, and how an attempt begins and ends.

Client handles and recorders both implement ExperimentRecorder and ArmRecorder, so training code
works with either. A client handle sends each call at once.
"""

import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from podium._interface.timed_eval import Evaluation
from podium._model.results import ArmResult, Attempt, RunConfig, RunResult
from podium._values import coerce
from podium._values.arguments import FinalStatus, StepLike, Strings
from podium._values.coerce import Metrics
from podium._values.enums import ArmStatus

__all__ = [
    "ArmRecorder",
    "ExperimentRecorder",
    "Metrics",
    "new_attempt",
]


class ArmRecorder(Protocol):
    """Records one arm. As a context manager it says how the arm ended when its block ends.

    At the end of the block the arm is completed; if the block raises, the arm is failed with the
    error, or cancelled on KeyboardInterrupt and the like. `finish` may say so earlier.
    """

    @property
    def experiment(self) -> str:
        """The name of the experiment."""

    @property
    def name(self) -> str:
        """The name of the arm."""

    def log(self, metrics: Metrics, *, step: StepLike | None = None) -> None:
        """Records training metrics: the latest value of each key counts.

        Args:
            metrics: Numbers by key; keys are free text.
            step: The training step, which may be 0 or negative. With a step, the values are also
                points of the training series, from which curves are drawn.
        """

    def log_eval(
        self,
        name: str,
        metrics: Metrics,
        *,
        step: StepLike | None = None,
        tags: Strings = (),
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
        """

    def evaluating(
        self,
        name: str,
        *,
        step: StepLike | None = None,
        tags: Strings = (),
        benchmark_id: str | None = None,
        model_ref: str | None = None,
    ) -> Evaluation:
        """Times an evaluation: `with arm.evaluating("val", step=100) as ev: ev.log({...})`.

        At the end of the block, what `ev.log` was given is recorded as one row, with the seconds
        that the block took as its `eval_seconds`. If the block raises, nothing is recorded.

        Args:
            name: The name of the eval: free text.
            step: The training step of an in-loop eval; None for the post-training eval.
            tags: Free labels, as in `log_eval`.
            benchmark_id: The id of the benchmark, where it differs from the name.
            model_ref: The model that is scored, where it is another than the arm's own.
        """

    def finish(
        self,
        status: FinalStatus = ArmStatus.COMPLETED,
        *,
        error: str | None = None,
        train_seconds: float | None = None,
        run_result: RunResult | None = None,
    ) -> None:
        """Records how training ended. A later call replaces an earlier one as a whole.

        Args:
            status: `completed`, `failed` or `cancelled`.
            error: Why it failed. Long texts are shortened in the middle.
            train_seconds: How long training took.
            run_result: What the training backend returned, as it was.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class ExperimentRecorder(Protocol):
    """Records arms of one experiment."""

    @property
    def name(self) -> str:
        """The name of the experiment."""

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
        resume_step: StepLike | None = None,
        restart: bool = False,
    ) -> ArmRecorder:
        """Begins an attempt at training an arm.

        Args:
            run_config: What the arm is asked to do.
            name: The name of the arm; the name of the run_config if not given.
            group_id: The id of the group of arms that repeat one configuration.
            group_name: The name of that group.
            run_id: The id of the training run in the system that runs it.
            attempt_id: An id that only this attempt uses; a new one if not given.
            order: Which attempt is the newest: the greatest order. The start time in milliseconds
                since 1970 if not given; a scheduler's restart count is better where there is one.
            resume_step: Continues after this step; keeps metrics and in-loop rows up to it.
            restart: Starts the arm from the beginning, even if it has finished.
        """

    def record_arm(self, arm_result: ArmResult, *, replace: bool = False) -> object:
        """Records a whole arm: the arm becomes equal to it.

        Args:
            arm_result: The arm; its output-only fields are ignored.
            replace: Whether also an arm that has attempts becomes equal to it.
        """


def new_attempt(attempt_id: str | None, order: int | None) -> Attempt:
    """Returns an attempt. Defaults: a new id, and the current time in milliseconds as the order."""
    return Attempt(
        os.urandom(16).hex() if attempt_id is None else coerce.text(attempt_id, "attempt_id"),
        time.time_ns() // 1_000_000 if order is None else coerce.integer(order, "order"),
    )
