"""Curves: the values of a metric by step, for arms and groups of arms.

The values come from the in-loop rows of an eval, or from a training metric logged with steps.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from podium import scoring
from podium._values.tabular import Tabular
from podium.statistics import Description, describe

__all__ = [
    "Curve",
    "CurveArm",
    "CurvePoint",
    "Curves",
    "Series",
    "curves_of",
    "eval_names",
    "points_by_step",
]


@dataclass(slots=True)
class Series:
    """The training series of an arm: the values of one training metric by step, sorted by step."""

    key: str
    """The key of the training metric."""
    steps: list[int] = field(default_factory=list)
    """The steps that have a value."""
    values: list[float] = field(default_factory=list)
    """The value at each of the steps, which may be NaN."""


class CurveArm(Protocol):
    """The fields of an arm that curves need. An ArmResult has them."""

    @property
    def name(self) -> str:
        """The name of the arm."""

    @property
    def group_name(self) -> str | None:
        """The name of the arm's group, or None without a group."""

    @property
    def evals(self) -> Sequence[scoring.Row]:
        """The eval rows of the arm."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One step of a curve, with statistics of the values that its arms have at this step."""

    step: int
    """The step."""
    statistics: Description
    """The statistics over the arms that have a number other than NaN at this step."""
    nan: int
    """The number of arms with NaN at this step."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The values of an arm, or of the arms of a group, by step."""

    name: str
    """The name of the arm or group."""
    is_group: bool
    """Whether the curve is that of a group of arms."""
    arms: tuple[str, ...]
    """The names of the arms from which the values come."""
    points: tuple[CurvePoint, ...]
    """The points, sorted by step."""


@dataclass(frozen=True, slots=True, repr=False)
class Curves(Tabular):
    """The curves of an experiment's arms or groups on one metric."""

    metric: str
    """The requested metric."""
    curves: tuple[Curve, ...]
    """A curve for each arm or group that has values.

    Groups are in the order in which their first arms were created.
    """
    without: tuple[str, ...]
    """The names of the arms that have no value of the metric at any step."""
    left_out: dict[str, str]
    """The arms that are left out because of their status: each arm's status by its name."""

    def _heading(self) -> str:
        count = len(self.curves)
        return f"{self.metric}, {count:,} {'curve' if count == 1 else 'curves'}"

    def _records(self) -> list[dict[str, Any]]:
        return [
            {
                "name": curve.name,
                "step": point.step,
                "mean": point.statistics.mean,
                "ci_low": point.statistics.ci_low,
                "ci_high": point.statistics.ci_high,
                "n": point.statistics.n,
                "nan": point.nan,
            }
            for curve in self.curves
            for point in curve.points
        ]

    def _shown(self) -> list[dict[str, Any]]:
        return [
            {
                "group" if curve.is_group else "arm": curve.name,
                "points": len(curve.points),
                "last step": curve.points[-1].step,
                "mean": curve.points[-1].statistics.mean,
                "half width": curve.points[-1].statistics.half_width,
                "n": curve.points[-1].statistics.n,
            }
            for curve in self.curves
        ]


def curves_of(
    arms: Iterable[CurveArm],
    metric: str,
    *,
    by_group: bool = False,
    left_out: Mapping[str, str] | None = None,
    series: Mapping[str, Series] | None = None,
) -> Curves:
    """Returns the curves of a metric from the in-loop rows and training series of arms.

    Args:
        arms: The arms, with their eval rows.
        metric: The name of an eval, a dot and a key, such as `val.pass_rate`, or the key of a
            training metric, such as `loss`. If there are several dots, each is tried as the
            separator, from the left. If no eval has the key, the whole string is the key of a
            training metric.
        by_group: Whether to make one curve for each group. An arm without a group gets its own
            curve.
        left_out: The arms that are left out because of their status: each arm's status by its name.
        series: The training series of the metric, by the name of the arm.

    Raises:
        ValueError: The metric is empty.
    """
    eval_names(metric)
    given = series or {}
    grouped: dict[tuple[bool, str], dict[str, dict[int, float]]] = {}
    without = []
    for arm in arms:
        values = _values(arm.evals, metric) or _points(given.get(arm.name))
        if not values:
            without.append(arm.name)
            continue
        is_group = by_group and arm.group_name is not None
        name = arm.group_name if is_group and arm.group_name is not None else arm.name
        grouped.setdefault((is_group, name), {})[arm.name] = values
    found = tuple(_curve(name, is_group, arms) for (is_group, name), arms in grouped.items())
    return Curves(metric, found, tuple(without), dict(left_out or {}))


def eval_names(metric: str) -> list[str]:
    """Returns the names of the evals that a metric may belong to: the text before each dot.

    Raises an InvalidArgumentError if the metric is empty.
    """
    return [name for name, _ in scoring.candidates(metric) if name is not None]


def _points(series: Series | None) -> dict[int, float]:
    return {} if series is None else dict(zip(series.steps, series.values, strict=True))


def points_by_step(series: Iterable[Series]) -> Iterator[tuple[int, dict[str, float]]]:
    """Yields each step of an arm's training series, in order, with its values by key."""
    steps: dict[int, dict[str, float]] = {}
    for one in series:
        for step, value in zip(one.steps, one.values, strict=True):
            steps.setdefault(step, {})[one.key] = value
    yield from sorted(steps.items())


def _values(rows: Sequence[scoring.Row], metric: str) -> dict[int, float]:
    for name, key in scoring.candidates(metric):
        values: dict[int, float] = {}
        for row in rows:
            if row.name == name and row.step is not None and key in row.metrics:
                values.setdefault(row.step, float(row.metrics[key]))
        if values:
            return values
    return {}


def _curve(name: str, is_group: bool, arms: Mapping[str, Mapping[int, float]]) -> Curve:
    steps = sorted({step for values in arms.values() for step in values})
    points = (_point(step, [v[step] for v in arms.values() if step in v]) for step in steps)
    return Curve(name, is_group, tuple(arms), tuple(points))


def _point(step: int, values: Sequence[float]) -> CurvePoint:
    numbers = [value for value in values if not math.isnan(value)]
    return CurvePoint(step, describe(numbers), len(values) - len(numbers))
