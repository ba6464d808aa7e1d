"""Changes notes, tags or the group of an arm at any time, even during the training.

Values that are not given stay unchanged. A later attempt of the arm keeps the changes.

Examples:
  podium annotate rank_sweep lora_rank4 --note 'bad data shard' --tag broken
  podium annotate rank_sweep lora_rank4 --untag broken --note ''
  podium annotate rank_sweep lora_rank4 --group rank4
"""

import argparse
from typing import Any

from podium import Client, RecordResult, events
from podium._values.suggest import did_you_mean
from podium.cli._arguments import add_arm, add_several
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit, naming_options
from podium.cli._suggestions import near_arms

__all__ = ["add_arguments", "run"]

_OPTIONS = {
    "notes": "--note",
    "add_tags": "--tag",
    "remove_tags": "--untag",
    "group_name": "--group",
}
"""The option for each field of the `arm_annotated` event."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_arm(parser)
    parser.add_argument(
        "--note", metavar="TEXT", help="the new notes, in place of earlier ones; '' removes them"
    )
    add_several(parser, "--tag", "a tag to add")
    add_several(parser, "--untag", "a tag to remove", metavar="TAG")
    parser.add_argument(
        "--group", metavar="NAME", help="the new group; '' removes the arm from its group"
    )


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Records the annotations."""
    if arguments.note is None and arguments.group is None and not arguments.tag + arguments.untag:
        raise CommandError("nothing to change; give --note, --tag, --untag or --group")
    both = set(arguments.tag).intersection(arguments.untag)
    if both:
        raise CommandError(f"--tag and --untag both have {min(both)!r}; leave one out")
    removed = _present_tags(arguments, client, console) if arguments.untag else []
    changes = {
        "notes": arguments.note,
        "add_tags": arguments.tag,
        "remove_tags": removed,
        "group_name": arguments.group,
    }
    if all(change in (None, []) for change in changes.values()):
        result = RecordResult(client.experiment(arguments.experiment).get().revision, 0)
    else:
        result = _recorded(arguments, client, changes)
    what = "is annotated" if result.changed_events else "is unchanged"
    console.recorded(result, f"arm {arguments.arm!r} of {arguments.experiment!r} {what}")
    return Exit.OK


def _present_tags(arguments: argparse.Namespace, client: Client, console: Console) -> list[str]:
    """Returns the tags of --untag that the arm has. Prints a note for each of the others."""
    tags = client.arm(arguments.experiment, arguments.arm).get().tags
    for tag in arguments.untag:
        if tag not in tags:
            console.note(f"the arm has no tag {tag!r}{did_you_mean(tag, tags)}")
    return [tag for tag in arguments.untag if tag in tags]


def _recorded(
    arguments: argparse.Namespace, client: Client, changes: dict[str, Any]
) -> RecordResult:
    with (
        naming_options("arm_annotated", _OPTIONS),
        near_arms(client, arguments.experiment, arguments.arm),
    ):
        annotated = events.arm_annotated(arguments.arm, **changes)
        return client.record(arguments.experiment, [annotated])
