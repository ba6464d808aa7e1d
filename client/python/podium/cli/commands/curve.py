"""Draws the values of a metric by step.

The metric is one of an in-loop eval, or a training metric that was logged with a step.
The command draws the running and completed arms, or the given ones. With --by-group it
draws groups: at each step, the mean of the arms that have a value at this step. The table
has the last point of each curve: its step, its value or mean, half the width of the
mean's 95% interval (Student's t), and the number of arms. More than ten curves have only
a table: name some of them to see a chart.

With --output it writes a picture instead: a .png, .svg or .pdf file.

Examples:
  podium curve rank_sweep val.pass_rate
  podium curve rank_sweep loss
  podium curve rank_sweep val.pass_rate lora_rank4 lora_rank16
  podium curve rank_sweep val.pass_rate --by-group --output val.svg
"""

import argparse
from collections.abc import Iterator

from podium import Client, Curves, plots
from podium._files import json_form
from podium._values.enums import ArmStatus
from podium.cli import _chart, _format
from podium.cli._arguments import add_experiment, add_statuses
from podium.cli._chart import LETTERS, Series
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit
from podium.cli._pictures import add_picture, draw
from podium.cli._suggestions import near_metrics

__all__ = ["add_arguments", "run"]
_WIDTH = 80
_SPARK = 24
_CHARTED = 10
"""The most curves in a chart. If there are more curves, only the table is shown."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_experiment(parser)
    parser.add_argument(
        "metric",
        metavar="METRIC",
        help="EVAL.KEY, such as val.pass_rate, or a training metric, such as loss",
    )
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="only these arms or, with --by-group, groups"
    )
    parser.add_argument(
        "--by-group", action="store_true", help="draw one curve for each group of arms"
    )
    add_statuses(parser, ArmStatus, "draw only arms with this status")
    add_picture(parser, "--output", "draw a picture instead,")


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Draws the curves."""
    try:
        found = client.experiment(arguments.experiment).curve(
            arguments.metric,
            arguments.names or None,
            by_group=arguments.by_group,
            status=arguments.status,
        )
    except ValueError as error:
        raise CommandError(str(error)) from error
    if arguments.picture:
        draw(plots.save_curves, found, arguments, console)
    elif console.as_json:
        console.json(json_form.to_json(found))
    elif found.curves:
        _show(found, console, by_group=arguments.by_group)
    _say_what_is_missing(found, console)
    if found.without and not found.curves:
        if not console.as_json:
            near = near_metrics(client, arguments.experiment, found.metric, by_step=True)
            console.note(f"no arm has a curve of {found.metric!r} (values with steps){near}")
        return Exit.NOTHING
    return Exit.OK


def _show(found: Curves, console: Console, *, by_group: bool) -> None:
    series = [_chart.series_of(curve) for curve in found.curves]
    if len(series) <= _CHARTED:
        for line in _chart.chart(series, console.width or _WIDTH, is_ascii=not console.is_utf8):
            console.line(line)
        console.line()
    name = "GROUP" if by_group else "ARM"
    headers = ("", name, ">STEP", ">MEAN" if by_group else ">VALUE", ">±95%", ">N", "~CURVE")
    console.table(_rows(found, series, console), *headers)


def _rows(found: Curves, series: list[Series], console: Console) -> Iterator[tuple[str, ...]]:
    for index, (curve, one) in enumerate(zip(found.curves, series, strict=True)):
        last = curve.points[-1]
        mean, half = last.statistics.mean, last.statistics.half_width
        yield (
            LETTERS[index] if len(series) <= _CHARTED else "",
            curve.name,
            str(last.step),
            "NaN" if mean is None else f"{mean:.4g}",
            _format.digits(half, ".2g"),
            str(last.statistics.n) if curve.is_group else "",
            _chart.spark(one, series, _SPARK, is_ascii=not console.is_utf8),
        )


def _say_what_is_missing(found: Curves, console: Console) -> None:
    if not (found.curves or found.without or found.left_out):
        console.note("no arms")
    if found.without and found.curves:
        console.note(
            f"not drawn, without values of {found.metric} by step: {', '.join(found.without)}"
        )
    if found.left_out:
        left_out = _format.with_statuses(found.left_out)
        console.note(f"left out because of their status: {left_out}; --status includes them")
