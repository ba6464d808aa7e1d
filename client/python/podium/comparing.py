"""Compares two arms or groups of arms, number by number, without a server.

The compared numbers are the training metrics and, for each eval name, the metrics and breakdowns of
the row that `eval(name)` returns. In breakdowns, all numbers are compared, including those in
nested dicts.
"""

import math
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from podium import scoring
from podium._model.config import without_identity
from podium._model.results import ArmResult, RunConfig
from podium._values.enums import ComparisonFlag, ScoreOrigin
from podium._values.tabular import Tabular
from podium.statistics import Description, Difference, describe, welch

__all__ = [
    "ComparedMetric",
    "ComparedSide",
    "Comparison",
    "Members",
    "Observed",
    "breakdown_numbers",
    "compare",
]


class Members(NamedTuple):
    """An argument of `compare`: an arm, or the arms of a group that are compared."""

    name: str
    is_group: bool
    arms: Sequence[ArmResult]
    left_out: Mapping[str, str] = {}
    """The arms that are left out because of their status: each arm's status by its name."""


@dataclass(frozen=True, slots=True)
class ComparedSide:
    """One side of a comparison: its name, its compared arms, and the arms that are left out."""

    name: str
    """The name of the arm or group."""
    is_group: bool
    """Whether the side is a group of arms."""
    arms: dict[str, str]
    """The status of each compared arm, by its name."""
    left_out: dict[str, str]
    """The arms that are left out because of their status: each arm's status by its name."""
    flags: tuple[str, ...]
    """Warnings about the side: CONFIGS_DIFFER if its arms' configurations differ, else empty."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The values of one number on one side, such as the metric `loss` of each arm of a group."""

    statistics: Description
    """The statistics over the arms that have the number and for which it is not NaN."""
    missing: tuple[str, ...]
    """The names of the arms that do not have the number."""
    nan: tuple[str, ...]
    """The names of the arms whose number is NaN."""


