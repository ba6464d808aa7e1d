"""Converts experiments and arms to JSON items that `podium record` reads, and to rows of a table.

Does no I/O.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from podium import scoring
from podium._files import json_form
from podium._model.results import ArmResult, EvalResult, Experiment
from podium._values.enums import ScoreOrigin
from podium.comparing import breakdown_numbers
from podium.curves import Series, points_by_step

__all__ = [
    "Number",
    "conclusion_item",
    "declaration_item",
    "latest_metrics",
    "numbers",
    "series_items",
]

SeriesByKey: TypeAlias = Mapping[str, Series]


class Number(NamedTuple):
    """One number of an arm, with its source. The fields are the columns of a table."""

    experiment: str
    arm: str
    group: str | None
    seed: int | None
    status: str
    source: str | None = None
    """The kind of result that has the number: a ScoreOrigin. None if the arm has no numbers."""
    eval: str | None = None
    step: int | None = None
    """The step of an in-loop eval or of a training series; None for any other number."""
    metric: str | None = None
    """The key of a metric; None for a breakdown."""
    breakdown: str | None = None
    """The keys that lead to the number in the breakdowns, joined by `/`; None for a metric."""
    value: float | None = None
    benchmark_id: str | None = None
    model_ref: str | None = None
    tags: str | None = None
    """The row's tags, joined by spaces."""
    event_time: datetime | None = None
    """The time at which the number was measured."""


def declaration_item(experiment: Experiment) -> dict[str, Any]:
    """Returns the JSON event that declares an experiment, with the fields that have a value."""
    values = json_form.to_json(experiment)
    names = ("hypothesis", "success_metric", "direction", "parent", "tags", "metadata")
    fields = {name: values[name] for name in names if values[name] not in (None, [], {})}
    return {"event": "experiment_declared", "experiment": experiment.name, **fields}


def conclusion_item(experiment: Experiment) -> dict[str, Any] | None:
    """Returns the JSON event that concludes an experiment; None if it has no conclusion."""
    if experiment.conclusion is None:
        return None
    return {
        "event": "experiment_concluded",
        "experiment": experiment.name,
        "conclusion": experiment.conclusion,
    }


def series_items(arm: ArmResult, series: SeriesByKey) -> Iterator[dict[str, Any]]:
    """Yields the JSON events that record the training series of an arm.

    Record the arm before these events.
    """
    event = {"event": "metrics_recorded", "experiment": arm.experiment, "arm": arm.name}
    for step, metrics in points_by_step(series.values()):
        yield {**event, "metrics": _plain(metrics), "step": step}
    latest = latest_metrics(arm, series)
    if latest:
        yield {**event, "metrics": _plain(latest)}


def _plain(metrics: Mapping[str, float]) -> dict[str, Any]:
    return {key: json_form.to_json(value) for key, value in metrics.items()}


def latest_metrics(arm: ArmResult, series: SeriesByKey) -> dict[str, float]:
    """Returns the training metrics whose value differs from the last point of their series.

    Record them after the series, because each recorded point also replaces the metric's value.
    """
    return {
        key: arm.metrics[key]
        for key, one in series.items()
        if key in arm.metrics and one.values and not _same(arm.metrics[key], one.values[-1])
    }


def _same(number: float, other: float) -> bool:
    return number == other or (number != number and other != other)  # noqa: PLR0124 - NaN


def numbers(arm: ArmResult, series: SeriesByKey) -> Iterator[Number]:
    """Yields each number of an arm and of its training series, with its source.

    If the arm has no number besides its training series, also yields one item without a value.
    """
    base = Number(arm.experiment, arm.name, arm.group_name, arm.run_config.seed, arm.status)
    found = [*_row_numbers(arm, base), *_own_numbers(arm, base)]
    yield from found or [base]
    for step, values in points_by_step(series.values()):
        for metric in sorted(values):
            yield base._replace(
                source=ScoreOrigin.TRAINING_METRICS, step=step, metric=metric, value=values[metric]
            )


def _row_numbers(arm: ArmResult, base: Number) -> Iterator[Number]:
    for row in arm.evals:
        of_row = _of_row(row, base)
        for metric in sorted(row.metrics):
            yield of_row._replace(metric=metric, value=row.metrics[metric])
        for path, value in breakdown_numbers(row.breakdowns):
            yield of_row._replace(breakdown="/".join(path), value=value)


def _of_row(row: EvalResult, base: Number) -> Number:
    return base._replace(
        source=scoring.origin_of(row.step),
        eval=row.name,
        step=row.step,
        benchmark_id=row.benchmark_id,
        model_ref=row.model_ref,
        tags=" ".join(row.tags) or None,
        event_time=row.event_time,
    )


def _own_numbers(arm: ArmResult, base: Number) -> Iterator[Number]:
    """Yields the numbers of an arm that are not part of an eval row."""
    given = {} if arm.evals else arm.eval_metrics
    for source, metrics in (
        (ScoreOrigin.TRAINING_METRICS, arm.metrics),
        (ScoreOrigin.GIVEN_EVAL_METRICS, given),
    ):
        for metric in sorted(metrics):
            yield base._replace(source=source, metric=metric, value=metrics[metric])
