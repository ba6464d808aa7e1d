"""`podium outbox`: shows undelivered events, sends rejected ones again, or deletes events."""

import argparse
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from podium._outbox import RejectedEvent, SenderState
from podium._values.suggest import did_you_mean
from podium.cli import _format
from podium.cli._console import Console
from podium.cli._discarding import discard
from podium.cli._exits import CommandError, Exit
from podium.cli._outboxes import (
    OutboxView,
    StreamView,
    add_folder,
    event_of,
    find_outboxes,
    view_of,
)
from podium.cli._retry import retry

__all__ = ["add_arguments", "run_locally"]

_RETRY, _DISCARD = "retry", "discard"
_ACTIONS = {_RETRY: retry, _DISCARD: discard}
_USES = (
    "`podium outbox{0}` lists events, `podium outbox retry{0}` sends rejected events again, and "
    "`podium outbox discard{0}` deletes events"
)
_OPTIONS = {"restart": "--restart", "new_arm": "--as", "into": "--into"}
_HEADERS = ("EXPERIMENT", "ARM", "WRITER", ">WAITING", "SINCE", ">REJECTED", "~WHY")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Shows the events of this machine that the server has not stored. Each line is a stream:\n"
        "the events that one process recorded for one arm. It shows how many events wait, how\n"
        "many the server has rejected permanently, and why. --json shows every rejected event.\n\n"
        "`podium outbox retry` sends rejected events again, each by itself and in their order.\n"
        "Use it when the cause is fixed, such as a limit of the server. Events that are rejected\n"
        "again stay in the outbox. Events sent again replace newer values of the same keys and\n"
        "rows, as all late events do.\n\n"
        "An attempt that was rejected as a whole, because its arm had finished or had a newer\n"
        "attempt, is delivered by --restart or --as. With --restart it becomes the newest one:\n"
        "the present results of the arm are deleted, unless the attempt resumes. With --as NAME\n"
        "it is recorded as another arm. Of several attempts at an arm, the newest one is sent.\n\n"
        "--as and --into also redirect events that wait, such as an evaluation whose arm or\n"
        "experiment is misspelt.\n\n"
        "`podium outbox discard` deletes the waiting and rejected events of the selected streams.\n"
        "It lists them first. On a terminal, it asks for confirmation; elsewhere it requires --yes."
    )
    parser.epilog = (
        "examples:\n"
        "  podium outbox \n"
        "  podium outbox /mnt/usb/outbox --json | jq '.[].streams[].rejected'\n"
        "  podium outbox retry --experiment rank_sweep --reason LIMIT_EXCEEDED\n"
        "  podium outbox retry --experiment rank_sweep --arm lora_rank4 --as lora_rank4_again\n"
        "  podium outbox discard --experiment rank_sweep --arm lora_rnak4"
    )
    parser.add_argument(
        "action",
        metavar="retry|discard",
        nargs="?",
        help="send rejected events again, or delete events",
    )
    add_folder(parser)
    which = parser.add_argument_group("which events to send again or to delete (default: all)")
    which.add_argument("--experiment", metavar="NAME", help="only events of this experiment")
    which.add_argument("--arm", metavar="NAME", help="only events of this arm")
    which.add_argument("--attempt", metavar="ID", help="only events of this attempt")
    which.add_argument(
        "--reason", metavar="REASON", help="only events that were rejected for this reason"
    )
    parser.add_argument("--yes", action="store_true", help="discard without confirmation")
    how = parser.add_argument_group("how to send them (default: unchanged)")
    how.add_argument("--restart", action="store_true", help="as the newest attempt of the arm")
    how.add_argument("--as", dest="new_arm", metavar="NAME", help="as another arm of this name")
    how.add_argument("--into", metavar="EXPERIMENT", help="as an arm of this other experiment")


def run_locally(arguments: argparse.Namespace, console: Console) -> Exit:
    """Shows outboxes, sends rejected events again, or deletes events."""
    folder: Path | None = arguments.folder
    _check_options(arguments)
    if arguments.action in _ACTIONS:
        return _ACTIONS[arguments.action](find_outboxes(folder), arguments, console)
    if arguments.action is not None:
        if folder is not None:
            near = did_you_mean(arguments.action, _ACTIONS) or f"; {_USES.format(' FOLDER')}"
            raise CommandError(f"{arguments.action!r} is not an action{near}")
        folder = Path(arguments.action)
        if not folder.exists():
            raise CommandError(_neither(arguments.action))
    return _list([view_of(outbox) for outbox in find_outboxes(folder)], console)


def _neither(text: str) -> str:
    near = did_you_mean(text, _ACTIONS) or f"; {_USES.format('')}"
    return f"{text!r} is neither an action nor a folder{near}"


