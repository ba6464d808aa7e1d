"""The interface for recording: ExperimentRecorder and ArmRecorder.

Both the handles of a client and the recorders of `podium.record` implement this interface, so
training code works with either of them. A handle sends each event to the server. A recorder writes
it to the outbox.
"""

import os
import re
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from podium._interface.timed_eval import Evaluation
from podium._model.results import ArmResult, Attempt, Provenance, RunConfig, RunResult
from podium._values import coerce
from podium._values.arguments import FinalStatus, StepLike, Strings
from podium._values.coerce import Metrics
from podium._values.enums import ArmStatus

__all__ = ["ArmRecorder", "ExperimentRecorder", "Metrics", "host_of_attempt", "new_attempt"]

_NEW_ATTEMPT = re.compile(r"(.+)-\d+-[0-9a-f]{16}")


class ArmRecorder(Protocol):
    """Records one arm. As a context manager, it records the end of the arm when its block ends.

    When the block ends, the arm is recorded as completed. If the block raises an error, the arm is
    recorded as failed, with the error. After KeyboardInterrupt, `sys.exit()` without an error code,
    or the cancellation of a task, it is recorded as cancelled. `finish` may record the end earlier.
    """

    @property
    def experiment(self) -> str:
        """The name of the experiment."""

    @property
    def name(self) -> str:
        """The name of the arm."""

    def log(self, metrics: Metrics, *, step: StepLike | None = None) -> None:
        """Records training metrics. The latest value of each key is kept.

        Args:
            metrics: Numbers by key. A key may be any text.
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
        """Records an eval row. It replaces a row with the same name and step.

        Args:
            name: The name of the eval, which may be any text.
            metrics: The measured numbers by key.
            step: The training step of an in-loop eval, which may be 0 or negative. None for the
                post-training eval.
            tags: Labels. `test` makes a post-training row a candidate for the primary eval.
            breakdowns: Results of parts of the benchmark: JSON-like values by key.
            benchmark_id: The id of the benchmark, if it differs from the name of the eval.
            eval_seconds: The duration of the evaluation in seconds.
            model_ref: The model that was scored, if it is not the arm's own.
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

        At the end of the block, everything that was passed to `ev.log` is recorded as one row. Its
        `eval_seconds` is the duration of the block. If the block raises, nothing is recorded.

        Args:
            name: The name of the eval, which may be any text.
            step: The training step of an in-loop eval; None for the post-training eval.
            tags: Labels, as in `log_eval`.
            benchmark_id: The id of the benchmark, if it differs from the name of the eval.
            model_ref: The model that is scored, if it is not the arm's own.
        """

    def finish(
        self,
        status: FinalStatus = ArmStatus.COMPLETED,
        *,
        error: str | None = None,
        train_seconds: float | None = None,
        run_result: RunResult | None = None,
    ) -> None:
        """Records how the training ended. Another call replaces the end that was recorded before.

        Args:
            status: `completed`, `failed` or `cancelled`.
            error: The reason for a failure. Long texts are shortened in the middle.
            train_seconds: The duration of the training in seconds.
            run_result: The result that the training backend returned.
        """

    def annotate(
        self,
        *,
        notes: str | None = None,
        add_tags: Strings = (),
        remove_tags: Strings = (),
        group_name: str | None = None,
    ) -> None:
        """Changes the notes, tags or group of the arm, during or after its training.

        Values that are not given stay unchanged. Annotations take precedence over the tags of the
        run_config and over the group that `start_arm` was given. Later attempts of the arm keep the
        annotations.

        Args:
            notes: The new notes; "" removes them.
            add_tags: Tags to add.
            remove_tags: Tags to remove.
            group_name: The group that the arm now belongs to; "" removes it from its group.
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
        provenance: Provenance | None = None,
    ) -> ArmRecorder:
        """Starts an attempt at training an arm.

        Args:
            run_config: The configuration of the run.
            name: The name of the arm; the name of the run_config if not given.
            group_id: The id of the group of arms that repeat one configuration.
            group_name: The name of the group of arms that repeat one configuration.
            run_id: The id of the training run in the system that runs it.
            attempt_id: An id that no other attempt uses; a new one if not given.
            order: The attempt with the greatest order is the newest. If not given, it is the
                start time in milliseconds since 1970. If a scheduler counts restarts, its count is
                better.
            resume_step: The step after which this attempt continues an earlier one. The arm keeps
                its metrics, and its in-loop rows and training series up to this step.
            restart: Starts the arm from the beginning, even if it has completed.
            provenance: Where the attempt's code came from, and where it runs. If not given, it is
                collected, unless PODIUM_PROVENANCE is `off`.
        """

    def record_arm(self, arm_result: ArmResult, *, replace: bool = False) -> object:
        """Records an arm with all its results. The stored arm becomes equal to the given one.

        Args:
            arm_result: The arm. Its output-only fields are ignored.
            replace: Whether to replace the stored arm even if it has attempts, or if the model_ref
                of a row differs. If set, and the same content was recorded before, the rows that
                were recorded after it are removed.
        """


def new_attempt(attempt_id: str | None, order: int | None) -> Attempt:
    """Returns an attempt. If the id is None, makes a new id.

    If the order is None, the order is the time now in milliseconds since 1970. A new id begins with
    the host and the pid, so that errors that show the id also show both.
    """
    return Attempt(
        f"{os.uname().nodename}-{os.getpid()}-{os.urandom(8).hex()}"
        if attempt_id is None
        else coerce.text(attempt_id, "attempt_id"),
        time.time_ns() // 1_000_000 if order is None else coerce.integer(order, "order"),
    )


def host_of_attempt(attempt_id: str) -> str | None:
    """Returns the host in an attempt's id, or None if `new_attempt` did not create the id."""
    found = _NEW_ATTEMPT.fullmatch(attempt_id)
    return found[1] if found else None
