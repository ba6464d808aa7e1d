"""Shows an experiment, and every change of it until it is deleted or Ctrl-C is pressed.

On a terminal, the command shows a table of arms of all statuses, ranked by the success
metric or by --metric. For each arm, the table draws that metric by step. In a pipe, or
with --after, the command writes a line for each arm, row and step that changed. With
--metric, these lines have only values of that metric. With --json, it writes a line for
each update: the removals, arms, rows and training series that lead to the revision in
`marker`.

Examples:
  podium watch rank_sweep
  podium watch rank_sweep --metric val.pass_rate
  podium watch rank_sweep --status running --json | jq -c '.arms[].arm.name'
"""

import argparse
import contextlib
import os
import select
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from podium import Client, ExperimentHandle, WatchUpdate
from podium._files import json_form
from podium._model.watching import WatchMarker
from podium._values.enums import ArmStatus
from podium.cli import _format
from podium.cli._arguments import add_experiment, add_statuses
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit
from podium.cli._live_table import show_live_table
from podium.cli._suggestions import near_arms
from podium.curves import points_by_step

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_experiment(parser)
    add_statuses(parser, ArmStatus, "only arms with this status")
    parser.add_argument(
        "--metric",
        help="rank the table by this metric (default: the success_metric); in a pipe, leave out "
        "other metrics",
    )
    parser.add_argument("--group", metavar="NAME", help="only arms of this group")
    parser.add_argument("--prefix", metavar="TEXT", help="only arms whose name begins with this")
    parser.add_argument(
        "--no-evals", action="store_true", help="show only arms, without their rows"
    )
    parser.add_argument("--no-breakdowns", action="store_true", help="leave out breakdowns")
    parser.add_argument(
        "--series",
        nargs="*",
        metavar="KEY",
        help="also show the training series of these keys, or all series if no key is given",
    )
    parser.add_argument(
        "--after", type=int, metavar="REVISION", help="show only changes after this revision"
    )
    parser.add_argument(
        "--epoch",
        default="",
        help="the epoch of the revision of --after, as --json shows it in `marker`",
    )


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Shows the experiment and its changes until it is deleted."""
    if arguments.epoch and arguments.after is None:
        raise CommandError("--epoch needs --after REVISION")
    if arguments.metric and console.as_json:
        raise CommandError("--json shows all metrics, so it takes no --metric")
    if sys.__stdout__ is None:
        # Nothing would ever end the command, since no write fails.
        raise CommandError("the output cannot be written: it is closed", Exit.FAILED)
    experiment = client.experiment(arguments.experiment)
    with near_arms(client, arguments.experiment):
        if console.width is None or console.as_json or arguments.after is not None:
            _print_updates(experiment, arguments, console)
        else:
            _show_table(experiment, arguments, console)
    console.note(f"experiment {arguments.experiment!r} was deleted")
    return Exit.NOTHING


def _show_table(
    experiment: ExperimentHandle, arguments: argparse.Namespace, console: Console
) -> None:
    metric = arguments.metric or experiment.get().success_metric
    with experiment.follow(
        **_filters(arguments),
        with_breakdowns=False,
        with_series=_series(arguments.series, metric),
    ) as live:
        show_live_table(live, arguments.metric, console)


def _print_updates(
    experiment: ExperimentHandle, arguments: argparse.Namespace, console: Console
) -> None:
    threading.Thread(target=_end_with_reader, daemon=True).start()
    after = arguments.after
    updates = experiment.watch(
        after=None if after is None else WatchMarker(after, arguments.epoch),
        **_filters(arguments),
        with_breakdowns=not arguments.no_breakdowns,
        with_series=_series(arguments.series, arguments.metric),
    )
    for update in updates:
        if console.as_json:
            console.json(json_form.to_json(update) | {"is_deleted": update.is_deleted})
        else:
            for line in _lines(update, arguments.metric):
                console.line(line)
        sys.stdout.flush()


def _end_with_reader() -> None:
    """Ends the command when the reader of its output is gone (`| grep -m 1 completed`).

    Without this, the command would end only at the next change, of which there may be none.
    """
    with contextlib.suppress(OSError):  # some outputs cannot be polled
        poll = select.poll()
        poll.register(sys.stdout, 0)
        poll.poll()
        os._exit(Exit.PIPE_CLOSED)


def _filters(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "status": arguments.status,
        "group_name": arguments.group,
        "name_prefix": arguments.prefix,
        "with_evals": not arguments.no_evals,
    }


def _series(keys: list[str] | None, metric: str | None) -> bool | list[str]:
    """Returns the keys of the training series to watch; True for all, False for none.

    `keys` is None without `--series`, and empty for `--series` without keys. The series of `metric`
    is always among them.
    """
    if keys is None:
        return [metric] if metric else False
    return [*keys, metric] if keys and metric else keys or True


def _lines(update: WatchUpdate, metric: str | None) -> Iterator[str]:
    """Yields the lines of an update. If a metric is given, leaves out other metrics."""
    at = "" if update.marker is None else f"revision {update.marker.revision}: "
    if update.is_reset:
        yield f"{at}the state is shown from the beginning"
    for removal in update.removals:
        step = "" if removal.step is None else f" at step {removal.step}"
        yield f"{at}{removal.arm} {removal.name or ''}{step}".rstrip() + " removed"
    for arm in (item.arm for item in update.arms):
        values = _chosen(arm.metrics, metric)
        yield f"{at}{arm.name} {arm.status} {_format.metrics(values)}".rstrip()
    for item in update.evals:
        row = item.eval_result
        values = _chosen(row.metrics, metric, f"{row.name}.")
        if values or metric is None:
            yield f"{at}{item.arm} {row.name}@{_format.step(row.step)} {_format.metrics(values)}"
    for piece in update.series:
        for number, values in points_by_step(piece.series):
            yield f"{at}{piece.arm} step {number} {_format.metrics(values)}"


def _chosen(
    metrics: Mapping[str, float], metric: str | None, prefix: str = ""
) -> Mapping[str, float]:
    """Returns the values that a metric may refer to, or all values if the metric is None."""
    if metric is None:
        return metrics
    return {key: metrics[key] for key in metrics if metric in {key, prefix + key}}
