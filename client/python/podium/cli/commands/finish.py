"""Records how the training of an arm ended.

Use it for an arm that is shown as running although its process is gone, for example on a
machine that was switched off. An end that the training process itself records later
replaces this one.

Examples:
  podium finish rank_sweep lora_rank4 --status failed --error 'node7 was switched off'
  podium finish rank_sweep lora_rank8 --status cancelled
"""

import argparse

from podium import Client, events
from podium._values.enums import ArmStatus
from podium.cli._arguments import add_arm
from podium.cli._console import Console
from podium.cli._exits import Exit
from podium.cli._suggestions import near_arms

__all__ = ["add_arguments", "run"]

_STATUSES = (ArmStatus.COMPLETED, ArmStatus.FAILED, ArmStatus.CANCELLED)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_arm(parser)
    parser.add_argument(
        "--status", required=True, choices=list(map(str, _STATUSES)), help="how the training ended"
    )
    parser.add_argument("--error", metavar="TEXT", help="the reason for a failure")


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Records how the training of an arm ended."""
    finished = events.arm_finished(arguments.arm, arguments.status, error=arguments.error)
    with near_arms(client, arguments.experiment, arguments.arm):
        result = client.record(arguments.experiment, [finished])
    where = f"arm {arguments.arm!r} of {arguments.experiment!r}"
    console.recorded(result, f"{where} is {arguments.status}")
    return Exit.OK
