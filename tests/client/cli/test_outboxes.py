"""Tests of `podium outbox`, which lists waiting and rejected events, and of its action `retry`."""

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import podium as library
import pytest
from podium._outbox import RejectedEvent, StreamInfo, StreamReader, outbox_folder, streams
from podium.cli import _retry
from podium.cli._outboxes import view_of
from podium.errors import error_for
from podium_server.testing import running_server
from podium_server.testing.calls import declared, row, started

from tests.client.cli.outbox_commands import rows, run, run_json, steps
from tests.client.cli.shell import podium
from tests.client.client.broken import closed_port
from tests.client.outbox.places import new_outbox
from tests.client.sender.outboxes import appended, dead_stream, rejected_events, writer
from tests.each import each


def test_the_outbox_of_a_running_trainer(root: Path, outbox: Path, name: str) -> None:
    """`podium outbox` shows the recording process, and since when its oldest event has waited.

    `--json` shows both, too.
    """
    event = row("val", 1)
    event.event_time.FromJsonString("2026-03-01T12:00:00Z")
    stream = appended(writer(outbox, name), event, row("val", 2))
    [view] = run_json(root, "outbox")
    [found] = view["streams"]
    assert (view["waiting"], view["rejected"], view["sender"]) == (2, 0, None)
    assert (found["experiment"], found["arm"], found["recording"]) == (name, "a", True)
    assert (found["oldest"], found["why"]) == ("2026-03-01T12:00:00+00:00", "no sender runs")
    line = run(root, "outbox").out.splitlines()[2].split()
    assert line[:2] == [name, "a"]
    assert line[2:5] == [f"{stream.info.pid}@{stream.info.host},", "recording", "2"]
    assert line[5:7] == ["2026-03-01", "12:00:00Z"]
    stream.release()


def test_rejected_events_are_shown_with_their_content(root: Path, outbox: Path, name: str) -> None:
    """With `--json`, `podium outbox` prints each rejected event with its reason and its content."""
    dead_stream(outbox, name, started("a", "A", 1), row("val", 7, eval_seconds=-1))
    run(root, "sync")
    [rejected] = run_json(root, "outbox")[0]["streams"][0]["rejected"]
    assert (rejected["sequence"], rejected["reason"]) == (2, "FIELD_OUT_OF_RANGE")
    assert rejected["event"] == {
        "eval_recorded": {
            "arm": "a",
            "eval_result": {"name": "val", "eval_seconds": -1, "step": "7"},
        }
    }


def _small(folder: Path, *arguments: str) -> Any:
    return running_server(f"sqlite:///{folder / 'podium.db'}", *arguments)


def test_retry_after_the_limit_was_raised(root: Path, tmp_path: Path) -> None:
    """After a limit is raised, `podium outbox retry` delivers the events that exceeded it.

    Before that, a retry leaves them rejected. Once all events are delivered, the stream is gone.
    """
    large = row("val", 1, metrics={str(i): i for i in range(20)})
    with _small(tmp_path, "--limit", "map_keys=10") as server:
        address = server.address
        outbox = outbox_folder(root, address)
        dead_stream(outbox, "x", declared(), arm=None)
        folder = dead_stream(outbox, "x", started("a", "A", 1), large, *rows(1))
        assert run(root, "sync").code == 1
        assert rejected_events(folder) == [(2, "LIMIT_EXCEEDED")]
        done = run(root, "outbox", "retry")
        assert (done.code, done.out) == (1, "0 of 1 event delivered\n")
        assert (
            "podium: event 2 of arm 'a' of 'x' remains rejected: eval_recorded.eval_res" in done.err
        )
    with _small(tmp_path) as server:
        given = ("--address", server.address)
        none = run(root, "outbox", "retry", *given, "--arm", "b")
        note = "podium: no rejected event matches; `podium outbox` lists all rejected events\n"
        assert none == (0, "nothing to send again\n", note)
        chosen = ("--experiment", "x", "--arm", "a", "--reason", "LIMIT_EXCEEDED")
        done = run(root, "outbox", "retry", *given, *chosen)
        assert (done.code, done.out) == (0, "1 of 1 event delivered\n")
        assert sorted(map(str, steps(server.address, "x"))) == ["0", "1"]
        assert streams(outbox) == []


