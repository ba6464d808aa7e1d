"""Lists the arms of an experiment in the order in which they were created.

EVAL METRICS are those of the primary eval: the first post-training row tagged `test`,
else the first post-training row, else the first row. If that row is in-loop, the column
also shows its step. For an arm that is not completed, the column then shows the newest row
of the same eval instead.

LAST HEARD, for running arms, is when the server last received an event or a heartbeat of
the arm.

Examples:
  podium arms rank_sweep
  podium arms rank_sweep --status failed --status cancelled
  podium arms rank_sweep --column config.model.name --column eval.acc --sort config.seed
  podium arms rank_sweep --group lora_rank4 --json | jq -r '.[].name'
"""

import argparse
from collections.abc import Iterable, Iterator
from itertools import islice

from podium import ArmSummary, Client, EvalResult
from podium._files import json_form
from podium._values.base import same
from podium._values.enums import ArmStatus, ScoreOrigin
from podium.cli import _format
from podium.cli._arguments import add_arm_filters, add_experiment, add_limit, arm_filters, page_size
from podium.cli._columns import add_columns, cells, check_columns, sorted_arms
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit
from podium.cli._suggestions import near_filters
from podium.errors import NotFoundError

__all__ = ["add_arguments", "run"]

_HEADERS = (
    "ARM",
    "STATUS",
    "LAST HEARD",
    "GROUP",
    ">EVALS",
    "~EVAL METRICS",
    "~ERROR",
    "~TRAINING METRICS",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_experiment(parser)
    add_arm_filters(parser)
    add_columns(parser, "show these columns instead of the usual ones")
    parser.add_argument(
        "--sort",
        metavar="NAME",
        help="sort by a column, named as for --column, the least value first",
    )
    parser.add_argument("--reverse", action="store_true", help="sort the greatest value first")
    add_limit(parser, "arms")


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Lists the arms."""
    columns: list[str] = arguments.column
    if arguments.reverse and not arguments.sort:
        raise CommandError("--reverse needs --sort NAME")
    found = client.experiment(arguments.experiment).arms(
        **arm_filters(arguments),
        run_configs=bool(console.as_json or columns or arguments.sort),
        page_size=page_size(None if arguments.sort else arguments.limit),
    )
    arms = found.stream()
    if arguments.sort:
        arms = iter(sorted_arms(arms, arguments.sort, is_reversed=arguments.reverse))
    arms = islice(arms, arguments.limit)
    shown = True
    if console.as_json:
        console.json_list(map(json_form.to_json, arms))
    elif columns:
        shown = _show_columns(list(arms), columns, console)
    else:
        shown = console.table(_rows(arms, client), *_HEADERS)
    if not shown:
        console.note(f"no arms{near_filters(client, arguments)}")
    return Exit.OK


def _show_columns(arms: list[ArmSummary], columns: list[str], console: Console) -> bool:
    """Prints a table with the given columns. Returns whether there are arms."""
    records = [arm.record() for arm in arms]
    check_columns(columns, records)
    rows = [
        [arm.name, arm.status, *cells(each, columns)]
        for arm, each in zip(arms, records, strict=True)
    ]
    return console.table(rows, "ARM", "STATUS", *columns)


def _rows(arms: Iterable[ArmSummary], client: Client) -> Iterator[tuple[str, ...]]:
    in_loop: bool | None = None
    for arm in arms:
        if in_loop is None:
            in_loop = _has_in_loop(client, arm.experiment)
        yield _row(arm, client, in_loop=in_loop)


def _has_in_loop(client: Client, experiment: str) -> bool:
    """Returns whether some arm has scores of an in-loop primary eval.

    The table reads eval rows only if this is the case.
    """
    return any(
        source.origin == ScoreOrigin.IN_LOOP_EVAL
        for metric in client.experiment(experiment).metrics()
        for source in metric.sources
        if metric.eval_name is None
    )


def _row(arm: ArmSummary, client: Client, *, in_loop: bool) -> tuple[str, ...]:
    return (
        arm.name,
        arm.status,
        _format.last_heard(arm),
        arm.group_name or "",
        str(arm.eval_count),
        _eval_metrics(arm, _shown_row(arm, client) if in_loop else None),
        _format.last_line(arm.error),
        _format.metrics(arm.metrics),
    )


def _eval_metrics(arm: ArmSummary, row: EvalResult | None) -> str:
    if row is None:
        return _format.metrics(arm.eval_metrics)
    return f"{_format.metrics(row.metrics)}  ({row.name} at step {row.step})"


def _shown_row(arm: ArmSummary, client: Client) -> EvalResult | None:
    """Returns the in-loop row that the table shows, or None if it shows another row or none.

    The row is the primary eval. If the arm is not completed, it is the newest row of the
    same eval.
    """
    handle = client.arm(arm.experiment, arm.name)
    try:
        rows = handle.evals(page_size=1)
        if not rows or rows[0].step is None or not same(rows[0].metrics, arm.eval_metrics):
            return None
        row = rows[0] if arm.status == ArmStatus.COMPLETED else handle.eval(rows[0].name)
    except NotFoundError:  # the arm was deleted after it was listed
        return None
    return None if row is None or row.step is None else row
