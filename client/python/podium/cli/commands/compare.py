"""Compares two arms or groups, A and B, number by number.

The numbers are the metrics and breakdowns of each eval, and the training metrics. For a
group, the completed arms are used. The table has the mean and the standard deviation
(n - 1) of each side, and the numbers of arms. It also has the difference of means with
half the width of its 95% interval, and its p-value (Welch's t-test). An interval needs two
arms on each side. Each p-value is for a single comparison: without real differences, about
one p-value in twenty is below 0.05.

Examples:
  podium compare rank_sweep rank4 rank16
  podium compare rank_sweep lora_rank4 lora_rank16 --eval test
"""

import argparse
from collections.abc import Iterator

from podium import Client, ComparedMetric, ComparedSide, Comparison
from podium._files import json_form
from podium._values.enums import ArmStatus
from podium.cli import _format
from podium.cli._arguments import add_experiment, add_several, add_statuses
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit

__all__ = ["add_arguments", "run"]

_HEADERS = ("METRIC", ">A", ">SD", ">B", ">SD", ">A - B", ">±95%", ">P", ">N", "FLAGS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_experiment(parser)
    parser.add_argument(
        "left", metavar="A", help="the name of a group or an arm; a group is looked up first"
    )
    parser.add_argument("right", metavar="B", help="the name of another group or arm")
    parser.add_argument(
        "--kind",
        choices=["arm", "group"],
        help="look up both names only as arms, or only as groups",
    )
    add_several(parser, "--eval", "compare only this eval", default=None, metavar="NAME")
    add_statuses(
        parser, ArmStatus, "use the arms of a group with this status instead of the completed arms"
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="fail if configurations, benchmarks, models or steps differ",
    )


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Compares two arms or groups."""
    try:
        found = client.experiment(arguments.experiment).compare(
            arguments.left,
            arguments.right,
            kind=arguments.kind,
            status=arguments.status,
            evals=arguments.eval,
        )
    except ValueError as error:
        raise CommandError(str(error)) from error
    if arguments.strict and found.flags:
        raise CommandError(f"the two sides are not comparable: {', '.join(_doubts(found))}")
    if console.as_json:
        console.json(json_form.to_json(found))
    else:
        _show(found, console)
    return Exit.OK


def _show(found: Comparison, console: Console) -> None:
    sides = (("A", found.left), ("B", found.right))
    console.fields((letter, _side(side)) for letter, side in sides)
    console.line()
    if not console.table(map(_row, found.metrics), *_HEADERS):
        console.note("neither side has a number to compare")
    elif not any(metric.difference.p_value for metric in found.metrics):
        console.note(
            "no intervals and p-values: each side needs at "
            "least two arms, and their values must differ"
        )


def _side(side: ComparedSide) -> str:
    names = ", ".join(f"{name}{_unless_completed(status)}" for name, status in side.arms.items())
    text = f"arm {names}"
    if side.is_group:
        text = f"group {side.name}: {names or 'no arm with a selected status'}"
    if side.left_out:
        text += f"; left out: {_format.with_statuses(side.left_out)}"
    return "; ".join([text, *map(_format.words, side.flags)])


def _unless_completed(status: str) -> str:
    return "" if status == ArmStatus.COMPLETED else f" ({status})"


def _row(metric: ComparedMetric) -> tuple[str, ...]:
    left, right, difference = metric.left.statistics, metric.right.statistics, metric.difference
    return (
        metric.label,
        _format.digits(left.mean, ".4g"),
        _format.digits(left.sd, ".2g"),
        _format.digits(right.mean, ".4g"),
        _format.digits(right.sd, ".2g"),
        _format.digits(difference.difference, "+.3g"),
        _format.digits(difference.half_width, ".2g"),
        "" if difference.p_value is None else _format.p_value(difference.p_value),
        f"{left.n}, {right.n}",
        ", ".join(_remarks(metric)),
    )


def _remarks(metric: ComparedMetric) -> Iterator[str]:
    yield from map(_format.words, metric.flags)
    missing = len(metric.left.missing) + len(metric.right.missing)
    nan = len(metric.left.nan) + len(metric.right.nan)
    if missing:
        yield f"{missing} without a value"
    if nan:
        yield f"{nan} NaN"


def _doubts(found: Comparison) -> Iterator[str]:
    """Yields each flag in words, such as `models differ`, and the first group or metric with it."""
    places: dict[str, list[str]] = {}
    for side in (found.left, found.right):
        for flag in side.flags:
            places.setdefault(flag, []).append(f"group {side.name}")
    for metric in found.metrics:
        for flag in metric.flags:
            places.setdefault(flag, []).append(metric.label)
    for flag, (first, *others) in places.items():
        yield f"{_format.words(flag)} ({first}{f' and {len(others)} more' if others else ''})"
