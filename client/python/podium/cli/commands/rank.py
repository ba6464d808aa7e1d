"""Ranks the completed arms of an experiment by their scores.

By default, the experiment's success metric and direction are used. Equal scores share a
rank; NaN comes after every number, and arms without a score come last. With --by-group,
each entry is a group, such as the seeds of one configuration. It has the mean with half
the width of its 95% interval (Student's t), and the standard deviation (n - 1). N is the
number of scores, such as 2/3 if one of three members is not counted. NOT COUNTED gives
the reason. An arm without a group is a group of its own. The line below the table counts
everything that the table leaves out.

Examples:
  podium rank rank_sweep --top 10
  podium rank rank_sweep val.loss --minimize
  podium rank rank_sweep --column config.seed --column config.algorithm.params.lr
  podium rank rank_sweep --by-group --min-members 3 --plot ranking.svg
  podium rank rank_sweep --json | jq -r '.arms[0].arm'
"""

import argparse
from collections.abc import Mapping
from typing import Any

from podium import Client, Ranking, plots
from podium._files import json_form
from podium._model.rankings import GroupRanking
from podium._values.enums import Direction
from podium.cli._arguments import add_arm_filters, add_experiment, arm_filters, positive
from podium.cli._columns import add_columns, cells, of_arms
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit
from podium.cli._pictures import add_picture, draw
from podium.cli._rankings import (
    ARM_HEADERS,
    GROUP_HEADERS,
    arm_row,
    doubts,
    group_row,
    sources,
    summary,
)
from podium.cli._suggestions import near_filters, near_metrics

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_experiment(parser)
    parser.add_argument(
        "positional_metric", metavar="METRIC", nargs="?", help="the same as --metric"
    )
    parser.add_argument("--metric", help="the metric to rank by (default: the success metric)")
    direction = parser.add_mutually_exclusive_group()
    for word, which in ((Direction.MAXIMIZE, "greater"), (Direction.MINIMIZE, "smaller")):
        direction.add_argument(
            f"--{word}",
            dest="direction",
            action="store_const",
            const=word,
            help=f"the {which} scores are better, regardless of the experiment's direction",
        )
    parser.add_argument("--by-group", action="store_true", help="rank groups of arms")
    parser.add_argument(
        "--min-members",
        type=positive,
        metavar="N",
        help="only groups with at least N scores (with --by-group)",
    )
    parser.add_argument(
        "--top", type=positive, metavar="K", help="show only the first K arms or groups"
    )
    add_columns(parser, "also show these columns of each arm")
    add_arm_filters(parser, "rank the arms with this status instead of the completed ones")
    add_picture(parser, "--plot", "also draw the ranking")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="fail if benchmarks differ, or if configurations differ within a group",
    )


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Ranks the arms, or the groups."""
    _check(arguments)
    found = _ranked(arguments, client)
    warnings = list(doubts(found))
    if arguments.strict and warnings:
        raise CommandError(f"the scores are not comparable: {'; '.join(warnings)}")
    counts = found.counts
    has_scores = counts.numbers + counts.nans > 0
    if console.as_json:
        console.json(json_form.to_json(found))
    elif has_scores or not counts.without_score:
        columns = arguments.column
        records = of_arms(client, arguments.experiment, columns, **arm_filters(arguments))
        _show(found, columns, records, console)
        for doubt in warnings:
            console.note(doubt)
        is_empty = not (has_scores or any(vars(counts.left_out).values()))
        if is_empty and (near := near_filters(client, arguments)):
            console.note(f"no arms{near}")
    else:
        near = near_metrics(client, arguments.experiment, found.metric)
        console.note(f"no arm has a score on {found.metric!r}{near}")
    if counts.without_score and not has_scores:
        return Exit.NOTHING
    if arguments.picture:
        draw(plots.save_ranking, found, arguments, console)
    return Exit.OK


def _check(arguments: argparse.Namespace) -> None:
    """Raises an error for arguments that exclude each other. Sets `metric` from either argument."""
    if None not in (arguments.metric, arguments.positional_metric):
        raise CommandError(
            f"two metrics are given, {arguments.positional_metric!r} and --metric "
            f"{arguments.metric!r}; leave one out"
        )
    arguments.metric = arguments.metric or arguments.positional_metric
    if arguments.by_group and arguments.column:
        raise CommandError("--column is for arms: leave --by-group out")
    if arguments.min_members is not None and not arguments.by_group:
        raise CommandError("--min-members is for groups: give --by-group as well")


def _ranked(arguments: argparse.Namespace, client: Client) -> Ranking | GroupRanking:
    experiment = client.experiment(arguments.experiment)
    filters = arm_filters(arguments)
    if not arguments.by_group:
        return experiment.rank(
            arguments.metric,
            direction=arguments.direction,
            **filters,
            top=arguments.top,
        )
    return experiment.rank_groups(
        arguments.metric,
        direction=arguments.direction,
        **filters,
        min_members=arguments.min_members or 0,
        top=arguments.top,
    )


def _show(
    found: Ranking | GroupRanking,
    columns: list[str],
    records: Mapping[str, Mapping[str, Any]],
    console: Console,
) -> None:
    if isinstance(found, GroupRanking):
        shown = console.table(map(group_row, found.groups), *GROUP_HEADERS)
    else:
        rows = [(*arm_row(arm), *cells(records.get(arm.arm, {}), columns)) for arm in found.arms]
        shown = console.table(rows, *ARM_HEADERS, *columns)
    if shown:
        console.line()
    console.line(summary(found))
    if found.sources:
        console.line(f"scores from {sources(found.sources)}; revision {found.revision}")
