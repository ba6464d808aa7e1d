"""Prints the score of an arm on a metric, with all of its digits.

`pass_rate` is looked up in the metrics of the primary eval, then in the training metrics.
`bench.pass_rate` is looked up in the row that `podium eval EXPERIMENT ARM bench` shows.
NaN is a score (`nan`). The exit code is 1 if the arm has no score.

Examples:
  podium score rank_sweep lora_rank4 test.pass_rate
  podium score rank_sweep lora_rank4 loss --source
  best=$(podium score rank_sweep lora_rank4 pass_rate) || echo no score yet
"""

import argparse

from podium import Client, Score
from podium._files import json_form
from podium._values.enums import ScoreOrigin
from podium.cli._arguments import add_arm
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit, command_line
from podium.cli._suggestions import near_metrics

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_arm(parser)
    parser.add_argument(
        "metric", metavar="METRIC", help="EVAL.KEY, such as val.pass_rate, or a key, such as loss"
    )
    parser.add_argument("--source", action="store_true", help="also print the source of the score")


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Looks up the score of an arm on a metric, and prints it."""
    found = client.arm(arguments.experiment, arguments.arm).find_score(arguments.metric)
    if console.as_json:
        console.json(found and json_form.to_json(found))
        return Exit.NOTHING if found is None else Exit.OK
    if found is None:
        near = near_metrics(client, arguments.experiment, arguments.metric)
        advice = f"see `{command_line('show', arguments.experiment, arguments.arm)}`"
        raise CommandError(
            f"arm {arguments.arm!r} has no score on {arguments.metric!r}; {advice}{near}",
            Exit.NOTHING,
        )
    console.line(f"{found.value!r}  {_source(found)}" if arguments.source else repr(found.value))
    return Exit.OK


def _source(score: Score) -> str:
    match score.origin:
        case ScoreOrigin.POST_TRAINING_EVAL:
            place = f"of the post-training eval {score.eval_name!r}"
        case ScoreOrigin.IN_LOOP_EVAL:
            place = f"of the in-loop eval {score.eval_name!r} at step {score.step}"
        case ScoreOrigin.TRAINING_METRICS:
            place = "of the training metrics"
        case ScoreOrigin.GIVEN_EVAL_METRICS:
            place = "of the eval metrics that the arm was recorded with"
        case unknown:
            place = f"of {unknown}"
    return f"{score.key!r} {place}"
