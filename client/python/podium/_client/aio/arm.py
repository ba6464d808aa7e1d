"""The handle of an arm."""

from collections.abc import Mapping
from typing import Any

from podium import events
from podium._client import calls
from podium._client.aio.connection import AsyncConnection
from podium._client.handle_base import ArmHandleBase
from podium._client.listing import AsyncListing
from podium._interface.timed_eval import AsyncTimedEvalMixin
from podium._model.results import ArmResult, EvalResult, RunResult
from podium._values.arguments import FinalStatus, StepLike, Strings
from podium._values.coerce import Metrics
from podium._values.enums import ArmStatus
from podium.curves import Series
from podium.scoring import Score

__all__ = ["AsyncArmHandle"]


class AsyncArmHandle(ArmHandleBase[AsyncConnection], AsyncTimedEvalMixin):
    """A handle of one arm on a server. Creating a handle makes no call.

    Use a handle to read the arm, or to record from a process that does not train it, such as an
    evaluator. Every call can raise the errors of `podium.errors`. A NotFoundError means that the
    experiment or the arm does not exist.
    """

    async def eval(self, name: str, *, step: StepLike | None = None) -> EvalResult | None:
        """Returns an eval row, or None if there is no such row.

        Args:
            name: The name of the eval.
            step: The step of an in-loop row, which may be 0 or negative. If None, the result is
                the post-training row, or else the in-loop row with the greatest step.
        """
        return await self._connection.run(
            calls.eval_result(self._experiment, self._name, name, step)
        )

    async def score(self, metric: str) -> float | None:
        """Returns a score, or None if there is none. NaN is a score.

        Args:
            metric: The name of a metric. `pass_rate` is looked up in the primary eval, then in the
                training metrics. `bench.pass_rate` is the metric `pass_rate` of the row that
                `eval("bench")` returns.
        """
        return await self._connection.run(calls.score(self._experiment, self._name, metric))

    async def find_score(self, metric: str) -> Score | None:
        """Returns a score with its source: the eval and its step, or the training metrics.

        Args:
            metric: The name of a metric, as for `score`.

        Returns:
            The score and its source, or None if there is no score.
        """
        return await self._connection.run(calls.find_score(self._experiment, self._name, metric))

    async def get(self) -> ArmResult:
        """Returns the arm with all its rows, as of one revision.

        Raises:
            AbortedError: The arm changed while it was read, in each of 5 tries.
        """
        return await self._connection.run(calls.get_arm(self._experiment, self._name))

    def evals(
        self,
        *,
        name: str | None = None,
        min_step: StepLike | None = None,
        max_step: StepLike | None = None,
        page_size: int | None = None,
    ) -> AsyncListing[EvalResult]:
        """Lists the eval rows in the order in which they were first accepted.

        A row that exists during the whole listing appears exactly once, even if other rows are
        added meanwhile.

        Args:
            name: Lists only rows with this eval name.
            min_step: Lists only in-loop rows at this step or later.
            max_step: Lists only in-loop rows at this step or earlier.
            page_size: The number of rows to fetch in a call, at most 1,000; 100 if not given.
        """
        pages = calls.evals(
            self._experiment,
            self._name,
            name=name,
            min_step=min_step,
            max_step=max_step,
            page_size=page_size,
        )
        return self._connection.listing(pages)

    async def series(
        self, key: str, *, min_step: StepLike | None = None, max_step: StepLike | None = None
    ) -> Series:
        """Returns the training series of a key: the values that were logged with a step.

        The series is empty if there are none.

        Args:
            key: The key of a training metric.
            min_step: Returns only points at this step or later.
            max_step: Returns only points at this step or earlier.
        """
        found = await self.all_series([key], min_step=min_step, max_step=max_step)
        return found.get(key, Series(key))

    async def all_series(
        self,
        keys: Strings = (),
        *,
        min_step: StepLike | None = None,
        max_step: StepLike | None = None,
        page_size: int | None = None,
    ) -> dict[str, Series]:
        """Returns the training series of the arm by key.

        A large result takes several calls. If the arm changes meanwhile, points at later steps can
        be of a later revision than points at earlier steps.

        Args:
            keys: Returns only the series of these keys; all series if no key is given.
            min_step: Returns only points at this step or later.
            max_step: Returns only points at this step or earlier.
            page_size: The number of points to fetch in a call: at most, and by default, 10,000.
        """
        requests = calls.series(
            self._experiment,
            self._name,
            keys,
            min_step=min_step,
            max_step=max_step,
            page_size=page_size,
        )
        return await self._connection.run(requests)

    async def log(self, metrics: Metrics, *, step: StepLike | None = None) -> None:
        """Records training metrics. The latest value of each key is kept.

        Args:
            metrics: Numbers by key. A key may be any text.
            step: The training step, which may be 0 or negative. With a step, the values are also
                points of the training series. They replace earlier values at that step.

        Raises:
            FailedPreconditionError: The arm has a newer attempt than that of this handle
                (STALE_ATTEMPT).
        """
        event = events.metrics_recorded(self._name, metrics, step=step, attempt_id=self._attempt_id)
        await self._connection.run(self._recorded(event))

    async def log_eval(
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
            step: The training step of an in-loop eval, which may be 0 or negative; None for a
                post-training eval.
            tags: Labels. `test` makes a post-training row a candidate for the primary eval.
            breakdowns: Results of parts of the benchmark: JSON-like values by key.
            benchmark_id: The id of the benchmark, if it differs from the name of the eval.
            eval_seconds: The duration of the evaluation in seconds.
            model_ref: The model that was scored, if it is not the arm's own.

        Raises:
            FailedPreconditionError: The arm has a newer attempt than that of this handle
                (STALE_ATTEMPT), or the stored row of this name and step has another model_ref
                (MODEL_REF_CHANGED).
        """
        requests = self._row_recorded(
            name,
            metrics,
            step=step,
            tags=tags,
            breakdowns={} if breakdowns is None else breakdowns,
            benchmark_id=benchmark_id,
            eval_seconds=eval_seconds,
            model_ref=model_ref,
        )
        await self._connection.run(requests)

    async def finish(
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

        Raises:
            FailedPreconditionError: The arm has a newer attempt than that of this handle
                (STALE_ATTEMPT).
        """
        await self._connection.run(self._finish(status, error, train_seconds, run_result))

    async def annotate(
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
        event = events.arm_annotated(
            self._name,
            notes=notes,
            add_tags=add_tags,
            remove_tags=remove_tags,
            group_name=group_name,
        )
        await self._connection.run(self._recorded(event))

    async def delete(self, *, allow_missing: bool = False) -> int:
        """Deletes the arm with its rows, and returns the new revision of the experiment.

        Args:
            allow_missing: If True, the call succeeds even if the experiment or the arm does not
                exist.
        """
        requests = calls.delete_arm(self._experiment, self._name, allow_missing=allow_missing)
        return await self._connection.run(requests)
