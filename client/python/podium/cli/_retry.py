"""`podium outbox retry`: sends rejected events again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from podium._client.blocking.client import Client
from podium._outbox import SenderLock, StreamReader
from podium._sender import DEFECTS
from podium.cli import _format
from podium.cli._exits import CommandError, Exit, text_of
from podium.cli._outboxes import event_of, view_of
from podium.errors import PodiumError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from podium._outbox import RejectedEvent
    from podium.cli._console import Console
    from podium.cli._outboxes import OutboxView, StreamView

__all__ = ["retry"]

_SHOWN = 10
_UNREADABLE = "this version of podium cannot read the event"


class _Outcome(NamedTuple):
    """What became of an event that was sent again."""

    stream: StreamView
    rejected: RejectedEvent
    refusal: str = ""
    """Why it was refused again."""
    failure: str = ""
    """Why the server gave no answer to it."""


def retry(folders: Sequence[Path], given: argparse.Namespace, console: Console) -> Exit:
    """Sends what was rejected in these outboxes, as far as it is asked for."""
    wanted = [(view, list(_chosen(view, given))) for view in map(view_of, folders)]
    total = sum(len(chosen) for _, chosen in wanted)
    outcomes: list[_Outcome] = []
    for view, chosen in wanted:
        for outcome in _sent_again(view, chosen, given):
            outcomes.append(outcome)
            console.progress(len(outcomes), total, "events sent again")
        _clean_up(view)
    return _report(outcomes, total, console)


def _chosen(
    view: OutboxView, given: argparse.Namespace
) -> Iterator[tuple[StreamView, RejectedEvent]]:
    for stream in view.streams:
        if given.experiment not in {None, stream.info.experiment}:
            continue
        if given.arm not in {None, stream.info.arm}:
            continue
        for rejected in stream.rejected_events:
            if given.reason in {None, rejected.reason}:
                yield stream, rejected


def _sent_again(
    view: OutboxView, chosen: Sequence[tuple[StreamView, RejectedEvent]], given: argparse.Namespace
) -> Iterator[_Outcome]:
    """Sends events one by one, in their order; ends where the server does not answer."""
    if not chosen:
        return
    with _client(given.address or view.address, given.timeout) as client:
        for stream, rejected in chosen:
            outcome = _sent(client, stream, rejected)
            yield outcome
            if outcome.failure:
                return


def _client(address: str, timeout: float | None) -> Client:
    try:
        return Client(address) if timeout is None else Client(address, write_timeout=timeout)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _sent(client: Client, stream: StreamView, rejected: RejectedEvent) -> _Outcome:
    event = event_of(rejected.event)
    if event is None:
        return _Outcome(stream, rejected, refusal=_UNREADABLE)
    try:
        client.record(stream.info.experiment, [event])
    except PodiumError as error:
        is_answer = error.refusals or error.reason == "LIMIT_EXCEEDED" or error.code in DEFECTS
        text = text_of(error)
        return _Outcome(stream, rejected, **{"refusal" if is_answer else "failure": text})
    StreamReader(stream.folder).mark_retried(rejected.sequence)
    return _Outcome(stream, rejected)


def _clean_up(view: OutboxView) -> None:
    """Removes streams of which nothing is left to keep, unless a sender will."""
    lock = SenderLock(view.folder)
    if not lock.try_acquire():
        return
    try:
        for stream in view.streams:
            reader = StreamReader(stream.folder)
            if stream.rejected_events and reader.is_finished():
                reader.remove()
    finally:
        lock.release()


# ---- telling -----------------------------------------------------------------------------------


def _report(outcomes: Sequence[_Outcome], total: int, console: Console) -> Exit:
    refused = [outcome for outcome in outcomes if outcome.refusal]
    failed = [outcome for outcome in outcomes if outcome.failure]
    delivered = len(outcomes) - len(refused) - len(failed)
    if console.as_json:
        failure = failed[0].failure if failed else None
        refusals = list(map(_to_json, refused))
        console.json({"delivered": delivered, "refused": refusals, "error": failure})
    elif not total:
        console.line("nothing was rejected")
    else:
        console.line(f"{delivered:,} of {_format.count(total, 'event')} delivered")
        _explain(refused, failed, console)
    if failed:
        return Exit.FAILED
    return Exit.NOTHING if refused else Exit.OK


def _explain(refused: Sequence[_Outcome], failed: Sequence[_Outcome], console: Console) -> None:
    for stream, rejected, refusal, _ in refused[:_SHOWN]:
        arm = "" if stream.info.arm is None else f" of arm {stream.info.arm!r}"
        place = f"event {rejected.sequence}{arm} of {stream.info.experiment!r}"
        console.note(f"{place} remains rejected: {refusal}")
    if len(refused) > _SHOWN:
        console.note(f"{len(refused) - _SHOWN:,} more remain rejected; see `podium outbox`")
    for outcome in failed:
        console.note(outcome.failure)


def _to_json(outcome: _Outcome) -> dict[str, Any]:
    return {
        "stream": str(outcome.stream.folder),
        "sequence": outcome.rejected.sequence,
        "message": outcome.refusal,
    }
