"""`podium outbox discard`: deletes events that the server does not have."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.json_format import MessageToDict

from podium._outbox import Entry, RejectedEvent
from podium.cli import _format
from podium.cli._attempts import attempts_of, is_chosen
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit
from podium.cli._outboxes import OutboxView, StreamView, event_of, opened, view_of
from podium.cli._withdrawing import sender_stopped
from podium.v1.event_pb2 import Event

__all__ = ["discard"]

_KINDS = {
    "arm_annotated": "annotation",
    "arm_finished": "end",
    "arm_recorded": "whole arm",
    "arm_started": "start",
    "experiment_concluded": "conclusion",
    "experiment_declared": "declaration",
    "metrics_recorded": "call of log",
}


class _Selection(NamedTuple):
    """The events of a stream to discard."""

    stream: StreamView
    rejected: list[int]
    """The sequence numbers of rejected events."""
    payloads: list[bytes]
    """The encoded events to discard: the rejected and the waiting ones."""
    is_whole: bool
    """Whether the whole stream is discarded, with its waiting events."""


def discard(folders: Sequence[Path], given: argparse.Namespace, console: Console) -> Exit:
    """Lists the selected events of outboxes, asks for confirmation, and deletes them."""
    views = [view_of(folder) for folder in folders]
    chosen = {view.folder: list(_selections(view, given)) for view in views}
    selections = [each for found in chosen.values() for each in found]
    count = sum(len(each.payloads) for each in selections)
    if count and not console.as_json:
        _show(selections, console)
    if count and not given.yes and not _is_confirmed(count, console):
        console.note("nothing was discarded")
        return Exit.NOTHING
    for outbox, found in chosen.items():
        if found:
            with sender_stopped(outbox):
                for each in found:
                    _discard(each)
    if console.as_json:
        console.json_list(map(_to_json, selections))
    else:
        console.line(
            f"{_format.count(count, 'event')} discarded" if count else "nothing to discard"
        )
    return Exit.OK


def _selections(view: OutboxView, given: argparse.Namespace) -> Iterator[_Selection]:
    """Yields, for each selected stream, the events to discard.

    By default, these are all undelivered events of the stream. If --reason or --attempt is given,
    these are only the selected rejected events.

    Raises:
        CommandError: The process of a selected stream still records.
    """
    is_whole = given.reason is None and given.attempt is None
    for stream in view.streams:
        rejected = _rejected(stream, given)
        payloads = [each.event for each in rejected]
        if is_whole and is_chosen(stream, None, given):
            known = {each.sequence for each in stream.rejected_events}
            payloads += [each.payload for each in _waiting(stream) if each.sequence not in known]
        if not payloads:
            continue
        if stream.is_recording:
            info = stream.info
            raise CommandError(
                f"process {info.pid} of {info.host} still records{_place(stream)}; end it first, "
                "or select other events with --experiment and --arm"
            )
        yield _Selection(stream, [each.sequence for each in rejected], payloads, is_whole)


def _rejected(stream: StreamView, given: argparse.Namespace) -> list[RejectedEvent]:
    chosen = [each for each in stream.rejected_events if is_chosen(stream, each, given)]
    if given.attempt is None:
        return chosen
    attempts = attempts_of((stream, each) for each in chosen)
    return [
        item.rejected
        for attempt in attempts
        if attempt.attempt_id == given.attempt
        for item in attempt.items
    ]


def _discard(selection: _Selection) -> None:
    reader = opened(selection.stream)
    if reader is None:
        return
    if not selection.is_whole:
        reader.mark_retried(*selection.rejected)
        if reader.is_finished():
            reader.remove()
    elif not reader.discard():
        raise CommandError(f"a process records{_place(selection.stream)} again; end it first")


def _waiting(stream: StreamView) -> Iterator[Entry]:
    reader, after = opened(stream), stream.delivered
    while reader is not None and (entries := reader.read(after)):
        yield from entries
        after = entries[-1].sequence


# ---- showing -------------------------------------------------------------------------------


def _show(selections: Sequence[_Selection], console: Console) -> None:
    rows = [
        (
            each.stream.info.experiment,
            each.stream.info.arm or "",
            f"{each.stream.info.pid}@{each.stream.info.host}",
            f"{len(each.payloads):,}",
            _content(each.payloads),
        )
        for each in selections
    ]
    console.table_with_texts(rows, "EXPERIMENT", "ARM", "WRITER", ">EVENTS", "~CONTENT")


def _content(payloads: Sequence[bytes]) -> str:
    """Returns the number of events of each kind, and of rows of each eval, in one line."""
    counts: Counter[str] = Counter()
    for payload in payloads:
        event = event_of(payload) if payload else None
        kind = event and event.WhichOneof("kind")
        if event is None or kind is None:
            counts["unreadable event"] += 1
        elif kind == "eval_recorded":
            counts[f"row of {event.eval_recorded.eval_result.name!r}"] += 1
        else:
            counts[_KINDS.get(kind, kind)] += 1
    return ", ".join(f"{kind} ({count:,})" for kind, count in counts.items())


def _is_confirmed(count: int, console: Console) -> bool:
    if not sys.stdin.isatty():
        raise CommandError("without a terminal, no confirmation is possible; give --yes to discard")
    return console.ask(f"Discard {_format.count(count, 'event')}? The server will never get them.")


def _place(stream: StreamView) -> str:
    arm = "" if stream.info.arm is None else f" arm {stream.info.arm!r} of"
    return f"{arm} {stream.info.experiment!r}"


def _to_json(selection: _Selection) -> dict[str, Any]:
    info = selection.stream.info
    events = [event_of(payload) or Event() for payload in selection.payloads]
    return {
        "experiment": info.experiment,
        "arm": info.arm,
        "writer_id": info.writer_id,
        "events": [MessageToDict(event, preserving_proto_field_name=True) for event in events],
    }