def _check_options(given: argparse.Namespace) -> None:
    """Raises a CommandError if an option does not fit the action, or two exclude each other."""
    found = [option for name, option in _OPTIONS.items() if getattr(given, name)]
    if found and given.action != _RETRY:
        raise CommandError(f"{found[0]} is an option of `podium outbox retry`")
    if given.yes and given.action != _DISCARD:
        raise CommandError("--yes is an option of `podium outbox discard`")
    if given.restart and len(found) > 1:
        raise CommandError(f"--restart cannot be combined with {found[1]}")


# ---- showing -------------------------------------------------------------------------------


def _list(views: list[OutboxView], console: Console) -> Exit:
    if console.as_json:
        console.json_list(map(_to_json, views))
        return Exit.OK
    for view in views:
        _show(view, console)
    if not any(_lines(view) or view.damaged for view in views):
        console.note("no events are waiting or rejected")
    return Exit.OK


def _show(view: OutboxView, console: Console) -> None:
    rows = _lines(view)
    if rows or view.damaged:
        console.line(f"{view.folder}, for {view.address}: {_sender(view)}")
    console.table_with_texts(rows, *_HEADERS)
    for folder, why in view.damaged.items():
        console.note(f"{folder} cannot be read: {why}")
    for path in (path for stream in view.streams for path in stream.torn):
        console.note(
            f"{path} is damaged: some of its events cannot be read. The other events "
            "are delivered. The file is kept; delete it when you no longer need it"
        )


def _sender(view: OutboxView) -> str:
    state = view.state
    if not view.is_sending or state is None:
        return "a sender runs" if view.is_sending else "no sender runs"
    text = f"sender {state.pid} is {state.state}"
    if state.since is None or state.next_try is None:
        return text
    since, next_try = (datetime.fromtimestamp(at, UTC) for at in (state.since, state.next_try))
    return f"{text} since {_format.moment(since)}, next try {_format.moment(next_try)}"


def _lines(view: OutboxView) -> list[tuple[str, ...]]:
    return [_line(stream) for stream in view.streams if not stream.is_delivered]


def _line(stream: StreamView) -> tuple[str, ...]:
    info = stream.info
    return (
        info.experiment,
        "" if info.arm is None else info.arm,
        f"{info.pid}@{info.host}{', recording' if stream.is_recording else ''}",
        str(stream.waiting),
        _format.moment(stream.oldest),
        str(len(stream.rejected_events)),
        "; ".join([stream.why] * bool(stream.why) + list(_reasons(stream.rejected_events))),
    )


def _reasons(rejected_events: list[RejectedEvent]) -> Iterator[str]:
    counts = Counter(rejected.reason for rejected in rejected_events)
    messages = {rejected.reason: rejected.message for rejected in reversed(rejected_events)}
    for reason, count in counts.items():
        yield f"{count:,} {reason}: {messages[reason]}"


def _to_json(view: OutboxView) -> dict[str, Any]:
    return {
        "folder": str(view.folder),
        "address": view.address,
        "sender": _sender_to_json(view.state) if view.is_sending and view.state else None,
        "waiting": view.waiting,
        "rejected": view.rejected,
        "streams": [_stream_to_json(stream) for stream in view.streams],
        "damaged": {str(folder): why for folder, why in view.damaged.items()},
    }


def _sender_to_json(state: SenderState) -> dict[str, Any]:
    return {
        "pid": state.pid,
        "state": state.state,
        "error": state.error,
        "since": _time_to_json(state.since),
        "next_try": _time_to_json(state.next_try),
    }


def _stream_to_json(stream: StreamView) -> dict[str, Any]:
    info = stream.info
    return {
        "folder": str(stream.folder),
        "experiment": info.experiment,
        "arm": info.arm,
        "writer_id": info.writer_id,
        "attempt_id": info.attempt_id,
        "pid": info.pid,
        "host": info.host,
        "recording": stream.is_recording,
        "waiting": stream.waiting,
        "oldest": None if stream.oldest is None else stream.oldest.isoformat(),
        "why": stream.why or None,
        "rejected": [_rejected_to_json(rejected) for rejected in stream.rejected_events],
        "torn": list(map(str, stream.torn)),
    }


def _rejected_to_json(rejected: RejectedEvent) -> dict[str, Any]:
    event = event_of(rejected.event)
    return {
        "sequence": rejected.sequence,
        "reason": rejected.reason,
        "message": rejected.message,
        "time": _time_to_json(rejected.time),
        "event": event and MessageToDict(event, preserving_proto_field_name=True),
    }


def _time_to_json(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
