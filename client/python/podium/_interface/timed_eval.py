"""A timed evaluation: a block whose logged values are recorded as one row when the block ends.

    with arm.evaluating("val", step=100) as ev:
        ev.log({"pass_rate": evaluate(model)})

The metrics of this row are those that were passed to `ev.log`.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Self, TypeVar

from podium._values import coerce
from podium._values.arguments import StepLike, Strings
from podium._values.coerce import Metrics

__all__ = ["AsyncEvaluation", "AsyncTimedEvalMixin", "Evaluation", "TimedEvalMixin"]

_EvaluationT = TypeVar("_EvaluationT")


class _Gathered:
    """The start time of an evaluation, and the values that its block has logged so far."""

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self._name = name
        self._fields = fields
        self._metrics: dict[str, float] = {}
        self._breakdowns: dict[str, Any] = {}
        self._begin = time.perf_counter()

    def log(self, metrics: Metrics, *, breakdowns: Mapping[Any, Any] | None = None) -> None:
        """Adds values to the row of this evaluation. The latest value of each key is kept.

        Args:
            metrics: The measured numbers by key.
            breakdowns: Results of parts of the benchmark: JSON-like values by key.
        """
        self._add(metrics, {} if breakdowns is None else breakdowns)

    def _add(self, metrics: Any, breakdowns: Any) -> None:
        measured = coerce.metrics(metrics, "metrics")
        self._breakdowns |= coerce.value_map(breakdowns, "breakdowns")
        self._metrics |= measured

    def _row(self) -> dict[str, Any]:
        """Returns the arguments with which to call `log_eval` when the block ends."""
        return {
            **self._fields,
            "name": self._name,
            "metrics": self._metrics,
            "breakdowns": self._breakdowns,
            "eval_seconds": time.perf_counter() - self._begin,
        }


class Evaluation(_Gathered):
    """A running evaluation, which `evaluating` returns for use with `with`.

    At the end of the block, the logged values are recorded as one row, with the duration of the
    block. If the block raises, nothing is recorded.
    """

    def __init__(self, log_eval: Callable[..., None], name: str, fields: dict[str, Any]) -> None:
        super().__init__(name, fields)
        self._log_eval = log_eval

    def __enter__(self) -> Self:
        self._begin = time.perf_counter()
        return self

    def __exit__(self, error_type: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._log_eval(**self._row())


class AsyncEvaluation(_Gathered):
    """A running evaluation for use with `async with`. Its `log` needs no await."""

    def __init__(
        self, log_eval: Callable[..., Awaitable[None]], name: str, fields: dict[str, Any]
    ) -> None:
        super().__init__(name, fields)
        self._log_eval = log_eval

    async def __aenter__(self) -> Self:
        self._begin = time.perf_counter()
        return self

    async def __aexit__(
        self, error_type: object, error: BaseException | None, trace: object
    ) -> None:
        if error is None:
            await self._log_eval(**self._row())


class _EvaluatingMixin(Generic[_EvaluationT]):
    """Adds `evaluating` to a class with `log_eval`."""

    def evaluating(
        self,
        name: str,
        *,
        step: StepLike | None = None,
        tags: Strings = (),
        benchmark_id: str | None = None,
        model_ref: str | None = None,
    ) -> _EvaluationT:
        """Times an evaluation: `with arm.evaluating("val", step=100) as ev: ev.log({...})`.

        At the end of the block, everything that was passed to `ev.log` is recorded as one row. Its
        `eval_seconds` is the duration of the block. If the block raises, nothing is recorded. For
        an arm of an `AsyncClient`, use `async with`.

        Args:
            name: The name of the eval, which may be any text.
            step: The training step of an in-loop eval; None for the post-training eval.
            tags: Labels, as in `log_eval`.
            benchmark_id: The id of the benchmark, if it differs from the name of the eval.
            model_ref: The model that is scored, if it is not the arm's own.
        """
        fields = {"step": step, "tags": tags, "benchmark_id": benchmark_id, "model_ref": model_ref}
        return self._new_evaluation(name, fields)

    def _new_evaluation(self, name: str, fields: dict[str, Any]) -> _EvaluationT:
        raise NotImplementedError


class TimedEvalMixin(_EvaluatingMixin[Evaluation]):
    """Adds `evaluating` to a class with `log_eval`."""

    log_eval: Callable[..., None]

    def _new_evaluation(self, name: str, fields: dict[str, Any]) -> Evaluation:
        return Evaluation(self.log_eval, name, fields)


class AsyncTimedEvalMixin(_EvaluatingMixin[AsyncEvaluation]):
    """Adds `evaluating` to a class with an asynchronous `log_eval`."""

    log_eval: Callable[..., Awaitable[None]]

    def _new_evaluation(self, name: str, fields: dict[str, Any]) -> AsyncEvaluation:
        return AsyncEvaluation(self.log_eval, name, fields)
