"""Tests of `podium outbox retry --as` and `--into`, and of `podium outbox discard`."""

import contextlib
import json
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import podium as library
import pytest
from podium._model.recording import StreamPosition
from podium._outbox import (
    RejectedEvent,
    SenderState,
    StreamReader,
    outbox_address,
    outbox_folder,
    reader,
    streams,
)
from podium._outbox.rejected import append_retried
from podium.cli import _discarding, _retry, _withdrawing
from podium.v1.event_pb2 import Event
from podium_server.testing.calls import metrics, row, started

from tests.client.cli.shell import Outcome, on_terminal, podium
from tests.client.sender.outboxes import (
    appended,
    dead_stream,
    rejected_events,
    running_sender,
    sender_of,
    until,
    writer,
)


class _KilledError(BaseException):
    """Ends a command as abruptly as `kill -9` would."""


@pytest.fixture
def outbox(tmp_path: Path, address: str) -> Iterator[Path]:
    """Yields an outbox for the server of this folder. Its sender is killed after the test."""
    outbox = outbox_folder(tmp_path / "outbox", address)
    yield outbox
    with contextlib.suppress(ProcessLookupError):
        if pid := sender_of(outbox):
            os.kill(pid, signal.SIGKILL)


def _run(outbox: Path, *arguments: str) -> Outcome:
    action, *options = arguments
    return podium("outbox", action, str(outbox), *options, address=outbox_address(outbox))


def _evaluation(outbox: Path, name: str, arm: str = "typo") -> Path:
    """Returns the stream of an evaluator with two rows for an arm that does not exist."""
    events = [_row(arm, step) for step in (1, 2)]
    return dead_stream(outbox, name, *events, arm=arm)


def _row(arm: str, step: int) -> Event:
    event = row("val", step, metrics={"acc": step})
    event.eval_recorded.arm = arm
    return event


def _start(address: str, experiment: str, arm: str = "right") -> None:
    with library.Client(address) as client:
        client.experiment(experiment).start_arm(library.RunConfig(arm))


def _steps(address: str, experiment: str, arm: str) -> list[int | None]:
    with library.Client(address) as client:
        return [found.step for found in client.arm(experiment, arm).evals()]


# ---- redirecting -----------------------------------------------------------------------------


def test_rows_of_a_misspelt_arm(outbox: Path, address: str, name: str) -> None:
    """Waiting rows without an attempt are recorded for the existing arm that `--as` names."""
    _start(address, name)
    _evaluation(outbox, name)
    assert podium("sync", str(outbox)).code == 1
    done = _run(outbox, "retry", "--arm", "typo", "--as", "right")
    assert done[:2] == (0, "2 of 2 events delivered\n")
    assert _steps(address, name, "right") == [1, 2]
    assert streams(outbox) == []


def test_rows_of_a_misspelt_experiment(outbox: Path, address: str, name: str) -> None:
    """`--into` sends waiting rows to an arm of another experiment, if that arm exists."""
    _start(address, name)
    folder = _evaluation(outbox, f"{name}_typo", "right")
    missing = _run(outbox, "retry", "--into", name, "--as", "rihgt")
    assert missing.code == 1
    assert "; did you mean 'right'?" in missing.err
    assert StreamReader(folder).rejected_events() == []
    assert _run(outbox, "retry", "--into", name).code == 0
    assert _steps(address, name, "right") == [1, 2]
    assert streams(outbox) == []


def test_an_attempt_that_was_never_sent(outbox: Path, address: str, name: str) -> None:
    """`--as` records a waiting attempt under the new name, and not under its own name."""
    dead_stream(outbox, name, started("a", "A", 1), row("val", 1), metrics({"loss": 1}))
    assert _run(outbox, "retry", "--as", "b").code == 0
    assert _steps(address, name, "b") == [1]
    with library.Client(address) as client:
        assert [arm.name for arm in client.experiment(name).arms()] == ["b"]