@dataclass(frozen=True, slots=True)
class ComparedMetric:
    """One compared number: a metric or a breakdown, with its values on both sides."""

    eval_name: str | None
    """The name of the eval. None for a training metric, or if the arms have no eval rows."""
    key: str | None
    """The key of the metric; None for a breakdown."""
    breakdown: tuple[str, ...]
    """The path of the number in the breakdowns of the eval; empty for a metric."""
    left: Observed
    """The values of the left side."""
    right: Observed
    """The values of the right side."""
    difference: Difference
    """The left mean minus the right mean, with Welch's interval and p-value."""
    flags: tuple[str, ...]
    """Warnings about the eval rows that the values come from: ComparisonFlags."""

    @property
    def label(self) -> str:
        """The name of the number, as tables show it: `test.pass_rate`, or `test[math]`."""
        if self.key is None:
            return f"{self.eval_name}{''.join(f'[{part}]' for part in self.breakdown)}"
        return self.key if self.eval_name is None else f"{self.eval_name}.{self.key}"


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Tabular):
    """The comparison of two arms or groups."""

    left: ComparedSide
    """The left side. Differences are left minus right."""
    right: ComparedSide
    """The right side."""
    metrics: tuple[ComparedMetric, ...]
    """Every number that at least one arm of either side has."""

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of both sides and of all compared numbers, without repetitions."""
        parts = (self.left.flags, self.right.flags, *(metric.flags for metric in self.metrics))
        return tuple(dict.fromkeys(flag for part in parts for flag in part))

    def _heading(self) -> str:
        kinds = ("group" if side.is_group else "arm" for side in (self.left, self.right))
        left, right = kinds
        return f"{left} {self.left.name} - {right} {self.right.name}"

    def _records(self) -> list[dict[str, Any]]:
        return list(map(_record, self.metrics))


def _record(metric: ComparedMetric) -> dict[str, Any]:
    left, right, found = metric.left.statistics, metric.right.statistics, metric.difference
    return {
        "metric": metric.label,
        "left_mean": left.mean,
        "left_sd": left.sd,
        "left_n": left.n,
        "right_mean": right.mean,
        "right_sd": right.sd,
        "right_n": right.n,
        "difference": found.difference,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "p_value": found.p_value,
        "flags": metric.flags,
    }


class _Place(NamedTuple):
    eval_name: str | None
    key: str | None
    breakdown: tuple[str, ...] = ()


class _Found(NamedTuple):
    value: float
    origin: str
    step: int | None = None
    benchmark_id: str | None = None
    model_ref: str | None = None


def compare(left: Members, right: Members, evals: Collection[str] | None = None) -> Comparison:
    """Compares every number that at least one arm of either side has.

    Args:
        left: The left arm or group.
        right: The right arm or group.
        evals: The names of the evals to compare, without the training metrics. If not given, all
            evals and the training metrics are compared.
    """
    found = [{arm.name: dict(_numbers(arm, evals)) for arm in side.arms} for side in (left, right)]
    places = dict.fromkeys(place for side in found for arm in side.values() for place in arm)
    metrics = tuple(_compared(place, *found) for place in _sorted(places))
    return Comparison(_side(left), _side(right), metrics)


def configs_differ(configs: Iterable[RunConfig]) -> bool:
    """Returns whether configurations differ in more than name and seed."""
    stripped = list(map(without_identity, configs))
    return any(config != stripped[0] for config in stripped[1:])


def _side(members: Members) -> ComparedSide:
    mixed = configs_differ(arm.run_config for arm in members.arms)
    return ComparedSide(
        members.name,
        members.is_group,
        {arm.name: arm.status for arm in members.arms},
        dict(members.left_out),
        (ComparisonFlag.CONFIGS_DIFFER,) if mixed else (),
    )


_Numbers = Mapping[str, Mapping[_Place, _Found]]


def _compared(place: _Place, left: _Numbers, right: _Numbers) -> ComparedMetric:
    sides = _observed(place, left), _observed(place, right)
    difference = welch(*(side.statistics for side in sides))
    found = [arm[place] for arm in (*left.values(), *right.values()) if place in arm]
    return ComparedMetric(*place, *sides, difference, tuple(_flags(found)))


def _observed(place: _Place, arms: _Numbers) -> Observed:
    values = {name: arm[place].value for name, arm in arms.items() if place in arm}
    return Observed(
        describe(value for value in values.values() if not math.isnan(value)),
        tuple(name for name in arms if name not in values),
        tuple(name for name, value in values.items() if math.isnan(value)),
    )


def _flags(found: Sequence[_Found]) -> Iterator[str]:
    if len({number.benchmark_id for number in found}) > 1:
        yield ComparisonFlag.BENCHMARKS_DIFFER
    if len({number.model_ref for number in found}) > 1:
        yield ComparisonFlag.MODELS_DIFFER
    if len({(number.origin, number.step) for number in found}) > 1:
        yield ComparisonFlag.STEPS_DIFFER


# ---- The numbers of an arm -----------------------------------------------------------------


def _numbers(arm: ArmResult, evals: Collection[str] | None) -> Iterator[tuple[_Place, _Found]]:
    for name in dict.fromkeys(row.name for row in arm.evals):
        if evals is None or name in evals:
            yield from _row_numbers(arm, name)
    if evals is None:
        for key, value in arm.metrics.items():
            yield _Place(None, key), _Found(value, ScoreOrigin.TRAINING_METRICS)
        # As in score(): the given eval metrics of an arm without rows override training metrics.
        for key, value in () if arm.evals else arm.eval_metrics.items():
            yield _Place(None, key), _Found(value, ScoreOrigin.GIVEN_EVAL_METRICS)


def _row_numbers(arm: ArmResult, name: str) -> Iterator[tuple[_Place, _Found]]:
    row = scoring.find_eval(arm.evals, name)
    if row is None:
        return
    # The benchmark of a row without a benchmark_id is its name.
    benchmark = row.benchmark_id or row.name
    source = (scoring.origin_of(row.step), row.step, benchmark, row.model_ref)
    for key, value in row.metrics.items():
        yield _Place(name, key), _Found(value, *source)
    for path, value in breakdown_numbers(row.breakdowns):
        yield _Place(name, None, path), _Found(value, *source)


def breakdown_numbers(
    values: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yields the numbers in breakdowns and in their nested dicts, each with its path of keys."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from breakdown_numbers(value, (*path, key))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*path, key), float(value)


def _sorted(places: Collection[_Place]) -> list[_Place]:
    """Sorts compared numbers by eval, in the order in which the evals first occur.

    Numbers without an eval come last. The numbers of one eval are sorted by key: first its metrics,
    then its breakdowns.
    """
    names = list(dict.fromkeys(place.eval_name for place in places))
    return sorted(
        places,
        key=lambda place: (
            place.eval_name is None,
            names.index(place.eval_name),
            place.key is None,
            place.key or "",
            [_natural(part) for part in place.breakdown],
        ),
    )


def _natural(part: str) -> tuple[int, str]:
    """Returns a sort key for a key of breakdowns. Decimal numbers come first, by their value."""
    return (len(part), part) if part.isdecimal() else (sys.maxsize, part)
