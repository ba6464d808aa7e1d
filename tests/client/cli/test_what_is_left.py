"""Tests of reports about waiting and rejected events, and about files that are not imported."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from podium._outbox import RejectedEvent, SenderState
from podium._outbox.folders import StreamInfo
from podium.cli import _attempts, _check_files, _discarding, _outboxes, _retry
from podium.cli._attempts import Item
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit
from podium.cli._findings import Level
from podium.cli._outboxes import OutboxView, StreamView, view_of
from podium.cli._resending import Outcome
from podium.cli._syncing import Done
from podium.cli.commands import import_, outbox, sync
from podium.importing import ImportReport, Note, NotImported
from podium.importing._report import ArmCount
from podium.v1.event_pb2 import Event, Skipped
from podium_server.testing.calls import declared, metrics, row, started

from tests.client.outbox.places import new_outbox
from tests.each import each


def _rejected(sequence: int, reason: str = "A", message: str = "m") -> RejectedEvent:
    return RejectedEvent(sequence, reason, message, 0.5, row("v", 1).SerializeToString())


def _stream(
    name: str = "s",
    *,
    arm: str | None = "a",
    waiting: int = 0,
    rejected: list[RejectedEvent] | None = None,
    why: str = "",
) -> StreamView:
    info = StreamInfo("e", arm, name, "A", pid=7, host="h")
    return StreamView(
        Path(name),
        info,
        is_recording=False,
        delivered=0,
        waiting=waiting,
        oldest=None,
        rejected_events=rejected or [],
        torn=[],
        why=why,
    )


def _view(*streams: StreamView, state: SenderState | None = None, **fields: Any) -> OutboxView:
    given = {"is_sending": False, "damaged": {}, **fields}
    return OutboxView(Path("o"), "old:1", state, streams=[*streams], **given)


# ---- `podium outbox` -----------------------------------------------------------------------------


@each(
    ("state", "is_sending", "text"),
    [
        (None, False, "no sender runs"),
        (None, True, "a sender runs"),
        (SenderState(7, "h:1", "idle"), False, "no sender runs"),
        (SenderState(7, "h:1", "idle", since=0.0), True, "sender 7 is idle"),
        (
            SenderState(7, "h:1", "unreachable", since=0.0, next_try=60.0),
            True,
            "sender 7 is unreachable since 1970-01-01 00:00:00Z, next try 1970-01-01 00:01:00Z",
        ),
    ],
)
def test_the_sender_of_an_outbox(state: SenderState | None, *, is_sending: bool, text: str) -> None:
    """`podium outbox` shows the status of a sender only while the sender runs."""
    assert outbox._sender(_view(state=state, is_sending=is_sending)) == text
    shown = outbox._to_json(_view(state=state, is_sending=is_sending))["sender"]
    assert (shown is not None) is (state is not None and is_sending)


def test_the_reasons_of_a_stream() -> None:
    """The line of a stream says why its events wait.

    Then it counts the rejected events by reason, with the first message of each.
    """
    found = [_rejected(1, "A", "one"), _rejected(2, "A", "two"), _rejected(3, "B", "three")]
    stream = _stream(arm=None, waiting=4, rejected=found, why="no server")
    assert outbox._line(stream) == (
        "e", "", "7@h", "4", "", "3", "no server; 2 A: one; 1 B: three",
    )  # fmt: skip
    assert outbox._lines(_view(_stream(), stream)) == [outbox._line(stream)]
    [shown, *_] = outbox._stream_to_json(stream)["rejected"]
    assert (shown["sequence"], shown["time"]) == (1, "1970-01-01T00:00:00.500000+00:00")
    assert outbox._stream_to_json(_stream())["why"] is None


# ---- `podium sync` -------------------------------------------------------------------------------


@each(
    ("done", "texts"),
    [
        (Done(_view(), "old:1"), []),
        (
            Done(_view(_stream(why="y"), _stream(why="x"), _stream(why="x")), "old:1", 1),
            ["1 event waits: x; y"],
        ),
        (Done(_view(_stream(why="x")), "old:1", 2, failure="gone"), ["2 events wait: gone"]),
        (Done(_view(), "old:1", failure="gone"), ["gone"]),
        (
            Done(_view(), "old:1", missing=2, notices=("note",)),
            [
                "note",
                (
                    "2 events were delivered before, but this server does not have them: it was "
                    "restored from a backup, or it is another server"
                ),
            ],
        ),
        *(
            (
                Done(_view(_stream(rejected=[_rejected(n) for n in range(count)])), "old:1"),
                [
                    (
                        f"the server rejected {noun}: `podium outbox o` shows why, "
                        f"`podium outbox retry o` sends {them} again"
                    )
                ],
            )
            for count, noun, them in ((1, "1 event", "it"), (2, "2 events", "them"))
        ),
        (Done(_view(damaged={Path("d"): "no"}), "old:1"), ["d cannot be read: no"]),
    ],
)
def test_what_a_sync_leaves(done: Done, texts: list[str]) -> None:
    """A sync reports waiting, missing, rejected and damaged events, with the cause or a remedy."""
    assert sync._left(done) == texts


def test_experiments_that_a_server_lacks() -> None:
    """Each experiment that the server lacks is listed once, with a command that creates it.

    If the outbox was for another server, the command copies the experiment.
    """
    lacking = [_stream(name, why=f"no experiment ({sync._NO_EXPERIMENT})") for name in "ab"]
    view = _view(*lacking, _stream(why="other"))
    [text] = sync._how_to_create(Done(view, "old:1"))
    assert text == (
        "old:1 has no experiment 'e': `podium --address old:1 declare e` creates it. "
        "Then run `podium sync` again"
    )
    [text] = sync._how_to_create(Done(view, "new:1"))
    assert "`podium --address old:1 export e | podium --address new:1 record -` copies" in text


def test_the_lines_of_a_sync(capsys: pytest.CaptureFixture[str]) -> None:
    """`podium sync` prints no line for an outbox with neither delivered nor waiting events."""
    console = Console(as_json=False)
    sync._tell([Done(_view(), "a:1"), Done(_view(), "b:1", delivered=1)], console)
    assert capsys.readouterr().out == "1 event delivered to b:1\n"
    sync._tell([Done(_view(), "a:1")], console)
    assert capsys.readouterr().out == "all recorded events are delivered\n"
    sync._tell([Done(_view(), "a:1", waiting=2)], console)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("0 events delivered to a:1\n", "podium: 2 events wait: \n")


@each(
    ("fields", "code"),
    [
        ({}, Exit.OK),
        ({"waiting": 1}, Exit.NOTHING),
        ({"waiting": 1, "failure": "gone"}, Exit.FAILED),
        ({"failure": "gone"}, Exit.FAILED),
    ],
)
def test_the_exit_code_of_an_outbox(fields: dict[str, Any], code: Exit) -> None:
    """If a server fails or an outbox is damaged, the exit code is worse than for waiting events."""
    assert Done(_view(), "a:1", **fields).exit == code
    assert Done(_view(damaged={Path("d"): "no"}), "a:1", **fields).exit == Exit.FAILED


# ---- `podium outbox retry` and `discard` ---------------------------------------------------------


def _outcome(arm: str | None, sequence: int, refusal: str = "", failure: str = "") -> Outcome:
    return Outcome(Item(_stream(arm=arm), _rejected(sequence), None), refusal, failure)


def test_the_report_of_a_retry(capsys: pytest.CaptureFixture[str]) -> None:
    """The report of a retry has at most ten lines about events that remain rejected.

    Events of one arm with the same reason share a line, and further events are counted.
    """
    outcomes = [
        _outcome("a", 1, "no"),
        _outcome("a", 2, "no"),
        _outcome(None, 3, "no"),
        _outcome("a", 4),
        *(_outcome("a", 10 + n, f"no {n}") for n in range(10)),
    ]
    assert _retry._report(outcomes, 15, Console(as_json=False)) == Exit.NOTHING
    told = capsys.readouterr()
    assert told.out == "1 of 15 events delivered\n"
    lines = told.err.splitlines()
    assert lines[:3] == [
        "podium: 2 events of arm 'a' of 'e' remain rejected: no",
        "podium: event 3 of 'e' remains rejected: no",
        "podium: event 10 of arm 'a' of 'e' remains rejected: no 0",
    ]
    assert lines[10:] == ["podium: 2 more remain rejected; see `podium outbox`"]
    failed = [_outcome("a", 1), _outcome("a", 2, failure="gone")]
    assert _retry._report(failed, 3, Console(as_json=True)) == Exit.FAILED
    assert json.loads(capsys.readouterr().out) == {"delivered": 1, "refused": [], "error": "gone"}
    assert _retry._report(outcomes[3:4], 1, Console(as_json=False)) == Exit.OK


def test_which_rejected_events_are_chosen() -> None:
    """An event is chosen if it fits all options.

    A waiting event has no reason, so --reason never chooses it.
    """
    given = {"experiment": None, "arm": None, "reason": None}
    for changes, is_chosen in (
        ({}, (True, True)),
        ({"experiment": "e", "arm": "a"}, (True, True)),
        ({"experiment": "f"}, (False, False)),
        ({"arm": "b"}, (False, False)),
        ({"reason": "A"}, (True, False)),
        ({"reason": "B"}, (False, False)),
    ):
        options: Any = SimpleNamespace(**{**given, **changes})
        found = [
            _attempts.is_chosen(_stream(), rejected, options) for rejected in (_rejected(1), None)
        ]
        assert tuple(found) == is_chosen, changes


def test_arms_of_which_one_must_be_chosen() -> None:
    """If the events to retry are of more than one arm, the error counts all arms.

    It names the first ten.
    """
    streams = [_stream(arm=f"a{n}") for n in range(11)]
    _retry._check_one_arm([streams[0]] * 2)
    with pytest.raises(CommandError, match=r"are of 11 arms: 'a0' of 'e', .*'a9' of 'e'; choose"):
        _retry._check_one_arm(streams)


def test_the_content_of_discarded_events() -> None:
    """Discarded events are counted by kind, and rows by eval.

    A damaged record counts as an unreadable event.
    """
    events = [started("a", "A", 1), row("v", 1), row("w", 1), row("v", 2), metrics({"m": 1})]
    payloads = [each.SerializeToString() for each in (*events, declared())]
    payloads += [b"", b"\xff", Event().SerializeToString()]
    payloads.append(Event(skipped=Skipped()).SerializeToString())
    assert _discarding._content(payloads) == (
        "start (1), row of 'v' (2), row of 'w' (1), call of log (1), declaration (1), "
        "unreadable event (3), skipped (1)"
    )


def test_the_table_of_discarded_events(capsys: pytest.CaptureFixture[str]) -> None:
    """`podium outbox discard` counts waiting events in the table, not only rejected ones."""
    payloads = [row("v", step).SerializeToString() for step in range(1_000)]
    found = _discarding._Selection(_stream(arm=None), [1], payloads, is_whole=True)
    _discarding._show([found], Console(as_json=False))
    assert capsys.readouterr().out.splitlines() == [
        "EXPERIMENT  WRITER  EVENTS  CONTENT",
        "e           7@h      1,000  row of 'v' (1,000)",
    ]


def test_an_outbox_that_cannot_be_read(tmp_path: Path) -> None:
    """A damaged outbox.json ends the command with an error that names the file."""
    folder = new_outbox(tmp_path)
    (folder / "outbox.json").write_text("{")
    with pytest.raises(CommandError, match=r"outbox\.json"):
        view_of(folder)


def test_why_events_of_a_stream_wait() -> None:
    """If a stream has its own reason to wait, that is shown, not the reason of the whole outbox."""
    state = SenderState(7, "h:1", "waiting", "all", waits={"w": "one"})
    for given, writer, is_sending, why in (
        (state, "w", True, "one"),
        (state, "other", True, "all"),
        (replace(state, error=None), "other", True, ""),
        (replace(state, error=None), "other", False, "no sender runs"),
        (None, "w", True, ""),
    ):
        assert _outboxes._why(given, writer, is_sending=is_sending) == why


# ---- `podium doctor` -----------------------------------------------------------------------------


@each(
    ("is_sending", "why", "level", "text"),
    [
        (False, "gone", Level.WARNING, "and no sender runs"),
        (True, "gone", Level.WARNING, ": gone"),
        (True, "", Level.OK, "and are being delivered"),
    ],
)
def test_events_that_wait(*, is_sending: bool, why: str, level: Level, text: str) -> None:
    """`podium doctor` warns of waiting events, unless a sender delivers them without an error."""
    view = _view(_stream(waiting=2_000), _stream(why=why), is_sending=is_sending)
    found = _check_files._waiting(view)
    assert (found.level, found.text.startswith("2,000 events wait for old:1")) == (level, True)
    assert found.text.endswith(text)


def test_events_in_an_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """`podium doctor` reports damaged streams, rejected events and waiting events separately."""
    view = _view(
        _stream(waiting=1, rejected=[_rejected(1), _rejected(2)]), damaged={Path("d"): "no"}
    )
    monkeypatch.setattr(_check_files, "view_of", lambda _outbox: view)
    assert [(each.level, each.text) for each in _check_files._events(Path("o"))] == [
        (Level.FAILED, "d cannot be read: no"),
        (Level.WARNING, "the server has rejected 2 events for old:1"),
        (Level.WARNING, "1 events wait for old:1, and no sender runs"),
    ]


# ---- `podium import` -----------------------------------------------------------------------------

_COPY = NotImported("g", "copy", is_wrong=False, count=4)
_BAD = NotImported("f:1", "bad", count=2)


def test_the_report_of_an_import(capsys: pytest.CaptureFixture[str]) -> None:
    """`podium import` prints what was recorded on stdout, and what was left out on stderr."""
    report = ImportReport(
        {"e": ArmCount("csv", 2_000, ["a"], 3, 9)},
        [_BAD, _COPY],
        [Note("s", "t")],
        Counter({".csv": 1, ".py": 2}),
    )
    import_._print_report(report, Console(as_json=False), dry_run=True)
    told = capsys.readouterr()
    assert told.out.splitlines()[1:] == [
        "e           csv      2,000          3      9",
        (
            "2,000 arms would be recorded, 1 of them in place of other results, 3 unchanged, "
            "4 items left out, 2 problems"
        ),
    ]
    assert told.err.splitlines() == [
        "podium: f:1: bad",
        "podium: g: left out: copy",
        "podium: s: t",
        "podium: e: replaces the stored results of: a",
        "podium: 3 files of no known kind, not read: .py 2, .csv 1; tables such as CSV need --map",
    ]
    import_._print_report(report, Console(as_json=True), dry_run=True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["dry_run"], shown["notes"]) == (True, [{"source": "s", "text": "t"}])
    assert shown["not_imported"][1] == {"source": "g", "why": "copy", "is_wrong": False, "count": 4}
    assert shown["other_files"] == {".csv": 1, ".py": 2}
    for ending in (".csv", ".tsv", ".jsonl", ".ndjson", ".py"):
        text = import_._other_files(ImportReport(other_files=Counter([ending])))
        assert ("--map" in text) is (ending != ".py"), ending


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (ImportReport({"e": ArmCount("csv")}), Exit.OK),
        (ImportReport({"e": ArmCount("csv")}, [_COPY]), Exit.OK),
        (ImportReport({"e": ArmCount("csv")}, [_COPY, _BAD]), Exit.NOTHING),
        (ImportReport({}, [_COPY]), Exit.NOTHING),
    ],
)
def test_the_exit_code_of_an_import(
    report: ImportReport, code: Exit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import fails if an item has a problem, or if no arm was found.

    Items that are left out on purpose do not fail it.
    """
    monkeypatch.setattr(import_, "import_results", lambda *_, **__: report)
    given: Any = SimpleNamespace(
        path="p", kind=None, map=None, experiment=None, replace=False, dry_run=False
    )
    client: Any = None
    assert import_.run(given, client, Console(as_json=False)) == code
