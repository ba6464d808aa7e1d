"""`podium outbox retry`: sends rejected events again."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from podium import ArmSummary
from podium._client.blocking.client import Client
from podium._limits.batches import Batch
from podium._outbox import RejectedEvent, SenderLock, StreamReader
from podium._sender import DEFECTS, begins_arm, is_part_of_whole_arm
from podium.cli import _format
from podium.cli._attempts import (
    Item,
    Plan,
    RejectedAttempt,
    as_other_arm,
    as_restart,
    attempts_of,
    has_only_events_of,
    is_chosen,
)
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit, text_of
from podium.cli._outboxes import OutboxView, StreamView, opened, view_of
from podium.cli._withdrawing import sender_stopped, withdraw
from podium.errors import NotFoundError, PodiumError
from podium.v1.event_pb2 import Event

__all__ = ["retry"]

_SHOWN = 10
_UNREADABLE = "this version of podium cannot read the event"


class _Outcome(NamedTuple):
    """The result of sending an event again."""

    item: Item
    refusal: str = ""
    """The reason why the event was rejected again. Empty if it was not rejected."""
    failure: str = ""
    """The reason why the server did not answer. Empty if it answered."""


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
    outcomes: list[_Outcome] = []
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
    """Stores the selected waiting events as rejected, and returns the outbox after that."""
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

    These are --into and --as, or `experiment` and `arm` if the option is not given.
    """
    return Plan(given.into or experiment, given.new_arm or arm or "")


# ---- sending -----------------------------------------------------------------------------------


def _sent_again(
    view: OutboxView, attempts: Sequence[RejectedAttempt], given: argparse.Namespace
) -> Iterator[_Outcome]:
    """Sends attempts again, one after the other. Stops if the server does not answer."""
    if not attempts:
        return
    sent = _sent_anew if given.restart or _is_redirected(given) else _sent_singly
    with _client(given.address or view.address, given.timeout) as client:
        for attempt in attempts:
            for outcome in sent(client, attempt, given):
                yield outcome
                if outcome.failure:
                    return


def _client(address: str, timeout: float | None) -> Client:
    try:
        return Client(address) if timeout is None else Client(address, write_timeout=timeout)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _sent_singly(
    client: Client, attempt: RejectedAttempt, _given: argparse.Namespace
) -> Iterator[_Outcome]:
    """Sends the events of an attempt as they were recorded, each in its own call."""
    stream: StreamView | None = None
    whole_refusal = ""
    for item in attempt.items:
        if item.stream is not stream:
            # The rows of a whole arm are in its stream. Other streams have rows of their own.
            stream, whole_refusal = item.stream, ""
        if item.event is None:
            yield _Outcome(item, refusal=_unreadable(item))
            continue
        if whole_refusal and is_part_of_whole_arm(item.event):
            yield _Outcome(item, refusal=whole_refusal)
            continue
        try:
            [(_, refusal)] = _recorded(client, attempt.experiment, [(item, item.event)])
        except PodiumError as error:
            yield _Outcome(item, failure=text_of(error))
            return
        if item.event.HasField("arm_recorded"):
            whole_refusal = refusal
        if not refusal:
            _mark_retried(item)
        yield _Outcome(item, refusal)


def _sent_anew(
    client: Client, attempt: RejectedAttempt, given: argparse.Namespace
) -> Iterator[_Outcome]:
    """Sends an attempt again, as the newest attempt of its arm or as another arm.

    The events are marked as retried only after all of them were sent. If the command is interrupted
    before, the next retry sends all of them.
    """
    try:
        plan = _plan(client, attempt, given)
        if isinstance(plan, str):
            yield from (_Outcome(item, refusal=plan) for item in attempt.items)
            return
        outcomes = list(_sent_by_plan(client, attempt, plan))
    except PodiumError as error:
        yield _Outcome(attempt.items[0], failure=text_of(error))
        return
    for outcome in outcomes:
        if not outcome.refusal:
            _mark_retried(outcome.item)
        yield outcome


