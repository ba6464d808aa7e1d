"""Looks up an eval row of an arm.

Without a step, shows the post-training row of that name if there is one, else the
in-loop row with the greatest step. With a step, shows the in-loop row at exactly that
step. The exit code is 1 if there is no such row.

Examples:
  podium eval rank_sweep lora_rank4 test
  podium eval rank_sweep lora_rank4 val --step 100 --json | jq .metrics.pass_rate
"""

import argparse

from podium import Client, EvalResult
from podium._files import json_form
from podium.cli import _format
from podium.cli._arguments import add_arm, step
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit, command_line
from podium.cli._suggestions import near_evals

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_arm(parser)
    parser.add_argument("name", metavar="NAME", help="the name of the eval")
    parser.add_argument("--step", type=step, help="the training step, which may be 0 or negative")


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Looks up an eval row of an arm, and shows it."""
    arm = client.arm(arguments.experiment, arguments.arm)
    row = arm.eval(arguments.name, step=arguments.step)
    if console.as_json:
        console.json(row and json_form.to_json(row))
        return Exit.NOTHING if row is None else Exit.OK
    if row is None:
        near = near_evals(client, arguments.experiment, arguments.arm, arguments.name)
        raise CommandError(_nothing(arguments) + near, Exit.NOTHING)
    _show(row, console)
    return Exit.OK


def _nothing(arguments: argparse.Namespace) -> str:
    step = "" if arguments.step is None else f" at step {arguments.step}"
    return (
        f"arm {arguments.arm!r} has no eval {arguments.name!r}{step}; "
        f"see `{command_line('evals', arguments.experiment, arguments.arm)}`"
    )


def _show(row: EvalResult, console: Console) -> None:
    console.fields(
        [
            ("eval", row.name),
            ("step", "none: post-training" if row.step is None else str(row.step)),
            ("benchmark id", row.benchmark_id or ""),
            ("model", row.model_ref or ""),
            ("tags", " ".join(row.tags)),
            ("eval time", _format.duration(row.eval_seconds)),
            ("measured", _format.moment(row.event_time)),
            ("recorded", f"{_format.moment(row.record_time)}, revision {row.revision}"),
        ]
    )
    written = json_form.to_json(row)
    for header, key in (("METRIC", "metrics"), ("BREAKDOWN", "breakdowns")):
        if written[key]:
            console.line()
            items = sorted(written[key].items())
            console.table([(name, _format.value(item)) for name, item in items], header, "~VALUE")
