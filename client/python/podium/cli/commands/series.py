"""Lists the training series of an arm, a line for each step.

These are the training metrics that were logged with a step. `podium curve` draws them.

Examples:
  podium series rank_sweep lora_rank4
  podium series rank_sweep lora_rank4 loss lr --min-step 100
"""

import argparse

from podium import Client
from podium._files import json_form
from podium.cli._arguments import add_arm, add_step_range
from podium.cli._console import Console
from podium.cli._exits import Exit
from podium.cli._suggestions import near_metrics
from podium.curves import points_by_step

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_arm(parser)
    parser.add_argument("keys", metavar="KEY", nargs="*", help="only these training metrics")
    add_step_range(parser, "points")
    parser.add_argument(
        "--page-size",
        type=int,
        metavar="POINTS",
        help="how many points to fetch in a call (default and at most: 10,000)",
    )


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Lists the points of an arm's training series."""
    series = client.arm(arguments.experiment, arguments.arm).all_series(
        arguments.keys,
        min_step=arguments.min_step,
        max_step=arguments.max_step,
        page_size=arguments.page_size,
    )
    keys = sorted(series)
    points = points_by_step(series.values())
    if console.as_json:
        console.json_list(
            {
                "step": at,
                "metrics": {key: json_form.to_json(values[key]) for key in sorted(values)},
            }
            for at, values in points
        )
        return Exit.OK
    rows = (
        (str(at), *(f"{values[key]:.6g}" if key in values else "" for key in keys))
        for at, values in points
    )
    if not console.table(rows, ">STEP", *(f">{key}" for key in keys)):
        missing = [key for key in arguments.keys if key not in series]
        near = [near_metrics(client, arguments.experiment, key, by_step=True) for key in missing]
        for key, suggestion in zip(missing, near, strict=True):
            console.note(f"arm {arguments.arm!r} has no values by step for {key!r}{suggestion}")
        if not missing:
            console.note("no training metric was logged with a step")
        return Exit.NOTHING
    return Exit.OK