def test_waiting_events_of_several_arms(outbox: Path, name: str) -> None:
    """If the selected events are of several arms, `--as` is an error and changes no stream."""
    folders = [_evaluation(outbox, name, arm) for arm in ("typo", "tpyo")]
    done = _run(outbox, "retry", "--as", "right")
    assert done.code == 2
    assert "the selected events are of 2 arms: 'typo' of" in done.err
    assert [StreamReader(folder).rejected_events() for folder in folders] == [[], []]


def test_events_that_the_server_has(outbox: Path, address: str, name: str) -> None:
    """An event that was stored, but is not marked as delivered, is not recorded twice."""
    _start(address, name, "typo")
    _start(address, name)
    folder = _evaluation(outbox, name)
    with library.Client(address) as client:
        client.record(name, [_row("typo", 1)], position=StreamPosition(folder.name, 1))
    done = _run(outbox, "retry", "--as", "right")
    assert done[:2] == (0, "1 of 1 event delivered\n")
    assert (_steps(address, name, "typo"), _steps(address, name, "right")) == ([1], [2])


@pytest.mark.parametrize(
    "step", ["reject", "_skip", "mark_retried", "note_delivered", "remove"], ids=str
)
def test_killed_while_redirecting(
    outbox: Path, address: str, name: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """After a kill at any step, a retry records each event once."""
    _start(address, name)
    _evaluation(outbox, name)
    owner: Any = _withdrawing if step == "_skip" else StreamReader
    real = getattr(owner, step)

    def killed(*arguments: Any, validate_only: bool = False) -> Any:
        if validate_only:
            return real(*arguments, validate_only=True)
        real(*arguments)
        raise _KilledError

    monkeypatch.setattr(owner, step, killed)
    with pytest.raises(_KilledError):
        _run(outbox, "retry", "--as", "right")
    monkeypatch.undo()
    assert _run(outbox, "retry", "--as", "right").code == 0
    assert _steps(address, name, "right") == [1, 2]
    podium("sync", str(outbox))
    assert streams(outbox) == []


def test_killed_after_a_sender_delivered_more(
    outbox: Path, address: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that a sender delivers while the target is checked is not recorded twice.

    This holds even if the command is killed and run again.
    """
    _start(address, name, "typo")
    _start(address, name)
    folder = _evaluation(outbox, name)

    def delivered(*_arguments: Any) -> None:
        with library.Client(address) as client:
            client.record(name, [_row("typo", 1)], position=StreamPosition(folder.name, 1))
        StreamReader(folder).note_delivered(1)

    real = _withdrawing._skip

    def killed(*arguments: Any, validate_only: bool = False) -> int:
        if validate_only:
            return real(*arguments, validate_only=True)
        raise _KilledError

    monkeypatch.setattr(_retry, "_check_target", delivered)
    monkeypatch.setattr(_withdrawing, "_skip", killed)
    with pytest.raises(_KilledError):
        _run(outbox, "retry", "--as", "right")
    monkeypatch.undo()
    assert _run(outbox, "retry", "--as", "right").code == 0
    assert (_steps(address, name, "typo"), _steps(address, name, "right")) == ([1], [2])


def test_a_call_of_the_stopped_sender_arrives_late(
    outbox: Path, address: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a call of the stopped sender arrives during a retry, its event is not recorded twice."""
    _start(address, name, "typo")
    _start(address, name)
    folder = _evaluation(outbox, name)
    real = _withdrawing._skip

    def late(*arguments: Any, validate_only: bool = False) -> int:
        if not validate_only:
            with library.Client(address) as client:
                client.record(name, [_row("typo", 1)], position=StreamPosition(folder.name, 1))
        return real(*arguments, validate_only=validate_only)

    monkeypatch.setattr(_withdrawing, "_skip", late)
    assert _run(outbox, "retry", "--as", "right").code == 0
    assert (_steps(address, name, "typo"), _steps(address, name, "right")) == ([1], [2])


@pytest.mark.parametrize("is_sent", [False, True], ids=["before", "after"])
def test_killed_after_a_lost_answer(
    outbox: Path, address: str, name: str, monkeypatch: pytest.MonkeyPatch, *, is_sent: bool
) -> None:
    """A stored event whose answer was lost is not recorded twice, even if a retry is killed."""
    _start(address, name, "typo")
    _start(address, name)
    folder = _evaluation(outbox, name)
    with library.Client(address) as client:
        client.record(name, [_row("typo", 1)], position=StreamPosition(folder.name, 1))
    real = _withdrawing._skip

    def killed(*arguments: Any, validate_only: bool = False) -> int:
        if validate_only:
            return real(*arguments, validate_only=True)
        if is_sent:
            real(*arguments)
        raise _KilledError

    monkeypatch.setattr(_withdrawing, "_skip", killed)
    with pytest.raises(_KilledError):
        _run(outbox, "retry", "--as", "right")
    monkeypatch.undo()
    assert _run(outbox, "retry", "--as", "right").code == 0
    assert (_steps(address, name, "typo"), _steps(address, name, "right")) == ([1], [2])
    podium("sync", str(outbox))
    assert streams(outbox) == []


def test_a_running_sender_goes_on_with_other_events(outbox: Path, address: str, name: str) -> None:
    """A retry stops the running sender, and a sender later delivers the other streams."""
    _start(address, name)
    _evaluation(outbox, name)
    other = _evaluation(outbox, name, "later")
    with running_sender(outbox) as sender:
        until(lambda: (state := SenderState.read(outbox)) and len(state.waits) == 2)
        assert _run(outbox, "retry", "--arm", "typo", "--as", "right").code == 0
        assert sender.wait(120) == 0
    _start(address, name, "later")
    until(lambda: not other.exists())
    assert _steps(address, name, "later") == [1, 2]
    assert _steps(address, name, "right") == [1, 2]


def test_a_sender_removes_the_stream(
    outbox: Path, address: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry succeeds even if a sender removes the stream as soon as no event is left in it."""
    _start(address, name)
    _evaluation(outbox, name)

    def marked(folder: Path, sequences: Iterable[int]) -> None:
        append_retried(folder, sequences)
        if StreamReader(folder).is_finished():
            StreamReader(folder).remove()

    monkeypatch.setattr(reader, "append_retried", marked)
    assert _run(outbox, "retry", "--as", "right")[:2] == (0, "2 of 2 events delivered\n")
    assert streams(outbox) == []


# ---- discarding ------------------------------------------------------------------------------


def test_discarding(outbox: Path, address: str, name: str) -> None:
    """`podium outbox discard` lists the selected events, and deletes them after confirmation.

    The events of other streams stay.
    """
    _evaluation(outbox, name)
    other = _evaluation(outbox, name, "other")
    chosen = ("outbox", "discard", str(outbox), "--arm", "typo")
    assert podium(*chosen).err.endswith("no confirmation is possible; give --yes to discard\n")
    refused = on_terminal(*chosen, address=address, answer="n\n", columns=200)
    assert refused.code == 1
    assert "row of 'val' (2)" in refused.out
    assert "Discard 2 events? The server will never get them. [y/N]" in refused.out
    assert len(streams(outbox)) == 2
    assert on_terminal(*chosen, address=address, answer="y\n").code == 0
    assert streams(outbox) == [other]
    assert podium(*chosen, "--yes")[:2] == (0, "nothing to discard\n")


def test_discarding_what_was_delivered_meanwhile(
    outbox: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a stream disappears before it is discarded, there is no error."""
    folder = _evaluation(outbox, name)
    stop = _withdrawing.sender_stopped

    def stopped(outbox: Path) -> Any:
        assert StreamReader(folder).discard()
        return stop(outbox)

    monkeypatch.setattr(_discarding, "sender_stopped", stopped)
    assert _run(outbox, "discard", "--yes").code == 0


def test_discarding_for_programs(outbox: Path, name: str) -> None:
    """With `--json`, the discarded events are printed, so that they can be kept elsewhere."""
    _evaluation(outbox, name)
    [discarded] = json.loads(_run(outbox, "discard", "--yes", "--json").out)
    assert (discarded["experiment"], discarded["arm"]) == (name, "typo")
    steps = [event["eval_recorded"]["eval_result"]["step"] for event in discarded["events"]]
    assert steps == ["1", "2"]


def test_discarding_rejected_events(outbox: Path, name: str) -> None:
    """`--reason` selects rejected events. A stream without other events is removed."""
    bad = row("", 1)
    stream = dead_stream(outbox, name, started("a", "A", 1), bad, row("val", 2))
    podium("sync", str(outbox))
    assert rejected_events(stream) == [(2, "NAME_INVALID")]
    done = _run(outbox, "discard", "--reason", "NAME_INVALID", "--yes")
    assert done.code == 0
    assert done.out.endswith("1 event discarded\n")
    assert streams(outbox) == []


def test_discarding_after_a_sender_was_killed(outbox: Path, name: str) -> None:
    """If a killed sender left an event both rejected and waiting, the event is counted once."""
    folder = _evaluation(outbox, name)
    event = _row("typo", 1).SerializeToString()
    StreamReader(folder).reject(RejectedEvent(1, "STALE_ATTEMPT", "no", 1.0, event))
    assert _run(outbox, "discard", "--yes").out.splitlines()[-1] == "2 events discarded"
    assert streams(outbox) == []


def test_discarding_an_attempt(outbox: Path, name: str) -> None:
    """`--attempt` selects the rejected events of one attempt. Those of other attempts stay."""
    bad = [metrics({"": 1}) for _ in range(2)]
    bad[0].metrics_recorded.attempt_id, bad[1].metrics_recorded.attempt_id = "A", "B"
    stream = dead_stream(outbox, name, started("a", "A", 1), bad[0], started("a", "B", 2), bad[1])
    podium("sync", str(outbox))
    kept = rejected_events(stream)
    assert [sequence for sequence, _ in kept] == [2, 4]
    for attempt, left in (("C", kept), ("A", kept[1:])):
        assert _run(outbox, "discard", "--attempt", attempt, "--yes").code == 0
        found = StreamReader(stream).rejected_events()
        assert [each.sequence for each in found if not each.retried] == [s for s, _ in left]


def test_a_process_that_records_keeps_its_events(outbox: Path, name: str) -> None:
    """If the process of a selected stream still records, nothing is deleted."""
    stream = appended(writer(outbox, name, "typo"), _row("typo", 1))
    done = _run(outbox, "discard", "--yes")
    assert done.code == 2
    assert f"still records arm 'typo' of {name!r}; end it first" in done.err
    assert stream.folder.exists()
    stream.release()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("discard", "--as", "b"), "--as is an option of `podium outbox retry`"),
        (("retry", "--yes"), "--yes is an option of `podium outbox discard`"),
        (("retry", "--restart", "--into", "e"), "--restart cannot be combined with --into"),
    ],
    ids=["as", "yes", "restart"],
)
def test_options_of_other_actions(outbox: Path, arguments: tuple[str, ...], text: str) -> None:
    """An option that does not belong to the action is an error."""
    done = _run(outbox, *arguments)
    assert (done.code, text in done.err) == (2, True)


def test_a_misspelt_action() -> None:
    """If an argument is not a folder but similar to an action, the error suggests the action."""
    done = podium("outbox", "discrad")
    assert done.code == 2
    assert "'discrad' is neither an action nor a folder; did you mean 'discard'?" in done.err


@pytest.mark.parametrize("arguments", [["list"], ["list", "."]], ids=["alone", "with a folder"])
def test_an_unknown_action(arguments: list[str]) -> None:
    """If an argument is neither a folder nor an action, the error lists all uses."""
    done = podium("outbox", *arguments)
    assert done.code == 2
    folder = " FOLDER" * (len(arguments) - 1)
    for use in ("", " retry", " discard"):
        assert f"`podium outbox{use}{folder}` " in done.err
