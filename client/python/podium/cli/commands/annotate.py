"""`podium annotate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium import events
from podium.cli._arguments import add_arm
from podium.cli._exits import CommandError, Exit

if TYPE_CHECKING:
    import argparse

    from podium import Client
    from podium.cli._console import Console

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Changes notes, tags or the group of an arm, after the fact, also while it is trained.\n"
        "What is not given is kept. A later attempt of the arm keeps the changes, too."
    )
    parser.epilog = (
        "examples:\n"
        "  podium annotate rank_sweep lora_rank4 --note 'bad data shard' --tag broken\n"
        "  podium annotate rank_sweep lora_rank4 --untag broken --note ''\n"
        "  podium annotate rank_sweep lora_rank4 --group rank4"
    )
    add_arm(parser)
    parser.add_argument(
        "--note", metavar="TEXT", help="the new notes, in place of earlier ones; '' removes them"
    )
    parser.add_argument(
        "--tag", action="append", default=[], help="a tag to add; repeat the option for several"
    )
    parser.add_argument(
        "--untag",
        action="append",
        default=[],
        metavar="TAG",
        help="a tag to remove; repeat the option for several",
    )
    parser.add_argument(
        "--group", metavar="NAME", help="the new group; '' removes the arm from its group"
    )


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Records the annotations."""
    if arguments.note is None and arguments.group is None and not arguments.tag + arguments.untag:
        raise CommandError("nothing to change; give --note, --tag, --untag or --group")
    annotated = events.arm_annotated(
        arguments.arm,
        notes=arguments.note,
        add_tags=arguments.tag,
        remove_tags=arguments.untag,
        group_name=arguments.group,
    )
    result = client.record(arguments.experiment, [annotated])
    if console.as_json:
        console.json({"revision": result.revision, "changed_events": result.changed_events})
    else:
        what = "is annotated" if result.changed_events else "is unchanged"
        where = f"arm {arguments.arm!r} of {arguments.experiment!r}"
        console.line(f"{where} {what}; revision {result.revision}")
    return Exit.OK
