"""`podium conclude`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.cli._arguments import add_experiment
from podium.cli._exits import Exit

if TYPE_CHECKING:
    import argparse

    from podium import Client
    from podium.cli._console import Console

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Stores the conclusion of an experiment, in place of an earlier one. Without a TEXT, the\n"
        "conclusion names the best arm on the success metric, and the numbers of arms that\n"
        "completed and failed."
    )
    parser.epilog = (
        "examples:\n"
        "  podium conclude rank_sweep\n"
        "  podium conclude rank_sweep 'Rank 4 is as good as rank 16.'"
    )
    add_experiment(parser)
    parser.add_argument("conclusion", metavar="TEXT", nargs="?", help="the text of the conclusion")


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Stores the conclusion."""
    experiment = client.experiment(arguments.experiment)
    result = experiment.conclude(arguments.conclusion)
    if console.as_json:
        console.json({"revision": result.revision, "changed_events": result.changed_events})
    else:
        console.line(f"experiment {experiment.name!r} is concluded; revision {result.revision}")
        if arguments.conclusion is None:
            console.line(experiment.get().conclusion or "")
    return Exit.OK
