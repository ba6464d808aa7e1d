"""Shows the scores of the arms of an experiment on several metrics side by side.

The arms are in the order in which they were created. A missing score is left blank; `nan`
is a score.

Examples:
  podium scores rank_sweep test.pass_rate val.pass_rate loss
  podium scores rank_sweep test.pass_rate --group rank4 --json
"""

import argparse
from collections.abc import Mapping
from typing import Any

from podium import Client, ScoreColumn, ScoreMatrix
from podium._files import json_form
from podium.cli import _format
from podium.cli._arguments import add_arm_filters, add_experiment, arm_filters
from podium.cli._columns import add_columns, cells, of_arms
from podium.cli._console import Console
from podium.cli._exits import Exit
from podium.cli._suggestions import near_filters, near_metrics

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_experiment(parser)
    parser.add_argument(
        "metrics",
        metavar="METRIC",
        nargs="+",
        help="EVAL.KEY, such as val.pass_rate, or a key, such as loss",
    )
    add_columns(parser, "show these columns as well")
    add_arm_filters(parser)


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Looks up the scores of arms on several metrics, and shows them."""
    filters = arm_filters(arguments)
    found = client.experiment(arguments.experiment).scores(arguments.metrics, **filters)
    empty = [column.metric for column in found.columns if found.arms and not _has_scores(column)]
    if console.as_json:
        console.json(json_form.to_json(found))
    else:
        columns = arguments.column
        records = of_arms(client, arguments.experiment, columns, **filters)
        if not _show(found, columns, records, console):
            console.note(f"no arms{near_filters(client, arguments)}")
        for metric in empty:
            near = near_metrics(client, arguments.experiment, metric)
            console.note(f"no arm has a score on {metric!r}{near}")
    return Exit.NOTHING if len(empty) == len(found.columns) else Exit.OK


def _has_scores(column: ScoreColumn) -> bool:
    return any(score is not None for score in column.scores)


def _show(
    found: ScoreMatrix,
    columns: list[str],
    records: Mapping[str, Mapping[str, Any]],
    console: Console,
) -> bool:
    """Prints the table of scores. Returns whether there are arms."""
    scores = zip(*([_cell(value) for value in each.scores] for each in found.columns), strict=True)
    rows = [
        [arm.arm, *cells(records.get(arm.arm, {}), columns), *row]
        for arm, row in zip(found.arms, scores, strict=True)
    ]
    headers = (f">{column.metric}" for column in found.columns)
    return console.table(rows, "ARM", *columns, *headers)


def _cell(value: float | None) -> str:
    return "" if value is None else _format.number(value)
