"""Stores the conclusion of an experiment, in place of an earlier one.

Without a TEXT, the conclusion names the best arm on the success metric, and the numbers
of arms that completed and failed.

Examples:
  podium conclude rank_sweep
  podium conclude rank_sweep 'Rank 4 is as good as rank 16.'
"""

import argparse

from podium import Client
from podium.cli._arguments import add_experiment
from podium.cli._console import Console
from podium.cli._exits import Exit, naming_options
from podium.cli._suggestions import near_arms

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_experiment(parser)
    parser.add_argument("conclusion", metavar="TEXT", nargs="?", help="the text of the conclusion")


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Stores the conclusion."""
    experiment = client.experiment(arguments.experiment)
    with (
        naming_options("experiment_concluded", {"conclusion": "TEXT"}),
        near_arms(client, experiment.name),
    ):
        result = experiment.conclude(arguments.conclusion)
    console.recorded(result, f"experiment {experiment.name!r} is concluded")
    if arguments.conclusion is None and not console.as_json:
        console.line(experiment.get().conclusion or "")
    return Exit.OK
