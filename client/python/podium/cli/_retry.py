"""`podium outbox retry`: sends rejected events again."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from podium._client.blocking.client import Client
from podium._outbox import RejectedEvent, SenderLock
from podium._sender import begins_arm
from podium.cli import _format
from podium.cli._attempts import Plan, RejectedAttempt, attempts_of, is_chosen
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit
from podium.cli._outboxes import OutboxView, StreamView, opened, view_of
from podium.cli._resending import Outcome, sent_anew, sent_singly
from podium.cli._withdrawing import sender_stopped, withdraw

__all__ = ["retry"]

_SHOWN = 10


def retry(folders: Sequence[Path], given: argparse.Namespace, console: Console) -> Exit:
    """Sends the selected rejected events of outboxes again.

    With `--as` or `--into`, also redirects the selected events that wait for delivery.
    """
    views = list(map(view_of, folders))
    if _is_redirected(given):
        _check_one_arm(_selected(views, given))
        views = [_with_waiting(view, given) for view in views]
    wanted = [(view, _wanted(view, given, console)) for view in views]
    total = sum(len(attempt.items) for _, attempts in wanted for attempt in attempts)
    if not total and any(stream.rejected_events for view, _ in wanted for stream in view.streams):
        console.note("no rejected event matches; `podium outbox` lists all rejected events")
    outcomes: list[Outcome] = []
    for view, attempts in wanted:
        for outcome in _sent_again(view, attempts, given):
            outcomes.append(outcome)
            console.progress(len(outcomes), total, "events sent again")
        _clean_up(view)
    return _report(outcomes, total, console)


# ---- choosing ----------------------------------------------------------------------------------


def _wanted(view: OutboxView, given: argparse.Namespace, console: Console) -> list[RejectedAttempt]:
    attempts = attempts_of(_chosen(view, given))
    if given.attempt is not None:
        attempts = [attempt for attempt in attempts if attempt.attempt_id == given.attempt]
    if given.attempt is not None or not (given.restart or _is_redirected(given)):
        return attempts
    # Each attempt would restart the arm and delete the results of the earlier one.
    newest = {(a.experiment, a.arm): a for a in attempts if a.attempt_id is not None}
    older = [a for a in attempts if a.attempt_id and a is not newest[a.experiment, a.arm]]
    for attempt in older:
        console.note(
            f"attempt {attempt.attempt_id!r} of arm {attempt.arm!r} of {attempt.experiment!r} is "
            "not the newest rejected attempt, and stays in the "
            f"outbox; `--attempt {attempt.attempt_id}` sends it"
        )
    return [attempt for attempt in attempts if attempt not in older]


def _chosen(
    view: OutboxView, given: argparse.Namespace
) -> Iterator[tuple[StreamView, RejectedEvent]]:
    for stream in view.streams:
        for rejected in stream.rejected_events:
            if is_chosen(stream, rejected, given):
                yield stream, rejected


def _is_redirected(given: argparse.Namespace) -> bool:
    return given.new_arm is not None or given.into is not None


def _waits(stream: StreamView, given: argparse.Namespace) -> bool:
    """Returns whether a stream has waiting events, and the options of the command select them."""
    is_attempt = given.attempt in {None, stream.info.attempt_id}
    return bool(stream.waiting) and is_attempt and is_chosen(stream, None, given)


def _selected(views: Iterable[OutboxView], given: argparse.Namespace) -> Iterator[StreamView]:
    for view in views:
        yield from (stream for stream, _ in _chosen(view, given))
        yield from (stream for stream in view.streams if _waits(stream, given))


def _check_one_arm(streams: Iterable[StreamView]) -> None:
    arms = dict.fromkeys((stream.info.experiment, stream.info.arm) for stream in streams)
    if len(arms) > 1:
        names = ", ".join(f"{arm!r} of {experiment!r}" for experiment, arm in list(arms)[:_SHOWN])
        raise CommandError(
            "--as and --into record the events of one arm, but the selected events are of "
            f"{len(arms)} arms: {names}; choose one with --experiment and --arm"
        )


def _with_waiting(view: OutboxView, given: argparse.Namespace) -> OutboxView:
    """Stores the selected waiting events as rejected, and returns the outbox's new state."""
    waiting = [stream for stream in view.streams if _waits(stream, given)]
    if not waiting:
        return view
    with _client(given.address or view.address, given.timeout) as client:
        for stream in waiting:
            _check_target(client, stream, given)
        with sender_stopped(view.folder):
            withdraw(waiting, client)
    return view_of(view.folder)


