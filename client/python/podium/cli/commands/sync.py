"""Delivers recorded events that the server has not stored.

These can be events of training runs that had no connection, or of an outbox that was
copied from another machine. If a sender is running, the command shows the progress of the
sender. The command can be stopped at any time and run again.

Each outbox is delivered to the server that it was recorded for, unless --address is
given. Exit code 0 means that everything is delivered, 1 that events wait or were
rejected, 3 that the server could not be reached.

Examples:
  podium sync
  podium sync /mnt/usb/outbox --address results.example.org:50051
"""

import argparse
from typing import Any

from podium._values.address import server_address
from podium.cli import _format
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit, command_line
from podium.cli._outboxes import OutboxView, add_folder, find_outboxes, view_of
from podium.cli._syncing import Done, sync

__all__ = ["add_arguments", "run_locally"]


_NO_EXPERIMENT = "EXPERIMENT_NOT_FOUND"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_folder(parser)


def run_locally(arguments: argparse.Namespace, console: Console) -> Exit:
    """Delivers the outboxes. Outboxes for the same server are delivered together."""
    _check_address(arguments.address)
    servers: dict[str, list[OutboxView]] = {}
    for view in map(view_of, find_outboxes(arguments.folder)):
        servers.setdefault(arguments.address or view.address, []).append(view)
    done = [
        each
        for address, views in servers.items()
        for each in sync(views, address, arguments.timeout, console)
    ]
    if console.as_json:
        console.json([_to_json(each) for each in done])
    else:
        _tell(done, console)
    return max((each.exit for each in done), default=Exit.OK)


def _check_address(given: str | None) -> None:
    """Raises a CommandError if an address is given but malformed."""
    try:
        server_address(given)
    except ValueError as error:
        if given is not None:
            raise CommandError(str(error)) from error


def _tell(done: list[Done], console: Console) -> None:
    for each in done:
        if each.delivered or each.exit is not Exit.OK:
            count = _format.count(each.delivered, "event")
            console.line(f"{count} delivered to {each.address}")
        for text in _left(each):
            console.note(text)
    if not any(each.delivered or each.exit is not Exit.OK for each in done):
        console.line("all recorded events are delivered")


def _left(done: Done) -> list[str]:
    """Returns lines about kept values, and about waiting, missing and rejected events."""
    view, texts = done.view, list(done.notices)
    if done.waiting:
        why = done.failure or "; ".join(sorted({s.why for s in view.streams if s.why}))
        count = _format.count(done.waiting, "event")
        texts.append(f"{count} wait{'s' * (done.waiting == 1)}: {why}")
        texts += _how_to_create(done)
    elif done.failure:
        texts.append(done.failure)
    if done.missing:
        texts.append(
            f"{_format.count(done.missing, 'event')} were delivered before, but this server does "
            "not have them: it was restored from a backup, or it is another server"
        )
    if view.rejected:
        show = command_line("outbox", str(view.folder))
        retry = command_line("outbox", "retry", str(view.folder))
        texts.append(
            f"the server rejected {_format.count(view.rejected, 'event')}: `{show}` shows why, "
            f"`{retry}` sends {'it' if view.rejected == 1 else 'them'} again"
        )
    texts += [f"{folder} cannot be read: {why}" for folder, why in view.damaged.items()]
    torn = [path for stream in view.streams for path in stream.torn]
    texts += [
        f"{path} is damaged: some of its events cannot be read. The other events "
        "are delivered. The file is kept; delete it when you no longer need it"
        for path in torn
    ]
    return texts


def _how_to_create(done: Done) -> list[str]:
    """Returns messages with the commands that create the experiments for which events wait.

    If events are delivered to another server than before, only the earlier server may
    have the declaration of an experiment.
    """
    lacking = {s.info.experiment for s in done.view.streams if _NO_EXPERIMENT in s.why}
    texts = []
    for name in sorted(lacking):
        declare = command_line("--address", done.address, "declare", name)
        text = f"{done.address} has no experiment {name!r}: `{declare}` creates it"
        if done.view.address != done.address:
            export = command_line("--address", done.view.address, "export", name)
            record = command_line("--address", done.address, "record", "-")
            text += (
                f", and `{export} | {record}` copies it with the results that "
                f"{done.view.address} has"
            )
        texts.append(f"{text}. Then run `podium sync` again")
    return texts


def _to_json(done: Done) -> dict[str, Any]:
    return {
        "outbox": str(done.view.folder),
        "address": done.address,
        "delivered": done.delivered,
        "waiting": done.waiting,
        "rejected": done.view.rejected,
        "missing": done.missing,
        "error": done.failure or None,
        "notices": list(done.notices),
        "damaged": [str(folder) for folder in done.view.damaged],
    }
