"""Lists the eval rows of an arm in the order in which they were first accepted.

The step `post` marks a post-training row, which has no step.

Examples:
  podium evals rank_sweep lora_rank4
  podium evals rank_sweep lora_rank4 --name val --min-step 100
"""

import argparse
from itertools import islice

from podium import Client, EvalResult
from podium._files import json_form
from podium.cli import _format
from podium.cli._arguments import add_arm, add_limit, add_step_range, page_size
from podium.cli._console import Console
from podium.cli._exits import Exit
from podium.cli._suggestions import near_evals

__all__ = ["add_arguments", "run"]

_HEADERS = ("EVAL", ">STEP", "TAGS", "~MODEL", "~METRICS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_arm(parser)
    parser.add_argument("--name", help="only rows with this eval name")
    add_step_range(parser, "in-loop rows")
    add_limit(parser, "rows")


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Lists the eval rows of an arm."""
    found = client.arm(arguments.experiment, arguments.arm).evals(
        name=arguments.name,
        min_step=arguments.min_step,
        max_step=arguments.max_step,
        page_size=page_size(arguments.limit),
    )
    rows = islice(found.stream(), arguments.limit)
    if console.as_json:
        console.json_list(map(json_form.to_json, rows))
    elif not console.table(map(_row, rows), *_HEADERS):
        name = arguments.name
        near = near_evals(client, arguments.experiment, arguments.arm, name) if name else ""
        console.note(f"no eval rows{f' of {name!r}' if name else ''}{near}")
    return Exit.OK


def _row(row: EvalResult) -> tuple[str, ...]:
    return (
        row.name,
        _format.step(row.step),
        " ".join(row.tags),
        row.model_ref or "",
        _format.metrics(row.metrics),
    )