def _check_target(client: Client, stream: StreamView, given: argparse.Namespace) -> None:
    """Raises a NotFoundError if the arm of --as or --into is needed but does not exist.

    The arm is not needed if the first waiting event creates it. The error names similar arms.
    """
    reader = opened(stream)
    first = reader.read(stream.delivered, most_events=1) if reader else []
    if first and not begins_arm(first[0].payload):
        target = _target(given, stream.info.experiment, stream.info.arm)
        bool(client.arm(target.experiment, target.arm).evals(page_size=1))


def _target(given: argparse.Namespace, experiment: str, arm: str | None) -> Plan:
    """Returns a plan that has only an experiment and an arm.

    The plan has the names of --into and --as, by default `experiment` and `arm`.
    """
    return Plan(given.into or experiment, given.new_arm or arm or "")


# ---- sending -----------------------------------------------------------------------------------


def _sent_again(
    view: OutboxView, attempts: Sequence[RejectedAttempt], given: argparse.Namespace
) -> Iterator[Outcome]:
    """Sends attempts again, one after the other. Stops if the server does not answer."""
    if not attempts:
        return
    with _client(given.address or view.address, given.timeout) as client:
        for attempt in attempts:
            for outcome in _sent(client, attempt, given):
                yield outcome
                if outcome.failure:
                    return


def _sent(client: Client, attempt: RejectedAttempt, given: argparse.Namespace) -> Iterator[Outcome]:
    if _is_redirected(given):
        return sent_anew(client, attempt, _target(given, attempt.experiment, attempt.arm))
    return sent_anew(client, attempt, None) if given.restart else sent_singly(client, attempt)


def _client(address: str, timeout: float | None) -> Client:
    try:
        return Client(address) if timeout is None else Client(address, write_timeout=timeout)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _clean_up(view: OutboxView) -> None:
    """Removes finished streams. Does nothing if a sender runs, because the sender removes them."""
    lock = SenderLock(view.folder)
    if not lock.try_acquire():
        return
    try:
        for stream in view.streams:
            reader = opened(stream)
            if reader and stream.rejected_events and reader.is_finished():
                reader.remove()
    finally:
        lock.release()


# ---- reporting ---------------------------------------------------------------------------------


def _report(outcomes: Sequence[Outcome], total: int, console: Console) -> Exit:
    refused = [outcome for outcome in outcomes if outcome.refusal]
    failed = [outcome for outcome in outcomes if outcome.failure]
    delivered = len(outcomes) - len(refused) - len(failed)
    if console.as_json:
        failure = failed[0].failure if failed else None
        refusals = list(map(_to_json, refused))
        console.json({"delivered": delivered, "refused": refusals, "error": failure})
    elif not total:
        console.line("nothing to send again")
    else:
        console.line(f"{delivered:,} of {_format.count(total, 'event')} delivered")
        _explain(refused, failed, console)
    if failed:
        return Exit.FAILED
    return Exit.NOTHING if refused else Exit.OK


def _explain(refused: Sequence[Outcome], failed: Sequence[Outcome], console: Console) -> None:
    alike: dict[tuple[str, str], list[int]] = {}
    for (stream, rejected, _), refusal, _failure in refused:
        arm = "" if stream.info.arm is None else f" of arm {stream.info.arm!r}"
        place = f"{arm} of {stream.info.experiment!r}"
        alike.setdefault((place, refusal), []).append(rejected.sequence)
    for (place, refusal), sequences in islice(alike.items(), _SHOWN):
        is_one = len(sequences) == 1
        events = f"event {sequences[0]}" if is_one else f"{len(sequences):,} events"
        console.note(f"{events}{place} remain{'s' * is_one} rejected: {refusal}")
    if len(alike) > _SHOWN:
        left = sum(map(len, islice(alike.values(), _SHOWN, None)))
        console.note(f"{left:,} more remain rejected; see `podium outbox`")
    for outcome in failed:
        console.note(outcome.failure)


def _to_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "stream": str(outcome.item.stream.folder),
        "sequence": outcome.item.rejected.sequence,
        "message": outcome.refusal,
    }
