"""Sends the rejected events of an attempt again, for `podium outbox retry`."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from podium import ArmSummary
from podium._client.blocking.client import Client
from podium._limits.batches import Batch
from podium._outbox import StreamReader
from podium._sender import DEFECTS
from podium.cli._attempts import (
    Item,
    Plan,
    RejectedAttempt,
    as_other_arm,
    as_restart,
    has_only_events_of,
)
from podium.cli._exits import text_of
from podium.errors import NotFoundError, PodiumError
from podium.v1.event_pb2 import Event

__all__ = ["Outcome", "sent_anew", "sent_singly"]

_UNREADABLE = "this version of podium cannot read the event"


class Outcome(NamedTuple):
    """The result of sending an event again."""

    item: Item
    refusal: str = ""
    """The reason why the event was rejected again. Empty if it was not rejected."""
    failure: str = ""
    """The reason why the server did not answer. Empty if it answered."""


def sent_singly(client: Client, attempt: RejectedAttempt) -> Iterator[Outcome]:
    """Sends the events of an attempt as they were recorded, each in its own call."""
    whole_refusal = attempt.loss
    for item in attempt.items:
        if whole_refusal or item.event is None:
            yield Outcome(item, refusal=whole_refusal or _unreadable(item))
            continue
        try:
            [(_, refusal)] = _recorded(client, attempt.experiment, [(item, item.event)])
        except PodiumError as error:
            yield Outcome(item, failure=text_of(error))
            return
        if item.event.HasField("arm_recorded"):
            whole_refusal = refusal
        if not refusal:
            _mark_retried(item)
        yield Outcome(item, refusal)


def sent_anew(client: Client, attempt: RejectedAttempt, target: Plan | None) -> Iterator[Outcome]:
    """Sends an attempt again: as the arm of `target`, or as the newest attempt of its own arm.

    The events are marked as retried only after all of them were sent. If the command is interrupted
    before that, the next retry sends all of them again.
    """
    try:
        plan = _plan(client, attempt, target)
        if isinstance(plan, str):
            yield from (Outcome(item, refusal=plan) for item in attempt.items)
            return
        outcomes = list(_sent_by_plan(client, attempt, plan))
    except PodiumError as error:
        yield Outcome(attempt.items[0], failure=text_of(error))
        return
    for outcome in outcomes:
        if not outcome.refusal:
            _mark_retried(outcome.item)
        yield outcome


def _plan(client: Client, attempt: RejectedAttempt, target: Plan | None) -> Plan | str:
    if target is None:
        return as_restart(attempt, _find_arm(client, attempt.experiment, attempt.arm or ""))
    known = _find_arm(client, target.experiment, target.arm)
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


def _sent_by_plan(client: Client, attempt: RejectedAttempt, plan: Plan) -> Iterator[Outcome]:
    opening = plan.start or _whole_arm(attempt, plan)
    if opening is not None:
        # The start is sent alone, because the other events depend on it.
        [(_, refusal)] = _recorded(client, plan.experiment, [(attempt.items[0], opening)])
        if refusal:
            yield from (Outcome(item, refusal) for item in attempt.items)
            return
    call: list[tuple[Item, Event]] = []
    batch = Batch()
    for item in attempt.items:
        event = None if item.event is None else plan.event(item.event)
        if event is None:
            yield Outcome(item, refusal=_unreadable(item) if item.event is None else "")
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
) -> Iterator[Outcome]:
    for item, refusal in _recorded(client, experiment, call):
        yield Outcome(item, refusal)


def _recorded(
    client: Client, experiment: str, call: Sequence[tuple[Item, Event]]
) -> Iterator[tuple[Item, str]]:
    """Records events in as few calls as possible.

    Yields each event with the reason why it was rejected, or with "" if it is recorded.

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
    the reason why it was rejected, or with "" if it is recorded.
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
