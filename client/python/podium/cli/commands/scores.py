"""`podium scores`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium._files import json_form
from podium.cli import _format
from podium.cli._arguments import add_arm_filters, add_experiment
from podium.cli._exits import Exit
from podium.cli._suggestions import near_metrics

if TYPE_CHECKING:
    import argparse

    from podium import Client, ScoreColumn, ScoreMatrix
    from podium.cli._console import Console

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Puts the scores of the arms of an experiment on several metrics side by side, in the\n"
        "order in which the arms were created. A missing score is left blank; `nan` is a score."
    )
    parser.epilog = (
        "examples:\n"
        "  podium scores rank_sweep test.pass_rate val.pass_rate loss\n"
        "  podium scores rank_sweep test.pass_rate --group rank4 --json"
    )
    add_experiment(parser)
    parser.add_argument(
        "metrics", metavar="METRIC", nargs="+", help="a key, or the name of an eval and a key"
    )
    add_arm_filters(parser)


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Looks up the scores."""
    found = client.experiment(arguments.experiment).scores(
        arguments.metrics,
        status=arguments.status,
        group_name=arguments.group,
        name_prefix=arguments.prefix,
        tags=arguments.tag,
        config=dict(arguments.config),
    )
    empty = [column.metric for column in found.columns if found.arms and not _has_scores(column)]
    if console.as_json:
        console.json(json_form.to_json(found))
    else:
        _show(found, console)
        for metric in empty:
            near = near_metrics(client, arguments.experiment, metric)
            console.note(f"no arm has a score on {metric!r}{near}")
    return Exit.NOTHING if len(empty) == len(found.columns) else Exit.OK


def _has_scores(column: ScoreColumn) -> bool:
    return any(score is not None for score in column.scores)


def _show(found: ScoreMatrix, console: Console) -> None:
    columns = [[_cell(value) for value in column.scores] for column in found.columns]
    names = [arm.arm for arm in found.arms]
    headers = (f">{column.metric}" for column in found.columns)
    if not console.table(zip(names, *columns, strict=True), "ARM", *headers):
        console.note("no arms")


def _cell(value: float | None) -> str:
    return "" if value is None else _format.number(value)