def _plan(client: Client, attempt: RejectedAttempt, given: argparse.Namespace) -> Plan | str:
    target = _target(given, attempt.experiment, attempt.arm)
    known = _find_arm(client, target.experiment, target.arm)
    if not _is_redirected(given):
        return as_restart(attempt, known)
    original = _find_arm(client, attempt.experiment, attempt.arm or "")
    # Only a whole arm is compared with the stored rows, which can be many.
    is_from_retry = (
        known is not None
        and attempt.whole_arm is not None
        and has_only_events_of(attempt, client.arm(target.experiment, target.arm).get())
    )
    return as_other_arm(attempt, target, known, original, is_from_retry=is_from_retry)


def _find_arm(client: Client, experiment: str, arm: str) -> ArmSummary | None:
    try:
        arms = client.experiment(experiment).arms(name_prefix=arm)
        return next((each for each in arms if each.name == arm), None)
    except NotFoundError:
        return None


def _sent_by_plan(client: Client, attempt: RejectedAttempt, plan: Plan) -> Iterator[_Outcome]:
    opening = plan.start or _whole_arm(attempt, plan)
    if opening is not None:
        # The start is sent alone, because the other events depend on it.
        [(_, refusal)] = _recorded(client, plan.experiment, [(attempt.items[0], opening)])
        if refusal:
            yield from (_Outcome(item, refusal) for item in attempt.items)
            return
    call: list[tuple[Item, Event]] = []
    batch = Batch()
    for item in attempt.items:
        event = None if item.event is None else plan.event(item.event)
        if event is None:
            yield _Outcome(item, refusal=_unreadable(item) if item.event is None else "")
            continue
        fuller = batch.added("", event)
        if fuller is not batch:
            yield from _outcomes(client, plan.experiment, call)
            call = []
        batch = fuller
        call.append((item, event))
    yield from _outcomes(client, plan.experiment, call)


def _whole_arm(attempt: RejectedAttempt, plan: Plan) -> Event | None:
    wholes = (each for each in attempt.events if each.HasField("arm_recorded"))
    return next(map(plan.event, wholes), None)


def _outcomes(
    client: Client, experiment: str, call: Sequence[tuple[Item, Event]]
) -> Iterator[_Outcome]:
    for item, refusal in _recorded(client, experiment, call):
        yield _Outcome(item, refusal)


def _recorded(
    client: Client, experiment: str, call: Sequence[tuple[Item, Event]]
) -> Iterator[tuple[Item, str]]:
    """Records events in as few calls as possible.

    Yields each event with the reason why it was rejected, or with an empty text if it is recorded.

    Raises:
        PodiumError: The server gave no answer.
    """
    if not call:
        return
    try:
        client.record(experiment, [event for _, event in call])
    except PodiumError as error:
        is_answer = error.refusals or error.reason == "LIMIT_EXCEEDED" or error.code in DEFECTS
        if not is_answer:
            raise
        yield from _recorded_around(client, experiment, call, error)
    else:
        yield from ((item, "") for item, _ in call)


def _recorded_around(
    client: Client, experiment: str, call: Sequence[tuple[Item, Event]], error: PodiumError
) -> Iterator[tuple[Item, str]]:
    """Sends a rejected call again, without the events because of which it was rejected.

    If the server did not name these events, sends each half of the call. Yields each event with
    the reason why it was rejected, or with an empty text if it is recorded.
    """
    if len(call) == 1:
        yield call[0][0], text_of(error)
    elif error.refusals:
        refused = {refusal.index: refusal for refusal in error.refusals}
        yield from ((call[i][0], f"{r.message} ({r.reason})") for i, r in refused.items())
        rest = [each for index, each in enumerate(call) if index not in refused]
        yield from _recorded(client, experiment, rest)
    else:
        half = len(call) // 2
        yield from _recorded(client, experiment, call[:half])
        yield from _recorded(client, experiment, call[half:])


def _unreadable(item: Item) -> str:
    return _UNREADABLE if item.rejected.event else item.rejected.message


def _mark_retried(item: Item) -> None:
    # A running sender removes the stream as soon as its last event is marked.
    with suppress(FileNotFoundError):
        StreamReader(item.stream.folder).mark_retried(item.rejected.sequence)


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


def _report(outcomes: Sequence[_Outcome], total: int, console: Console) -> Exit:
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


def _explain(refused: Sequence[_Outcome], failed: Sequence[_Outcome], console: Console) -> None:
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


def _to_json(outcome: _Outcome) -> dict[str, Any]:
    return {
        "stream": str(outcome.item.stream.folder),
        "sequence": outcome.item.rejected.sequence,
        "message": outcome.refusal,
    }
