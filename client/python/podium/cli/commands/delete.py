"""Deletes an experiment with its arms, or one arm with its rows.

On a terminal, the command asks for confirmation; elsewhere it requires --yes. A deletion
cannot be undone.

Examples:
  podium delete rank_sweep lora_rank4
  podium delete rank_sweep --yes --allow-missing
"""

import argparse
import sys

import podium
from podium import ArmHandle, Client, ExperimentHandle
from podium.cli import _format
from podium.cli._arguments import add_experiment
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_experiment(parser)
    parser.add_argument(
        "arm", metavar="ARM", nargs="?", help="the arm to delete; the whole experiment if not given"
    )
    parser.add_argument("--yes", action="store_true", help="delete without confirmation")
    parser.add_argument(
        "--allow-missing", action="store_true", help="succeed if there is nothing to delete"
    )


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Deletes the experiment or the arm."""
    experiment = client.experiment(arguments.experiment)
    handle = experiment if arguments.arm is None else experiment.arm(arguments.arm)
    if not arguments.yes and not _is_confirmed(handle, console):
        console.note("nothing was deleted")
        return Exit.NOTHING
    revision = handle.delete(allow_missing=arguments.allow_missing)
    if console.as_json:
        console.json({"revision": revision})
    else:
        what = "gone" if arguments.allow_missing else "deleted"  # it may not have existed
        console.line(f"{_named(handle)} is {what}; revision {revision}")
    return Exit.OK


def _is_confirmed(handle: ExperimentHandle | ArmHandle, console: Console) -> bool:
    if not sys.stdin.isatty():
        raise CommandError("without a terminal, no confirmation is possible; give --yes to delete")
    return console.ask(f"Delete {_named(handle)}{_content(handle)}?")


def _named(handle: ExperimentHandle | ArmHandle) -> str:
    if isinstance(handle, podium.ExperimentHandle):
        return f"experiment {handle.name!r}"
    return f"arm {handle.name!r} of {handle.experiment!r}"


def _content(handle: ExperimentHandle | ArmHandle) -> str:
    """Describes the arms or rows that the deletion removes."""
    if isinstance(handle, podium.ArmHandle):
        return " with its rows" if handle.evals(page_size=1) else ", without rows"
    return f" with {_format.count(handle.get().arm_counts.total, 'arm')}"