def test_retry_without_a_server(root: Path, name: str, outbox: Path) -> None:
    """If no server answers, a retry ends with exit code 3, and the events remain rejected.

    With `--json`, a retry lists the events that remain rejected.
    """
    folder = dead_stream(outbox, name, started("a", "A", 1), row("", 1), row("", 2))
    run(root, "sync")
    done = run(root, "outbox", "retry", "--address", closed_port())
    assert (done.code, done.out) == (3, "0 of 2 events delivered\n")
    assert "podium: no Podium server answers at " in done.err
    assert rejected_events(folder) == [(2, "NAME_INVALID"), (3, "NAME_INVALID")]
    told = run_json(root, "outbox", "retry")
    assert (told["delivered"], told["error"]) == (0, None)
    assert [refused["sequence"] for refused in told["refused"]] == [2, 3]


def test_a_retry_continues_after_an_event_that_makes_the_server_fail(
    root: Path, outbox: Path, address: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that makes the server fail remains rejected. Other events are delivered."""
    folder = dead_stream(
        outbox, name, started("a", "A", 1), *(row("v", k, eval_seconds=-1) for k in range(2))
    )
    run(root, "sync")
    failing = iter([error_for("INTERNAL", "internal error 4711")])

    def record(*_: object) -> None:
        for error in failing:
            raise error

    monkeypatch.setattr(library.Client, "record", record)
    done = podium("outbox", "retry", str(root), address=address)
    assert (done.code, done.out) == (1, "1 of 2 events delivered\n")
    assert "event 2 of arm 'a'" in done.err
    assert "remains rejected: internal error 4711 (INTERNAL)" in done.err
    assert rejected_events(folder) == [(2, "FIELD_OUT_OF_RANGE")]


def test_only_events_that_wait_have_a_reason(tmp_path: Path) -> None:
    """A stream whose events are all delivered has no reason to wait."""
    outbox = new_outbox(tmp_path)
    folders = [dead_stream(outbox, "x", row("val", 1), arm=arm) for arm in "ab"]
    StreamReader(folders[0]).note_delivered(1)
    found = {each.folder: each.why for each in view_of(outbox).streams}
    assert found == {folders[0]: "", folders[1]: "no sender runs"}


@pytest.mark.parametrize(("delivered", "left"), [(1, [2]), (2, None)])
def test_a_retry_removes_only_a_stream_that_is_finished(
    tmp_path: Path, delivered: int, left: list[int] | None
) -> None:
    """After a retry of its rejected events, a stream is removed only if no other event waits."""
    outbox = new_outbox(tmp_path)
    folder = dead_stream(outbox, "x", row("val", 1), row("val", 2))
    stream = StreamReader(folder)
    stream.reject(RejectedEvent(1, "STALE_ATTEMPT", "no", 1.0, row("val", 1).SerializeToString()))
    stream.note_delivered(delivered)
    view = view_of(outbox)
    stream.mark_retried(1)
    _retry._clean_up(view)
    is_left = folder.exists()
    found = [each.sequence for each in StreamReader(folder).read(delivered)] if is_left else None
    assert found == left


@each(
    ("attempt", "waiting", "waits"),
    [(None, 1, True), ("A", 1, True), ("B", 1, False), (None, 0, False), ("A", 0, False)],
)
def test_waiting_events_of_an_attempt(attempt: str | None, waiting: int, *, waits: bool) -> None:
    """`--attempt` selects a stream's waiting events only if they are of the given attempt."""
    stream: Any = SimpleNamespace(info=StreamInfo("x", "a", "w", "A"), waiting=waiting)
    given = Namespace(attempt=attempt, experiment=None, arm=None, reason=None)
    assert _retry._waits(stream, given) is waits
